"""How a run stands: counts, what would leave by which server and until when, and its rows in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, SQLColumnExpression, exists, or_, select
from sqlalchemy.orm import aliased

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.documents.service import readable_by
from core.i18n import N_
from core.mail.draft import Purpose
from core.matching import found_in
from core.partners.models import Partner
from core.spreadsheets import Cell, Column, Table
from core.web.criteria import Filter, ListSpec, SortKey
from modules.mail_config.models import MailServer
from modules.mail_config.senders.rule import Route
from modules.mail_config.senders.service import route_for
from modules.mail_config.servers import health, rate_limiter
from modules.outbox.models import (
    NO_BUNDLE,
    ItemState,
    OutgoingMail,
    Run,
    RunItem,
    RunState,
)
from modules.outbox.runs.counts import mails_by_company
from modules.outbox.runs.lines import rows_of, state_words
from modules.outbox.runs.service import items_of
from modules.outbox.states import FAILED, WAITING, MailState


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would leave in the name of one company.

    Attributes:
        company: The company.
        count: How many mails.
        route: By which server and from whom, or why not now.
        until: When the last one leaves at the pace that the server is limited to, or None where it has no limit.
    """

    company: Company
    count: int
    route: Route
    until: dt.datetime | None


def forecast(run: Run, user: User) -> list[Forecast]:
    """Return what would leave, by company."""
    found = []
    for company_id, count in mails_by_company(run.id):
        company = db.session.get(Company, company_id)
        if company is not None:
            route = route_for(company, user, purpose=Purpose.BATCH)
            found.append(Forecast(company, count, route, _until(route, count, run.not_before)))
    return found


def _until(route: Route, count: int, not_before: dt.datetime | None) -> dt.datetime | None:
    server = db.session.get(MailServer, route.server_id) if route.server_id is not None else None
    if server is None:
        return None
    now = max(clock.now(), not_before or clock.now())
    known = health.health_of(server.id)
    limit = rate_limiter.limit_of(server, known, now)
    if not limit.limited:
        return None
    begin = max(now, known.next_slot_at or now) if known is not None else now
    last = begin + limit.interval * (count - 1)
    for window in limit.windows:
        last = max(last, begin + window.length * ((window.used(known) + count - 1) // window.most))
    return last


_LEFT = (ItemState.READY, ItemState.UNCHECKED)


def list_of_items(run: Run) -> ListSpec:
    """Return how the documents of a run are narrowed and searched; they are in the order of their list."""

    def with_mail(*states: MailState) -> ColumnElement[bool]:
        mails = select(OutgoingMail.id).where(
            OutgoingMail.run_id == run.id, OutgoingMail.state.in_(sorted(states))
        )
        return RunItem.mail_id.in_(mails)

    def state(name: str, title: str, condition: ColumnElement[bool]) -> Filter:
        return Filter(name, title, condition, "state")

    return ListSpec(
        identity=RunItem.id,
        sorts=(SortKey("order", N_("Order of the list"), RunItem.id, lambda row: row.id),),
        filters=(
            state("ready", N_("Not sent: stopped"), RunItem.state.in_(_LEFT))
            if run.state is RunState.STOPPED
            else state("ready", N_("Would go"), RunItem.state == ItemState.READY),
            state("held", N_("Held"), RunItem.state == ItemState.HELD),
            state("left-out", N_("Left out"), RunItem.state == ItemState.LEFT_OUT),
            state("on-the-way", N_("On the way"), with_mail(*WAITING)),
            state("accepted", N_("Accepted"), with_mail(MailState.SENT)),
            state("not-accepted", N_("Not accepted"), with_mail(*FAILED, MailState.CANCELED)),
        ),
        search=lambda text: or_(
            _is_or_has(run, _of(Document.id == RunItem.document_id, text, Document.number)),
            _of(Partner.id == RunItem.partner_id, text, Partner.name, Partner.email),
        ),
        one_of_group=True,
    )


def _of(named: ColumnElement[bool], text: str, *places: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Return the condition that what an item names has a text: looked up for each item, since those are few."""
    return exists().where(named, found_in(text, *places)).correlate(RunItem)


def _is_or_has(run: Run, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that an item, or one that goes together with it, is such a one."""
    if not run.packs:
        return condition
    bundles = select(RunItem.bundle).where(RunItem.run_id == run.id, RunItem.bundle != NO_BUNDLE, condition)
    return or_(condition, RunItem.bundle.in_(bundles))


def lines_of(run: Run, user: User) -> Select[RunItem]:
    """Return the items that stand for a line of the page: of those in one mail, the first that the user may read."""
    statement = items_of(run, user)
    if not run.packs:
        return statement
    earlier = aliased(RunItem)
    readable = select(Document.id).where(Document.id == earlier.document_id, readable_by(user))
    first = ~exists().where(
        earlier.run_id == run.id,
        earlier.bundle == RunItem.bundle,
        earlier.bundle != NO_BUNDLE,
        earlier.id < RunItem.id,
        or_(earlier.document_id.is_(None), readable.correlate(earlier).exists()),
    )
    return statement.where(or_(RunItem.bundle == NO_BUNDLE, first))


def table_of(run: Run, user: User, zone: dt.tzinfo) -> Table:
    """Return what became of each document as a table, some hundreds read at once."""

    def rows() -> Iterator[Sequence[Cell]]:
        last = 0
        while items := list(
            db.session.scalars(
                items_of(run, user).where(RunItem.id > last).order_by(RunItem.id).limit(200)
            ).unique()
        ):
            for row in rows_of(run, items, user):
                mail = row.item.mail
                yield [
                    row.document.number if row.document is not None else "",
                    row.customer.name if row.customer is not None else "",
                    state_words(row),
                    (row.badge.reason if row.badge is not None else row.reason) or "",
                    (mail.failure_reason if mail is not None else row.detail) or "",
                    ", ".join(row.recipients),
                    mail.submitted_at if mail is not None else None,
                ]
            last = items[-1].id

    return Table(
        gettext("What became of each"),
        [
            Column(gettext("Document"), width=22),
            Column(gettext("Customer"), width=30),
            Column(gettext("Result")),
            Column(gettext("Reason"), width=30),
            Column(gettext("Details"), width=50),
            Column(gettext("Recipients"), width=40),
            Column(gettext("Written at")),
        ],
        rows(),
        zone,
    )
