"""Which rows name a customer or contact: every foreign key that leads to one, of whatever module."""

from __future__ import annotations

from sqlalchemy import Column, select

from core.db import Base, db
from core.partners.models import Partner

OWN = {
    "core_partner_labeled",
    "core_partner_change",
    "core_partner_import_row",
    "core_partner_list_member",
}
"""What goes with a customer: it says something of the customer and of nothing else."""


def foreign_keys() -> list[Column[int]]:
    """Return the columns that name a customer or contact, by table and name."""
    partner = Partner.__table__
    found = [
        column
        for table in Base.metadata.tables.values()
        for column in table.columns
        if any(key.column.table is partner for key in column.foreign_keys)
    ]
    return sorted(found, key=lambda column: (_table(column), column.name))


def is_named(partner: Partner) -> bool:
    """Return whether anything names a customer or contact: a document, an email, a follower, a contact of it."""
    for column in foreign_keys():
        if _table(column) in OWN:
            continue
        named = select(column).where(column == partner.id).limit(1)
        if db.session.scalar(named) is not None:
            return True
    return False


def _table(column: Column[int]) -> str:
    return str(column.table)
