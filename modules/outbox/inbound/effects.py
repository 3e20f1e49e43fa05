"""What a message that came back changes: its recipients, the mail that is derived from them, and who is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import transaction
from core.mail.bounces.model import Action
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.service import stop_promotions
from modules.outbox.alert_rows import write_alerts
from modules.outbox.copy_rows import want_copies
from modules.outbox.models import (
    InboundMessage,
    MailEvent,
    MailRecipient,
    OutgoingMail,
    RecipientNotice,
    Verdict,
)
from modules.outbox.private_addresses import is_address_hash
from modules.outbox.service import show_worst
from modules.outbox.states import SETTLED, MailState, summarise
from modules.outbox.transitions import locked_mails, move, note

CLOCKS_DIFFER = dt.timedelta(minutes=5)
"""By which the clock of a mailbox may be behind ours, where it decides to which attempt a bounce belongs."""
COMPLAINT = "complaint"  # how it is known that somebody wants no promotional emails any more
AT_ONCE = 100  # messages of one transaction

_ARRIVED = frozenset({Action.DELIVERED, Action.RELAYED, Action.EXPANDED, Action.DISPLAYED})
_GOT_IT = frozenset({RecipientState.ACCEPTED, RecipientState.UNCERTAIN})


def apply(session: Session, inbound: InboundMessage) -> Verdict:
    """Let a message that is proved to be about a mail change it, inside the running transaction.

    While a worker sends that mail, nothing is changed: what it learns would be written over it. `apply_waiting` comes
    back to it.

    Returns:
        What was made of it, which is on the row as well.
    """
    assert inbound.mail_id is not None  # noqa: S101 (only what is about a mail has notices)
    (mail,) = locked_mails([inbound.mail_id])
    if mail.state is MailState.SENDING:
        inbound.verdict = Verdict.WAITS
        return inbound.verdict
    verdicts = [_take(session, mail, notice, inbound) for notice in inbound.notices]
    inbound.verdict = next(
        one for one in (Verdict.COUNTED, Verdict.EARLIER, Verdict.REPEATED) if one in verdicts
    )
    if inbound.verdict is Verdict.COUNTED:
        bounced = [
            notice.recipient
            for notice, verdict in zip(inbound.notices, verdicts, strict=True)
            if notice.action is Action.FAILED and verdict is Verdict.COUNTED
        ]
        _derive(session, mail, bounced)
    return inbound.verdict


def apply_waiting() -> int:
    """Apply what has waited for a worker to be done with its mail; return how many messages that were."""
    done = 0
    with transaction() as session:
        waiting = (
            select(InboundMessage)
            .join(OutgoingMail, OutgoingMail.id == InboundMessage.mail_id)
            .where(InboundMessage.verdict == Verdict.WAITS, OutgoingMail.state != MailState.SENDING)
            .order_by(InboundMessage.id)
            .limit(AT_ONCE)
        )
        for inbound in session.scalars(waiting):
            done += apply(session, inbound) is not Verdict.WAITS
    return done


def _take(session: Session, mail: OutgoingMail, notice: RecipientNotice, inbound: InboundMessage) -> Verdict:
    """Write on a recipient what a notice says about them."""
    recipient = notice.recipient
    if notice.action is not Action.FAILED:
        return _learn(session, mail, notice)
    if recipient.state is RecipientState.BOUNCED:
        return Verdict.REPEATED
    if recipient.state not in _GOT_IT or _is_of_an_earlier_attempt(session, recipient, inbound.received_at):
        return Verdict.EARLIER
    recipient.state = RecipientState.BOUNCED
    recipient.failure_kind = notice.failure_kind or FailureKind.RECIPIENT_REFUSED
    recipient.failure_also, recipient.failure_advice = notice.failure_also, notice.failure_advice
    recipient.reply_code, recipient.enhanced_code = notice.reply_code, notice.enhanced_code
    recipient.diagnostic = notice.diagnostic
    return Verdict.COUNTED


def _learn(session: Session, mail: OutgoingMail, notice: RecipientNotice) -> Verdict:
    """Take a notice that is no failure: a delay, a receipt, a complaint."""
    recipient = notice.recipient
    if recipient.state not in {*_GOT_IT, RecipientState.BOUNCED}:
        return Verdict.EARLIER
    if notice.action is not Action.DELAYED and _is_known(session, notice):
        return Verdict.REPEATED
    if recipient.state is RecipientState.UNCERTAIN and notice.action in _ARRIVED:
        # Nobody could say so had the server not taken it.
        recipient.state, recipient.settled_at = RecipientState.ACCEPTED, notice.at
        recipient.failure_kind, recipient.failure_also, recipient.failure_advice = None, None, ""
    if notice.action is Action.COMPLAINED and not is_address_hash(recipient.addr_spec):
        stop_promotions(recipient.addr_spec, COMPLAINT)
    note(mail, notice.action.value, before=mail.state, detail=recipient.addr_spec)
    return Verdict.COUNTED


def _is_known(session: Session, notice: RecipientNotice) -> bool:
    same = (
        select(RecipientNotice.id)
        .join(InboundMessage, InboundMessage.id == RecipientNotice.inbound_id)
        .where(
            RecipientNotice.recipient_id == notice.recipient_id,
            RecipientNotice.action == notice.action,
            RecipientNotice.id != notice.id,
            InboundMessage.verdict == Verdict.COUNTED,
        )
    )
    settled_at = notice.recipient.settled_at
    if settled_at is not None:
        same = same.where(RecipientNotice.at >= settled_at - CLOCKS_DIFFER)
    return session.scalar(same.limit(1)) is not None


def _is_of_an_earlier_attempt(session: Session, recipient: MailRecipient, received_at: dt.datetime) -> bool:
    """Return True for what lay in the mailbox already when the mail was sent again.

    Every attempt is the same message, so nothing else tells them apart. A mail that was sent once has no earlier
    attempt, whatever the clocks say.
    """
    if recipient.settled_at is None or received_at >= recipient.settled_at - CLOCKS_DIFFER:
        return False
    sent_again = select(MailEvent.id).where(
        MailEvent.mail_id == recipient.mail_id, MailEvent.verb == "resend"
    )
    return session.scalar(sent_again.limit(1)) is not None


def _derive(session: Session, mail: OutgoingMail, bounced: Sequence[MailRecipient]) -> None:
    """Derive the mail from its recipients; tell of those who have just bounced."""
    states = [recipient.state for recipient in mail.recipients]
    mail.accepted_count = states.count(RecipientState.ACCEPTED)
    after = summarise(states) if mail.state in SETTLED else mail.state
    if mail.state is MailState.UNCERTAIN and after is not mail.state:
        # What a worker that was only stopped may still learn is known by now.
        mail.claim_token, mail.in_flight = None, False
        if mail.accepted_count:
            want_copies(session, [mail.id])
    # A step for each, so that the record of one person's mails names nobody else.
    named = [recipient.addr_spec for recipient in bounced]
    if after is not mail.state:
        move(mail, "report", after, detail=named.pop(0) if named else "")
    for address in named:
        note(mail, "report", before=mail.state, detail=address)
    if mail.state in SETTLED:
        show_worst(mail)
    session.flush()
    if bounced:
        write_alerts(session, mail.id, bounced[0].failure_kind, bounced[0].diagnostic)
