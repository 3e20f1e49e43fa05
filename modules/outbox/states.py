"""The states of a mail, and the only transitions between them. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from enum import StrEnum

from core.errors import EnvoiError
from core.i18n import lazy_gettext as _l
from core.mail.outcomes import RecipientState


class MailState(StrEnum):
    """What is known about a mail as a whole; always derived, never set on click."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    SENT = "sent"
    PARTIAL = "partial"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    CANCELED = "canceled"


WAITING = frozenset({MailState.SCHEDULED, MailState.QUEUED, MailState.SENDING, MailState.DEFERRED})
"""Something will still happen by itself."""

FAILED = frozenset({MailState.FAILED, MailState.PARTIAL, MailState.UNCERTAIN})
"""A person must act; shown in red."""

RESENDABLE = frozenset({MailState.FAILED, MailState.PARTIAL, MailState.UNCERTAIN, MailState.CANCELED})
CANCELABLE = frozenset({MailState.SCHEDULED, MailState.QUEUED, MailState.DEFERRED})

TRANSITIONS: dict[str, tuple[frozenset[MailState], frozenset[MailState]]] = {
    "claim": (frozenset({MailState.QUEUED}), frozenset({MailState.SENDING})),
    "settle": (
        # A worker that was stopped past its lease and goes on knows more than the sweep did.
        frozenset({MailState.SENDING, MailState.UNCERTAIN}),
        frozenset(
            {MailState.SENT, MailState.PARTIAL, MailState.FAILED, MailState.DEFERRED, MailState.UNCERTAIN}
        ),
    ),
    "release": (frozenset({MailState.DEFERRED, MailState.SCHEDULED}), frozenset({MailState.QUEUED})),
    "lose": (frozenset({MailState.SENDING}), frozenset({MailState.UNCERTAIN, MailState.QUEUED})),
    "cancel": (CANCELABLE, frozenset({MailState.CANCELED, MailState.PARTIAL})),
    "resend": (RESENDABLE, frozenset({MailState.QUEUED})),
    "mark": (
        frozenset({MailState.UNCERTAIN}),
        frozenset({MailState.SENT, MailState.PARTIAL, MailState.FAILED}),
    ),
}
"""Each verb, the states it starts from, and those it may lead to."""


class IllegalTransitionError(EnvoiError):
    """A mail cannot go from one state to another by this verb."""


def check_transition(verb: str, before: MailState, after: MailState) -> None:
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


RETRY_MINUTES = (1, 5, 15, 60, 180, 360, 720, 1440)
"""How long a mail waits after its first, second, … temporary failure."""


def retry_delay(attempts: int) -> dt.timedelta | None:
    """Return how long to wait after a number of attempts, or None to give up."""
    if attempts > len(RETRY_MINUTES):
        return None
    return dt.timedelta(minutes=RETRY_MINUTES[max(attempts, 1) - 1])


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
    RecipientState.DEFERRED: _l("deferred"),
    RecipientState.REFUSED: _l("refused"),
    RecipientState.INVALID: _l("invalid address"),
    RecipientState.UNCERTAIN: _l("uncertain"),
}

RECIPIENT_TONES = {
    RecipientState.PENDING: ("neutral", "hourglass-split"),
    RecipientState.ACCEPTED: ("success", "check-circle-fill"),
    RecipientState.DEFERRED: ("warning", "clock-history"),
    RecipientState.REFUSED: ("danger", "x-octagon-fill"),
    RecipientState.INVALID: ("danger", "x-octagon-fill"),
    RecipientState.UNCERTAIN: ("danger", "question-octagon-fill"),
}
