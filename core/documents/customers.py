"""Whose a customer may become, given the documents that are made out to it."""

from __future__ import annotations

from sqlalchemy import or_, select, true

from core.db import db
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner


def refuse_narrowing(customer: Partner, *, company_id: int | None, owner_id: int | None) -> None:
    """Check whose a customer is about to become.

    Args:
        customer: The customer.
        company_id: The company, or None.
        owner_id: The user who would keep it alone, or None.

    Raises:
        UserError: Others, who would not find it any more, have documents for it.
    """
    if (company_id, owner_id) in {(None, None), (customer.company_id, customer.owner_id)}:
        return
    theirs = select(Partner.id).where(or_(Partner.id == customer.id, Partner.parent_id == customer.id))
    of_others = (
        Document.company_id != company_id
        if company_id is not None
        else or_(Document.owner_id.is_(None), Document.owner_id != owner_id)
        if owner_id is not None
        else true()
    )
    document = db.session.scalar(
        select(Document.id).where(Document.partner_id.in_(theirs), of_others).limit(1)
    )
    if document is not None:
        raise UserError(
            _l("Others have documents for this customer, and would not find it any more."), "reach"
        )
