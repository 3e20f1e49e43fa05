"""Which rows name a row: every foreign key that leads to its table, of whatever module."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, select

from core.db.base import Base, db


def foreign_keys_to(table: Any) -> list[Column[int]]:
    """Return the columns that name rows of a table, by table and name."""
    found = [
        column
        for other in Base.metadata.tables.values()
        for column in other.columns
        if any(key.column.table is table for key in column.foreign_keys)
    ]
    return sorted(found, key=lambda column: (str(column.table), column.name))


def named_elsewhere(table: Any, number: int, *, without: Collection[str]) -> bool:
    """Return whether anything names a row.

    Args:
        table: Its table.
        number: Its id.
        without: Names of tables that do not count.
    """
    for column in foreign_keys_to(table):
        if str(column.table) in without:
            continue
        if db.session.scalar(select(column).where(column == number).limit(1)) is not None:
            return True
    return False
