"""The queries of pages: one mail and the actions on it, panels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, false, func, select, true
from sqlalchemy.orm import joinedload, selectinload

from core.auth.models import User
from core.auth.permissions import within_reach
from core.contract import Scope
from core.db import db
from core.db.aside import aside, one_by_one
from core.documents.models import Document
from core.documents.service import readable_by
from core.mail.draft import RecipientField
from core.mail.outcomes import RecipientState
from core.partners.models import Partner
from modules.outbox.about import about, none_hidden
from modules.outbox.document_check import document_problems
from modules.outbox.models import (
    EmlExport,
    HandOver,
    MailRecipient,
    OutgoingMail,
)
from modules.outbox.permissions import READ, RESEND
from modules.outbox.private_addresses import is_address_hash
from modules.outbox.states import (
    CANCELABLE,
    FAILED,
    RESENDABLE,
    TRANSITIONS,
    UNDELIVERED,
    WAITING,
    MailState,
)

PANEL_SIZE = 20  # mails beside a document; the list has the others
OPEN_MAILS = (
    3  # of those, so many are not folded, and so many more about which somebody may have to do something
)


def reach(user: User, permission: str) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the mails that a permission of the user reaches.

    It looks at mails that something else has found, and never leads: a person has sent many.
    """
    owner, company = aside(OutgoingMail.submitted_by_id), aside(OutgoingMail.company_id)
    return within_reach(user, permission, owner=owner, company=company)


