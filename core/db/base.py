"""The declarative base, its naming convention, and how connections are opened."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from random import random
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, MetaData, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Mapper, registry

from core.contract import Module

# Named constraints: a migration can drop them on every database.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

VERSION_TABLES = "core_version_"  # with what begins the table in which a migrated module keeps its version

SQLITE_BUSY_SECONDS = 15.0  # how long a writer waits for another; longer than any transaction of ours takes
SHORT_PAUSE_SECONDS, LONG_PAUSE_SECONDS = 0.0007, 0.02  # between two looks whether the other has ended


class Base(DeclarativeBase):
    """The base of every model of core and of the modules; table names carry the module's prefix.

    A class that a relationship names is looked for among those of the module first, so that two modules may each have
    a `Line`. Tables are one space, since foreign keys lead from one module to another.
    """

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING_CONVENTION)

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Give a model the names of its module to refer to."""
        if not any(isinstance(vars(base).get("__mapper__"), Mapper) for base in cls.__mro__[1:]):
            names = _names.setdefault(package := _package_of(cls.__module__), WeakValueDictionary())
            if _is_of_others(names.get(cls.__name__), package):
                del names[cls.__name__]
            if package not in _registries:
                _registries[package] = registry(metadata=Base.metadata, class_registry=names)
            # A registry for each module is SQLAlchemy's own way; that it is looked up by this name is not said.
            cls._sa_registry = _registries[package]
        super().__init_subclass__(**keywords)


# Of each module by its package: its mappers, and the classes that may be named in its relationships.
_registries: dict[str, registry] = {}
_names: dict[str, MutableMapping[str, Any]] = {}


def mappers() -> Iterator[Mapper[Any]]:
    """Return what maps each model of core and of the modules that were loaded."""
    for one in _registries.values():
        yield from one.mappers


def _package_of(name: str) -> str:
    """Return the package of the module that a Python module belongs to, else the outermost package."""
    packages = list(accumulate(name.split("."), lambda outer, inner: f"{outer}.{inner}"))
    for package in packages:
        declaration = getattr(sys.modules.get(package), "module", None)
        if isinstance(declaration, Module) and declaration.package == package:
            return package
    return packages[0]


def _is_of_others(found: Any, package: str) -> bool:
    return isinstance(found, type) and _package_of(found.__module__) != package


@event.listens_for(Mapper, "before_configured")
def _let_modules_name_models_of_others() -> None:
    """Let relationships name what their file imports, and each model of others whose name only one of them has."""
    everywhere: dict[str, list[type]] = {}
    for mapper in mappers():
        everywhere.setdefault(mapper.class_.__name__, []).append(mapper.class_)
    for package, one in _registries.items():
        names = _names[package]
        for mapper in list(one.mappers):
            for name, value in list(vars(sys.modules.get(mapper.class_.__module__, object)).items()):
                if isinstance(value, type) and issubclass(value, Base) and value is not Base:
                    names.setdefault(name, value)
        for name, classes in everywhere.items():
            if len(classes) == 1:
                names.setdefault(name, classes[0])


db = SQLAlchemy(metadata=Base.metadata)


def _busy_timeout() -> str:
    return f"PRAGMA busy_timeout={int(SQLITE_BUSY_SECONDS * 1000)}"


@event.listens_for(Engine, "connect")
def _configure_sqlite(dbapi_connection: Any, record: Any) -> None:
    """Make SQLite durable and strict: WAL, a full sync on each commit, foreign keys on."""
    if not isinstance(dbapi_connection, sqlite3.Connection):
        return
    # Python's driver would begin transactions on its own and late; `_begin_sqlite` does it instead.
    dbapi_connection.isolation_level = None
    for pragma in (
        # First: changing the journal waits for others as well.
        _busy_timeout(),
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        # What is deleted or emptied is overwritten in the file: SQLite would leave it in free pages.
        "PRAGMA secure_delete=ON",
    ):
        dbapi_connection.execute(pragma)
    path = str(dbapi_connection.execute("PRAGMA database_list").fetchone()[2])
    record.info["envoi_file"] = path, _inode(path)


@event.listens_for(Engine, "connect")
def _let_postgresql_notice_silence(dbapi_connection: Any, _record: Any) -> None:
    """Let the server end, within half a minute, what a host has begun that is dead or cut off.

    Until then nobody else gets the rows that it has locked; by the system's own values for two hours.
    """
    if not hasattr(dbapi_connection, "pgconn"):
        return
    before, dbapi_connection.autocommit = dbapi_connection.autocommit, True
    dbapi_connection.execute(
        "SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
        "SET tcp_user_timeout = 30000"
    )
    dbapi_connection.autocommit = before


def _inode(path: str) -> int | None:
    """Return what names a file as long as it is that file, or None where there is none."""
    try:
        return Path(path).stat().st_ino if path else None
    except OSError:
        return None


@event.listens_for(Engine, "checkout")
def _leave_a_replaced_file(_dbapi_connection: Any, record: Any, _proxy: Any) -> None:
    """Connect anew where the file was replaced, as by a backup that is put back.

    SQLite would go on with the file that was there, which nobody else sees any more: what is written would be lost.
    """
    path, inode = record.info.get("envoi_file", ("", None))
    if inode is not None and _inode(path) != inode:
        raise DisconnectionError("The file of the database was replaced.")


def empty_journal() -> None:
    """Take from SQLite's journal (WAL) what it holds of rows that were erased; readers are not waited for.

    Where one reads at this moment it stays until the next call. Call it outside of a transaction.
    """
    if db.engine.dialect.name != "sqlite":
        return
    connection = db.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        with _waiting_for_nobody(driver):
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


@contextmanager
def _waiting_for_nobody(driver: sqlite3.Connection) -> Iterator[None]:
    """Let SQLite say at once, within the block, that somebody else has the lock."""
    driver.execute("PRAGMA busy_timeout=0")
    try:
        yield
    finally:
        driver.execute(_busy_timeout())


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    """Begin IMMEDIATE where a write is announced: a lock taken late can fail, one taken first waits."""
    if connection.dialect.name != "sqlite":
        return
    if not connection.get_execution_options().get("envoi_write", False):
        connection.exec_driver_sql("BEGIN")
        return
    driver: Any = connection.connection.driver_connection
    with _waiting_for_nobody(driver):
        if not _began_to_write(driver):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # to say what is wrong


def _began_to_write(driver: sqlite3.Connection) -> bool:
    """Begin to write once nobody else does; return False where that takes too long, or is not what is wrong.

    SQLite by itself looks ever more rarely, at last ten times a second: beside a worker that commits mail after mail,
    a page and a second worker would miss nearly every moment in which the lock is free.
    """
    begun = time.monotonic()
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - begun
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or waited >= SQLITE_BUSY_SECONDS:
                return False
            # Less often where somebody holds it for long, and not in step with others who wait.
            pause = min(LONG_PAUSE_SECONDS, SHORT_PAUSE_SECONDS + waited / 20)
            time.sleep(pause * (0.5 + random()))  # noqa: S311 (no secret)
        else:
            return True
