"""How a condition says by which way a database is to look, where it cannot know or would choose badly."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class aside(FunctionElement[Any]):  # noqa: N801 (it reads like a function of SQL)
    """A column that no index is used for; only SQLite, which has no statistics, has to be told."""

    inherit_cache = True
    name = "aside"

    def __init__(self, column: InstrumentedAttribute[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(aside)
def _compile(element: aside, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(aside, "sqlite")
def _compile_on_sqlite(element: aside, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite's documented way to keep an index from being used (The Query Optimizer, unary plus).
    return "+" + compiler.process(element.clauses, **options)


def one_by_one(query: Select[Any]) -> ColumnElement[bool]:
    """Return the condition that a query finds something for the row of the statement around, to which it refers.

    It is asked of each row that is looked at. What EXISTS and IN ask, PostgreSQL may answer for all rows of the other
    table first, which takes longer than the first page of a list. The query finds one row at most.
    """
    found: ColumnElement[bool] = query.scalar_subquery().is_not(None)
    return found
