"""Products as a table, with the columns that an import reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select

from core.db import db
from core.i18n import gettext
from core.products.imports.columns import COLUMNS
from core.products.models import Product
from core.spreadsheets import Column, Format, Table

AT_A_TIME = 500
_WIDE = {"name": "name", "description": "description"}


def products_table(found: Select[tuple[Product]]) -> Table:
    """Return the products that a list is narrowed to.

    Args:
        found: The query of the list.
    """
    columns = [
        Column(
            gettext(column.title),
            Format.NUMBER if column.name == "unit_price" else Format.TEXT,
            width=28 if column.name in _WIDE else 16,
        )
        for column in COLUMNS
    ]

    def cells() -> Iterator[list[Any]]:
        for product in db.session.scalars(found.execution_options(yield_per=AT_A_TIME)):
            yield [column.write(product) for column in COLUMNS]

    return Table(gettext("Products"), columns, cells())
