"""What a migration takes from programs of the release before it, by the tables before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table as former programs have to live with it.

    Attributes:
        columns: By name, as the database describes them.
        rules: What a row must be, with the columns it is about, or None where nobody says which.
    """

    columns: dict[str, Any]
    rules: dict[str, frozenset[str] | None]


def tables_as_they_are(engine: Engine, prefix: str) -> dict[str, TableShape]:
    """Return the tables whose names begin with a prefix."""
    found = sa.inspect(engine)
    names = [name for name in found.get_table_names() if name.startswith(prefix)]
    return {name: _shape(found, name) for name in names}


def _shape(found: sa.Inspector, table: str) -> TableShape:
    rules: dict[str, frozenset[str] | None] = {}
    for check in found.get_check_constraints(table):
        rules[f"check {check['sqltext']}"] = None
    for foreign in found.get_foreign_keys(table):
        columns = frozenset(foreign["constrained_columns"])
        rules[f"{sorted(columns)} in {foreign['referred_table']}"] = columns
    unique = [one["column_names"] for one in found.get_unique_constraints(table)]
    unique += [
        [name or "?" for name in one["column_names"]] for one in found.get_indexes(table) if one["unique"]
    ]
    primary = found.get_pk_constraint(table)["constrained_columns"]
    for names in [*unique, primary]:
        rules[f"{sorted(names)} unique"] = frozenset(names)
    return TableShape({column["name"]: column for column in found.get_columns(table)}, rules)


def losses(before: dict[str, TableShape], after: dict[str, TableShape]) -> Iterator[str]:
    """Yield in words what a program that knows the tables as they were can no longer do."""
    for name, was in before.items():
        now = after.get(name)
        if now is None:
            yield f"the table {name} is gone"
            continue
        for column in was.columns.keys() - now.columns.keys():
            yield f"{name}.{column} is gone"
        for column, said in now.columns.items():
            former = was.columns.get(column)
            words = _new(said) if former is None else _changed(former, said)
            if words:
                yield f"{name}.{column} {words}"
        for rule in now.rules.keys() - was.rules.keys():
            columns = now.rules[rule]
            about_new = (columns is not None and bool(columns - was.columns.keys())) or any(
                column in rule for column in now.columns.keys() - was.columns.keys()
            )
            if not about_new:
                yield f"{name} has a new rule that former programs do not know: {rule}"


def _new(column: Any) -> str:
    needed = not column["nullable"] and column["default"] is None and not column.get("computed")
    return (
        "must have a value that former programs do not give: let it have a server default" if needed else ""
    )


def _changed(before: Any, after: Any) -> str:
    if before["nullable"] and not after["nullable"]:
        return "must have a value now"
    if before["default"] is not None and after["default"] is None and not after["nullable"]:
        return "has lost its default: leave it where it is"
    if _kind(before["type"]) != _kind(after["type"]):
        return f"is {after['type']} instead of {before['type']}"
    shorter = (getattr(after["type"], "length", None) or 10**9) < (
        getattr(before["type"], "length", None) or 10**9
    )
    return "is shorter than it was" if shorter else ""


def _kind(type_: Any) -> str:
    return "text" if isinstance(type_, sa.String) else str(type_).partition("(")[0]
