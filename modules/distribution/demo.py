"""Demonstration data: a rule for credit notes, and a document that waits to be printed."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import select

from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from modules.distribution.dispatches import want
from modules.distribution.models import Way
from modules.distribution.service import RuleValues, save_rule


def load(app: Flask) -> None:  # noqa: ARG001 (signature of the contract)
    """Insert them: called once, on an empty database."""
    for company in db.session.scalars(select(Company).order_by(Company.id)):
        save_rule(
            None,
            RuleValues(company_id=company.id, kind="sales.credit_note", to_main=True, on_paper=True),
        )
    document = db.session.scalar(
        select(Document)
        .where(Document.kind == "sales.invoice", Document.number != "", Document.owner_id.is_not(None))
        .order_by(Document.id)
        .limit(1)
    )
    if document is not None and document.owner is not None:
        want([document], Way.PAPER, document.owner)
