"""What must hold of rows and no CHECK can say, kept by triggers: what is posted stays, whoever writes.

A guard is declared once, beside the models, in SQL that SQLite and PostgreSQL both understand, and becomes a trigger on
either. Services refuse politely and first; a guard refuses whoever has not asked them: other code, SQL as text, another
program. The migrations bring the triggers up to date (`core/migrations/env.py`), since SQLite loses those of a table
that a migration makes anew, and a trigger must not keep a migration from its work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, cast

from babel.numbers import list_currencies
from sqlalchemy import JSON, Connection, Engine, ExceptionContext, Table, TypeDecorator, event, inspect

from core.db.base import Base
from core.db.types import DECIMAL_PLACES, StrEnumType
from core.errors import UserError
from core.i18n import lazy_gettext as _l

_PREFIX = "envoi_"


class FrozenError(UserError):
    """Something that is posted, sold or counted was about to change."""

    def __init__(self, message: object = "") -> None:
        super().__init__(message or _l("This is final: it cannot be changed or deleted any more."))


@dataclass(frozen=True, slots=True)
class Guard:
    """A rule that a statement must not break.

    Attributes:
        name: Begins with the name of the module that declares it.
        table: Whose rows are looked at.
        on: The statement that is looked at; updates by a foreign key's action are among them.
        refuse: The condition under which it is refused, by `OLD` and `NEW`.
        error: What is raised instead of the database's own error, or None for that one.
        reads: Other tables that the condition names; the guard is there once all of them are.
        columns: Those whose change is looked at, of an UPDATE; none for all.
    """

    name: str
    table: str
    on: Literal["INSERT", "UPDATE", "DELETE"]
    refuse: str
    error: Callable[[], UserError] | None = FrozenError
    reads: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def trigger(self) -> str:
        """The name of the trigger; another one as soon as the guard says something else."""
        digest = hashlib.sha256(repr((self.table, self.on, self.refuse, self.columns)).encode()).hexdigest()[
            :8
        ]
        return f"{_PREFIX}{self.name}_{digest}"


def declare(*guards: Guard) -> None:
    """Declare guards; for the file of the models that they are about."""
    known = Base.metadata.info.setdefault("envoi_guards", {})
    for guard in guards:
        known[guard.name] = guard


def require(
    table: str, name: str, condition: str, *, reads: tuple[str, ...] = (), columns: tuple[str, ...] = ()
) -> None:
    """Declare what must hold of each row that is written; rows that are there already are left.

    For what a CHECK cannot say since it looks at other rows, or should not since it would keep a migration from
    an installation that has such a row.

    Args:
        table: The table.
        name: Of the rule; the table's name is put before it.
        condition: What must hold of `NEW`; unknown, because something is NULL, is well.
        reads: As for `Guard`.
        columns: As for `Guard`; an INSERT is looked at in any case.
    """
    refuse = f"NOT ({condition})"
    declare(
        Guard(f"{table}_{name}_new", table, "INSERT", refuse, None, reads),
        Guard(f"{table}_{name}", table, "UPDATE", refuse, None, reads, columns),
    )


def _declared() -> dict[str, Guard]:
    known = cast("dict[str, Guard]", Base.metadata.info.setdefault("envoi_guards", {}))
    for table in list(Base.metadata.tables.values()):
        if f"{table.name}_words" not in known:
            _require_words(table)
    return known


def _require_words(table: Table) -> None:
    """Declare that a table's columns of a `StrEnum` hold no other word; a new member needs no migration."""
    columns = {column.name: column.type for column in table.columns if isinstance(column.type, StrEnumType)}
    if not columns:
        return
    conditions = [
        f"(NEW.{name} IS NULL OR NEW.{name} IN ({', '.join(repr(member.value) for member in type_.enum)}))"
        for name, type_ in columns.items()
    ]
    require(table.name, "words", " AND ".join(conditions), columns=tuple(columns))


def changed(table: str, *, but: Iterable[str] = (), may_end: Iterable[str] = ()) -> str:
    """Return the condition that a row changes.

    Args:
        table: The table.
        but: Columns that may change.
        may_end: Columns that may become NULL and nothing else, as foreign keys do when the other row is deleted.
    """
    but, may_end = set(but), set(may_end)
    parts = []
    for column in Base.metadata.tables[table].columns:
        name = column.name
        if name in but:
            continue
        # PostgreSQL knows no equality of JSON.
        stored = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
        form = "CAST({} AS TEXT)" if isinstance(stored, JSON) else "{}"
        part = f"{form.format(f'OLD.{name}')} IS DISTINCT FROM {form.format(f'NEW.{name}')}"
        parts.append(f"({part} AND NEW.{name} IS NOT NULL)" if name in may_end else part)
    return f"({' OR '.join(parts)})"


