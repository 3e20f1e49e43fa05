from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.partners.labels import LabelKind, PartnerLabel, save_label
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from modules.distribution.models import Dispatch, Rule
from modules.distribution.service import RuleValues, save_rule
from modules.sales.models import Invoice
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues

LINES = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]


@pytest.fixture
def seller(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def customer(company: Company) -> Partner:
    return save_partner(None, {"name": "Client SA", "email": "client@example.com", "language": "en"})


@pytest.fixture
def fact(app: Flask) -> PartnerLabel:
    """The function code FACT."""
    return save_label(None, LabelKind.FUNCTION, {"name": "Invoices", "code": "FACT"})


@pytest.fixture
def contact(customer: Partner, fact: PartnerLabel) -> Partner:
    """A contact of the customer with the code FACT."""
    made = save_contact(customer, "Anna", "anna@example.com")
    return save_partner(made, {"label_ids": [fact.id]})


@pytest.fixture
def rule(company: Company) -> Callable[..., Rule]:
    """Make a rule."""

    def make(**values: Any) -> Rule:
        return save_rule(None, RuleValues(**{"company_id": company.id, **values}))

    return make


@pytest.fixture
def draft_invoice(company: Company, customer: Partner, seller: User) -> Callable[..., Invoice]:
    """Make a draft invoice."""

    def make(partner: Partner | None = None) -> Invoice:
        values = invoices.InvoiceValues((partner or customer).id, clock.day_in("UTC"), LINES)
        return invoices.create_invoice(company, values, seller)

    return make


@pytest.fixture
def posted(draft_invoice: Callable[..., Invoice], seller: User) -> Callable[..., Document]:
    """Post an invoice."""

    def make(partner: Partner | None = None) -> Document:
        invoice = draft_invoice(partner)
        invoices.post(invoice, seller)
        return invoice.document

    return make


@pytest.fixture
def quotation(company: Company, customer: Partner, seller: User) -> Document:
    values = orders.QuotationValues(customer.id, clock.day_in("UTC"), LINES)
    return orders.create_quotation(company, values, seller).document


@pytest.fixture
def archive_dir(app: Flask, tmp_path: Path) -> Path:
    """A folder of the archive."""
    folder = tmp_path / "archive"
    folder.mkdir()
    app.config["DISTRIBUTION_ARCHIVE_DIR"] = str(folder)
    return folder


def dispatches() -> list[Dispatch]:
    """Return all rows, as they are now."""
    db.session.rollback()
    return list(db.session.query(Dispatch).order_by(Dispatch.id).populate_existing())


def states() -> list[tuple[str, str]]:
    """Return way and state of all rows."""
    return [(str(row.way), str(row.state)) for row in dispatches()]
