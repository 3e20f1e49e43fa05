"""The declarative base, its naming convention, and how connections are opened."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, MetaData, event
from sqlalchemy.orm import DeclarativeBase

# Named constraints: a migration can drop them on every database.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

SQLITE_BUSY_SECONDS = 15  # how long a writer waits for another; longer than any transaction of ours takes


class Base(DeclarativeBase):
    """The base of every model of core and of the modules; table names carry the module's prefix."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING_CONVENTION)


db = SQLAlchemy(metadata=Base.metadata)


@event.listens_for(Engine, "connect")
def _configure_sqlite(dbapi_connection: Any, _record: Any) -> None:
    """Make SQLite durable and strict: WAL, a full sync on each commit, foreign keys on."""
    if not isinstance(dbapi_connection, sqlite3.Connection):
        return
    # Python's driver would begin transactions on its own and late; `_begin_sqlite` does it instead.
    dbapi_connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={SQLITE_BUSY_SECONDS * 1000}",
    ):
        dbapi_connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    """Begin IMMEDIATE where a write is announced: a lock taken late can fail, one taken first waits."""
    if connection.dialect.name == "sqlite":
        writes = connection.get_execution_options().get("envoi_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
