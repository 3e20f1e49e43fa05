"""Derives the new state of a mail and its recipients from an attempt. No I/O, so that tests are tables."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState
from modules.outbox.states import MailState, RetryPolicy, summarise

WAITS_FOR_SERVER = frozenset(
    {FailureKind.SERVER_MISSING, FailureKind.SERVER_UNTESTED, FailureKind.SENDER_MISSING}
)
"""Failures before any server was asked: the mail waits until an administrator has set one up."""

LOOK_AGAIN = dt.timedelta(minutes=10)
"""How often such a mail looks by itself whether there is a server; a passing test lets it go at once."""


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """The new state of one recipient, ready to be written to its row."""

    recipient_id: int
    state: RecipientState
    failure_kind: FailureKind | None = None
    reply_code: int = 0
    enhanced_code: str = ""
    diagnostic: str = ""
    also: FailureKind | None = None
    advice: str = ""

    @classmethod
    def failed(
        cls, recipient_id: int, state: RecipientState, failure: Failure, kind: FailureKind | None = None
    ) -> RecipientResult:
        """Return the result of a failure, shown as another kind if one is given."""
        reply = failure.reply
        return cls(
            recipient_id,
            state,
            kind or failure.kind,
            reply.code if reply else 0,
            reply.enhanced if reply else "",
            failure.diagnostic,
            failure.also,
            failure.advice or "",
        )


@dataclass(frozen=True, slots=True)
class Settlement:
    """The new state of a mail, ready to be written to its row.

    Attributes:
        state: Derived from all recipients.
        results: Of the recipients that this attempt was about.
        accepted_count: Of all recipients.
        attempts: Counted attempts so far.
        next_attempt_at: When to try again, for a deferred mail.
        failure_kind: The failure to show, or None.
        failure_reason: The server's own words, or ours.
        failure_also: The other reading of the failure, or None.
        failure_advice: A finer hint, or "".
        tried: False when no server was asked, so that there is no attempt to record.
        waits_for_server: True when it waits for a server, not for a time.
        remark: What else the record of the step says.
    """

    state: MailState
    results: tuple[RecipientResult, ...]
    accepted_count: int
    attempts: int
    next_attempt_at: dt.datetime | None
    failure_kind: FailureKind | None
    failure_reason: str
    failure_also: FailureKind | None = None
    failure_advice: str = ""
    tried: bool = True
    waits_for_server: bool = False
    remark: str = ""


def settle(
    recipients: Mapping[int, RecipientState],
    outcomes: Mapping[int, RecipientOutcome],
    *,
    attempts: int,
    age: dt.timedelta,
    policy: RetryPolicy,
    now: dt.datetime,
    earlier: Sequence[RecipientResult] = (),
) -> Settlement:
    """Settle a mail by the outcome of each recipient that was tried.

    Args:
        recipients: The state of every recipient before, by id.
        outcomes: The outcome of those that were tried, by id.
        attempts: Attempts before this one.
        age: How long ago the mail was due.
        policy: When to try again.
        now: The time.
        earlier: What earlier attempts have found about those that were not tried now.
    """
    attempts += 1
    delay = policy.delay(attempts, age)
    results = []
    for recipient_id, outcome in outcomes.items():
        if outcome.failure is None:
            reply = outcome.reply
            results.append(
                RecipientResult(
                    recipient_id,
                    outcome.state,
                    None,
                    reply.code if reply else 0,
                    reply.enhanced if reply else "",
                    reply.text if reply else "",
                )
            )
        elif outcome.state is RecipientState.DEFERRED and delay is None:
            # Tried for days: it is for a person now.
            results.append(
                RecipientResult.failed(
                    recipient_id, RecipientState.REFUSED, outcome.failure, FailureKind.GIVEN_UP
                )
            )
        else:
            results.append(RecipientResult.failed(recipient_id, outcome.state, outcome.failure))
    return _conclude(recipients, results, earlier, attempts=attempts, delay=delay, now=now)


def settle_failure(
    recipients: Mapping[int, RecipientState],
    tried: Sequence[int],
    failure: Failure,
    *,
    attempts: int,
    age: dt.timedelta,
    policy: RetryPolicy,
    now: dt.datetime,
    earlier: Sequence[RecipientResult] = (),
) -> Settlement:
    """Settle a mail that could not be spoken about with a server, for a reason of its own.

    Args:
        recipients: The state of every recipient before, by id.
        tried: Ids of those the attempt was for.
        failure: Why.
        attempts: Attempts before this one.
        age: How long ago the mail was due.
        policy: When to try again.
        now: The time.
        earlier: What earlier attempts have found about those that were not tried now.
    """
    attempts += 1
    # A permanent failure of the mail's own ends it at once; a person can correct and resend.
    delay = policy.delay(attempts, age) if failure.temporary else None
    state = RecipientState.REFUSED if delay is None else RecipientState.DEFERRED
    kind = FailureKind.GIVEN_UP if failure.temporary and delay is None else None
    results = [RecipientResult.failed(recipient_id, state, failure, kind) for recipient_id in tried]
    return _conclude(recipients, results, earlier, attempts=attempts, delay=delay, now=now)


def settle_waiting(
    recipients: Mapping[int, RecipientState],
    tried: Sequence[int],
    failure: Failure,
    *,
    attempts: int,
    until: dt.datetime,
    asked: bool = False,
) -> Settlement:
    """Let a mail wait for its server: it has done nothing wrong, so no attempt counts, and it waits without end.

    Args:
        recipients: The state of every recipient before, by id.
        tried: Ids of those who are still to be served.
        failure: What is the matter with the server.
        attempts: Attempts so far.
        until: When to look again.
        asked: True when the server was asked just now.
    """
    results = [
        RecipientResult.failed(recipient_id, RecipientState.DEFERRED, failure) for recipient_id in tried
    ]
    after = {**recipients, **{result.recipient_id: result.state for result in results}}
    return Settlement(
        state=summarise(after.values()),
        results=tuple(results),
        accepted_count=sum(1 for value in after.values() if value is RecipientState.ACCEPTED),
        attempts=attempts,
        next_attempt_at=until,
        failure_kind=failure.kind,
        failure_reason=failure.diagnostic,
        failure_also=failure.also,
        failure_advice=failure.advice or "",
        tried=asked,
        waits_for_server=failure.kind is not FailureKind.PACED,
    )


def with_jitter(delay: dt.timedelta) -> dt.timedelta:
    """Return the delay, somewhat longer: a thousand mails deferred at once must not come back at once."""
    return delay * random.uniform(1.0, 1.15)  # noqa: S311 (no secret)


# Uncertain comes first: only a person can decide it, and the others can wait.
_WORST_FIRST = (
    RecipientState.UNCERTAIN,
    RecipientState.REFUSED,
    RecipientState.BOUNCED,
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
    """Derive the mail from its recipients: state, next attempt, and the failure to show."""
    after = {**recipients, **{result.recipient_id: result.state for result in results}}
    state = summarise(after.values())
    next_attempt_at = None
    if state is MailState.DEFERRED:
        next_attempt_at = now + with_jitter(delay or LOOK_AGAIN)
    # A mail that waits shows why it waits; one at rest, the worst that has happened to anybody.
    known = results if state is MailState.DEFERRED else [*results, *earlier]
    worst = None
    if state is not MailState.SENT:
        worst = next(
            (r for wanted in _WORST_FIRST for r in known if r.state is wanted and r.failure_kind), None
        )
    return Settlement(
        state=state,
        results=tuple(results),
        accepted_count=sum(1 for value in after.values() if value is RecipientState.ACCEPTED),
        attempts=attempts,
        next_attempt_at=next_attempt_at,
        failure_kind=worst.failure_kind if worst else None,
        failure_reason=worst.diagnostic if worst else "",
        failure_also=worst.also if worst else None,
        failure_advice=worst.advice if worst else "",
    )
