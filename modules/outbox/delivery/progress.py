"""How far a mail has come: who is still to be served, what is known of the others, and how long it has waited."""

from __future__ import annotations

import datetime as dt

from core.mail.outcomes import RecipientState
from modules.outbox.delivery.settlement import RecipientResult
from modules.outbox.models import MailRecipient, OutgoingMail

_TO_BE_SERVED = frozenset({RecipientState.PENDING, RecipientState.DEFERRED})


def states_of(mail: OutgoingMail) -> dict[int, RecipientState]:
    """Return the state of each recipient by its id."""
    return {recipient.id: recipient.state for recipient in mail.recipients}


def to_be_served(mail: OutgoingMail) -> list[MailRecipient]:
    """Return those who are still to be served."""
    return [recipient for recipient in mail.recipients if recipient.state in _TO_BE_SERVED]


def age_of(mail: OutgoingMail, now: dt.datetime) -> dt.timedelta:
    """Return for how long a mail has been due, by which it is given up at last."""
    return now - (mail.due_since or mail.submitted_at)


def known_before(mail: OutgoingMail) -> list[RecipientResult]:
    """Return what earlier attempts have found about those who are not to be served any more."""
    return [
        RecipientResult(r.id, r.state, r.failure_kind, r.reply_code, r.enhanced_code, r.diagnostic)
        for r in mail.recipients
        if r.state not in _TO_BE_SERVED
    ]
