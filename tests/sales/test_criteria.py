"""Lists of recipients by what was bought, and when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.partners.lists import service
from core.partners.lists.criteria import How
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from core.products.models import Product
from core.products.service import save_product
from modules.sales.models import Order
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.sales.conftest import TODAY

LONG_AGO = TODAY - dt.timedelta(days=400)


@pytest.fixture
def lamp(company: Company) -> Product:
    return save_product(
        None, {"name": "Lamp", "code": "L", "unit_price": Decimal(10), "company_id": company.id}
    )


@pytest.fixture
def buyers(company: Company, salesperson: User, lamp: Product) -> dict[str, Partner]:
    """Who has ordered what and when: one by a contact, one who has canceled, one who was only offered something."""
    made = {
        name: save_partner(None, {"name": name}) for name in ("Ada", "Ben", "Carl", "Dora", "Emma", "Fay")
    }
    contact = save_contact(made["Ben"], "Bea", "bea@example.com")

    def order(partner: Partner, day: dt.date, product: Product | None, *, confirm: bool = True) -> Order:
        line = LineValues(
            "x", Decimal(1), Decimal(10), product_id=product.id if product is not None else None
        )
        row = orders.create_quotation(company, orders.QuotationValues(partner.id, day, [line]), salesperson)
        if confirm:
            orders.confirm(row, salesperson)
        with transaction():
            db.session.get_one(Document, row.document_id).date = day
        return row

    order(made["Ada"], TODAY, lamp)
    order(contact, LONG_AGO, lamp)
    order(made["Carl"], LONG_AGO, None)
    orders.cancel(order(made["Dora"], TODAY, lamp))
    order(made["Emma"], TODAY, lamp, confirm=False)
    return made


@pytest.mark.both_databases
def test_who_has_bought_what_and_when(
    app: Flask, salesperson: User, buyers: dict[str, Partner], lamp: Product, make_user: Callable[..., User]
) -> None:
    recent = {"first": (TODAY - dt.timedelta(days=30)).isoformat(), "last": None}
    since = {"day": recent["first"]}

    def found(name: str, values: dict[str, Any], user: User = salesperson, how: How = How.ADD) -> str:
        service.reset(user)
        if how is not How.ADD:
            service.add_step(user, "core.everybody", How.ADD, {})
        service.add_step(user, name, how, values)
        condition = service.found_by(service.working_list(user), user)
        return ", ".join(sorted(db.session.scalars(select(Partner.name).where(condition))))

    with app.test_request_context():
        anything = {"product_id": None, "first": None, "last": None}
        assert found("sales.bought", anything) == "Ada, Ben, Carl"
        assert found("sales.bought", {**anything, "product_id": lamp.id}) == "Ada, Ben"
        assert found("sales.bought", {**recent, "product_id": lamp.id}) == "Ada"
        assert found("sales.bought", {**anything, "last": LONG_AGO.isoformat()}) == "Ben, Carl"
        assert found("sales.no_order_since", {**since, "customers": True}) == "Ben, Carl"
        assert found("sales.no_order_since", {**since, "customers": False}) == "Ben, Carl, Dora, Emma, Fay"
        assert (
            found("sales.no_order_since", {**since, "customers": True}, how=How.TAKE)
            == "Ada, Dora, Emma, Fay"
        )
        # Who may read no document asks by none.
        cashier = make_user("cashier", login="till@maison.example.com")
        with pytest.raises(Exception, match="not available any more"):
            found("sales.bought", anything, cashier)


@pytest.mark.parametrize("period", [("2026-01-01", None), (None, "2026-01-01"), ("2026-01-01", "2026-02-01")])
def test_buyers_of_a_period_are_read_from_their_index(
    app: Flask, salesperson: User, company: Company, period: tuple[str | None, str | None]
) -> None:
    with app.test_request_context():
        values = {"product_id": None, "first": period[0], "last": period[1]}
        service.add_step(salesperson, "sales.bought", How.ADD, values)
        condition = service.found_by(service.working_list(salesperson), salesperson)
        sql = str(
            select(Partner.id).where(condition).compile(db.engine, compile_kwargs={"literal_binds": True})
        )
    plan = [str(row[3]) for row in db.session.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
    documents = [step for step in plan if "core_document" in step]
    assert documents
    assert all("COVERING INDEX ix_core_document_buyers (kind=? AND date" in step for step in documents), plan
