"""Migrations: Alembic, one line of versions for each module.

Each module keeps its place in a version table of its own (`core_version_<module>`), so that a module can
be disabled or uninstalled without its versions being missed. See docs/adr/0003.
"""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import DBAPIError

from core import compatibility, loader
from core.contract import Module
from core.db import VERSION_TABLES, Base, db, guards
from core.declarations import package_folder
from core.errors import EnvoiError
from core.installation import service as installation
from core.installation.turns import alone
from core.mail.outcomes import printable
from core.manifest import CORE
from core.registry import current_registry, resolve_function

logger = logging.getLogger(__name__)

LOCK_SECONDS = 60  # a migration waits so long for a table that somebody else uses
LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"  # appendix A of PostgreSQL's manual
PAUSE_SECONDS = 0.5  # between two turns: those who had to wait go on
TURN_SECONDS = 4
"""A migration waits so long at a stretch, then lets everybody go on and begins anew.

Whoever holds one table and asks for another waits behind it, and it for them. PostgreSQL does not see that where they
are two connections of one process.
"""
LOCKED_ADVICE = " Somebody else uses them: stop the processes of the former release, and call this again."

ENVIRONMENT = Path(__file__).parent / "migrations"


def version_table(module: Module) -> str:
    """Return the name of the table that holds the version of a module."""
    return f"{VERSION_TABLES}{module.name}"


def versions_folder(module: Module) -> Path:
    """Return the folder with the migrations of a module."""
    folder = package_folder(module) / "migrations"
    return folder / "versions" if module.name == CORE.name else folder


