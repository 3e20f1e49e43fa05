"""The counts beside the outbox's list: mails for each value of a facet, and groups by reason.

Counting costs what it counts, so every count has a bound: beyond it, it says "1,000+", or nothing at all where
even that would mean to read through a million mails.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import defer, joinedload

from core.auth.models import User
from core.db import db
from core.mail.explanations import FailureKind
from core.web.listing import Choice, Count, Criteria, Facet
from modules.mail_config.models import MailServer
from modules.outbox import search_index
from modules.outbox.mail_list.filters import facets_of
from modules.outbox.mail_list.query_plan import (
    FEW_TO_SORT,
    NONE,
    NOTHING,
    Part,
    counted,
    narrowed,
    part_of_facet,
    part_of_filter,
    parts_of,
    smallest,
)
from modules.outbox.models import OutgoingMail
from modules.outbox.permissions import READ

COUNTED = 1000
"""Counts of facets go so far."""

LOOKED_AT = 1500
"""How many mails of one value of a facet are looked at, where an index has its count but not that of all filters."""

GROUPED = 20_000
"""How many of the newest failed, or waiting, mails are grouped by reason."""

MOST_GROUPS = 50  # on the page, the largest first


@dataclass(frozen=True, slots=True)
class Tally:
    """A value of a facet, and how many mails it would leave.

    Attributes:
        choice: The value.
        count: How many, or None where counting would take too long.
        chosen: True for the value in force.
    """

    choice: Choice
    count: Count | None
    chosen: bool


def tally(user: User, criteria: Criteria) -> list[tuple[Facet, list[Tally]]]:
    """Return every facet with its values; those that would leave nothing are left out."""
    facets = facets_of(user)
    # A facet in force is counted as if it were not: its other values are what one may change to.
    inactive = [facet for facet in facets if facet.name not in criteria.facets]
    counts: dict[str, dict[str, Count | None]] = {}
    for base, some in [
        (criteria, inactive),
        *((criteria.without(f.name), [f]) for f in facets if f not in inactive),
    ]:
        counts |= _counts(user, base, some)
    found = []
    for facet in facets:
        chosen = criteria.facets.get(facet.name)
        tallies = [
            Tally(choice, counts[facet.name][choice.value], choice.value == chosen)
            for choice in facet.choices()
            if choice.value == chosen or _some(counts[facet.name][choice.value])
        ]
        found.append((facet, tallies))
    return found


def _some(count: Count | None) -> bool:
    return count is None or count.found > 0


def _counts(user: User, base: Criteria, facets: Sequence[Facet]) -> dict[str, dict[str, Count | None]]:
    """Return for each facet how many mails of what is listed have which value."""
    if not facets:
        return {}
    parts = parts_of(user, READ, base)
    ids, words = search_index.narrowing(base.search)
    leading = [part for part in parts if part.lead is not None]
    if ids is not None or NOTHING in parts or (leading and smallest(leading, FEW_TO_SORT) is not None):
        return _counts_of_few(user, base, facets)
    # Each count would read texts; the values are shown without one.
    if words is not None:
        return {facet.name: dict.fromkeys(choice.value for choice in facet.choices()) for facet in facets}
    checks = [part.check for part in parts]
    return _counts_up_to_bound(user, facets, checks)


_COLUMNS: dict[str, Callable[[Any], str]] = {
    "state": lambda row: str(row.state),
    "kind": lambda row: str(row.failure_kind or ""),
    "server": lambda row: NONE if row.server_id is None else str(row.server_id),
    "company": lambda row: str(row.company_id),
    "document": lambda row: row.document_kind or NONE,
}


def _counts_of_few(user: User, base: Criteria, facets: Sequence[Facet]) -> dict[str, dict[str, Count | None]]:
    """Count a few thousand mails here, once for all facets."""
    columns: tuple[Any, ...] = (
        OutgoingMail.state,
        OutgoingMail.failure_kind,
        OutgoingMail.server_id,
        OutgoingMail.company_id,
        OutgoingMail.document_kind,
    )
    found = narrowed(select(*columns), user, READ, base).statement
    mails = db.session.execute(found).all()
    counts: dict[str, dict[str, Count | None]] = {}
    for facet in facets:
        values = [choice.value for choice in facet.choices()]
        if facet.name in _COLUMNS:
            numbers: Mapping[str, int] = Counter(map(_COLUMNS[facet.name], mails))
        else:
            kept = [func.count().filter(_part(user, facet, value).check) for value in values]
            row = db.session.execute(found.with_only_columns(*kept, maintain_column_froms=True)).one()
            numbers = dict(zip(values, row, strict=True))
        counts[facet.name] = {value: _bounded(numbers.get(value, 0)) for value in values}
    return counts


def _part(user: User, facet: Facet, value: str) -> Part:
    part = part_of_facet(facet.name, value, user)
    assert part is not None  # noqa: S101 (a facet offers only what it understands)
    return part


def _bounded(number: int) -> Count:
    return Count(min(number, COUNTED), number <= COUNTED)


def _counts_up_to_bound(
    user: User, facets: Sequence[Facet], checks: Sequence[ColumnElement[bool]]
) -> dict[str, dict[str, Count | None]]:
    """Look at some mails of each value; what cannot be told from them has no count."""
    leads: dict[tuple[str, str], ColumnElement[bool]] = {}
    counts: dict[str, dict[str, Count | None]] = {facet.name: {} for facet in facets}
    for facet in facets:
        for choice in facet.choices():
            counts[facet.name][choice.value] = None
            part = _part(user, facet, choice.value)
            lead = part.lead if part.counted is None else part.counted
            if lead is not None:
                leads[facet.name, choice.value] = lead
    in_index = dict(zip(leads, counted([[lead] for lead in leads.values()], LOOKED_AT + 1), strict=True))
    if checks:
        few = [value for value, count in in_index.items() if 0 < count <= LOOKED_AT]
        matching = counted([[leads[value], *checks] for value in few], LOOKED_AT + 1)
        none = {value: 0 for value, count in in_index.items() if not count}
        in_index = none | dict(zip(few, matching, strict=True))
    for (name, value), count in in_index.items():
        counts[name][value] = _bounded(count)
    return counts


# -- groups by reason ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """Mails that fail, or wait, for the same reason.

    Attributes:
        kind: Why.
        server: By which server, or None.
        waiting: True when they wait, False when they have failed.
        count: How many.
        oldest: When the oldest was submitted.
        newest: When the newest was submitted.
        sample: The newest of them.
    """

    kind: FailureKind
    server: MailServer | None
    waiting: bool
    count: Count
    oldest: dt.datetime
    newest: dt.datetime
    sample: OutgoingMail

    @property
    def facets(self) -> dict[str, str]:
        """The parameters of the address that narrow the list to these mails, besides those in force."""
        return {"kind": self.kind.value, "server": str(self.server.id) if self.server else NONE}


def groups(user: User, criteria: Criteria) -> list[Group]:
    """Return the failed mails by reason, then the waiting ones, the largest group first."""
    return [
        *_groups(user, criteria, part_of_filter("failed", user), waiting=False),
        *_groups(user, criteria, part_of_filter("waiting", user), waiting=True),
    ]


def _groups(user: User, criteria: Criteria, section: Part, *, waiting: bool) -> list[Group]:
    """Return the groups of one section, of the newest `GROUPED` mails."""
    columns: tuple[Any, ...] = (
        OutgoingMail.id,
        OutgoingMail.failure_kind,
        OutgoingMail.server_id,
        OutgoingMail.submitted_at,
    )
    matching = narrowed(select(*columns), user, READ, criteria, parts=[section])
    mails = (
        matching.statement.where(OutgoingMail.failure_kind.is_not(None))
        .order_by(matching.in_order_of(OutgoingMail.submitted_at).desc(), OutgoingMail.id.desc())
        .limit(GROUPED + 1)
        .subquery()
    )
    found = db.session.execute(
        select(
            mails.c.failure_kind,
            mails.c.server_id,
            func.count().label("number"),
            func.min(mails.c.submitted_at).label("oldest"),
            func.max(mails.c.submitted_at).label("newest"),
            func.max(mails.c.id).label("sample"),
        )
        .group_by(mails.c.failure_kind, mails.c.server_id)
        .order_by(func.count().desc(), mails.c.failure_kind)
        .limit(MOST_GROUPS)
    ).all()
    samples = {
        mail.id: mail
        for mail in db.session.scalars(
            select(OutgoingMail)
            .where(OutgoingMail.id.in_([row.sample for row in found]))
            .options(
                # A row of a group shows a subject; its text may have a megabyte.
                defer(OutgoingMail.body_html),
                defer(OutgoingMail.body_text),
                joinedload(OutgoingMail.server),
                joinedload(OutgoingMail.company),
            )
        )
    }
    exact = sum(row.number for row in found) <= GROUPED
    return [
        Group(
            row.failure_kind,
            samples[row.sample].server,
            waiting,
            Count(row.number, exact),
            row.oldest,
            row.newest,
            samples[row.sample],
        )
        for row in found
    ]
