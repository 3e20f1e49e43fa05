"""A column that leads nowhere: for the one of two conditions whose index must not be taken."""

from __future__ import annotations

from typing import Any

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
