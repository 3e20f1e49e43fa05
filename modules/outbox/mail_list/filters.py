"""The list of the outbox: its filters, its facets, its orders. What each of them keeps is said in `query_plan`."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import defer, joinedload

from core.auth.models import User, user_company
from core.companies.models import Company
from core.contract import Scope
from core.db import db
from core.documents.service import kind_title
from core.i18n import N_
from core.mail.explanations import EXPLANATIONS, FailureKind
from core.registry import current_registry
from core.web.listing import Choice, Criteria, Facet, Filter, ListSpec, Narrowed, SortKey
from modules.mail_config.models import MailServer
from modules.outbox import search_index
from modules.outbox.mail_list import date_ranges
from modules.outbox.mail_list.query_plan import (
    FILTER_GROUPS,
    NONE,
    narrowed,
    part_of_facet,
    waiting_now,
)
from modules.outbox.models import OutgoingMail
from modules.outbox.permissions import READ
from modules.outbox.states import STATE_TITLES

FILTERS = tuple(
    # What they keep is for `query_plan` to say.
    Filter(name, title, OutgoingMail.id.is_not(None), FILTER_GROUPS[name])
    for name, title in (
        ("failed", N_("Failed")),
        ("bounced", N_("Bounced")),
        ("waiting", N_("Waiting")),
        ("uncertain", N_("Uncertain")),
        ("dismissed", N_("Dismissed")),
        ("sent", N_("Sent")),
        ("today", N_("Today")),
        ("mine", N_("Mine")),
    )
)

SORTS = (
    SortKey("sent", N_("Sent on"), OutgoingMail.submitted_at, lambda row: row.submitted_at, descending=True),
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
        facet("period", N_("Sent on"), date_ranges.choices, date_ranges.label),
    ]


def mail_list(user: User, permission: str = READ) -> ListSpec:
    """Return how the outbox can be searched, filtered, narrowed and sorted by a user."""

    def narrow(statement: Select[Any], criteria: Criteria, sort: SortKey) -> Narrowed:
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
        shown=rows(),
    )


def _found(words: str) -> ColumnElement[bool]:
    condition = search_index.matching(words)
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
