"""The states of a mail, and the only transitions between them. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.errors import EnvoiError
from core.i18n import lazy_gettext as _l
from core.mail.outcomes import RecipientState


class MailState(StrEnum):
    """The state of a mail as a whole; always derived from its recipients and its worker, never set on click."""

    SCHEDULED = "scheduled"  # waits for its time, or for the seconds of Undo
    QUEUED = "queued"  # may be taken by a worker now
    SENDING = "sending"  # held by a worker, for as long as its lease
    DEFERRED = "deferred"  # failed for now; tried again by itself
    SENT = "sent"  # every recipient was accepted
    PARTIAL = "partial"  # some were accepted, some will not be by themselves
    FAILED = "failed"  # nobody was accepted, and nothing happens by itself
    UNCERTAIN = "uncertain"  # somebody may have it; sending again might be once too often
    CANCELED = "canceled"  # a person stopped it before anybody got it


WAITING = frozenset({MailState.SCHEDULED, MailState.QUEUED, MailState.SENDING, MailState.DEFERRED})
"""Something will still happen by itself."""

FAILED = frozenset({MailState.FAILED, MailState.PARTIAL, MailState.UNCERTAIN})
"""A person must act; shown in red."""

# Not everybody has it, and no worker is at it.
RESENDABLE = frozenset({MailState.FAILED, MailState.PARTIAL, MailState.UNCERTAIN, MailState.CANCELED})
SETTLED = frozenset(MailState) - WAITING
"""States in which nothing more happens to a mail by itself."""
# No worker has it; while one has, somebody may be getting it.
CANCELABLE = frozenset({MailState.SCHEDULED, MailState.QUEUED, MailState.DEFERRED})

UNDELIVERED = RESENDABLE | CANCELABLE
"""Not everybody has it, and it is not being sent at this moment."""

TRANSITIONS: dict[str, tuple[frozenset[MailState | None], frozenset[MailState]]] = {
    # Failed: all its addresses are known to be dead, and nobody has said to try them again.
    "submit": (frozenset({None}), frozenset({MailState.QUEUED, MailState.SCHEDULED, MailState.FAILED})),
    "claim": (frozenset({MailState.QUEUED}), frozenset({MailState.SENDING})),
    "settle": (
        # A worker that was stopped past its lease and goes on knows more than the sweep did.
        frozenset({MailState.SENDING, MailState.UNCERTAIN}),
        frozenset(
            {MailState.SENT, MailState.PARTIAL, MailState.FAILED, MailState.DEFERRED, MailState.UNCERTAIN}
        ),
    ),
    "release": (frozenset({MailState.DEFERRED, MailState.SCHEDULED}), frozenset({MailState.QUEUED})),
    # A worker that ends in good order gives back what it has not begun.
    "return": (frozenset({MailState.SENDING}), frozenset({MailState.QUEUED})),
    "lose": (frozenset({MailState.SENDING}), frozenset({MailState.UNCERTAIN, MailState.QUEUED})),
    # The data were restored from a copy: it may have left after the copy was made.
    "doubt": (WAITING, frozenset({MailState.UNCERTAIN})),
    "cancel": (CANCELABLE, frozenset({MailState.CANCELED, MailState.PARTIAL})),
    # Somebody changes it: it leaves as it was, later, unless they save.
    "edit": (CANCELABLE, frozenset({MailState.SCHEDULED})),
    "put_back": (frozenset({MailState.SCHEDULED}), frozenset({MailState.SCHEDULED, MailState.QUEUED})),
    "replace": (CANCELABLE, frozenset({MailState.CANCELED})),
    "reschedule": (CANCELABLE, frozenset({MailState.SCHEDULED})),
    "resend": (RESENDABLE, frozenset({MailState.QUEUED})),
    "mark": (
        frozenset({MailState.UNCERTAIN}),
        frozenset({MailState.SENT, MailState.PARTIAL, MailState.FAILED}),
    ),
    # A person takes back what they have said.
    "unmark": (
        frozenset({MailState.SENT, MailState.PARTIAL, MailState.FAILED}),
        frozenset({MailState.UNCERTAIN}),
    ),
    # A server behind the one that took it has said what became of it: bounced, or arrived after all.
    "report": (
        frozenset({MailState.SENT, MailState.PARTIAL, MailState.UNCERTAIN}),
        frozenset({MailState.SENT, MailState.PARTIAL, MailState.FAILED}),
    ),
}
"""Each verb, the states it starts from, and those it may lead to; None is before the first."""


class IllegalTransitionError(EnvoiError):
    """A mail cannot go from one state to another by this verb."""


def check_transition(verb: str, before: MailState | None, after: MailState) -> None:
    """Make sure that a verb may lead from one state to another.

    Raises:
        IllegalTransitionError: It may not.
    """
    sources, targets = TRANSITIONS[verb]
    if before not in sources or after not in targets:
        raise IllegalTransitionError(f"A mail cannot {verb} from {before} to {after}.")


def summarise(recipients: Collection[RecipientState]) -> MailState:
    """Derive the state of a settled mail from its recipients.

    While somebody is still to be served the mail waits; what nobody knows outweighs what is known to have
    failed, since only a person can resolve it.

    Raises:
        ValueError: There are no recipients.
    """
    states = set(recipients)
    if not states:
        raise ValueError("A mail without recipients has no state.")
    if RecipientState.UNCERTAIN in states:
        return MailState.UNCERTAIN
    if RecipientState.PENDING in states:
        return MailState.QUEUED
    if RecipientState.DEFERRED in states:
        return MailState.DEFERRED
    if states == {RecipientState.ACCEPTED}:
        return MailState.SENT
    return MailState.PARTIAL if RecipientState.ACCEPTED in states else MailState.FAILED


MIN_TRIES = 4
"""However old a mail is, it is tried as often as this: it may have waited for reasons that were not its own."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The waits between tries after temporary failures, and the age at which a mail is given up.

    Attributes:
        delays: How long to wait after the first, second, … failure; the last one repeats.
        max_age: How long after it was due a mail is given up.
    """

    delays: tuple[dt.timedelta, ...]
    max_age: dt.timedelta

    @classmethod
    def parse(cls, minutes: str, days: float) -> RetryPolicy:
        """Read the settings: minutes separated by commas, and days.

        Raises:
            ValueError: They make no sense.
        """
        delays = tuple(dt.timedelta(minutes=float(part)) for part in minutes.split(","))
        if not all(dt.timedelta(0) < delay <= dt.timedelta(days=30) for delay in delays) or not days > 0:
            raise ValueError("delays must be more than nothing and at most 30 days.")
        return cls(delays, dt.timedelta(days=days))

    def delay(self, attempts: int, age: dt.timedelta) -> dt.timedelta | None:
        """Return how long to wait after a number of failures, or None to give up.

        Args:
            attempts: Failures so far, the last one included.
            age: How long ago the mail was due.
        """
        delay = self.delays[min(max(attempts, 1), len(self.delays)) - 1]
        if attempts >= MIN_TRIES and age + delay > self.max_age:
            return None
        return delay


def problems_of_retries(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the settings of retries, a sentence each."""
    try:
        RetryPolicy.parse(str(settings["OUTBOX_RETRY_MINUTES"]), float(settings["OUTBOX_GIVE_UP_DAYS"]))
    except (ValueError, OverflowError):
        words = (
            "ENVOI_OUTBOX_RETRY_MINUTES must be numbers of minutes with commas between them, such as 1, 5, 15, each "
            "more than nothing and at most 30 days, not “{}”; ENVOI_OUTBOX_GIVE_UP_DAYS some days."
        )
        return [words.format(settings["OUTBOX_RETRY_MINUTES"])]
    return []


