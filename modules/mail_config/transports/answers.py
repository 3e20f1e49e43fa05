"""The translator's part for providers that are spoken to by HTTP: from an answer to what it means.

The words are read by the table that reads those of SMTP servers; the status (RFC 9110 §15) says what that cannot.
"""

from __future__ import annotations

import datetime as dt
import email.utils
from dataclasses import dataclass, replace

from core import clock
from core.mail.outcomes import Advice, Failure, FailureKind, Reply, Stage, printable
from core.mail.replies import explain_reply
from modules.mail_config.transports.http import Answer

LONGEST_WAIT = dt.timedelta(hours=1)
"""As long as a provider is believed that asks to come back later; then it is asked again."""

_REFUSED = 550
"""As which code the words are read: it says nothing by itself (RFC 5321 §4.2.3), so they decide."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer means that is no yes.

    Attributes:
        failure: Why; its kind is `OUTCOME_UNKNOWN` where nobody can say whether the mail was taken.
        of_server: True where it says nothing about the mail: key, address of the provider, outage.
        unanswered: True where the request did not get through, so that nothing was answered at all.
    """

    failure: Failure
    of_server: bool = False
    unanswered: bool = False


def words_read(words: str, stage: Stage) -> Failure:
    """Return what the words of a provider mean that has refused a mail."""
    return replace(explain_reply(Reply.parse(_REFUSED, words), stage), reply=None, detail=printable(words))


def refusal(answer: Answer, words: str, stage: Stage = Stage.BODY) -> Refusal:
    """Translate an answer that is no yes.

    Args:
        answer: What the provider has answered.
        words: Its own ones, out of the JSON; "" where there are none.
        stage: What the words are about, where their field says it.
    """
    status = answer.status
    said = printable(f"HTTP {status}: {words}" if words else f"HTTP {status}")
    if status == 429:
        wait = _wait_asked_for(answer)
        return Refusal(
            Failure(FailureKind.RATE_LIMITED, temporary=True, detail=said, slows_server=True, wait=wait)
        )
    by_api = answer.json is not None
    if by_api and 400 <= status < 500 and status not in {408, 413}:
        read = replace(words_read(words, stage), detail=said)
        # What it says of credits and senders is truer than "unauthorized".
        if status not in {401, 403} or read.kind in {FailureKind.RATE_LIMITED, FailureKind.SENDER_REFUSED}:
            return Refusal(read)
    kind, of_server, advice = _meaning(status, by_api=by_api)
    temporary = kind in {FailureKind.SERVER_ERROR, FailureKind.AUTH_FAILED}
    return Refusal(Failure(kind, temporary, detail=said, advice=advice), of_server)


_STATUSES: dict[int, tuple[FailureKind, bool, Advice | None]] = {
    401: (FailureKind.AUTH_FAILED, True, Advice.API_KEY),
    408: (FailureKind.SERVER_ERROR, False, None),
    413: (FailureKind.MESSAGE_TOO_LARGE, False, None),
    503: (FailureKind.SERVER_ERROR, True, None),
}
"""Statuses that say the same whoever answers: the kind, whether it is the server's fault, an advice."""


def _meaning(status: int, *, by_api: bool) -> tuple[FailureKind, bool, Advice | None]:
    if status in _STATUSES:
        return _STATUSES[status]
    if status == 403 and by_api:
        return FailureKind.AUTH_FAILED, True, Advice.API_PERMISSION
    if status == 500 and by_api:
        return FailureKind.SERVER_ERROR, False, None
    if 300 <= status < 500:
        # No redirect is followed: it may lead anywhere, with the key.
        return FailureKind.SERVER_ERROR, True, Advice.NO_API
    # A gateway that has lost sight of the request, or a page where there should be an answer: it may have been taken.
    return FailureKind.OUTCOME_UNKNOWN, False, None


def _wait_asked_for(answer: Answer) -> dt.timedelta | None:
    """Return how long a provider asks to wait: seconds or a date (RFC 9110 §10.2.3), or the reset of SendGrid."""
    text = answer.headers.get("retry-after", "").strip()
    reset = answer.headers.get("x-ratelimit-reset", "").strip()
    seconds: float | None = None
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    elif text:
        try:
            seconds = (email.utils.parsedate_to_datetime(text) - clock.now()).total_seconds()
        except (ValueError, TypeError):
            seconds = None
    elif reset.isascii() and reset.isdigit():
        seconds = float(reset[:12]) - clock.now().timestamp()
    if seconds is None or seconds <= 0:
        return None
    return min(dt.timedelta(seconds=seconds), LONGEST_WAIT)