def is_currency(column: str) -> str:
    """Return the condition that a column holds a currency of ISO 4217, one in use or a former one."""
    return f"{column} IN ({', '.join(repr(code) for code in sorted(list_currencies()))})"


def is_percentage(column: str) -> str:
    """Return the condition that a column of `ExactDecimal` is none, or from 0 to 100."""
    return f"({column} IS NULL OR {column} BETWEEN 0 AND {100 * 10**DECIMAL_PLACES})"


def missing(connection: Connection, prefix: str) -> list[str]:
    """Return the guards of a module that the database does not have."""
    present = _present(connection)
    return [
        guard.name
        for guard in _possible(connection)
        if guard.trigger not in present and guard.name.startswith(prefix)
    ]


def remove(connection: Connection) -> dict[str, str]:
    """Take all guards away for a migration; return those of SQLite that nobody here declares, to be put back."""
    declared = {guard.trigger for guard in _declared().values()}
    strangers = {}
    for name, sql in _present(connection).items():
        if connection.dialect.name == "sqlite":
            if name not in declared and not _replaced(name):
                strangers[name] = sql  # of a module that is not enabled: its rows stay guarded
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        elif name in declared or _replaced(name):
            connection.exec_driver_sql(f"DROP FUNCTION {name}() CASCADE")
    return strangers


def _replaced(trigger: str) -> bool:
    """Return whether a trigger is that of a guard which is declared here, perhaps in former words."""
    return trigger.removeprefix(_PREFIX).rpartition("_")[0] in _declared()


def install(connection: Connection, strangers: Iterable[str] = ()) -> None:
    """Make the guards whose tables are there and that the database does not have, and drop former versions.

    Args:
        connection: In a transaction.
        strangers: SQL of triggers to put back, as `remove` returned it.
    """
    present = _present(connection)
    wanted = {guard.trigger: guard for guard in _possible(connection)}
    for name in present:
        if name not in wanted and _replaced(name):
            sqlite = connection.dialect.name == "sqlite"
            connection.exec_driver_sql(
                f"DROP TRIGGER {name}" if sqlite else f"DROP FUNCTION {name}() CASCADE"
            )
    is_postgresql = connection.dialect.name == "postgresql"  # its driver takes a % for a parameter
    for name, guard in wanted.items():
        if name not in present:
            for statement in _statements(guard, connection.dialect.name):
                connection.exec_driver_sql(statement.replace("%", "%%") if is_postgresql else statement)
    for sql in strangers:
        connection.exec_driver_sql(sql)


def _possible(connection: Connection) -> list[Guard]:
    """Return the guards whose tables and columns are there: a module may not have been migrated yet."""
    inspector = inspect(connection)
    tables = set(inspector.get_table_names())
    there = [guard for guard in _declared().values() if {guard.table, *guard.reads} <= tables]
    columns = {
        table: {column["name"] for column in inspector.get_columns(table)}
        for table in {guard.table for guard in there if guard.columns}
    }
    return [guard for guard in there if not guard.columns or set(guard.columns) <= columns[guard.table]]


def _present(connection: Connection) -> dict[str, str]:
    """Return the guards that the database has: the names of their triggers, and on SQLite their SQL."""
    query = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, 6) = 'envoi_'"
        if connection.dialect.name == "sqlite"
        else "SELECT tgname, '' FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal "
        "AND substr(tgname, 1, 6) = 'envoi_' AND relnamespace = current_schema()::regnamespace"
    )
    return {str(name): str(sql) for name, sql in connection.exec_driver_sql(query)}


def _statements(guard: Guard, dialect: str) -> list[str]:
    of = f" OF {', '.join(guard.columns)}" if guard.columns else ""
    name, head = guard.trigger, f"BEFORE {guard.on}{of} ON {guard.table} FOR EACH ROW"
    if dialect == "sqlite":
        return [f"CREATE TRIGGER {name} {head} WHEN {guard.refuse} BEGIN SELECT RAISE(ABORT, '{name}'); END"]
    # The class of a violated CHECK, so that drivers raise an IntegrityError.
    raising = f"RAISE EXCEPTION '{name}' USING ERRCODE = 'check_violation'"
    row = "OLD" if guard.on == "DELETE" else "NEW"
    body = f"BEGIN IF {guard.refuse} THEN {raising}; END IF; RETURN {row}; END"
    return [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $guard$ {body} $guard$",
        f"CREATE TRIGGER {name} {head} EXECUTE FUNCTION {name}()",
    ]


@event.listens_for(Engine, "handle_error")
def _in_words(context: ExceptionContext) -> UserError | None:
    """Return the error of a guard, to be raised in place of the database's own, or None."""
    said = str(context.original_exception)
    guards = _declared().values() if _PREFIX in said else ()
    return next(
        (guard.error() for guard in guards if guard.trigger in said and guard.error is not None), None
    )
