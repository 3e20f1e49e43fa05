"""How a run stands: counts, what would leave by which server and until when, and its rows in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flask_babel import gettext, ngettext, pgettext
from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import aliased, joinedload

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.documents.service import readable_by
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.mail.draft import DraftRecipient, Purpose
from core.matching import found_in
from core.partners.models import Partner
from core.partners.search_index import matching_partners
from core.spreadsheets import Cell, Column, Table
from core.web.criteria import Filter, ListSpec, SortKey
from modules.mail_config.mail_templates.selection import language_of
from modules.mail_config.models import MailServer, MailTemplate
from modules.mail_config.senders.rule import Route
from modules.mail_config.senders.service import route_for
from modules.mail_config.servers import health, rate_limiter
from modules.outbox.models import (
    NO_BUNDLE,
    HeldReason,
    ItemState,
    OutgoingMail,
    Packing,
    Run,
    RunItem,
    RunState,
)
from modules.outbox.queries import Badge, badge_of, visible_recipients
from modules.outbox.runs.counts import Counts, mails_by_company
from modules.outbox.runs.drafting import Facts, facts_of, shown
from modules.outbox.runs.held import HeldError
from modules.outbox.runs.mailing import customer_destination, letter_of
from modules.outbox.runs.service import items_of
from modules.outbox.states import FAILED, WAITING, MailState

RUN_TITLES = {
    RunState.DRAFT: _l("not started"),
    RunState.RUNNING: _l("running"),
    RunState.PAUSED: _l("paused"),
    RunState.STOPPED: _l("stopped"),
    RunState.DONE: _l("done"),
}
RUN_TONES = {
    RunState.DRAFT: ("neutral", "pencil"),
    RunState.RUNNING: ("info", "play-fill"),
    RunState.PAUSED: ("warning", "pause-fill"),
    RunState.STOPPED: ("neutral", "stop-fill"),
    RunState.DONE: ("success", "check-circle-fill"),
}
PACKING_TITLES = {
    Packing.EACH: _l("One email per document"),
    Packing.TOGETHER: _l("One email per customer, with all documents"),
    Packing.ZIP: _l("One email per customer, with one zip file"),
}
REASON_TITLES = {
    HeldReason.NO_ADDRESS: _l("No address"),
    HeldReason.SEVERAL_ADDRESSES: _l("Choose the address"),
    HeldReason.OPTED_OUT: _l("Opted out of emails"),
    HeldReason.WANTS_PAPER: _l("Wants it on paper"),
    HeldReason.SENT_BEFORE: _l("Sent already"),
    HeldReason.NOT_SENDABLE: _l("Cannot be sent"),
    HeldReason.NOT_ALLOWED: _l("You may not send it"),
    HeldReason.NO_TEMPLATE: _l("No template for it"),
    HeldReason.TEMPLATE_BROKEN: _l("The template is broken"),
    HeldReason.CHANGED: _l("Changed meanwhile"),
    HeldReason.RECIPIENTS_CHANGED: _l("Other recipients now"),
    HeldReason.GONE: _l("No longer there"),
    HeldReason.NOT_OPTED_IN: _l("Has not agreed to promotional emails"),
    HeldReason.REFUSED: _l("Cannot be written"),
}
OVERRULED = frozenset(
    {
        HeldReason.OPTED_OUT,
        HeldReason.WANTS_PAPER,
        HeldReason.SENT_BEFORE,
        HeldReason.CHANGED,
        HeldReason.RECIPIENTS_CHANGED,
    }
)
"""Reasons for which a person may send it all the same."""
MOST_SHOWN = 12
"""Documents of one mail that a line names."""
ADDRESSED = frozenset({HeldReason.NO_ADDRESS, HeldReason.SEVERAL_ADDRESSES})
"""Reasons that an address mends."""


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
            state("ready", N_("Would go"), RunItem.state == ItemState.READY),
            state("held", N_("Held"), RunItem.state == ItemState.HELD),
            state("left-out", N_("Left out"), RunItem.state == ItemState.LEFT_OUT),
            state("on-the-way", N_("On the way"), with_mail(*WAITING)),
            state("accepted", N_("Accepted"), with_mail(MailState.SENT)),
            state("not-accepted", N_("Not accepted"), with_mail(*FAILED, MailState.CANCELED)),
        ),
        search=lambda text: or_(
            _is_or_has(run, RunItem.document_id.in_(_numbered(text))),
            RunItem.partner_id.in_(
                select(Partner.id).where(*matching_partners(text, Partner.name, Partner.email))
            ),
        ),
        one_of_group=True,
    )


def _numbered(text: str) -> Select[int]:
    return select(Document.id).where(found_in(text, Document.number))


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
    readable = select(Document.id).where(readable_by(user))
    first = ~exists().where(
        earlier.run_id == run.id,
        earlier.bundle == RunItem.bundle,
        earlier.bundle != NO_BUNDLE,
        earlier.id < RunItem.id,
        or_(earlier.document_id.is_(None), earlier.document_id.in_(readable)),
    )
    return statement.where(or_(RunItem.bundle == NO_BUNDLE, first))


@dataclass(frozen=True, slots=True)
class Row:
    """A document of a run, or what goes together in one mail, as the page shows it.

    Attributes:
        item: The item.
        document: Its document, or None once it is gone.
        recipients: Who would get it, or has got it.
        choices: Other addresses, of which a person may choose.
        template: By which it would be written, or None.
        language: In which it would be written, or "".
        badge: What became of its mail, or None.
        reason: Why it is held, or "".
        others: Further items of the same mail, with their documents.
        more: How many there are beyond these.
    """

    item: RunItem
    document: Document | None
    recipients: Sequence[str]
    choices: Sequence[DraftRecipient]
    template: MailTemplate | None
    language: str
    badge: Badge | None
    reason: str
    others: Sequence[RunItem] = ()
    more: int = 0

    @property
    def customer(self) -> Partner | None:
        """The customer: of the document, or in a mailing the one it is to; None for none, or once it is gone."""
        return self.document.partner if self.document is not None else self.item.partner

    @property
    def overruled(self) -> bool:
        """True where a person may send it all the same."""
        return self.item.reason in OVERRULED

    @property
    def mended_by_address(self) -> bool:
        """True where an address mends it."""
        return self.item.reason in ADDRESSED


def rows_of(run: Run, items: Sequence[RunItem], user: User) -> list[Row]:
    """Return documents of a run as the page shows them to a user."""
    sender = run.by_user or user
    facts = facts_of(items, sender)
    mails = {item.mail_id: item.mail for item in items if item.mail is not None}
    people = visible_recipients(list(mails.values()), user)
    return [_row(run, item, facts, sender, people) for item in items]


def packed_rows_of(run: Run, items: Sequence[RunItem], user: User) -> list[Row]:
    """Return lines of a run as the page shows them to a user, each with all that its mail carries."""
    rows = rows_of(run, items, user)
    keys = [item.bundle for item in items if item.bundle]
    if not run.packs or not keys:
        return rows
    of_page = items_of(run, user).where(RunItem.bundle.in_(keys), RunItem.bundle != NO_BUNDLE)
    counted = select(of_page.subquery().c.bundle, func.count()).group_by("bundle")
    counts: dict[str, int] = dict(db.session.execute(counted).all())
    members: dict[str, list[RunItem]] = {}
    place = func.row_number().over(partition_by=RunItem.bundle, order_by=RunItem.id)
    numbered = of_page.with_only_columns(RunItem.id, place.label("place")).subquery()
    shown_ones = (
        select(RunItem).join(numbered, numbered.c.id == RunItem.id).where(numbered.c.place <= MOST_SHOWN)
    )
    for item in db.session.scalars(shown_ones.options(joinedload(RunItem.document)).order_by(RunItem.id)):
        members.setdefault(item.bundle, []).append(item)
    return [
        replace(
            row,
            others=members[row.item.bundle][1:],
            more=counts[row.item.bundle] - len(members[row.item.bundle]),
            template=_of_several(row),
        )
        if len(members.get(row.item.bundle, ())) > 1
        else row
        for row in rows
    ]


def _of_several(row: Row) -> MailTemplate | None:
    """Return the template of a mail with several documents, as it was found when they were looked through."""
    number = row.item.seen_template.partition("+")[2].partition(".")[0]
    return db.session.get(MailTemplate, int(number)) if number and row.template is not None else None


def _row(run: Run, item: RunItem, facts: Facts, sender: User, people: Mapping[int, Sequence[object]]) -> Row:
    document = facts.documents.get(item.document_id or 0)
    reason = str(REASON_TITLES[item.reason]) if item.reason is not None else ""
    if item.mail is not None:
        addresses = [str(getattr(row, "addr_spec", "")) for row in people.get(item.mail.id, ())]
        return Row(item, document, addresses, (), None, "", badge_of(item.mail), reason)
    # Of what was looked through only that is asked again which is shown: a page has forty of them.
    others = item.reason is HeldReason.RECIPIENTS_CHANGED
    told = item.state is ItemState.READY or item.reason in ADDRESSED or others
    partner = facts.customers.partners.get(item.partner_id or 0)
    about = letter_of(run, sender, partner) if partner is not None else document
    if about is None or not told:
        return Row(item, document, (), (), None, "", None, reason)
    try:
        found = (
            shown(item, about, facts, run, sender)
            if isinstance(about, Document)
            else customer_destination(item, facts.customers, run, sender)
        )
    except HeldError as held:
        choices = held.proposal.choices if held.proposal is not None else ()
        return Row(item, document, (), choices, None, "", None, reason)
    addresses = [recipient.address.addr_spec for recipient in found.recipients]
    language = language_of(found.template, about)
    return Row(item, document, addresses, (), found.template, language, None, reason)


def state_words(row: Row) -> str:
    """Return in words what becomes, or became, of a document."""
    if row.badge is not None:
        return row.badge.word
    words: dict[ItemState, str] = {
        ItemState.UNCHECKED: gettext("not looked at yet"),
        ItemState.READY: gettext("would go"),
        ItemState.HELD: gettext("held"),
        ItemState.LEFT_OUT: pgettext("document", "left out"),
        ItemState.SUBMITTED: gettext("sent"),
    }
    return words[row.item.state]


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
                    (mail.failure_reason if mail is not None else row.item.detail) or "",
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


def progress_words(counts: Counts, *, packs: bool = False) -> list[str]:
    """Return how a run stands in a few sentences, one for each number that is not zero.

    Args:
        counts: The numbers.
        packs: True where a mail may carry several documents: then it says how many there are of either.
    """
    numbers = (
        (
            counts.accepted,
            ngettext("%(num)d email was accepted.", "%(num)d emails were accepted.", counts.accepted),
        ),
        (counts.moving, ngettext("%(num)d is on its way.", "%(num)d are on their way.", counts.moving)),
        (counts.failed, ngettext("%(num)d was not accepted.", "%(num)d were not accepted.", counts.failed)),
        (counts.canceled, ngettext("%(num)d was canceled.", "%(num)d were canceled.", counts.canceled)),
    )
    said = [words for count, words in numbers if count]
    mails = sum(counts.mails.values()) - counts.canceled
    if packs and mails:
        emails = ngettext("%(num)d email", "%(num)d emails", mails)
        said.insert(
            0,
            ngettext(
                "%(num)d document in %(emails)s.",
                "%(num)d documents in %(emails)s.",
                counts.carried,
                emails=emails,
            ),
        )
    return said
