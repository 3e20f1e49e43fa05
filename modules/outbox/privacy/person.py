"""The personal data about one address: find it, export it, erase it.

Erasing takes an address out of the outbox: its lines stay under a pseudonym, so that figures and the other
recipients' lines remain true, but text, files, dialogues and words of servers go. Everything is done in small
transactions and may be repeated; what cannot be erased at this moment is said, and found again the next time.
The record says who has erased and when, never what.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, selectinload

from core import clock
from core.auth.models import User
from core.db import db, empty_journal, end_reading, transaction
from core.mail.addresses import normalize
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.history import PartnerChange, changes_naming, forget_address
from core.partners.match_key import address_key
from core.partners.models import Partner
from modules.mail_config.models import MailTemplate, TemplateRecipient
from modules.outbox import service
from modules.outbox.compose import autosave
from modules.outbox.erasure import (
    erase_answers,
    erase_contents,
    remove_files_of,
    remove_files_of_answers,
)
from modules.outbox.limits import MAX_SUBJECT_LENGTH
from modules.outbox.models import (
    INBOUND,
    Alert,
    Answer,
    BulkRun,
    DeliveryAttempt,
    EmlExport,
    MailEvent,
    MailRecipient,
    OutgoingMail,
    RecipientNotice,
    RunItem,
)
from modules.outbox.private_addresses import address_hash, chosen_addresses, hash_in, private_hash
from modules.outbox.search_index import index_mail
from modules.outbox.states import CANCELABLE, WAITING, MailState
from modules.outbox.transitions import note

logger = logging.getLogger(__name__)

BATCH = 50  # mails of one transaction: short enough for delivery to go on beside it
HISTORY_BATCH = 500  # events of one transaction
REQUEST_SECONDS = 20.0  # then the page says how far it came; pressing again goes on
SHOWN = 50  # rows of each kind on the page; all are counted
RECORD = "personal data"
_UNSERVED = frozenset({RecipientState.PENDING, RecipientState.DEFERRED})


@dataclass(slots=True)
class Known:
    """The personal data about an address: what was found, and how much of it.

    Attributes:
        address: The address, in its usual form.
        received: Mails to it.
        waiting: Those of them that have not settled.
        sent: Mails that a user with this address has submitted.
        answered: Answers that came from it and are kept.
        contacts: Customers and contacts with it, the first `SHOWN`.
        users: Users who sign in with it.
        templates: Names of mail templates that write to it.
        changes: Where it stands in the history of the addresses of customers and contacts.
    """

    address: str
    received: int = 0
    waiting: int = 0
    sent: int = 0
    answered: int = 0
    contacts: list[Partner] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    templates: list[str] = field(default_factory=list)
    changes: list[PartnerChange] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        """True when there is something to hand over."""
        return bool(
            self.received
            or self.sent
            or self.answered
            or self.contacts
            or self.users
            or self.templates
            or self.changes
        )


@dataclass(slots=True)
class Erasure:
    """The result of an erasure: counts of what was erased, and of what had to be left.

    Attributes:
        mails: Mails in which the address was erased.
        answers: Answers from it to mails that had gone to others.
        canceled: Mails of those that had not left, and now will not.
        histories: Further mails that only their history named it in.
        contacts: Contacts that have no address any more.
        sending: Mails left alone, since they are being sent at this moment.
        shared: Mails left alone, since they still wait for other recipients; this one will not get them.
        files_later: Files that were touched a moment ago; they go within a day.
        unfinished: True when the time was over before everything was done.
    """

    mails: int = 0
    answers: int = 0
    canceled: int = 0
    histories: int = 0
    contacts: int = 0
    sending: int = 0
    shared: int = 0
    files_later: int = 0
    unfinished: bool = False

    @property
    def left(self) -> bool:
        """True when it has to be done again later."""
        return bool(self.sending or self.shared or self.unfinished)


def read_address(text: str) -> str:
    """Return the address that a person has typed.

    Raises:
        UserError: It is none.
    """
    return normalize(text, "address")


def pseudonym(address: str) -> str:
    """Return what stands in place of an erased address: the same for the same address, and no way back.

    It is keyed by the installation's secret, so that nobody can try out addresses.
    """
    return address_hash(address, "erased")


def same_address(column: InstrumentedAttribute[str], address: str) -> ColumnElement[bool]:
    """Return the condition that a column holds an address, in whatever case it was typed."""
    return or_(column == address, func.lower(column) == address.lower())


def mails_to(address: str) -> Select[int]:
    """Return the ids of the mails that have an address among their recipients, private ones too while they know it."""
    # Of each what stands for the address is another; they are few, since whoever has been served is forgotten.
    private = db.session.execute(
        select(OutgoingMail.document_id, OutgoingMail.message_id, MailRecipient.id, MailRecipient.addr_spec)
        .join(MailRecipient, MailRecipient.mail_id == OutgoingMail.id)
        .where(OutgoingMail.private, OutgoingMail.contents_erased_at.is_(None))
    )
    theirs = [
        recipient_id
        for document_id, message_id, recipient_id, addr_spec in private
        if addr_spec == private_hash(address, document_id, message_id)
    ]
    sent_to = or_(same_address(MailRecipient.addr_spec, address), MailRecipient.id.in_(theirs))
    return select(MailRecipient.mail_id).where(sent_to).distinct()


def answers_from(address: str) -> Select[int]:
    """Return the ids of the messages by which an address has answered, whomever the mail had gone to."""
    return select(Answer.inbound_id).where(
        or_(same_address(Answer.sender, address), same_address(Answer.reply_to, address))
    )


def known(address: str) -> Known:
    """Return what is known about an address."""
    users = list(db.session.scalars(select(User).where(same_address(User.login, address)).limit(SHOWN)))
    contacts = (
        select(Partner).where(Partner.email_key == address_key(address)).order_by(Partner.name, Partner.id)
    )
    to_it = mails_to(address).subquery()
    received, waiting = db.session.execute(
        select(func.count(), func.count().filter(OutgoingMail.state.in_(sorted(WAITING))))
        .select_from(to_it)
        .join(OutgoingMail, OutgoingMail.id == to_it.c.mail_id)
    ).one()
    sent = db.session.scalar(
        select(func.count())
        .select_from(OutgoingMail)
        .where(OutgoingMail.submitted_by_id.in_([user.id for user in users]))
    )
    naming = (
        select(MailTemplate.name)
        .outerjoin(TemplateRecipient, TemplateRecipient.template_id == MailTemplate.id)
        .where(
            TemplateRecipient.value.icontains(address, autoescape=True)
            | same_address(MailTemplate.reply_to, address)
        )
        .distinct()
        .order_by(MailTemplate.name)
    )
    return Known(
        address,
        received,
        waiting,
        int(sent or 0),
        int(db.session.scalar(select(func.count()).select_from(answers_from(address).subquery())) or 0),
        list(db.session.scalars(contacts.limit(SHOWN))),
        users,
        list(db.session.scalars(naming.limit(SHOWN))),
        changes_naming(address),
    )


# -- erasing -------------------------------------------------------------------------------------------


def erase(
    address: str, by: User | None, *, also_contacts: bool = False, seconds: float = REQUEST_SECONDS
) -> Erasure:
    """Erase an address from the mails to it; idempotent, in small transactions.

    Mails that have not left are canceled for this recipient first. A mail that is being sent, and one that other
    recipients still wait for, are left for the next time.

    Args:
        address: The address, in its usual form.
        by: Who erases, or None for the command line.
        also_contacts: True to take it from customers and contacts as well.
        seconds: How long it may take; when the time is over, `unfinished` says so.
    """
    done = Erasure()
    until = time.monotonic() + seconds
    last = 0
    while not done.unfinished:
        # By key, upwards: mails that must be left would otherwise be found again and again.
        query = mails_to(address).where(MailRecipient.mail_id > last).order_by(MailRecipient.mail_id)
        ids = list(db.session.scalars(query.limit(BATCH)))
        if not ids:
            break
        last = ids[-1]
        with transaction() as session:
            erased = [
                mail.id for mail in _locked(session, ids) if _erase_from(session, mail, address, by, done)
            ]
        done.mails += len(erased)
        done.files_later += remove_files_of(erased)[1]
        done.unfinished = time.monotonic() > until
    if not done.unfinished:
        _erase_from_histories(address, done, until)
    with transaction() as session:
        # To mails that had gone to others; those to mails to this address went with them.
        answered = list(session.scalars(answers_from(address)))
        erase_answers(session, select(INBOUND.c.id).where(INBOUND.c.id.in_(answered)))
        done.answers = len(answered)
    remove_files_of_answers(answered)
    with transaction() as session:
        # What somebody once searched for, and did something with.
        session.execute(
            update(BulkRun)
            .where(BulkRun.ended_at.is_not(None), BulkRun.criteria.icontains(address, autoescape=True))
            .values(criteria="{}")
            .execution_options(synchronize_session=False)
        )
        autosave.forget_address(address)
        _erase_from_runs(session, address)
        session.execute(
            update(EmlExport)
            .where(EmlExport.subject.icontains(address, autoescape=True))
            .values(subject="")
            .execution_options(synchronize_session=False)
        )
        # Of a contact as well that keeps the address: when it got it is part of the past.
        forget_address(address)
    if also_contacts:
        with transaction() as session:
            for partner in session.scalars(select(Partner).where(Partner.email_key == address_key(address))):
                partner.email = ""
                done.contacts += 1
            forget_address(address)  # that it was taken away is written down by itself
    logger.info("Personal data erased by user %s: %s", by.id if by else "-", done)
    end_reading()
    empty_journal()
    return done


def _locked(session: Session, mail_ids: Sequence[int]) -> list[OutgoingMail]:
    return list(
        session.scalars(
            select(OutgoingMail)
            .where(OutgoingMail.id.in_(mail_ids))
            .options(selectinload(OutgoingMail.recipients))
            .order_by(OutgoingMail.id)
            .with_for_update(of=OutgoingMail)
            .execution_options(populate_existing=True)
        )
    )


def _erase_from(session: Session, mail: OutgoingMail, address: str, by: User | None, done: Erasure) -> bool:
    """Erase an address from one mail, inside the running transaction; False when the mail must be left."""
    key = address.casefold()
    mine = [
        recipient
        for recipient in mail.recipients
        if recipient.addr_spec.casefold() == key or recipient.addr_spec == hash_in(mail, address)
    ]
    if not mine:
        return False  # corrected meanwhile
    # The worker has the address in its memory, and would write its outcome over what is erased.
    if mail.state is MailState.SENDING:
        done.sending += 1
        return False
    if mail.state in CANCELABLE:
        if not _called_back(session, mail, mine, by):
            done.shared += 1
            return False
        done.canceled += 1
    # Of a private one nothing may tell that it was the same person's as another.
    stands_for_it = hash_in(mail, address) if mail.private else pseudonym(address)
    for recipient in mine:
        recipient.addr_spec, recipient.display_name, recipient.encrypted_address = stands_for_it, "", None
        # Servers repeat addresses in what they say, in forms that no search finds.
        recipient.diagnostic = recipient.reason_detail = ""
        recipient.partner_id = None
    mail.failure_reason = ""
    mail.subject = _without(address, mail.subject)
    session.flush()
    if not erase_contents(session, [mail.id], by=by, detail=RECORD):
        note(mail, "erase", by, before=mail.state, detail=RECORD)
    session.execute(
        update(DeliveryAttempt)
        .where(DeliveryAttempt.mail_id == mail.id)
        .values(summary="", transcript="")
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Alert)
        .where(Alert.mail_id == mail.id)
        .values(words="")
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(RecipientNotice)
        .where(RecipientNotice.recipient_id.in_([recipient.id for recipient in mail.recipients]))
        .values(diagnostic="")
        .execution_options(synchronize_session=False)
    )
    for column in _WORDS:
        # The reply to a message is kept with each of its recipients.
        _forget_in(session, column, address, [mail.id])
    session.flush()
    index_mail(mail)
    return True


def _without(address: str, text: str) -> str:
    """Return a subject in which the hash stands where the address stood."""
    return re.sub(re.escape(address), pseudonym(address), text, flags=re.IGNORECASE)[:MAX_SUBJECT_LENGTH]


def _called_back(
    session: Session, mail: OutgoingMail, mine: Sequence[MailRecipient], by: User | None
) -> bool:
    """Make sure that a waiting mail no longer goes to some recipients; True when it has settled by that."""
    others = [other for other in mail.recipients if other not in mine and other.state in _UNSERVED]
    if not others:
        return bool(service.cancel([mail.id], by=by))
    for recipient in mine:
        if recipient.state in _UNSERVED:
            recipient.state, recipient.failure_kind = RecipientState.REFUSED, FailureKind.GIVEN_UP
            recipient.settled_at = clock.now()
            note(mail, "give up", by, before=mail.state, detail=RECORD)
    session.flush()
    return False


def _forget_in(
    session: Session, column: InstrumentedAttribute[str], address: str, mail_ids: Sequence[int]
) -> None:
    """Blank a text of some mails where it names an address."""
    table = column.class_
    owner = OutgoingMail.id if table is OutgoingMail else table.mail_id
    session.execute(
        update(table)
        .where(owner.in_(mail_ids), column.icontains(address, autoescape=True))
        .values({column: ""})
        .execution_options(synchronize_session=False)
    )


_WORDS = (
    MailEvent.detail,
    DeliveryAttempt.summary,
    DeliveryAttempt.transcript,
    MailRecipient.diagnostic,
    Alert.words,
    OutgoingMail.failure_reason,
)


def _erase_from_runs(session: Session, address: str) -> None:
    """Forget an address that was chosen for documents of runs that are not sent yet; they are looked through again."""
    for item in session.scalars(select(RunItem).where(RunItem.encrypted_choice.is_not(None))):
        if address.casefold() in (one.casefold() for one in chosen_addresses(item.encrypted_choice)):
            item.encrypted_choice = None
            item.look_again()


def _erase_from_histories(address: str, done: Erasure, until: float) -> None:
    """Blank what is left of an address where it was corrected into another."""
    last = 0
    while True:
        rows = db.session.execute(
            select(MailEvent.id, MailEvent.mail_id)
            .join(OutgoingMail, OutgoingMail.id == MailEvent.mail_id)
            .where(
                MailEvent.id > last,
                MailEvent.detail.icontains(address, autoescape=True),
                OutgoingMail.state != MailState.SENDING,
            )
            .order_by(MailEvent.id)
            .limit(HISTORY_BATCH)
        ).all()
        if not rows:
            return
        last = rows[-1].id
        ids = sorted({row.mail_id for row in rows} - set(db.session.scalars(mails_to(address))))
        with transaction() as session:
            for column in _WORDS:
                _forget_in(session, column, address, ids)
            for mail in _locked(session, ids):
                if address.lower() in mail.subject.lower():
                    mail.subject = _without(address, mail.subject)
                    session.flush()
                    index_mail(mail)
        done.histories += len(ids)
        if time.monotonic() > until:
            done.unfinished = True
            return
