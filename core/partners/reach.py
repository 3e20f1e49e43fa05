"""Which customers somebody reaches: the one rule for pages, lists, fields, searches and the till.

A customer is everybody's, a company's or somebody's own; its contacts are what it is.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_, select, true

from core.auth.models import User
from core.auth.permissions import shared_with
from core.db import db
from core.partners.models import Partner

READ = "core.partner.read"
EDIT = "core.partner.edit"


def reachable(
    user: User | None, permission: str = READ, *, company_id: int | None = None
) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Partner` to those whom somebody reaches.

    Args:
        user: Who asks, or None for the installation itself, which reaches everybody.
        permission: Name of the permission.
        company_id: The company whose document, or till, names the customer, or None: those of other companies are
            left out even where the user works there as well.
    """
    theirs = (
        shared_with(user, permission, owner=Partner.owner_id, company=Partner.company_id)
        if user is not None
        else true()
    )
    if company_id is None:
        return theirs
    return and_(theirs, or_(Partner.company_id.is_(None), Partner.company_id == company_id))


def partner_for(
    user: User | None, partner_id: int, permission: str = READ, *, company_id: int | None = None
) -> Partner | None:
    """Return a customer or contact whom somebody reaches, or None; the arguments are those of `reachable`."""
    within = reachable(user, permission, company_id=company_id)
    return db.session.scalar(select(Partner).where(Partner.id == partner_id, within))
