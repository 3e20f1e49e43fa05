"""The queries of pages: one mail and the actions on it, badges, panels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import aliased, joinedload, selectinload

from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db
from core.mail.explanations import EXPLANATIONS
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.models import Partner
from modules.outbox.document_check import document_problem, document_problems
from modules.outbox.models import EmlExport, MailRecipient, OutgoingMail
from modules.outbox.states import (
    CANCELABLE,
    FAILED,
    RESENDABLE,
    STATE_TITLES,
    STATE_TONES,
    WAITING,
    MailState,
)

PANEL_SIZE = 20  # mails beside a document; the list has the others


@dataclass(frozen=True, slots=True)
class Badge:
    """The badge of a document: one state for all of its mails.

    Attributes:
        word: In words, translated.
        tone: As the badge macro knows it.
        icon: Name of the icon.
        waiting: True while it will change by itself.
        title: More words on hover.
    """

    word: str
    tone: str
    icon: str
    waiting: bool
    title: str = ""
    reason: str = ""
    """Why it failed, in a few words, or ""."""


def reach(user: User, permission: str) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the mails that a permission of the user reaches."""
    return within_reach(user, permission, owner=OutgoingMail.submitted_by_id, company=OutgoingMail.company_id)


def mail_for(user: User, mail_id: int, permission: str = "outbox.mail.read") -> OutgoingMail | None:
    """Return a mail within the user's reach, or None."""
    return db.session.scalar(select(OutgoingMail).where(OutgoingMail.id == mail_id, reach(user, permission)))


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
    """

    mails: list[OutgoingMail]
    more: bool
    mine: frozenset[int]
    others: int = 0
    """How many of the newest mails about the same thing this person may not read."""

    @property
    def waiting(self) -> bool:
        """True while something will change by itself."""
        return any(mail.state in WAITING for mail in self.mails)

    @property
    def moving(self) -> bool:
        """True while something changes within seconds."""
        return any(mail.state in {MailState.QUEUED, MailState.SENDING} for mail in self.mails)


def _panel(condition: ColumnElement[bool], user: User) -> PanelMails:
    found = list(
        db.session.scalars(
            select(OutgoingMail)
            .where(condition, reach(user, "outbox.mail.read"))
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
    mine = reachable_ids(user, [mail.id for mail in mails], "outbox.mail.resend") if mails else []
    return PanelMails(mails, len(found) > PANEL_SIZE, frozenset(mine))


def document_mails(document_id: int, user: User) -> PanelMails:
    """Return the newest mails about a document that the user may read, and how many others there are."""
    panel = _panel(OutgoingMail.document_id == document_id, user)
    if panel.more:
        return panel
    newest = select(OutgoingMail.id).where(OutgoingMail.document_id == document_id).limit(PANEL_SIZE + 1)
    there = len(db.session.scalars(newest).all())
    return replace(panel, others=there - len(panel.mails))


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


def mails_of_partner(partner: Partner, user: User) -> PanelMails:
    """Return the newest mails to a customer or its contacts that the user may read."""
    ids = [partner.id, *(contact.id for contact in partner.contacts)]
    to_them = select(MailRecipient.mail_id).where(MailRecipient.partner_id.in_(ids))
    return _panel(OutgoingMail.id.in_(to_them), user)


@dataclass(frozen=True, slots=True)
class Choices:
    """The actions that a person may take on a mail in its present state.

    Attributes:
        retry: Back to the queue, for those who have not got it.
        send_now: The same, first on the queue; or a waiting one at once.
        cancel: Stop it, or stop trying.
        mark: Say whether it has arrived.
        erased: Its contents are gone, so it cannot be sent again.
        outdated: It no longer says what its document says, so a new one has to be written.
    """

    retry: bool
    send_now: bool
    cancel: bool
    mark: bool
    erased: bool
    outdated: bool


def choices_for(mail: OutgoingMail) -> Choices:
    """Return what can be done about a mail, whoever asks."""
    erased = mail.contents_erased_at is not None
    again = mail.state in RESENDABLE and not erased
    waits = mail.state in {MailState.DEFERRED, MailState.SCHEDULED}
    outdated = (again or waits) and document_problem(mail) is not None
    return Choices(
        retry=(again or mail.state is MailState.DEFERRED) and not outdated,
        send_now=(again or waits) and not outdated,
        cancel=mail.state in CANCELABLE,
        mark=mail.state is MailState.UNCERTAIN,
        erased=erased,
        outdated=outdated,
    )


def outdated(mail_ids: Iterable[int]) -> list[int]:
    """Return those of some mails that somebody has still to get, and that no longer say what their documents say."""
    mails = db.session.scalars(
        select(OutgoingMail).where(
            OutgoingMail.id.in_(list(mail_ids)),
            OutgoingMail.state.in_(sorted(RESENDABLE | {MailState.DEFERRED, MailState.SCHEDULED})),
        )
    )
    return sorted(document_problems(mails))


def outdated_waiting(document_id: int) -> list[OutgoingMail]:
    """Return the mails about a document that wait and no longer say what it says: they will not be sent."""
    waiting = select(OutgoingMail).where(
        OutgoingMail.document_id == document_id, OutgoingMail.state.in_(sorted(CANCELABLE))
    )
    return [mail for mail in db.session.scalars(waiting.order_by(OutgoingMail.id)) if document_problem(mail)]


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
    if mail.contents_erased_at is not None or mail.state not in corrected:
        return []
    return [row for row in mail.recipients if row.state is not RecipientState.ACCEPTED]


def badge_of(mail: OutgoingMail | None) -> Badge | None:
    """Return what a document shows whose latest mail this is; None for no mail."""
    if mail is None:
        return None
    return state_badge(mail.state, mail.accepted_count, mail.recipient_count, mail.failure_kind)


def state_badge(state: MailState, accepted: int, count: int, failure: FailureKind | None = None) -> Badge:
    """Return the badge of a mail: its state, how many of its recipients have it, and why the others have not."""
    tone, icon = STATE_TONES[state]
    word = str(STATE_TITLES[state])
    some = gettext("%(accepted)s of %(count)s accepted", accepted=accepted, count=count)
    if state is MailState.PARTIAL or (state is MailState.DEFERRED and accepted):
        word = some
    why = str(EXPLANATIONS[failure].title) if failure is not None and state in FAILED else ""
    return Badge(word, tone, icon, state in WAITING, title=some, reason=why)


def badges_for(document_ids: Sequence[int]) -> dict[int, Badge]:
    """Return the badge of each document that has mails, by two queries.

    The latest mail speaks for the document, unless an earlier one has failed for the customer or a contact whom
    no later mail has reached, at whatever address: a failure is not hidden by a mail to somebody else.
    """
    if not document_ids:
        return {}
    latest = (
        select(func.max(OutgoingMail.id))
        .where(OutgoingMail.document_id.in_(document_ids), OutgoingMail.state != MailState.CANCELED)
        .group_by(OutgoingMail.document_id)
    )
    rows = db.session.execute(
        select(
            OutgoingMail.document_id,
            OutgoingMail.state,
            OutgoingMail.accepted_count,
            OutgoingMail.recipient_count,
            OutgoingMail.failure_kind,
        ).where(OutgoingMail.id.in_(latest))
    )
    badges = {
        document_id: state_badge(state, accepted, count, failure)
        for document_id, state, accepted, count, failure in rows
        if document_id is not None
    }
    for document_id, state, accepted, count, failure in db.session.execute(_unreached(document_ids)):
        if document_id is not None and badges[document_id].tone == STATE_TONES[MailState.SENT][0]:
            badges[document_id] = state_badge(state, accepted, count, failure)
    return badges


def _unreached(document_ids: Sequence[int]) -> Select[int | None, MailState, int, int, FailureKind | None]:
    """Return what finds the failed mails of documents with a known recipient who has got no later one, oldest first."""
    later, reached = aliased(OutgoingMail), aliased(MailRecipient)
    got_it_later = exists().where(
        later.document_id == OutgoingMail.document_id,
        later.id > OutgoingMail.id,
        reached.mail_id == later.id,
        reached.state == RecipientState.ACCEPTED,
        or_(
            reached.partner_id == MailRecipient.partner_id,
            func.lower(reached.addr_spec) == func.lower(MailRecipient.addr_spec),
        ),
    )
    return (
        select(
            OutgoingMail.document_id,
            OutgoingMail.state,
            OutgoingMail.accepted_count,
            OutgoingMail.recipient_count,
            OutgoingMail.failure_kind,
        )
        .join(MailRecipient, MailRecipient.mail_id == OutgoingMail.id)
        .where(
            OutgoingMail.document_id.in_(document_ids),
            OutgoingMail.state.in_(sorted(FAILED)),
            MailRecipient.state != RecipientState.ACCEPTED,
            MailRecipient.partner_id.is_not(None),
            ~got_it_later,
        )
        .order_by(OutgoingMail.id)
    )
