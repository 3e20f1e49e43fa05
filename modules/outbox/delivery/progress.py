"""How far a mail has come: who is still to be served, and what an attempt makes of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from core import clock
from core.mail.outcomes import Failure, RecipientOutcome, RecipientState
from modules.mail_config.transports.base import Submission
from modules.mail_config.transports.receipts import OFFERED_NONE
from modules.outbox.delivery.settlement import (
    RecipientResult,
    Settlement,
    settle,
    settle_failure,
    settle_waiting,
)
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.states import RetryPolicy

# Recipients that an attempt is for; never one whose outcome is known, or uncertain.
_TO_BE_SERVED = frozenset({RecipientState.PENDING, RecipientState.DEFERRED})


def _states_of(mail: OutgoingMail) -> dict[int, RecipientState]:
    """Return the state of each recipient by its id."""
    return {recipient.id: recipient.state for recipient in mail.recipients}


def to_be_served(mail: OutgoingMail) -> list[MailRecipient]:
    """Return those who are still to be served."""
    return [recipient for recipient in mail.recipients if recipient.state in _TO_BE_SERVED]


def _age_of(mail: OutgoingMail, now: dt.datetime) -> dt.timedelta:
    """Return for how long a mail has been due, by which it is given up at last."""
    return now - (mail.due_since or mail.submitted_at)


def _known_before(mail: OutgoingMail) -> list[RecipientResult]:
    """Return what earlier attempts have found about those who are not to be served any more."""
    return [
        RecipientResult(r.id, r.state, r.failure_kind, r.reply_code, r.enhanced_code, r.diagnostic)
        for r in mail.recipients
        if r.state not in _TO_BE_SERVED
    ]


def failed(mail: OutgoingMail, failure: Failure, policy: RetryPolicy) -> Settlement:
    """Settle a mail that no server was asked about, for a reason of its own."""
    now = clock.now()
    return settle_failure(
        _states_of(mail),
        [recipient.id for recipient in to_be_served(mail)],
        failure,
        attempts=mail.attempts,
        age=_age_of(mail, now),
        policy=policy,
        now=now,
        earlier=_known_before(mail),
    )


def waiting(mail: OutgoingMail, failure: Failure, until: dt.datetime, *, asked: bool = False) -> Settlement:
    """Let a mail wait for its server, without an attempt that counts; `asked` is True where it was asked just now."""
    tried = [recipient.id for recipient in to_be_served(mail)]
    return settle_waiting(_states_of(mail), tried, failure, attempts=mail.attempts, until=until, asked=asked)


def settled(
    mail: OutgoingMail, due: Sequence[MailRecipient], submission: Submission, policy: RetryPolicy
) -> Settlement:
    """Settle a mail by what the server has answered for each who was to be served."""
    outcomes: dict[int, RecipientOutcome] = {
        recipient.id: outcome for recipient, outcome in zip(due, submission.outcomes, strict=True)
    }
    now = clock.now()
    settlement = settle(
        _states_of(mail),
        outcomes,
        attempts=mail.attempts,
        age=_age_of(mail, now),
        policy=policy,
        now=now,
        earlier=_known_before(mail),
    )
    if submission.no_receipt and settlement.accepted_count:
        return replace(settlement, remark=OFFERED_NONE)
    return settlement
