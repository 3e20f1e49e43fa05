"""A code or barcode leads to one product that is sold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from core.companies.models import Company
from core.companies.service import save_company
from core.db import transaction
from core.errors import UserError
from core.products.models import Product
from core.products.service import save_product

both = pytest.mark.both_databases


def _row(**values: Any) -> dict[str, Any]:
    return {
        "name": "Lamp", "code": "", "barcode": "", "category": "", "description": "", "unit": "",
        "unit_price": Decimal(1), "over_the_counter": True, "active": True, "company_id": None, **values,
    }  # fmt: skip


@both
@pytest.mark.parametrize("field", ["barcode", "code"])
@pytest.mark.parametrize("of_company", [True, False])
def test_the_database_knows_one_active_product_of_a_code(
    company: Company, field: str, of_company: bool
) -> None:
    row = _row(**{field: "3760", "company_id": company.id if of_company else None})
    archived, nameless = {**row, "active": False}, {**row, field: ""}
    with transaction() as session:
        session.execute(insert(Product), [row, archived, archived, nameless, nameless])
    with pytest.raises(IntegrityError), transaction() as session:
        session.execute(insert(Product), [row])


@pytest.mark.parametrize("field", ["barcode", "code"])
def test_a_product_that_comes_back_does_not_take_the_code_of_another(company: Company, field: str) -> None:
    values = {"name": "Lamp", field: "3760", "company_id": company.id}
    former = save_product(None, {**values, "active": False})
    save_product(None, values)
    with pytest.raises(UserError) as refused:
        save_product(former, {"active": True})
    assert refused.value.field == field


def test_a_product_that_becomes_everybodys_does_not_take_the_code_of_another(company: Company) -> None:
    other = save_company(None, {"name": "Other Ltd"})
    save_product(None, {"name": "Lamp", "barcode": "3760", "company_id": company.id})
    theirs = save_product(None, {"name": "Lamp", "barcode": "3760", "company_id": other.id})
    with pytest.raises(UserError, match="barcode"):
        save_product(theirs, {"company_id": None})
    assert save_product(theirs, {"name": "Lamp 2"}).barcode == "3760"
