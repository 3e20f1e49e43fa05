from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import save_partner
from core.registry import current_registry
from core.selection import Selection
from modules.outbox.models import ItemState, OutgoingMail, Run, RunItem
from modules.outbox.runs import looking, service, work
from modules.sales.service import orders
from modules.sales.service.lines import LineValues

LINES = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]


@pytest.fixture
def quote(company: Company, customer: Partner, seller: User) -> Callable[..., Document]:
    """Make a quotation."""

    def make(partner: Partner | None = None) -> Document:
        values = orders.QuotationValues((partner or customer).id, clock.day_in("UTC"), LINES)
        return orders.create_quotation(company, values, seller).document

    return make


@pytest.fixture
def partner() -> Callable[..., Partner]:
    """Make a customer."""
    made: list[Partner] = []

    def make(email: str | None = None, **values: object) -> Partner:
        address = f"c{len(made)}@example.com" if email is None else email
        made.append(
            save_partner(
                None, {"name": f"Customer {len(made)}", "email": address, "language": "en", **values}
            )
        )
        return made[-1]

    return make


def select_quotations(ids: Sequence[int] | None = None) -> Selection:
    """Select some quotations, or all."""
    return Selection(current_registry().lists["sales.quotations"], None if ids is None else tuple(ids))


def prepared(seller: User, ids: Sequence[int] | None = None) -> Run:
    """Return a run that is looked through."""
    run = service.prepare(select_quotations(ids), seller)
    while not looking.look(run.id, 100):
        pass
    return run


def items(run: Run) -> list[RunItem]:
    """Return the items of a run as they are, in the order of their documents."""
    db.session.rollback()
    return list(
        db.session.scalars(select(RunItem).where(RunItem.run_id == run.id).order_by(RunItem.document_id))
    )


def outcomes(run: Run) -> list[str]:
    """Return the state of each item, or why it is held."""
    return [str(item.reason if item.state is ItemState.HELD else item.state) for item in items(run)]


def mails(run: Run | None = None) -> list[OutgoingMail]:
    """Return the mails of a run, or all."""
    db.session.rollback()
    query = select(OutgoingMail).order_by(OutgoingMail.id)
    return list(db.session.scalars(query.where(OutgoingMail.run_id == run.id) if run else query))


def written(app: Flask, run: Run) -> list[OutgoingMail]:
    """Let all mails of a run be written, and return them."""
    for _ in range(20):
        work.work(run.id)
    return mails(run)
