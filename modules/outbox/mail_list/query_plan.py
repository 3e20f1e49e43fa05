"""The query of the outbox's list, in parts of which each has its index, at a thousand mails and at a million.

Neither database knows how many mails two conditions leave together, and SQLite without statistics does not
even know which of two is the narrower. So it is decided here: a condition that keeps few mails is asked first
and the rest looked at; otherwise one condition, or the order, leads through its index, and the first page is
soon full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from core.auth.models import User, user_company
from core.companies.models import Company
from core.contract import Scope
from core.db import db
from core.db.aside import aside
from core.mail.explanations import FailureKind
from core.web.listing import Criteria, Narrowed
from modules.outbox import search_index
from modules.outbox.mail_list import date_ranges
from modules.outbox.models import CAME_BACK, OutgoingMail
from modules.outbox.states import FAILED, WAITING, MailState

NONE = "none"
"""The value of a facet for mails that have no server, or no document."""

FEW = 5000
"""Mails that are found and sorted within some milliseconds."""

FEW_TO_SORT = 15_000
"""The same for an order that is no index of theirs: walking its index would look at ever more mails in vain."""

# As the partial indexes say it, in the same order: SQLite compares letter by letter.
_FAILED_STATES = ("failed", "partial", "uncertain")
_DUE_STATES = ("queued", "deferred", "scheduled", "sending")
_SETTLED_STATES = ("canceled", "failed", "partial", "sent", "uncertain")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the list is narrowed to.

    Attributes:
        check: As a look at each row.
        lead: The same, as an index finds it; None where no index does.
        rank: The order in which parts lead, the narrower first.
        always: True to say it the leading way even where it does not lead: it goes with the order of the list.
        counted: The same, as an index finds it that has no order; None where `lead` is as good.
    """

    check: ColumnElement[bool]
    lead: ColumnElement[bool] | None = None
    rank: int = 9
    always: bool = False
    counted: ColumnElement[bool] | None = None


def _literal(states: Sequence[str]) -> BindParameter[Any]:
    """Return states for an IN, in the text of the statement, so that a partial index is recognized."""
    kind = OutgoingMail.state.type
    # A parameter is unknown while the query is planned, and no partial index is taken for it.
    return bindparam(None, list(states), type_=kind, expanding=True, literal_execute=True)


def failed_now() -> ColumnElement[bool]:
    """Return the condition that a person must act."""
    return OutgoingMail.state.in_(_literal(_FAILED_STATES))


def waiting_now() -> ColumnElement[bool]:
    """Return the condition that something will still happen by itself."""
    return OutgoingMail.state.not_in(_literal(_SETTLED_STATES))


def _equal(column: InstrumentedAttribute[Any], value: Any, rank: int) -> Part:
    if value is None:
        return Part(aside(column).is_(None), column.is_(None), rank)
    return Part(aside(column) == value, column == value, rank)


def state_part(state: MailState) -> Part:
    """Return what keeps the list to one state."""
    check = aside(OutgoingMail.state) == state
    if state in FAILED:
        return Part(check, failed_now() & check, 0)
    if state in WAITING:
        counted = OutgoingMail.state.in_(_literal(_DUE_STATES)) & (OutgoingMail.state == state)
        return Part(check, waiting_now() & check, 2, counted=counted)
    if state is MailState.CANCELED:
        same = bindparam(None, state, type_=OutgoingMail.state.type, literal_execute=True)
        return Part(check, OutgoingMail.state == same, 0)
    return Part(check)  # nearly all mails: whatever order leads meets one soon


def _period(value: str, user: User) -> Part | None:
    bounds = date_ranges.bounds(value, user.timezone)
    if bounds is None:
        return None
    start, end = bounds

    def between(place: Any) -> ColumnElement[bool]:
        condition: ColumnElement[bool] = place < end if end is not None else place >= start
        return (place >= start) & condition if start is not None else condition

    return Part(between(aside(OutgoingMail.submitted_at)), between(OutgoingMail.submitted_at), 7, always=True)


def part_of_filter(name: str, user: User) -> Part:
    """Return what a saved filter keeps."""
    match name:
        case "failed" | "dismissed" | "bounced":
            dismissed = OutgoingMail.dismissed_at
            kept = {
                "failed": dismissed.is_(None),
                "dismissed": dismissed.is_not(None),
                "bounced": CAME_BACK,
            }[name]
            check = aside(OutgoingMail.state).in_(_literal(_FAILED_STATES)) & kept
            return Part(check, failed_now() & kept, 0)
        case "waiting":
            return Part(aside(OutgoingMail.state).not_in(_literal(_SETTLED_STATES)), waiting_now(), 2)
        case "uncertain":
            return state_part(MailState.UNCERTAIN)
        case "sent":
            return state_part(MailState.SENT)
        case "mine":
            return _equal(OutgoingMail.submitted_by_id, user.id, 4)
        case _:
            part = _period("today", user)
            assert part is not None  # noqa: S101 (a period that is always one)
            return part


COLUMNS: Mapping[str, InstrumentedAttribute[Any]] = {
    "kind": OutgoingMail.failure_kind,
    "server": OutgoingMail.server_id,
    "company": OutgoingMail.company_id,
    "document": OutgoingMail.document_kind,
}
"""The facets that are a column, by their names."""

# How narrow a facet mostly is, the narrowest first: which index leads the query.
_RANKS = {"kind": 1, "server": 3, "company": 5, "document": 6}


