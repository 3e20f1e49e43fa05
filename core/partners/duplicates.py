"""Customers that seem to be there twice: the same address, VAT number, number, or name and city."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute

from core.auth.models import User
from core.db import db
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner
from core.partners.reach import EDIT, reachable

GROUPS = 25
"""So many of each kind are shown; what is merged makes room for the next."""
MEMBERS = 5
"""So many of a group."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Customers that have something in common.

    Attributes:
        reason: What, translated when shown.
        rows: The customers, the oldest first.
    """

    reason: object
    rows: list[Partner]


_IN_COMMON: Mapping[object, InstrumentedAttribute[str]] = {
    _l("The same email address"): Partner.email_key,
    _l("The same VAT number"): Partner.vat_key,
    _l("The same customer number"): Partner.number,
    _l("The same name and city"): Partner.match_key,
}


def duplicates(user: User) -> list[Duplicates]:
    """Return customers whom a user may merge and that seem to be the same; each group once, for its first reason.

    Every reason is looked up in its index.
    """
    found: list[Duplicates] = []
    known: set[frozenset[int]] = set()
    for reason, in_common in _IN_COMMON.items():
        for rows in _groups(user, in_common):
            ids = frozenset(row.id for row in rows)
            if ids not in known:
                known.add(ids)
                found.append(Duplicates(reason, rows))
    return found


def _groups(user: User, in_common: InstrumentedAttribute[str]) -> list[list[Partner]]:
    # Its index knows what is there twice, whoever may see it; only these rows are looked at.
    twice = select(in_common).where(in_common != "").group_by(in_common).having(func.count() > 1)
    theirs: list[ColumnElement[bool]] = [
        reachable(user, EDIT), Partner.parent_id.is_(None), Partner.active.is_(True), Partner.merged_into_id.is_(None),
        in_common.in_(twice.correlate(None)),
    ]  # fmt: skip
    # Only those that are visible to the same people can be merged.
    whose = (func.coalesce(Partner.company_id, 0), func.coalesce(Partner.owner_id, 0))
    several = select(in_common, *whose).where(*theirs).group_by(in_common, *whose).having(func.count() > 1)
    wanted = {(key, company, owner) for key, company, owner in db.session.execute(several.limit(GROUPS))}
    if not wanted:
        return []
    rows = db.session.execute(
        select(Partner, in_common, *whose)
        .where(*theirs, in_common.in_({key for key, _company, _owner in wanted}))
        .order_by(Partner.id)
        .limit(GROUPS * MEMBERS * 4)
    )
    groups: dict[tuple[str, int, int], list[Partner]] = {}
    for partner, key, company, owner in rows:
        if (key, company, owner) in wanted:
            groups.setdefault((key, company, owner), []).append(partner)
    return [group[:MEMBERS] for group in groups.values() if len(group) > 1]
