"""The list of the outbox: what it can be narrowed to, and by which index, at a thousand mails and at a million.

Neither database knows how many mails two conditions leave together, and SQLite without statistics does not
even know which of two is the narrower. So the list decides itself: a condition that keeps few mails is asked
first and the rest looked at; otherwise one condition, or the order, leads through its index, and the first page
is soon full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext
from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, func, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, defer, joinedload
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from core.auth.models import User, user_company
from core.companies.models import Company
from core.contract import Scope
from core.db import db
from core.documents.service import kind_title
from core.i18n import N_
from core.mail.explanations import EXPLANATIONS, FailureKind
from core.registry import current_registry
from core.web.listing import Choice, Criteria, Facet, Filter, ListSpec, SortKey
from modules.mail_config.models import MailServer
from modules.outbox import periods, search
from modules.outbox.models import OutgoingMail
from modules.outbox.states import FAILED, STATE_TITLES, WAITING, MailState

READ = "outbox.mail.read"
RESEND = "outbox.mail.resend"
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


class aside(FunctionElement[Any]):  # noqa: N801 (it reads like a function of SQL)
    """A column that no index is used for; only SQLite, which has no statistics, has to be told."""

    inherit_cache = True
    name = "aside"

    def __init__(self, column: InstrumentedAttribute[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(aside)
def _compile_aside(element: aside, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(aside, "sqlite")
def _compile_aside_on_sqlite(element: aside, compiler: SQLCompiler, **options: Any) -> str:
    return "+" + compiler.process(element.clauses, **options)


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
    bounds = periods.bounds(value, user.timezone)
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
        case "failed":
            return Part(aside(OutgoingMail.state).in_(_literal(_FAILED_STATES)), failed_now(), 0)
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


NOTHING = Part(OutgoingMail.id.in_([]))


def reach(user: User, permission: str) -> list[Part]:
    """Return what keeps the list to the mails that a permission of the user reaches."""
    scope = user.scope(permission)
    if scope is Scope.ALL:
        return []
    if scope is None:
        return [NOTHING]
    own = _own_companies(user)
    parts = []
    if len(own) == 1:
        parts.append(_equal(OutgoingMail.company_id, own[0], 5))
    elif len(own) < (db.session.scalar(select(func.count()).select_from(Company)) or 0):
        parts.append(Part(aside(OutgoingMail.company_id).in_(own)))
    if scope is Scope.OWN:
        parts.append(_equal(OutgoingMail.submitted_by_id, user.id, 4))
    return parts


def parts_of(user: User, permission: str, criteria: Criteria) -> list[Part]:
    """Return everything that the list is narrowed to, but for the search."""
    parts = reach(user, permission)
    groups: dict[str, list[Part]] = {}
    for entry in FILTERS:
        if entry.name in criteria.filters:
            groups.setdefault(entry.group, []).append(part_of_filter(entry.name, user))
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
) -> Select[Any]:
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
    ids, words = search.narrowing(criteria.search)
    if ids is not None:
        return statement.where(search.among(ids), *(part.check for part in wanted))
    if words is not None:
        statement = statement.where(words)
    leading = sorted((part for part in wanted if part.lead is not None), key=lambda part: part.rank)
    if NOTHING not in wanted and leading and (len(wanted) > 1 or words is not None or not by_time):
        few = smallest(leading, FEW if by_time else FEW_TO_SORT)
        if few is not None:
            found = select(OutgoingMail.id).where(few.lead).cte("few")  # type: ignore[arg-type]  # it leads
            for dialect in ("sqlite", "postgresql"):
                found = found.prefix_with("MATERIALIZED", dialect=dialect)
            rest = [part.check for part in wanted if part is not few]
            return statement.where(OutgoingMail.id.in_(select(found.c.id)), *rest)
    for part in wanted:
        lead = part.lead if by_time and (part.always or part in leading[:1]) else None
        statement = statement.where(part.check if lead is None else lead)
    return statement


def checked(statement: Select[Any], user: User, permission: str, criteria: Criteria) -> Select[Any]:
    """Return the same, for a statement that is kept to a few mails already: each is looked at."""
    statement = statement.where(*(part.check for part in parts_of(user, permission, criteria)))
    words = search.matching(criteria.search)
    return statement if words is None else statement.where(words)


def smallest(parts: Sequence[Part], bound: int = FEW) -> Part | None:
    """Return the part that keeps the fewest mails, or None when each keeps more than a bound."""
    counts = [
        select(func.count())
        .select_from(select(OutgoingMail.id).where(part.lead).limit(bound + 1).subquery())  # type: ignore[arg-type]
        .scalar_subquery()
        for part in parts
    ]
    row = db.session.execute(select(*counts)).one()
    found = min(range(len(parts)), key=lambda place: row[place])
    return parts[found] if row[found] <= bound else None


FILTERS = tuple(
    Filter(name, title, OutgoingMail.id.is_not(None), group)
    for name, title, group in (
        ("failed", N_("Failed"), "state"),
        ("waiting", N_("Waiting"), "state"),
        ("uncertain", N_("Uncertain"), "state"),
        ("sent", N_("Sent"), "state"),
        ("today", N_("Today"), "time"),
        ("mine", N_("Mine"), "who"),
    )
)
"""The saved filters; what they keep is said by `part_of_filter`."""

SORTS = (
    SortKey(
        "sent", N_("Submitted"), OutgoingMail.submitted_at, lambda row: row.submitted_at, descending=True
    ),
    SortKey("subject", N_("Subject"), OutgoingMail.subject, lambda row: row.subject),
    SortKey(
        "next",
        N_("Next try"),
        OutgoingMail.next_attempt_at,
        lambda row: row.next_attempt_at,
        within="waiting",
    ),
)


def reaches_several(user: User) -> bool:
    """Return True when the mails that the user may read are those of several companies."""
    return len(_companies(user)) > 1


def _companies(user: User) -> list[Company]:
    statement = select(Company).order_by(Company.name)
    if user.scope(READ) is not Scope.ALL:
        own = select(user_company.c.company_id).where(user_company.c.user_id == user.id)
        statement = statement.where(Company.id.in_(own))
    return list(db.session.scalars(statement))


def _server_choices() -> list[Choice]:
    rows = db.session.execute(select(MailServer.id, MailServer.name).order_by(MailServer.name))
    return [*(Choice(str(row.id), row.name) for row in rows), Choice(NONE, gettext("None yet"))]


def _document_choices() -> list[Choice]:
    kinds = [Choice(name, kind_title(name)) for name in current_registry().kinds]
    return [*sorted(kinds, key=lambda kind: kind.title), Choice(NONE, gettext("No document"))]


def _kind_choices() -> list[Choice]:
    kinds = [Choice(kind.value, str(EXPLANATIONS[kind].title)) for kind in FailureKind]
    return sorted(kinds, key=lambda kind: kind.title)


def facets_of(user: User) -> list[Facet]:
    """Return the facets that make sense for a user."""

    def facet(name: str, title: str, choices: Any, label: Any = str) -> Facet:
        def condition(value: str) -> ColumnElement[bool] | None:
            part = part_of_facet(name, value, user)
            return None if part is None else part.check

        return Facet(name, title, choices, condition, label)

    states = [Choice(state.value, str(title)) for state, title in STATE_TITLES.items()]
    companies = [Choice(str(company.id), company.name) for company in _companies(user)]
    return [
        facet("state", N_("State"), lambda: states),
        facet("kind", N_("Reason"), _kind_choices),
        facet("server", N_("Mail server"), _server_choices),
        *([facet("company", N_("Company"), lambda: companies)] if len(companies) > 1 else []),
        facet("document", N_("Document"), _document_choices, kind_title),
        facet("period", N_("Submitted"), periods.choices, periods.label),
    ]


def mail_list(user: User, permission: str = READ) -> ListSpec:
    """Return how the outbox can be searched, filtered, narrowed and sorted by a user."""

    def narrow(statement: Select[Any], criteria: Criteria, sort: SortKey) -> Select[Any]:
        # The index by the time of the next try is one of waiting mails; they must be named as it names them.
        if sort.name == "next":
            return narrowed(statement.where(waiting_now()), user, permission, criteria, by_time=False)
        return narrowed(statement, user, permission, criteria, by_time=sort is SORTS[0])

    return ListSpec(
        identity=OutgoingMail.id,
        sorts=SORTS,
        filters=FILTERS,
        search=_found,
        facets=facets_of(user),
        one_of_group=True,
        narrow=narrow,
    )


def _found(words: str) -> ColumnElement[bool]:
    condition = search.matching(words)
    return OutgoingMail.id.is_not(None) if condition is None else condition


def rows() -> Select[Any]:
    """Return the mails with what a list shows of them; kept to nothing: `mail_list` narrows it to the reach."""
    return select(OutgoingMail).options(
        defer(OutgoingMail.body_html),
        defer(OutgoingMail.body_text),
        joinedload(OutgoingMail.document),
        joinedload(OutgoingMail.submitted_by),
        joinedload(OutgoingMail.company),
        joinedload(OutgoingMail.server),
    )
