"""The verbs of partners."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select

from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import normalize
from core.partners.models import Partner


def save_partner(partner: Partner | None, values: dict[str, Any]) -> Partner:
    """Create or change a partner.

    Args:
        partner: The partner to change, or None for a new one.
        values: Column values; the address is checked, and may be empty.

    Raises:
        UserError: The name is empty, or the address invalid.
    """
    if not str(values.get("name", "x")).strip():
        raise UserError(_l("A name is needed."), "name")
    if values.get("email"):
        try:
            values = {**values, "email": normalize(values["email"])}
        except UserError as error:
            raise UserError(error.message, "email") from error
    with transaction() as session:
        partner = partner or Partner()
        for name, value in values.items():
            setattr(partner, name, value)
        session.add(partner)
        session.flush()
    return partner


def find_partners(text: str, limit: int = 20) -> list[Partner]:
    """Return active partners whose name or address contains the text, by name."""
    query = select(Partner).where(Partner.active).order_by(Partner.name, Partner.id).limit(limit)
    if text:
        query = query.where(
            Partner.name.icontains(text, autoescape=True) | Partner.email.icontains(text, autoescape=True)
        )
    return list(db.session.scalars(query))


def customer_of(partner: Partner) -> Partner:
    """Return the customer that a contact belongs to; a customer itself."""
    return partner.parent if partner.parent is not None else partner


def contacts_of(customer: Partner) -> list[Partner]:
    """Return the active contacts of a customer, the main contact first, then by name."""
    return list(
        db.session.scalars(
            select(Partner)
            .where(Partner.parent_id == customer.id, Partner.active)
            .order_by(Partner.is_main.desc(), Partner.name, Partner.id)
        )
    )


def people_at(addresses: Collection[str]) -> dict[str, list[Partner]]:
    """Return the active customers and contacts that have one of the addresses, by the address in lower case."""
    wanted = {address.lower() for address in addresses}
    found: dict[str, list[Partner]] = {}
    if wanted:
        query = (
            select(Partner).where(Partner.active, func.lower(Partner.email).in_(wanted)).order_by(Partner.id)
        )
        for partner in db.session.scalars(query):
            found.setdefault(partner.email.lower(), []).append(partner)
    return found


def customers(limit: int = 10_000) -> list[Partner]:
    """Return active customers, not their contacts, by name."""
    return list(
        db.session.scalars(
            select(Partner)
            .where(Partner.active, Partner.parent_id.is_(None))
            .order_by(Partner.name, Partner.id)
            .limit(limit)
        )
    )
