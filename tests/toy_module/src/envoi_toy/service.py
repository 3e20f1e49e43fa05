"""The verbs of gift vouchers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from flask import Flask, current_app
from sqlalchemy import ColumnElement, func, select, update

from core.auth.models import User, user_company
from core.auth.permissions import within_reach
from core.companies.models import Company
from core.companies.service import next_number
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import create_document, lock
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner
from envoi_toy.models import Voucher

KIND = "toy.voucher"


def issue(partner: Partner, company: Company, *, amount: Decimal, greeting: str, by: User | None) -> Voucher:
    """Issue a voucher to a customer.

    Args:
        partner: Who gets it.
        company: Who issues it, in its currency.
        amount: What it is worth.
        greeting: A line for the customer.
        by: Who issues it.

    Raises:
        UserError: The amount is not above zero, or the greeting is empty.
    """
    if amount <= 0:
        raise UserError(_l("A voucher is worth more than nothing."), "amount")
    if not greeting.strip():
        raise UserError(_l("A greeting is needed."), "greeting")
    days: int = current_app.config["TOY_VALID_DAYS"]
    with transaction() as session:
        document = create_document(
            KIND,
            company_id=company.id,
            partner_id=partner.id,
            owner=by,
            language=partner.language,
            currency=company.currency,
        )
        document.number = f"GIFT{next_number(company.id, KIND):05}"
        document.total = amount
        voucher = Voucher(
            document_id=document.id,
            greeting=greeting.strip(),
            expires_on=company.today + dt.timedelta(days=days),
        )
        session.add(voucher)
        session.flush()
    return voucher


def extend(voucher: Voucher, *, seen_revision: int | None = None) -> None:
    """Let a voucher be valid for as long again.

    Args:
        voucher: The voucher.
        seen_revision: The revision that the person had before them.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
    """
    days: int = current_app.config["TOY_VALID_DAYS"]
    with transaction() as session:
        lock(voucher.document, seen_revision=seen_revision)
        session.refresh(voucher)
        start = max(voucher.expires_on, voucher.document.company.today)
        voucher.expires_on, voucher.expired = start + dt.timedelta(days=days), False


def within_reach_of(user: User, permission: str = "toy.voucher.read") -> ColumnElement[bool]:
    """Return the condition that keeps a query to the documents that a permission of the user reaches."""
    return within_reach(user, permission, owner=Document.owner_id, company=Document.company_id)


def voucher_for(user: User, document_id: int, permission: str = "toy.voucher.read") -> Voucher | None:
    """Return a voucher that a permission of the user reaches, or None."""
    return db.session.scalar(
        select(Voucher)
        .join(Voucher.document)
        .where(Voucher.document_id == document_id, within_reach_of(user, permission))
    )


def count_for(user: User, partner_id: int) -> int:
    """Return how many vouchers of a customer the user may read."""
    counted = select(func.count()).select_from(Voucher).join(Voucher.document)
    return db.session.scalar(counted.where(Document.partner_id == partner_id, within_reach_of(user))) or 0


def expire(today: dt.date) -> int:
    """Mark the vouchers whose day has passed, and return how many there were."""
    with transaction() as session:
        result = session.execute(
            update(Voucher).where(Voucher.expires_on < today, Voucher.expired.is_(False)).values(expired=True)
        )
    return result.rowcount


def demo(app: Flask) -> None:
    """Issue a voucher of demonstration to a customer of each company, by somebody who works there."""
    partners = db.session.scalars(select(Partner).where(Partner.parent_id.is_(None)).order_by(Partner.id))
    companies = db.session.scalars(select(Company).order_by(Company.id)).all()
    for partner, company in zip(partners, companies, strict=False):
        works = select(user_company.c.user_id).where(user_company.c.company_id == company.id)
        by = db.session.scalars(select(User).where(User.id.in_(works)).order_by(User.id)).first()
        issue(partner, company, amount=Decimal(50), greeting="Merci !", by=by)