def value_of(name: str, value: str) -> Any:
    """Return what the column of a facet holds for a value of it; None for NULL.

    Raises:
        ValueError: The value has no meaning.
    """
    match name:
        case "kind":
            return FailureKind(value)
        case "document":
            return "" if value == NONE else value
        case "server" if value == NONE:
            return None
        case _:
            if not _is_id(value):
                raise ValueError(f"{value} is no id.")
            return int(value)


def part_of_facet(name: str, value: str, user: User) -> Part | None:
    """Return what a value of a facet keeps, or None for a value that has no meaning."""
    if name == "period":
        return _period(value, user)
    try:
        if name == "state":
            return state_part(MailState(value))
        return _equal(COLUMNS[name], value_of(name, value), _RANKS[name])
    except ValueError:
        return None


def _is_id(value: str) -> bool:
    return value.isascii() and value.isdigit() and int(value) < 2**31


FILTER_GROUPS = {
    "failed": "state",
    "bounced": "state",
    "waiting": "state",
    "uncertain": "state",
    "dismissed": "state",
    "sent": "state",
    "today": "time",
    "mine": "who",
}
"""The saved filters; of those of one group, any may hold."""

NOTHING = Part(OutgoingMail.id.in_([]))


def reach_parts(user: User, permission: str) -> list[Part]:
    """Return what keeps the list to the mails that a permission of the user reaches."""
    scope = user.scope(permission)
    if scope is Scope.ALL:
        return []
    if scope is None:
        return [NOTHING]
    own = _own_companies(user)
    parts = []
    # One company has an index; of several, and of all, the look at each row is quicker.
    if len(own) == 1:
        parts.append(_equal(OutgoingMail.company_id, own[0], 5))
    elif len(own) < (db.session.scalar(select(func.count()).select_from(Company)) or 0):
        parts.append(Part(aside(OutgoingMail.company_id).in_(own)))
    if scope is Scope.OWN:
        parts.append(_equal(OutgoingMail.submitted_by_id, user.id, 4))
    return parts


def parts_of(user: User, permission: str, criteria: Criteria) -> list[Part]:
    """Return everything that the list is narrowed to, but for the search."""
    parts = reach_parts(user, permission)
    groups: dict[str, list[Part]] = {}
    for name in criteria.filters:
        groups.setdefault(FILTER_GROUPS[name], []).append(part_of_filter(name, user))
    for group in groups.values():
        parts.append(group[0] if len(group) == 1 else Part(or_(*(part.check for part in group))))
    company = criteria.facets.get("company")
    beyond = company is not None and int(company) not in _own_companies(user)
    if beyond and user.scope(permission) is not Scope.ALL:
        return [NOTHING]  # both databases would look for a long time for what cannot be
    found = (part_of_facet(name, value, user) for name, value in criteria.facets.items())
    return [*parts, *(part for part in found if part is not None)]


def _own_companies(user: User) -> list[int]:
    own = select(user_company.c.company_id).where(user_company.c.user_id == user.id)
    return list(db.session.scalars(own))


def narrowed(
    statement: Select[Any],
    user: User,
    permission: str,
    criteria: Criteria,
    *,
    by_time: bool = True,
    parts: Sequence[Part] = (),
) -> Narrowed:
    """Return a statement over mails kept to what a user may see and has asked for, so that it is quick.

    Args:
        statement: Selects from `OutgoingMail`.
        user: Who asks.
        permission: Whose reach holds.
        criteria: What was asked for.
        by_time: True when the mails are wanted in the order of their submission.
        parts: More that must hold.
    """
    wanted = [*parts_of(user, permission, criteria), *parts]
    ids, words = search_index.narrowing(criteria.search)
    if NOTHING in wanted:
        return Narrowed(statement.where(NOTHING.check), True)
    # The few that the search has found are looked at one by one, whatever else is asked for.
    if ids is not None:
        return Narrowed(statement.where(search_index.among(ids), *(part.check for part in wanted)), True)
    if words is not None:
        statement = statement.where(words)
    leading = sorted((part for part in wanted if part.lead is not None), key=lambda part: part.rank)
    few = None
    if leading and (len(wanted) > 1 or words is not None or not by_time):
        few = smallest(leading, FEW if by_time else FEW_TO_SORT)
    for part in wanted:
        leads = part is few if few is not None or not by_time else part.always or part in leading[:1]
        statement = statement.where(part.lead if leads and part.lead is not None else part.check)
    return Narrowed(statement, few is not None)


def checked(statement: Select[Any], user: User, permission: str, criteria: Criteria) -> Select[Any]:
    """Return the same, for a statement that is kept to a few mails already: each is looked at."""
    statement = statement.where(*(part.check for part in parts_of(user, permission, criteria)))
    words = search_index.matching(criteria.search)
    return statement if words is None else statement.where(words)


def smallest(parts: Sequence[Part], bound: int = FEW) -> Part | None:
    """Return the part that keeps the fewest mails, or None when each keeps more than a bound."""
    counts = counted([[part.lead] for part in parts if part.lead is not None], bound + 1)
    found = min(range(len(parts)), key=lambda place: counts[place])
    return parts[found] if counts[found] <= bound else None


def counted(conditions: Sequence[Sequence[ColumnElement[bool]]], bound: int) -> list[int]:
    """Return how many mails each of some conditions keeps, up to a bound: by one statement, however many they are."""
    if not conditions:
        return []
    counts = [
        select(func.count())
        .select_from(select(OutgoingMail.id).where(*condition).limit(bound).subquery())
        .scalar_subquery()
        for condition in conditions
    ]
    return list(db.session.execute(select(*counts)).one())