STATE_TITLES = {
    MailState.SCHEDULED: _l("scheduled"),
    MailState.QUEUED: _l("queued"),
    MailState.SENDING: _l("sending"),
    MailState.DEFERRED: _l("waiting"),
    MailState.SENT: _l("sent"),
    MailState.PARTIAL: _l("partly sent"),
    MailState.FAILED: _l("failed"),
    MailState.UNCERTAIN: _l("uncertain"),
    MailState.CANCELED: _l("canceled"),
}

STATE_TONES = {
    MailState.SCHEDULED: ("neutral", "clock"),
    MailState.QUEUED: ("info", "hourglass-split"),
    MailState.SENDING: ("info", "arrow-repeat"),
    MailState.DEFERRED: ("warning", "clock-history"),
    MailState.SENT: ("success", "check-circle-fill"),
    MailState.PARTIAL: ("danger", "exclamation-octagon-fill"),
    MailState.FAILED: ("danger", "x-octagon-fill"),
    MailState.UNCERTAIN: ("danger", "question-octagon-fill"),
    MailState.CANCELED: ("neutral", "slash-circle"),
}

RECIPIENT_TITLES = {
    RecipientState.PENDING: _l("to be sent"),
    RecipientState.ACCEPTED: _l("accepted"),
    RecipientState.DEFERRED: _l("waiting"),
    RecipientState.REFUSED: _l("refused"),
    RecipientState.INVALID: _l("invalid address"),
    RecipientState.UNCERTAIN: _l("uncertain"),
    RecipientState.BOUNCED: _l("bounced"),
}

RECIPIENT_TONES = {
    RecipientState.PENDING: ("neutral", "hourglass-split"),
    RecipientState.ACCEPTED: ("success", "check-circle-fill"),
    RecipientState.DEFERRED: ("warning", "clock-history"),
    RecipientState.REFUSED: ("danger", "x-octagon-fill"),
    RecipientState.INVALID: ("danger", "x-octagon-fill"),
    RecipientState.UNCERTAIN: ("danger", "question-octagon-fill"),
    RecipientState.BOUNCED: ("danger", "reply-fill"),
}