def alembic_config(module: Module) -> Config:
    """Return the configuration of Alembic for one module."""
    config = Config()
    # Alembic reads its options with `%` as a sign of its own; a folder may have one in its name.
    config.set_main_option("script_location", str(ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(versions_folder(module)).replace("%", "%%"))
    config.attributes["module"] = module
    return config


def migrated_modules() -> list[Module]:
    """Return the enabled modules that have migrations, in order."""
    return [module for module in current_registry().modules if module.migrations]


@dataclass(frozen=True, slots=True)
class Step:
    """A migration that has not been applied.

    Attributes:
        module: Whose tables.
        migration: The name of its file.
        words: What it does.
        contract: Why processes of the former release must be stopped first; "" where they can go on.
    """

    module: str
    migration: str
    words: str
    contract: str = ""


def plan() -> list[Step]:
    """Return what `upgrade` would do, in its order.

    Raises:
        SchemaError: The tables of a module are newer than this program.
    """
    _refuse_newer()
    with db.engine.connect() as connection:
        aware = compatibility.oldest(connection, CORE.name)
    steps = []
    for module in migrated_modules():
        script = ScriptDirectory.from_config(alembic_config(module))
        present = present_version(module)
        for one in reversed(list(script.iterate_revisions("heads", present or "base"))):
            contract = (compatibility.contract_of(one) if aware else "no rule yet") if present else ""
            steps.append(Step(module.name, Path(one.path).stem, one.doc, contract))
    return steps


def _refuse_newer() -> None:
    versions = [(module, present_version(module)) for module in migrated_modules()]
    newer = [_newer(module, at).sentence for module, at in versions if at and not knows(module, at)]
    if newer:
        raise SchemaError(newer, newer=True)


def upgrade(app: Flask, lock_seconds: int = LOCK_SECONDS) -> None:
    """Bring the tables of every enabled module to their newest version, then let the modules fill in.

    Of several processes that start at once one does it, and the others wait until it is done.

    Args:
        app: The application.
        lock_seconds: How long a module's migrations wait for tables that somebody else uses, in all; 0: for ever.

    Raises:
        MigrationError: The database refused a migration; the tables of its module are as they were.
        SchemaError: The tables of a module are newer than this program; nothing was changed.
    """
    with alone():
        _refuse_newer()
        for module in migrated_modules():
            upgrade_module(module, lock_seconds)
        installation.install(app)
        for module in current_registry().modules:
            if module.install is not None:
                resolve_function(module.install)(app)


def upgrade_module(module: Module, lock_seconds: int = LOCK_SECONDS, version: str = "head") -> None:
    """Bring the tables of one module to their newest version, or to another one.

    Raises:
        MigrationError: As for `upgrade`.
    """
    config = alembic_config(module)
    config.attributes["lock_seconds"] = min(TURN_SECONDS, lock_seconds or TURN_SECONDS)
    until = time.monotonic() + lock_seconds if lock_seconds else math.inf
    while True:
        try:
            command.upgrade(config, version)
        except DBAPIError as error:
            # Former processes go on meanwhile. All of a module is one transaction, so nothing is left of it.
            met = getattr(error.orig, "sqlstate", "") in {DEADLOCK, LOCK_NOT_AVAILABLE}
            if met and time.monotonic() < until:
                time.sleep(PAUSE_SECONDS)
                continue
            folder = versions_folder(module)
            files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
            migration = next((file for file in files if file.is_relative_to(folder)), None)
            if migration is None and not _waited_in_vain(error):
                raise  # the database itself is away
            raise MigrationError(module, migration, error) from error
        else:
            return


class MigrationError(EnvoiError):
    """The database refused a migration.

    Args:
        module: Whose migration.
        migration: Its file, or None where not even the first was begun.
        error: What the database said.
    """

    def __init__(self, module: Module, migration: Path | None, error: DBAPIError) -> None:
        words = printable(str(error.orig)).strip().partition("\n")[0].rstrip(".")
        what = f"the migration {migration.stem}" if migration is not None else "a migration"
        super().__init__(
            f"Module {module.name}: {what} cannot be applied ({words}). "
            f"The tables of the module are as they were before.{LOCKED_ADVICE if _waited_in_vain(error) else ''}"
        )


def _waited_in_vain(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", "") == LOCK_NOT_AVAILABLE


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """Let SQLite rebuild a table without the rows that refer to it being deleted with the former one.

    SQLite changes a column by making the table anew and dropping the former, and a DROP deletes by ON DELETE
    CASCADE. The switch works outside of a transaction only.

    Raises:
        EnvoiError: The migration left a row that refers to one that is not there.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
        broken = driver.execute("PRAGMA foreign_key_check").fetchmany(5)
    finally:
        driver.execute("PRAGMA foreign_keys=ON")
    if broken:
        tables = ", ".join(sorted({str(row[0]) for row in broken}))
        raise EnvoiError(f"After the migration, rows of {tables} refer to rows that are not there.")


def revision(module: Module, message: str) -> Path:
    """Write the migration from the present tables of a module to its models, and return its path."""
    config = alembic_config(module)
    has_versions = ScriptDirectory.from_config(config).get_current_head() is not None
    script: Any = command.revision(
        config,
        message,
        autogenerate=True,
        head="head" if has_versions else "base",
        branch_label=None if has_versions else module.name,
        version_path=str(versions_folder(module)),
    )
    return Path(script.path)


class SchemaError(EnvoiError):
    """The tables of the database are not those that this program works with.

    Args:
        sentences: One for each module whose tables differ.
        newer: True where a newer release has made some of them, so that no migration of this program helps.
    """

    def __init__(self, sentences: Sequence[str], *, newer: bool) -> None:
        super().__init__(" ".join(sentences))
        self.newer = newer


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """Tables of a module that this program must not work with.

    Attributes:
        sentence: What is wrong, and what to do.
        newer: True where a newer release has made them.
    """

    sentence: str
    newer: bool


@cache
def _known_versions(folder: Path) -> Sequence[str | None]:
    """Return the versions whose migrations lie in a folder, the newest first, and whatever is there later.

    What a process works with are the migrations of its own release. Reading them takes as much memory as a worker needs
    for all the rest.
    """
    script = ScriptDirectory(str(ENVIRONMENT), version_locations=[str(folder)])
    return [script.get_current_head(), *(one.revision for one in script.walk_revisions())]


def knows(module: Module, version: str) -> bool:
    """Return True when this program has the migration by which a module comes to a version."""
    return version in _known_versions(versions_folder(module))


def present_version(module: Module, connection: Connection | None = None) -> str | None:
    """Return the version of the tables of a module, None where it has none; arguments as for `schema_problem`."""
    with nullcontext(connection) if connection is not None else db.engine.connect() as asked:
        context = MigrationContext.configure(asked, opts={"version_table": version_table(module)})
        return context.get_current_revision()


def schema_problem(module: Module, connection: Connection | None = None) -> SchemaProblem | None:
    """Return what is wrong with the tables of a module, or None when this program can work with them.

    Newer ones are no problem while no migration has taken away what this program needs (docs/adr/0019).

    Args:
        module: The module.
        connection: By which the database is asked, where it is in the middle of something.
    """
    known = _known_versions(versions_folder(module))
    version = present_version(module, connection)
    if version == known[0]:
        return None
    if version is None or version in known:
        words = f"Migrations of {module.name} have not been applied: run `envoi db upgrade`."
        return SchemaProblem(words, newer=False)
    with nullcontext(connection) if connection is not None else db.engine.connect() as asked:
        if compatibility.oldest(asked, module.name) in known:
            return None
    return _newer(module, version)


def _newer(module: Module, version: str) -> SchemaProblem:
    words = (
        f"The tables of {module.name} are newer than this program (version {printable(version)}): "
        "start the release that made them, or restore the backup from before."
    )
    return SchemaProblem(words, newer=True)


def schema_problems() -> list[SchemaProblem]:
    """Return what is wrong with the tables of the enabled modules; [] when all are those of this program."""
    return [found for module in migrated_modules() if (found := schema_problem(module)) is not None]


def read_versions() -> None:
    """Read which versions this program knows, for every process that is forked from this one."""
    for module in migrated_modules():
        _known_versions(versions_folder(module))


def pending(module: Module, connection: Connection | None = None) -> bool:
    """Return True when migrations of a module have not been applied; the arguments are those of `schema_problem`."""
    return schema_problem(module, connection) is not None


def demand_schema() -> None:
    """Make sure that this program can work with the tables.

    Raises:
        SchemaError: They are older or newer; whoever went on would write what others cannot read, or fail halfway.
    """
    if found := schema_problems():
        raise SchemaError([one.sentence for one in found], newer=any(one.newer for one in found))


def differences(module: Module) -> list[Any]:
    """Return what differs between the tables of a module and its models; [] when they agree."""
    with db.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": version_table(module),
                "include_name": only_tables_of(module),
                "include_object": only_objects_of(module),
                "compare_type": True,
                "render_as_batch": True,
            },
        )
        found = [row for row in compare_metadata(context, metadata_of(module)) if not _is_version_table(row)]
        return [*found, *(("missing_guard", name) for name in guards.missing(connection, f"{module.name}_"))]


def _is_version_table(difference: Any) -> bool:
    return (
        isinstance(difference, tuple)
        and difference[0] == "remove_table"
        and str(difference[1].name).startswith(VERSION_TABLES)
    )


def _made_by_migrations() -> frozenset[str]:
    """Return the tables and indexes that a model cannot say, so that only migrations make them.

    A model names them in `info["made_by_migrations"]` of its table. The tables in which SQLite keeps a virtual
    table begin with its name.
    """
    return frozenset(
        name for table in Base.metadata.tables.values() for name in table.info.get("made_by_migrations", ())
    )


def only_tables_of(module: Module) -> Any:
    """Return Alembic's filter that keeps to the tables of a module, known by their prefix.

    Where `sales` and `sales_extra` are both installed, a table belongs to the one with the longer name.
    """
    prefix = f"{module.name}_"
    of_others = tuple(f"{name}_" for name in loader.discover() if name.startswith(prefix))
    unsaid = _made_by_migrations()

    def include(name: str | None, type_: str, _parents: Any) -> bool:
        if name is not None and (name in unsaid or name.startswith(tuple(f"{own}_" for own in unsaid))):
            return False
        if type_ != "table" or name is None:
            return True
        return name.startswith(prefix) and not name.startswith((*of_others, VERSION_TABLES))

    return include


def only_objects_of(module: Module) -> Any:
    """Return the same filter for the tables of the models."""
    include = only_tables_of(module)

    def include_object(_item: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any) -> bool:
        return bool(type_ != "table" or include(name, type_, None))

    return include_object


def metadata_of(_module: Module) -> MetaData:
    """Return the metadata of all models; `only_tables_of` keeps to those of the module."""
    return Base.metadata
