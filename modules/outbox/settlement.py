"""From what an attempt did to what is now known: pure, so that every case can be told in a table."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState
from modules.outbox.states import MailState, retry_delay, summarise

WAIT_FOR_SERVER = dt.timedelta(minutes=1)
"""How often a mail that waits for a server looks whether there is one; a passing test lets it go at once."""

WAITS_FOR_SERVER = frozenset(
    {FailureKind.SERVER_MISSING, FailureKind.SERVER_UNTESTED, FailureKind.SENDER_MISSING}
)


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What is now known of one recipient."""

    recipient_id: int
    state: RecipientState
    failure_kind: FailureKind | None = None
    reply_code: int = 0
    enhanced_code: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is now known of a mail.

    Attributes:
        state: Derived from all recipients.
        results: Of the recipients that this attempt was about.
        accepted_count: Of all recipients.
        attempts: Counted attempts so far.
        next_attempt_at: When to try again, for a deferred mail.
        failure_kind: The failure to show, or None.
        failure_reason: The server's own words, or ours.
    """

    state: MailState
    results: tuple[RecipientResult, ...]
    accepted_count: int
    attempts: int
    next_attempt_at: dt.datetime | None
    failure_kind: FailureKind | None
    failure_reason: str


def settle(
    recipients: Mapping[int, RecipientState],
    outcomes: Mapping[int, RecipientOutcome],
    *,
    attempts: int,
    now: dt.datetime,
    earlier: Sequence[RecipientResult] = (),
) -> Settlement:
    """Settle a mail by the outcome of each recipient that was tried.

    Args:
        recipients: The state of every recipient before, by id.
        outcomes: The outcome of those that were tried, by id.
        attempts: Attempts before this one.
        now: The time.
        earlier: What earlier attempts have found about those that were not tried now.
    """
    attempts += 1
    delay = retry_delay(attempts)
    results = []
    for recipient_id, outcome in outcomes.items():
        state = outcome.state
        if state is RecipientState.DEFERRED and delay is None:
            state = RecipientState.REFUSED  # tried for days: it is for a person now
        failure = outcome.failure
        exhausted = outcome.state is RecipientState.DEFERRED and delay is None
        results.append(
            RecipientResult(
                recipient_id,
                state,
                FailureKind.GIVEN_UP if exhausted else failure.kind if failure else None,
                outcome.reply.code if outcome.reply else 0,
                outcome.reply.enhanced if outcome.reply else "",
                failure.diagnostic if failure else outcome.reply.text if outcome.reply else "",
            )
        )
    return _conclude(recipients, results, earlier, attempts=attempts, delay=delay, now=now)


def settle_failure(
    recipients: Mapping[int, RecipientState],
    tried: Sequence[int],
    failure: Failure,
    *,
    attempts: int,
    now: dt.datetime,
    earlier: Sequence[RecipientResult] = (),
) -> Settlement:
    """Settle a mail that could not be spoken about with a server at all.

    A mail that waits for a server to be set up or tested counts no attempt and waits without end: it is
    the administrator's turn, and nothing is lost by waiting.

    Args:
        recipients: The state of every recipient before, by id.
        tried: Ids of those the attempt was for.
        failure: Why.
        attempts: Attempts before this one.
        now: The time.
        earlier: What earlier attempts have found about those that were not tried now.
    """
    if failure.kind in WAITS_FOR_SERVER:
        delay: dt.timedelta | None = WAIT_FOR_SERVER
    else:
        attempts += 1
        delay = retry_delay(attempts) if failure.temporary else None
    state = RecipientState.REFUSED if delay is None else RecipientState.DEFERRED
    reply = failure.reply
    kind = FailureKind.GIVEN_UP if failure.temporary and delay is None else failure.kind
    results = [
        RecipientResult(
            recipient_id,
            state,
            kind,
            reply.code if reply else 0,
            reply.enhanced if reply else "",
            failure.diagnostic,
        )
        for recipient_id in tried
    ]
    return _conclude(recipients, results, earlier, attempts=attempts, delay=delay, now=now)


_WORST_FIRST = (
    RecipientState.UNCERTAIN,
    RecipientState.REFUSED,
    RecipientState.INVALID,
    RecipientState.DEFERRED,
)


def _conclude(
    recipients: Mapping[int, RecipientState],
    results: Sequence[RecipientResult],
    earlier: Sequence[RecipientResult],
    *,
    attempts: int,
    delay: dt.timedelta | None,
    now: dt.datetime,
) -> Settlement:
    after = {**recipients, **{result.recipient_id: result.state for result in results}}
    state = summarise(after.values())
    next_attempt_at = None
    if state is MailState.DEFERRED:
        # Jitter: a thousand mails deferred at once must not all come back at once.
        next_attempt_at = now + (delay or WAIT_FOR_SERVER) * random.uniform(1.0, 1.15)  # noqa: S311 (no secret)
    # A mail that waits shows why it waits; one at rest, the worst that has happened to anybody.
    known = results if state is MailState.DEFERRED else [*results, *earlier]
    worst = next(
        (
            result
            for wanted in _WORST_FIRST
            for result in known
            if result.state is wanted and result.failure_kind
        ),
        None,
    )
    return Settlement(
        state=state,
        results=tuple(results),
        accepted_count=sum(1 for value in after.values() if value is RecipientState.ACCEPTED),
        attempts=attempts,
        next_attempt_at=next_attempt_at,
        failure_kind=worst.failure_kind if worst and state is not MailState.SENT else None,
        failure_reason=worst.diagnostic if worst and state is not MailState.SENT else "",
    )
