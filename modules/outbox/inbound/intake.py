"""The one door for what comes back: octets in, a row and its effects out, all in one transaction."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import clock
from core.db import end_reading, transaction
from core.mail.bounces import Reading, read
from core.mail.bounces.message import addresses_of
from core.mail.bounces.model import Nature, Notice
from core.mail.bounces.parts import read_head
from core.mail.outcomes import printable
from core.mail.reader import parse_date
from modules.outbox.alert_rows import write_answer_alerts
from modules.outbox.inbound.contents import read_answer
from modules.outbox.inbound.effects import apply
from modules.outbox.inbound.hooks.events import HookEvent
from modules.outbox.inbound.matching import ANSWERS, Match, answerer, match
from modules.outbox.models import InboundMessage, MailRecipient, OutgoingMail, RecipientNotice, Verdict
from modules.outbox.private_addresses import is_address_hash, scrub
from modules.outbox.transitions import note
from modules.outbox.unsubscribe.service import opt_out_by_message

MAX_MESSAGE_ID = 255  # characters, as the column has
MAX_ENHANCED_CODE = 16  # the same


@dataclass(frozen=True, slots=True)
class Taken:
    """What was made of a message.

    Attributes:
        nature: What it is.
        verdict: What was made of it; `UNKNOWN` where it is about no mail of ours.
        mail_id: The mail it is about, or may be about; None for none.
    """

    nature: Nature
    verdict: Verdict
    mail_id: int | None = None


def take(octets: bytes, *, mailbox_id: int | None = None, received_at: dt.datetime | None = None) -> Taken:
    """Take a message in: read it, find the mail it is about, and let it count, once.

    Args:
        octets: The message as it came, of any form.
        mailbox_id: Where it lay, or None where it was piped in.
        received_at: When it came in, by the mailbox's clock; None for now.

    Returns:
        What was made of it. The same message again is `REPEATED`, and changes nothing.
    """
    reading = read(octets)
    digest = hashlib.sha256(octets).hexdigest()
    message_id, sender, subject = _named_in_the_head(octets)
    received = min(received_at or clock.now(), clock.now())
    # Its text and files are read before, since nobody else could write meanwhile.
    answer = read_answer(octets) if _keeps_answer(match(reading, received), reading) else None
    end_reading()
    with transaction() as session:
        known = session.scalar(select(InboundMessage).where(InboundMessage.sha256 == digest))
        if known is not None:
            return Taken(known.nature, Verdict.REPEATED, known.mail_id)
        found = match(reading, received)
        if reading.nature in ANSWERS and (found.mail is None or _is_ours(session, message_id)):
            return Taken(reading.nature, Verdict.UNKNOWN)
        row = InboundMessage(sha256=digest, message_id=message_id, mailbox_id=mailbox_id)
        if found.mail is not None and reading.nature in ANSWERS:
            who = answerer(found.mail, sender)
            row.answered_by_id = who.id if who is not None else None
            opt_out_by_message(found.mail, reading.addressed_to, subject)
            row.answer = answer if _keeps_answer(found, reading) else None
        return _enter(session, row, reading, found, received)


def take_event(event: HookEvent, hook_id: int) -> Taken:
    """Take in what a relay tells of a mail, which was proved to come from it; it counts once, as a message does.

    What is about no mail of ours leaves no trace: a relay may serve others as well.
    """
    reading = event.reading
    received = min(event.at or clock.now(), clock.now())
    digest = hashlib.sha256(f"hook {hook_id} {event.once or event.key}".encode()).hexdigest()
    with transaction() as session:
        known = session.scalar(select(InboundMessage).where(InboundMessage.sha256 == digest))
        if known is not None:
            return Taken(known.nature, Verdict.REPEATED, known.mail_id)
        found = match(reading, received)
        if found.mail is None and not event.once:
            return Taken(reading.nature, Verdict.UNKNOWN)
        named = hashlib.sha256(event.key.encode()).hexdigest()
        row = InboundMessage(sha256=digest, message_id=f"<{named}@hook.{hook_id}.invalid>", hook_id=hook_id)
        return _enter(session, row, reading, found, received)


def _enter(
    session: Session, row: InboundMessage, reading: Reading, found: Match, received: dt.datetime
) -> Taken:
    """Write the row of what came in, and let it count, inside the running transaction."""
    row.nature, row.verdict = reading.nature, _first_verdict(reading, found)
    row.back_on, row.received_at = reading.back_on, received
    row.mail_id = found.mail.id if found.mail is not None else None
    if found.mail is not None and row.verdict is not Verdict.ANSWER:
        row.notices = [_notice(found.mail, recipient, said, received) for recipient, said in found.about]
    if _is_twin(session, row):
        row.verdict = Verdict.REPEATED
        row.notices, row.answer = [], None
    session.add(row)
    session.flush()
    if row.verdict is Verdict.ANSWER and found.mail is not None:
        _tell_of_answer(session, row, found.mail)
    elif row.notices:
        apply(session, row)
    return Taken(row.nature, row.verdict, row.mail_id)


def _tell_of_answer(session: Session, row: InboundMessage, mail: OutgoingMail) -> None:
    """Write down that somebody has answered, and tell those whom it concerns.

    Nothing is ever answered by itself, and what a program has answered by itself alarms nobody: no loop begins here.
    """
    who = next((one for one in mail.recipients if one.id == row.answered_by_id), None)
    note(mail, row.nature.value, before=mail.state, detail=who.addr_spec if who else "")
    if row.nature is not Nature.AUTO_REPLY:
        name = (row.answer.sender_name or row.answer.sender) if row.answer is not None else ""
        write_answer_alerts(session, mail.id, row.id, name)


def _keeps_answer(found: Match, reading: Reading) -> bool:
    """Return True where the text of an answer is kept: as long as that of the mail, which may quote it."""
    mail = found.mail
    if mail is None or reading.nature not in ANSWERS:
        return False
    return not mail.private and mail.contents_erased_at is None


def _is_ours(session: Session, message_id: str) -> bool:
    """Return True for a copy of a mail of ours: it names the mails before it in its thread, and answers none."""
    ours = select(OutgoingMail.id).where(OutgoingMail.message_id == message_id)
    return bool(message_id) and session.scalar(ours) is not None


def explain(octets: bytes, received_at: dt.datetime | None = None) -> tuple[Reading, Match]:
    """Return what would be made of a message, without taking it in."""
    reading = read(octets)
    return reading, match(reading, received_at or clock.now())


def message_came(app: Flask, *, octets: bytes) -> str:  # noqa: ARG001 (signature of the signal)
    """Answer `core.signals.inbound_message`."""
    return take(octets).verdict.value


def _is_twin(session: Session, row: InboundMessage) -> bool:
    """Return True when the same message was taken from another mailbox, with other octets from its way there."""
    if not row.message_id or row.mail_id is None:
        return False
    same = select(InboundMessage.id).where(
        InboundMessage.message_id == row.message_id,
        InboundMessage.mail_id == row.mail_id,
        InboundMessage.verdict.in_([Verdict.ANSWER, Verdict.COUNTED, Verdict.WAITS]),
    )
    return session.scalar(same.limit(1)) is not None


def _first_verdict(reading: Reading, found: Match) -> Verdict:
    """Return what is made of a message before its effects are known."""
    if found.mail is None:
        return Verdict.UNKNOWN
    return Verdict.ANSWER if reading.nature in ANSWERS else Verdict.UNPROVEN


def _named_in_the_head(octets: bytes) -> tuple[str, str, str]:
    """Return the Message-ID of a message, who has written it, and its subject."""
    fields, _body = read_head(octets)
    message_id = printable(fields.first("message-id").strip())[:MAX_MESSAGE_ID]
    return message_id, next(iter(addresses_of(fields, "from")), ""), fields.first("subject")


def _notice(
    mail: OutgoingMail, recipient: MailRecipient, said: Notice, received_at: dt.datetime
) -> RecipientNotice:
    words = said.diagnostic
    if is_address_hash(recipient.addr_spec) or mail.contents_erased_at is not None:
        # An address that is not kept, or was erased, must not come back in the words of a server.
        words = scrub(words, [one for one in (said.recipient, said.original_recipient) if "@" in one])
    failure = said.failure
    return RecipientNotice(
        recipient=recipient,
        action=said.action,
        permanent=said.permanent,
        failure_kind=failure.kind if failure is not None else None,
        failure_also=failure.also if failure is not None else None,
        failure_advice=(failure.advice or "") if failure is not None else "",
        reply_code=said.reply_code,
        enhanced_code=said.status[:MAX_ENHANCED_CODE],
        diagnostic=words,
        retry_until=parse_date(said.retry_until) if said.retry_until else None,
        at=received_at,
    )
