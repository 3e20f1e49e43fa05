"""Products, as what is imported."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import Any

from core.auth.models import User
from core.db import db, named_elsewhere
from core.imports.models import Import, ImportRow
from core.imports.subject import Judgement
from core.products.imports import judging
from core.products.imports.columns import COLUMNS
from core.products.models import Product, Tax
from core.products.service import save_product


class Products:
    """See `core.imports.subject.Subject`."""

    name = "products"
    permission = "core.product.edit"
    model = Product
    row_column = "product_id"
    columns = COLUMNS
    ways = judging.WAYS

    def judge(self, row: ImportRow, of: Import, user: User) -> Judgement:  # noqa: ARG002 (of the protocol)
        """Return what becomes of a row."""
        return judging.judge(row, of)

    def save(self, entity: Product | None, values: dict[str, Any]) -> Product:
        """Create or change a product."""
        return save_product(entity, values)

    def stored(self, entity: Product, names: Sequence[str]) -> dict[str, Any]:
        """Return what columns say."""
        return judging.stored(entity, names)

    def is_gone(self, entity: Product) -> bool:  # noqa: ARG002 (of the protocol)
        """Return False: none stands for another."""
        return False

    def is_used(self, entity: Product) -> bool:
        """Return True when a line of a document or of a sale names it."""
        return named_elsewhere(Product.__table__, entity.id, without={"core_partner_import_row"})

    def restore(self, entity: Product, before: dict[str, Any]) -> None:
        """Put former values back; a tax that was deleted since is none."""
        for name, value in before.items():
            if name == "unit_price":
                setattr(entity, name, Decimal(value))
            elif name == "tax_id":
                entity.tax_id = (
                    value if value is not None and db.session.get(Tax, value) is not None else None
                )
            else:
                setattr(entity, name, value)

    def acting(self, user: User) -> AbstractContextManager[None]:  # noqa: ARG002 (of the protocol)
        """Nothing is written down about products."""
        return nullcontext()


SUBJECT = Products()
