from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.models import Tax
from core.products.service import save_tax
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues

TODAY = dt.date(2026, 3, 12)


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "day_in", lambda _timezone: TODAY)


@pytest.fixture
def customer(company: Company) -> Partner:
    return save_partner(
        None,
        {
            "name": "Dupont & Fils",
            "email": "contact@dupont.example.com",
            "street": "4 rue du Bac",
            "zip_code": "75007",
            "city": "Paris",
            "language": "fr",
            "vat": "FR40303265045",
        },
    )


@pytest.fixture
def salesperson(make_user: Callable[..., User]) -> User:
    return make_user("salesperson", name="Sophie Bernard")


@pytest.fixture
def vat(company: Company) -> Tax:
    return save_tax(None, {"name": "TVA 20 %", "rate": Decimal(20), "company_id": company.id})


@pytest.fixture
def line(vat: Tax) -> LineValues:
    return LineValues("Lampe\nEn laiton", Decimal(2), Decimal("50.00"), unit="pce", tax_id=vat.id)


@pytest.fixture
def make_quotation(
    company: Company, customer: Partner, salesperson: User, line: LineValues
) -> Callable[..., Order]:
    def make(**values: object) -> Order:
        by = values.pop("by", salesperson)
        issuer = values.pop("company", company)
        return orders.create_quotation(
            issuer,  # type: ignore[arg-type]
            orders.QuotationValues(
                **{"partner_id": customer.id, "date": TODAY, "lines": [line], **values}  # type: ignore[arg-type]
            ),
            by,  # type: ignore[arg-type]
        )

    return make


@pytest.fixture
def make_invoice(make_quotation: Callable[..., Order], salesperson: User) -> Callable[..., Invoice]:
    """A posted invoice, or a draft."""

    def make(*, posted: bool = True, **values: object) -> Invoice:
        order = make_quotation(**values)
        orders.confirm(order)
        invoice = invoices.invoice_order(order, salesperson)
        if posted:
            invoices.post(invoice)
        return invoice

    return make