def readable(user: User) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the mails that a user may open.

    They are those that the permission reaches, and those about documents that the user may read: whoever looks after
    a document learns what became of its mails, whoever has sent them. One about several documents shows them all, so
    it is theirs who may read them all.
    """
    scope = user.scope(READ)
    if scope is None:
        return false()
    if scope is Scope.ALL:
        return true()
    document = select(Document.id).where(Document.id == OutgoingMail.document_id, readable_by(user))
    return reach(user, READ) | (one_by_one(document.correlate(OutgoingMail)) & none_hidden(user))


def mail_for(user: User, mail_id: int, permission: str = READ) -> OutgoingMail | None:
    """Return a mail that the user may open or, with another permission, act upon; else None."""
    may = readable(user) if permission == READ else reach(user, permission)
    return db.session.scalar(select(OutgoingMail).where(OutgoingMail.id == mail_id, may))


def visible_recipients(mails: Sequence[OutgoingMail], user: User) -> dict[int, list[MailRecipient]]:
    """Return the recipients that a user who may open some mails gets to see, by the id of the mail.

    Blind copies are its sender's business, and of whoever may read their mails; not of all who may read the document.
    """
    blind = [mail.id for mail in mails if any(row.field is RecipientField.BCC for row in mail.recipients)]
    partly = set(blind) - set(reachable_ids(user, blind, READ)) if blind else set()
    return {
        mail.id: [
            row for row in mail.recipients if mail.id not in partly or row.field is not RecipientField.BCC
        ]
        for mail in mails
    }


def reachable_ids(user: User, mail_ids: Iterable[int], permission: str) -> list[int]:
    """Return those of the ids that a permission of the user reaches."""
    return list(
        db.session.scalars(
            select(OutgoingMail.id).where(OutgoingMail.id.in_(list(mail_ids)), reach(user, permission))
        )
    )


@dataclass(frozen=True, slots=True)
class PanelMails:
    """The mails that a panel shows.

    Attributes:
        mails: The newest, with what a panel shows of them.
        more: True when there are older ones.
        mine: Ids of those that the user may resend, correct and cancel.
        people: The recipients that the user gets to see, by the id of the mail.
        outdated: Ids of those that somebody has still to get, and that no longer say what their documents say.
        others: How many of the newest mails to the same people, or about the document, this person may not open.
    """

    mails: list[OutgoingMail]
    more: bool
    mine: frozenset[int]
    people: dict[int, list[MailRecipient]]
    outdated: frozenset[int]
    others: int = 0

    @property
    def open(self) -> list[OutgoingMail]:
        """The newest, and of those before a few that wait or have failed: somebody may have to do something."""
        return [mail for mail in self.mails if mail not in self.folded]

    @property
    def folded(self) -> list[OutgoingMail]:
        """The others; one alone is not folded."""
        older = self.mails[OPEN_MAILS:]
        matter = [mail for mail in older if mail.state in WAITING | FAILED and mail.dismissed_at is None]
        folded = [mail for mail in older if mail not in matter[:OPEN_MAILS]]
        return folded if len(folded) > 1 else []

    @property
    def waiting(self) -> bool:
        """True while something will change by itself."""
        return any(mail.state in WAITING for mail in self.mails)

    @property
    def moving(self) -> bool:
        """True while something changes within seconds."""
        return any(mail.state in {MailState.QUEUED, MailState.SENDING} for mail in self.mails)

    @property
    def looks_again(self) -> str:
        """How often the panel looks again by itself."""
        return looks_again(waiting=self.waiting, moving=self.moving)


def looks_again(*, waiting: bool, moving: bool) -> str:
    """Return how often a piece looks again that is told of changes: for what no event tells, as that nobody sends.

    It continues the `hx-trigger` of the piece.
    """
    if moving:
        return ", every 10s"
    return ", every 60s" if waiting else ""


def _panel(condition: ColumnElement[bool], user: User) -> PanelMails:
    found = list(
        db.session.scalars(
            select(OutgoingMail)
            .where(condition, readable(user))
            .options(
                selectinload(OutgoingMail.recipients),
                joinedload(OutgoingMail.submitted_by),
                joinedload(OutgoingMail.server),
                joinedload(OutgoingMail.company),
            )
            .order_by(OutgoingMail.id.desc())
            .limit(PANEL_SIZE + 1)
        )
    )
    mails = found[:PANEL_SIZE]
    ids = [mail.id for mail in mails]
    mine = reachable_ids(user, ids, RESEND) if mails else []
    return PanelMails(
        mails,
        len(found) > PANEL_SIZE,
        frozenset(mine),
        visible_recipients(mails, user),
        frozenset(document_problems(mail for mail in mails if mail.state in UNDELIVERED)),
    )


def document_mails(document_id: int, user: User) -> PanelMails:
    """Return the newest mails about a document that the user may read, and how many they may not open.

    Those others are to the same customer, and carry documents that are not this person's to read.
    """
    panel = _panel(about(document_id), user)
    hidden = select(func.count()).where(about(document_id), OutgoingMail.further_count > 0, ~readable(user))
    return replace(panel, others=db.session.scalar(hidden) or 0)


def eml_exports(document_id: int) -> list[EmlExport]:
    """Return the newest notes that a mail about a document was taken to a mail program."""
    return list(
        db.session.scalars(
            select(EmlExport)
            .where(EmlExport.document_id == document_id)
            .options(joinedload(EmlExport.by_user))
            .order_by(EmlExport.id.desc())
            .limit(PANEL_SIZE)
        )
    )


def hand_overs(document_id: int) -> list[HandOver]:
    """Return the newest notes that a document was handed over otherwise, those that were taken back among them."""
    return list(
        db.session.scalars(
            select(HandOver)
            .where(HandOver.document_id == document_id)
            .options(joinedload(HandOver.by_user), joinedload(HandOver.taken_back_by))
            .order_by(HandOver.id.desc())
            .limit(PANEL_SIZE)
        )
    )


def handed_over(document_ids: Iterable[int]) -> dict[int, HandOver]:
    """Return the newest word that counts about each of some documents, as they may have been before a change."""
    rows = db.session.scalars(
        select(HandOver)
        .where(HandOver.document_id.in_(list(document_ids)), HandOver.taken_back_at.is_(None))
        .order_by(HandOver.id)
    )
    return {row.document_id: row for row in rows}


def mails_of_partner(partner: Partner, user: User) -> PanelMails:
    """Return the newest mails to a customer or its contacts that the user may open, and how many others there are."""
    ids = [partner.id, *(contact.id for contact in partner.contacts)]
    to_them = select(MailRecipient.mail_id).where(MailRecipient.partner_id.in_(ids))
    openly = to_them.where(MailRecipient.field != RecipientField.BCC)
    seen = OutgoingMail.id.in_(to_them) & (OutgoingMail.id.in_(openly) | reach(user, READ))
    panel = _panel(seen, user)
    if panel.more:
        return panel
    newest = select(OutgoingMail.id).where(OutgoingMail.id.in_(openly)).limit(PANEL_SIZE + 1)
    shown = {mail.id for mail in panel.mails}
    return replace(panel, others=sum(mail_id not in shown for mail_id in db.session.scalars(newest)))


@dataclass(frozen=True, slots=True)
class Choices:
    """The actions that a person may take on a mail in its present state.

    Attributes:
        again: Back to the queue, for those who have not got it; for one that has settled.
        send_now: Do not wait any longer; for one that waits.
        cancel: Stop it, or stop trying.
        change: Open it in the composer and let that take its place, or move it to another time.
        mark: Say whether it has arrived.
        unmark: Take back what somebody has said about that.
        dismiss: Say that nothing has to be done about its failure.
        erased: Its contents are gone, so it cannot be sent again.
        outdated: It no longer says what its document says, so a new one has to be written.
    """

    again: bool
    send_now: bool
    cancel: bool
    change: bool
    mark: bool
    unmark: bool
    dismiss: bool
    erased: bool
    outdated: bool


def choices_for(mail: OutgoingMail, *, outdated: bool) -> Choices:
    """Return what can be done about a mail, whoever asks.

    Args:
        mail: The mail.
        outdated: Whether it no longer says what its document says.
    """
    erased = mail.contents_erased_at is not None
    again = mail.state in RESENDABLE and not erased
    waits = mail.state in {MailState.DEFERRED, MailState.SCHEDULED}
    return Choices(
        again=again and not outdated,
        send_now=waits and not outdated,
        cancel=mail.state in CANCELABLE,
        change=mail.changeable,
        mark=mail.state is MailState.UNCERTAIN,
        unmark=bool(marked_recipients(mail)),
        dismiss=mail.state in FAILED and mail.dismissed_at is None,
        erased=erased,
        outdated=outdated and (again or waits),
    )


def outdated(mail_ids: Iterable[int]) -> list[int]:
    """Return those of some mails that somebody has still to get, and that no longer say what their documents say."""
    mails = db.session.scalars(
        select(OutgoingMail).where(
            OutgoingMail.id.in_(list(mail_ids)),
            OutgoingMail.state.in_(sorted(UNDELIVERED)),
        )
    )
    return sorted(document_problems(mails))


def outdated_waiting(document_id: int) -> list[OutgoingMail]:
    """Return the mails about a document that wait and no longer say what it says: they will not be sent."""
    waiting = select(OutgoingMail).where(about(document_id), OutgoingMail.state.in_(sorted(CANCELABLE)))
    mails = list(db.session.scalars(waiting.order_by(OutgoingMail.id)))
    left_behind = document_problems(mails)
    return [mail for mail in mails if mail.id in left_behind]


def correctable_recipients(mail: OutgoingMail) -> list[MailRecipient]:
    """Return those whose address can be corrected: they have not got the mail, and nothing is under way.

    While a mail is uncertain nobody's can: resending it would reach those who may have it already, so a person
    must first say whether it has arrived.
    """
    corrected = {
        MailState.FAILED,
        MailState.PARTIAL,
        MailState.CANCELED,
        MailState.DEFERRED,
        MailState.SCHEDULED,
    }
    # A link is for one person: whoever could correct the address would get it.
    if mail.contents_erased_at is not None or mail.link_expires_at is not None or mail.state not in corrected:
        return []
    return [row for row in mail.recipients if row.state is not RecipientState.ACCEPTED]


MOST_OTHERS = 500
"""Recipients of other mails that one correction reaches."""


def others_at(addr_spec: str, mail: OutgoingMail, user: User) -> list[MailRecipient]:
    """Return the recipients of other failed mails who have the same wrong address, and whom the user may correct."""
    # By its hash, the address of somebody whose address is not kept says nothing.
    if is_address_hash(addr_spec):
        return []
    return list(
        db.session.scalars(
            select(MailRecipient)
            .join(OutgoingMail, OutgoingMail.id == MailRecipient.mail_id)
            .where(
                MailRecipient.addr_spec == addr_spec,
                MailRecipient.state.in_(
                    [RecipientState.REFUSED, RecipientState.INVALID, RecipientState.BOUNCED]
                ),
                OutgoingMail.id != mail.id,
                OutgoingMail.state.in_([MailState.FAILED, MailState.PARTIAL]),
                OutgoingMail.contents_erased_at.is_(None),
                OutgoingMail.link_expires_at.is_(None),
                OutgoingMail.private.is_(False),
                reach(user, RESEND),
            )
            .order_by(OutgoingMail.id.desc())
            .limit(MOST_OTHERS)
        )
    )


def marked_recipients(mail: OutgoingMail) -> list[MailRecipient]:
    """Return those of whom a person has said whether they got a mail, as long as that is all that is known."""
    if mail.state not in TRANSITIONS["unmark"][0]:
        return []
    known = {RecipientState.ACCEPTED, RecipientState.REFUSED}
    return [row for row in mail.recipients if row.by_word and row.state in known]
