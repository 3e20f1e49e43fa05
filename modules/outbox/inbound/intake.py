"""The one door for what comes back: octets in, a row and its effects out, all in one transaction."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import clock
from core.db import transaction
from core.mail.bounces import Reading, read
from core.mail.bounces.message import addresses_of
from core.mail.bounces.model import Nature, Notice
from core.mail.bounces.parts import read_head
from core.mail.outcomes import printable
from core.mail.reader import parse_date
from modules.outbox.inbound.effects import apply
from modules.outbox.inbound.matching import Match, answerer, match
from modules.outbox.models import InboundMessage, MailRecipient, OutgoingMail, RecipientNotice, Verdict
from modules.outbox.private_addresses import is_address_hash, scrub
from modules.outbox.transitions import note
from modules.outbox.unsubscribe.service import opt_out_by_message

MAX_MESSAGE_ID = 255  # characters, as the column has
MAX_ENHANCED_CODE = 16  # the same
_KEPT = frozenset(Nature) - {Nature.ORDINARY, Nature.AUTO_REPLY}
"""What is kept although it is about no mail of ours; anything else is left where it lies, without a trace."""


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
    with transaction() as session:
        known = session.scalar(select(InboundMessage).where(InboundMessage.sha256 == digest))
        if known is not None:
            return Taken(known.nature, Verdict.REPEATED, known.mail_id)
        found = match(reading, received)
        if found.mail is None and reading.nature not in _KEPT:
            return Taken(reading.nature, Verdict.UNKNOWN)
        row = InboundMessage(
            sha256=digest,
            message_id=message_id,
            mailbox_id=mailbox_id,
            nature=reading.nature,
            verdict=_first_verdict(reading, found),
            back_on=reading.back_on,
            mail_id=found.mail.id if found.mail is not None else None,
            received_at=received,
        )
        if row.verdict is Verdict.ANSWER and found.mail is not None:
            who = answerer(found.mail, sender)
            row.answered_by_id = who.id if who is not None else None
            opt_out_by_message(found.mail, reading.addressed_to, subject)
            # Nothing of the answer is kept, and nothing is ever answered by itself: no loop can begin here.
            note(
                found.mail, reading.nature.value, before=found.mail.state, detail=who.addr_spec if who else ""
            )
        elif found.mail is not None:
            row.notices = [_notice(found.mail, recipient, said, received) for recipient, said in found.about]
        if _is_twin(session, row):
            row.verdict = Verdict.REPEATED
        session.add(row)
        session.flush()
        if row.verdict is Verdict.REPEATED:
            row.notices.clear()
        elif row.notices:
            apply(session, row)
        return Taken(row.nature, row.verdict, row.mail_id)


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
        InboundMessage.verdict.in_([Verdict.COUNTED, Verdict.WAITS]),
    )
    return session.scalar(same.limit(1)) is not None


def _first_verdict(reading: Reading, found: Match) -> Verdict:
    """Return what is made of a message before its effects are known."""
    if found.mail is None:
        return Verdict.UNKNOWN
    return Verdict.UNPROVEN if reading.nature in _KEPT else Verdict.ANSWER


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
