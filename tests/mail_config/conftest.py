from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest

from core.auth.models import User
from core.companies.models import Company
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.service import save_tax
from modules.mail_config.mail_templates.service import save_template
from modules.mail_config.models import MailTemplate
from modules.sales.models import Order
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.mail_config.accounts import account, provider, running, sophie  # noqa: F401 (fixtures)

TODAY = dt.date(2026, 3, 12)


@pytest.fixture
def customer(company: Company) -> Partner:
    return save_partner(
        None,
        {
            "name": "Dupont & Fils",
            "email": "contact@dupont.example.com",
            "phone": "+33 1 99 00 12 34",
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
def make_order(company: Company, customer: Partner, salesperson: User) -> Callable[..., Order]:
    """A quotation of 1,234.50 EUR."""
    vat = save_tax(None, {"name": "TVA 20 %", "rate": Decimal(20), "company_id": company.id})

    def make(*, partner: Partner | None = None, issuer: Company | None = None, **values: object) -> Order:
        line = LineValues("Lampe", Decimal(2), Decimal("514.375"), unit="pce", tax_id=vat.id)
        chosen = {"partner_id": (partner or customer).id, "date": TODAY, "lines": [line], **values}
        return orders.create_quotation(
            issuer or company,
            orders.QuotationValues(**chosen),  # type: ignore[arg-type]
            salesperson,
        )

    return make


@pytest.fixture
def document(make_order: Callable[..., Order]) -> Document:
    return make_order().document


@pytest.fixture
def make_template(company: Company) -> Callable[..., MailTemplate]:
    def make(
        name: str = "Quotation",
        kind: str = "sales.quotation",
        texts: dict[str, tuple[str, str]] | None = None,
        **values: object,
    ) -> MailTemplate:
        recipients, files = values.pop("recipients", None), values.pop("files", None)
        return save_template(
            None,
            kind=kind,
            values={"name": name, **values},
            texts=texts or {"en": ("About {{ document.number }}", "<p>Dear {{ customer.name }}</p>")},
            recipients=recipients,  # type: ignore[arg-type]
            files=files,  # type: ignore[arg-type]
        )

    return make
