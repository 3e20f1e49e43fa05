"""Customers and contacts as a table, with the columns that an import reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Select, String, cast, func, or_, select
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from core.auth.models import User
from core.db import db
from core.i18n import gettext
from core.partners.imports.columns import COLUMNS
from core.partners.labels import PartnerLabel
from core.partners.listing import PARTNERS
from core.partners.models import Partner, partner_label
from core.partners.reach import reachable
from core.spreadsheets import Column, Table
from core.web.criteria import Criteria, narrow

AT_A_TIME = 500


def partners_table(user: User, criteria: Criteria) -> Table:
    """Return the customers and contacts that a list is narrowed to, and the contacts of these customers.

    Customers come first, so that an import finds them when it comes to their contacts.

    Args:
        user: Who takes them away; those whom they do not reach are left out.
        criteria: What the list is narrowed to.
    """
    within = reachable(user) & Partner.merged_into_id.is_(None)
    found = narrow(PARTNERS, select(Partner.id).where(within), criteria, PARTNERS.sorts[0]).statement
    rows = (
        select(Partner)
        .where(within, or_(Partner.id.in_(found), Partner.parent_id.in_(found)))
        .order_by(Partner.parent_id.is_not(None), Partner.name, Partner.id)
    )
    return Table(gettext("Customers"), columns(), cells(_with_labels(rows)))


def _with_labels(rows: Select[Partner]) -> Iterator[Partner]:
    """Yield customers with all that a table shows of them: by as many statements for a hundred thousand as for one."""
    labels = list(db.session.scalars(select(PartnerLabel).order_by(PartnerLabel.code, PartnerLabel.name)))
    places = {str(label.id): place for place, label in enumerate(labels)}
    theirs = (
        select(func.aggregate_strings(cast(partner_label.c.label_id, String), ","))
        .where(partner_label.c.partner_id == Partner.id)
        .scalar_subquery()
    )
    shown = rows.add_columns(theirs).options(*_WITH_THEM).execution_options(yield_per=AT_A_TIME)
    for partner, ids in db.session.execute(shown):
        named = sorted(places[number] for number in (ids or "").split(",") if number in places)
        set_committed_value(partner, "labels", [labels[place] for place in named])
        yield partner


_WITH_THEM = (joinedload(Partner.parent), joinedload(Partner.family))
SHOWN = (*_WITH_THEM, selectinload(Partner.labels))
"""What is loaded with a customer that is shown in a list or written into a table."""
_WIDE = {"name", "email", "street"}


def columns() -> list[Column]:
    """Return the columns of a table of customers, their titles translated."""
    return [Column(gettext(column.title), width=28 if column.name in _WIDE else 16) for column in COLUMNS]


def cells(rows: Iterable[Partner]) -> Iterator[list[str]]:
    """Return the cells of customers and contacts, one list a row."""
    for partner in rows:
        yield [column.write(partner) for column in COLUMNS]
