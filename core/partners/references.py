"""Which rows name a customer or contact, of whatever module."""

from __future__ import annotations

from sqlalchemy import Column

from core.db import foreign_keys_to, named_elsewhere
from core.partners.models import Partner

OWN = {
    "core_partner_labeled",
    "core_partner_change",
    "core_partner_import_row",
    "core_partner_list_member",
    "core_partner_search",
}
"""What goes with a customer: it says something of the customer and of nothing else."""


def foreign_keys() -> list[Column[int]]:
    """Return the columns that name a customer or contact, by table and name."""
    return foreign_keys_to(Partner.__table__)


def is_named(partner: Partner) -> bool:
    """Return whether anything names a customer or contact: a document, an email, a follower, a contact of it."""
    return named_elsewhere(Partner.__table__, partner.id, without=OWN)
