"""Rows into an empty database, all of them or none, with a proof that they are those that were sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core import migrate
from core.backup.tables import Figures, Shape, figures_of, set_last_id, shapes, write_rows
from core.db import VERSION_TABLES, db, guards
from core.errors import EnvoiError
from core.mail.outcomes import printable

PEOPLE = ("core_company", "core_user", "core_document")
"""Where one of these has a row, people work here."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """The rows of one table.

    Attributes:
        names: Of the columns, in the order of the values.
        rows: Returns the rows; called once.
    """

    names: Sequence[str]
    rows: Callable[[], Iterator[list[Any]]]


class DifferentError(EnvoiError):
    """What arrived is not what was sent."""


def demand_empty() -> None:
    """Make sure that nobody's data are in the present database.

    Raises:
        EnvoiError: There are some.
    """
    with db.engine.connect() as connection:
        there = set(sa.inspect(connection).get_table_names())
        for name in PEOPLE:
            if name in there and connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name))):
                raise EnvoiError(
                    "The database is not empty: it has companies, users or documents. Nothing was changed. Give "
                    "ENVOI_DATA_DIR or ENVOI_DATABASE_URL an empty place."
                )


def make_tables(versions: Mapping[str, str]) -> None:
    """Make the tables of the present database as they were in a release.

    Args:
        versions: The version of each module that had tables.

    Raises:
        EnvoiError: A module is not enabled here, its tables are of a newer release, or others are there.
    """
    modules = {module.name: module for module in migrate.migrated_modules()}
    if missing := sorted(set(versions) - set(modules)):
        raise EnvoiError(
            f"Data of these modules are among it, which are not enabled here: {', '.join(missing)}. Install and enable "
            "them (ENVOI_MODULES); afterwards they can be disabled again."
        )
    for name, version in versions.items():
        if not migrate.knows(modules[name], version):
            raise EnvoiError(
                f"It is of a newer release than this program (module {name}, version {printable(version)}): install "
                "that release."
            )
    for name, version in versions.items():
        there = migrate.present_version(modules[name])
        if there is not None and there != version:
            raise EnvoiError(
                f"The database has tables of {name} of another release (version {printable(there)}, not {version}): "
                "give it a database without tables."
            )
    for module in modules.values():
        if module.name in versions:
            migrate.upgrade_module(module, version=versions[module.name])


def load(
    incoming: Mapping[str, Incoming], expected: Mapping[str, Figures], finish: Callable[[Connection], object]
) -> None:
    """Write all rows into the present database, whose tables are there and hold nobody's data.

    Args:
        incoming: The rows, by the name of their table.
        expected: What they must be.
        finish: Called at the end of the transaction, once everything was compared.

    Raises:
        DifferentError: They are not; nothing was written.
        EnvoiError: The database refuses some; nothing was written.
    """
    with (
        db.engine.connect().execution_options(envoi_write=True) as connection,
        migrate.foreign_keys_off(connection),
        connection.begin(),
    ):
        strangers = guards.remove(connection)
        there = {
            shape.name: shape for shape in shapes(connection) if not shape.name.startswith(VERSION_TABLES)
        }
        if missing := sorted(set(incoming) - set(there)):
            raise EnvoiError(f"These tables are not there: {', '.join(missing)}. Nothing was written.")
        with _references_off(connection):
            for shape in there.values():
                connection.execute(sa.delete(shape.table))
            for name, one in incoming.items():
                _load_table(connection, there[name], one, expected[name])
        guards.install(connection, strangers.values())
        finish(connection)


def _load_table(connection: Connection, shape: Shape, one: Incoming, expected: Figures) -> None:
    if set(one.names) != set(shape.columns):
        raise EnvoiError(f"The table {shape.name} has other columns here. Nothing was written.")
    try:
        write_rows(connection, shape, one.names, one.rows())
    except DBAPIError as error:
        words = printable(str(error.orig)).strip().partition("\n")[0].rstrip(".")
        raise EnvoiError(
            f"The database refuses rows of {shape.name} ({words}). Nothing was written."
        ) from error
    except (ValueError, TypeError) as error:
        raise EnvoiError(
            f"Rows of {shape.name} are damaged: use another backup. Nothing was written."
        ) from error
    found = figures_of(connection, shape, one.names)
    if found != expected:
        raise DifferentError(
            f"The table {shape.name} is not what it was: {found.rows} rows, checksum {found.checksum}, instead of "
            f"{expected.rows}, {expected.checksum}. Nothing was written."
        )
    set_last_id(connection, shape, expected.last_id)


@contextmanager
def _references_off(connection: Connection) -> Iterator[None]:
    """Let rows of PostgreSQL arrive in any order, and look at their references at the end; SQLite has a switch."""
    if connection.dialect.name == "sqlite":
        yield
        return
    rules = connection.execute(
        sa.text(
            "SELECT conrelid::regclass::text AS place, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS rule"
            " FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
        )
    ).all()
    # Names and rules are PostgreSQL's own words.
    for rule in rules:
        connection.execute(sa.text(f"ALTER TABLE {rule.place} DROP CONSTRAINT {rule.name}"))
    yield
    for rule in rules:
        connection.execute(sa.text(f"ALTER TABLE {rule.place} ADD CONSTRAINT {rule.name} {rule.rule}"))
