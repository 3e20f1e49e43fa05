from __future__ import annotations

from collections import Counter

import pytest
from flask import Flask
from sqlalchemy import select

from core import demo
from core.auth.models import User
from core.auth.service import sign_in
from core.db import db
from core.documents.models import Document
from core.documents.pdf import render_document
from core.partners.models import Partner
from modules.sales.demo import load
from modules.sales.models import Invoice, Order
from modules.sales.states import InvoiceState, OrderState


@pytest.mark.both_databases
def test_the_demonstration_has_documents_in_every_state(app: Flask) -> None:
    load(app)
    kinds = Counter(db.session.scalars(select(Document.kind)))
    assert set(kinds) == {"sales.quotation", "sales.order", "sales.invoice", "sales.credit_note"}
    assert sum(kinds.values()) >= 25
    assert set(db.session.scalars(select(Order.state))) == set(OrderState)
    assert {InvoiceState.DRAFT, InvoiceState.POSTED} <= set(db.session.scalars(select(Invoice.state)))
    assert set(db.session.scalars(select(Document.language))) == {"en", "fr"}
    assert db.session.scalar(select(Partner.id).where(Partner.email == "", Partner.parent_id.is_(None)))
    assert sign_in("sophie@demo.example.com", demo.PASSWORD, "").language == "fr"
    assert len(list(db.session.scalars(select(User)))) == 5


def test_every_document_of_the_demonstration_is_printed(app: Flask) -> None:
    load(app)
    for document in db.session.scalars(select(Document)):
        assert render_document(document).startswith(b"%PDF-")


def test_companies_and_users_are_loaded_once(app: Flask) -> None:
    demo.load(app)
    demo.load(app)
    assert len(list(db.session.scalars(select(User)))) == 5
