"""The lines of a run: what its page shows of each document, or of those that go together, and offers to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from flask import url_for
from flask_babel import gettext, pgettext
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from core.auth.models import User
from core.db import db
from core.documents.models import Document
from core.documents.service import kind_title
from core.mail.draft import DraftRecipient
from core.partners.models import Partner
from modules.mail_config.mail_templates.selection import language_of
from modules.mail_config.models import MailTemplate
from modules.outbox.badges import Badge, badge_of, came_back_among
from modules.outbox.dead_addresses import Dead, dead_among
from modules.outbox.models import NO_BUNDLE, HeldReason, ItemState, Run, RunItem, RunState
from modules.outbox.queries import visible_recipients
from modules.outbox.runs.drafting import Facts, facts_of, shown
from modules.outbox.runs.held import HeldError
from modules.outbox.runs.mailing import customer_destination, letter_of
from modules.outbox.runs.service import items_of
from modules.outbox.runs.words import REASON_TITLES

OVERRULED = frozenset(
    {
        HeldReason.OPTED_OUT,
        HeldReason.WANTS_PAPER,
        HeldReason.DEAD_ADDRESS,
        HeldReason.SENT_BEFORE,
        HeldReason.CHANGED,
        HeldReason.RECIPIENTS_CHANGED,
    }
)
"""Reasons for which a person may send it all the same."""
MOST_SHOWN = 12
"""Documents of one mail that a line names."""
ADDRESSED = frozenset({HeldReason.NO_ADDRESS, HeldReason.SEVERAL_ADDRESSES, HeldReason.DEAD_ADDRESS})
"""Reasons that an address mends."""
_OF_TEMPLATE = frozenset({HeldReason.NO_TEMPLATE, HeldReason.TEMPLATE_BROKEN})
_OF_CUSTOMER = frozenset({*ADDRESSED, HeldReason.OPTED_OUT, HeldReason.NOT_OPTED_IN})
_OF_DOCUMENT = frozenset({HeldReason.NOT_SENDABLE, HeldReason.REFUSED})


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
        detail: More words about that, or "".
        repair: Where what it is held for is mended, and in words what is there; or None.
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
    detail: str = ""
    repair: tuple[str, str] | None = None
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
    back = came_back_among(mails.values())
    rows = [_row(run, item, facts, sender, people, back) for item in items]
    dead = dead_among(
        text for row in rows if row.item.reason is HeldReason.DEAD_ADDRESS for text in row.recipients
    )
    return [
        replace(
            row,
            detail=_detail(row, dead),
            repair=_repair(row, facts, run, user),
            choices=[one for one in row.choices if one.address.addr_spec not in dead],
        )
        if row.reason
        else row
        for row in rows
    ]


def _detail(row: Row, dead: Mapping[str, Dead]) -> str:
    if row.item.reason is not HeldReason.DEAD_ADDRESS:
        return row.item.detail
    return " ".join(dead[address].sentence(address) for address in row.recipients if address in dead)


def _repair(row: Row, facts: Facts, run: Run, user: User) -> tuple[str, str] | None:
    """Return where what a document is held for is mended, and what is there, as far as the user may go there."""
    reason, document, customer = row.item.reason, row.document, row.customer
    if reason is HeldReason.WANTS_PAPER and document is not None:
        known = facts.around.get(document.id)
        wish = known.wish if known is not None else None
        return (wish.url, gettext("Print it instead")) if wish is not None and wish.url else None
    if reason in _OF_TEMPLATE and user.can("mail_config.template.edit"):
        number = row.item.seen_template.partition(".")[0] or str(run.template_id or "")
        if reason is HeldReason.TEMPLATE_BROKEN and number:
            return url_for("mail_config.template", template_id=int(number)), gettext("Open the template")
        return url_for("mail_config.templates"), gettext("Open the templates")
    if reason in _OF_CUSTOMER and customer is not None and user.can("core.partner.read"):
        where = url_for("core.partner", partner_id=customer.id)
        return where, gettext("Open %(name)s", name=customer.name)
    if reason in _OF_DOCUMENT and document is not None:
        name = document.number or str(kind_title(document.kind))
        return url_for("core.document", document_id=document.id), gettext("Open %(name)s", name=name)
    return None


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
    return _template_of(row.item, 1) if row.template is not None else None


def _template_of(item: RunItem, place: int) -> MailTemplate | None:
    """Return one of the templates that were found when an item was looked through, see `Destination.seen_template`."""
    number = [*item.seen_template.split("+"), ""][place].partition(".")[0]
    return db.session.get(MailTemplate, int(number)) if number else None


def _row(
    run: Run,
    item: RunItem,
    facts: Facts,
    sender: User,
    people: Mapping[int, Sequence[object]],
    came_back: Collection[int],
) -> Row:
    document = facts.documents.get(item.document_id or 0)
    reason = str(REASON_TITLES[item.reason]) if item.reason is not None else ""
    if item.mail is not None:
        addresses = [str(getattr(row, "addr_spec", "")) for row in people.get(item.mail.id, ())]
        template = _template_of(item, 0)
        language = item.mail.language if template is not None else ""
        return Row(item, document, addresses, (), template, language, badge_of(item.mail, came_back), reason)
    # Of what was looked through only that is asked again which is shown: a page has forty of them.
    others = item.reason is HeldReason.RECIPIENTS_CHANGED
    told = item.state is ItemState.READY or item.reason in ADDRESSED or others
    partner = facts.customers.partners.get(item.partner_id or 0)
    about = letter_of(run, sender, partner) if partner is not None else document
    if about is None or not told:
        return Row(item, document, (), (), None, "", None, reason)
    choices: Sequence[DraftRecipient]
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
    choices = ()
    if item.reason is HeldReason.DEAD_ADDRESS:
        choices = [*found.proposal.recipients, *found.proposal.choices]
    language = language_of(found.template, about)
    return Row(item, document, addresses, choices, found.template, language, None, reason)


def state_words(row: Row) -> str:
    """Return in words what becomes, or became, of a document."""
    if row.badge is not None:
        return row.badge.word
    if row.item.run.state is RunState.STOPPED and row.item.state in {ItemState.READY, ItemState.UNCHECKED}:
        return str(gettext("not sent: stopped"))
    words: dict[ItemState, str] = {
        ItemState.UNCHECKED: gettext("not looked at yet"),
        ItemState.READY: gettext("would go"),
        ItemState.HELD: gettext("held"),
        ItemState.LEFT_OUT: pgettext("document", "left out"),
        ItemState.SUBMITTED: gettext("sent"),
    }
    return words[row.item.state]
