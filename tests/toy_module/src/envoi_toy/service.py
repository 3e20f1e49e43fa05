"""The verbs of gift vouchers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from flask import Flask, current_app
from sqlalchemy import func, select, update

from core import clock
from core.auth.models import User
from core.auth.permissions import within_reach
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import create_document
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
        document.number = f"GIFT{document.id:05}"
        document.total = amount
        voucher = Voucher(
            document_id=document.id,
            greeting=greeting.strip(),
            expires_on=clock.today() + dt.timedelta(days=days),
        )
        session.add(voucher)
        session.flush()
    return voucher


def voucher_for(user: User, document_id: int) -> Voucher | None:
    """Return a voucher that the user may read, or None."""
    reach = within_reach(user, "toy.voucher.read", owner=Document.owner_id, company=Document.company_id)
    return db.session.scalar(
        select(Voucher).join(Voucher.document).where(Voucher.document_id == document_id, reach)
    )


def count_for(partner_id: int) -> int:
    """Return how many vouchers a customer has."""
    counted = select(func.count()).select_from(Voucher).join(Voucher.document)
    return db.session.scalar(counted.where(Document.partner_id == partner_id)) or 0


def expire(today: dt.date) -> int:
    """Mark the vouchers whose day has passed, and return how many there were."""
    with transaction() as session:
        result = session.execute(
            update(Voucher).where(Voucher.expires_on < today, Voucher.expired.is_(False)).values(expired=True)
        )
    return result.rowcount


def demo(app: Flask) -> None:
    """Issue one voucher of demonstration."""
    partner = db.session.scalars(select(Partner).order_by(Partner.id)).first()
    company = db.session.scalars(select(Company).order_by(Company.id)).first()
    if partner is not None and company is not None:
        issue(partner, company, amount=Decimal(50), greeting="Merci !", by=None)
