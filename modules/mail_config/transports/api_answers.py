"""The answers of Gmail and Microsoft Graph, translated into kinds of failure.

https://developers.google.com/workspace/gmail/api/guides/handle-errors
https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode
"""

from __future__ import annotations

from collections.abc import Sequence

from core.mail.outcomes import Advice, Failure, FailureKind, Reply, Stage, printable
from core.mail.replies import explain_reply, explain_token
from modules.mail_config.transports.https import Answer

_AUTH, _RATE = FailureKind.AUTH_FAILED, FailureKind.RATE_LIMITED
_BEHIND_THE_DOOR = frozenset({500, 502, 504})
"""Faults that may have come after the message was taken."""

_REASONS: Sequence[tuple[str, FailureKind, Advice | None]] = (
    # In lower case: `reason` and `status` of Google, `code` of Graph, or words of the message.
    ("access_token_scope_insufficient", _AUTH, Advice.CONSENT_MISSING),
    ("insufficientpermissions", _AUTH, Advice.CONSENT_MISSING),
    ("insufficient authentication scopes", _AUTH, Advice.CONSENT_MISSING),
    ("erroraccessdenied", _AUTH, Advice.CONSENT_MISSING),
    ("authorization_requestdenied", _AUTH, Advice.CONSENT_MISSING),
    ("accessnotconfigured", _AUTH, Advice.API_DISABLED),
    ("service_disabled", _AUTH, Advice.API_DISABLED),
    ("mail service not enabled", _AUTH, Advice.API_DISABLED),
    ("mailboxnotenabledforrestapi", _AUTH, Advice.API_DISABLED),
    ("mailboxnotsupportedforrestapi", _AUTH, Advice.API_DISABLED),
    ("domainpolicy", _AUTH, Advice.CONDITIONAL_ACCESS),
    ("erroraccountsuspend", _AUTH, Advice.ACCOUNT_BLOCKED),
    ("dailylimitexceeded", _RATE, Advice.DAILY_QUOTA),
    ("user-rate limit exceeded", _RATE, Advice.DAILY_QUOTA),
    ("errorexceededmessagelimit", _RATE, Advice.DAILY_QUOTA),
    ("errorsubmissionquotaexceeded", _RATE, Advice.DAILY_QUOTA),
    ("ratelimitexceeded", _RATE, None),
    ("applicationthrottled", _RATE, None),
    ("errorsendasdenied", FailureKind.SENDER_REFUSED, Advice.FROM_NOT_YOURS),
    ("errormessagesubmissionblocked", FailureKind.SPAM_SUSPECTED, Advice.ACCOUNT_BLOCKED),
    ("errorinvalidrecipients", FailureKind.ADDRESS_INVALID, None),
    ("invalid to header", FailureKind.ADDRESS_INVALID, None),
    ("invalid cc header", FailureKind.ADDRESS_INVALID, None),
    ("invalid bcc header", FailureKind.ADDRESS_INVALID, None),
    ("errormessagesizeexceeded", FailureKind.MESSAGE_TOO_LARGE, None),
    ("uploadtoolarge", FailureKind.MESSAGE_TOO_LARGE, None),
    ("errormimecontentinvalid", FailureKind.MESSAGE_REFUSED, Advice.MALFORMED),
)


def explain_answer(answer: Answer) -> Failure | None:
    """Translate an answer that is not the acceptance of a message into a failure.

    Returns:
        Why, or None where nobody knows whether the message was taken: success in other words than the provider's, or
        a fault behind its door that may have come afterwards.
    """
    status, said = answer.status, words_of(answer)
    if status < 300 or status in _BEHIND_THE_DOOR:
        return None
    if status in {429, 503}:
        return _later(answer, said)
    if status == 401:
        token = explain_token(said)
        return Failure(_AUTH, True, detail=said, advice=token.advice if token else Advice.TOKEN_EXPIRED)
    kind, advice = (FailureKind.MESSAGE_TOO_LARGE, None) if status == 413 else _reason(said)
    if kind is not None:
        return Failure(kind, kind in {_AUTH, _RATE}, detail=said, advice=advice, slows_server=kind is _RATE)
    if status in {400, 422}:
        # What it says of the message is read as an SMTP server's words would be.
        read = explain_reply(Reply(554, "", said), Stage.BODY)
        return Failure(read.kind, read.temporary, detail=said, also=read.also, advice=read.advice)
    return Failure(_AUTH if status == 403 else FailureKind.SERVER_ERROR, True, detail=said)


def _reason(said: str) -> tuple[FailureKind | None, Advice | None]:
    known = said.casefold()
    found = ((kind, advice) for words, kind, advice in _REASONS if words in known)
    return next(found, (None, None))


def _later(answer: Answer, said: str) -> Failure:
    wait = printable(str(answer.headers.get("Retry-After") or ""), 40)
    if answer.status == 503 and not wait:
        return Failure(FailureKind.SERVER_ERROR, True, detail=said)
    kind, advice = _reason(said)
    # A limit of the day hides behind the same status as a burst.
    return Failure(
        _RATE,
        True,
        detail=f"{said} (Retry-After: {wait})" if wait else said,
        advice=advice if kind is _RATE else None,
        slows_server=True,
    )


def words_of(answer: Answer) -> str:
    """Return the status of an answer with what it says in words: of JSON its code and message, of a page nothing."""
    said = f"HTTP {answer.status}"
    try:
        error = answer.json().get("error")
    except ValueError:
        text = answer.text.strip()
        return said if not text or text.startswith("<") else printable(f"{said} {text}", 300)
    if not isinstance(error, dict):
        return printable(f"{said} {error}", 300) if error else said
    # Google's code is the status again; Graph's is a word.
    code = error.get("code") if isinstance(error.get("code"), str) else None
    reasons = [
        entry.get("reason")
        for name in ("errors", "details")
        if isinstance(error.get(name), list)
        for entry in error[name]
        if isinstance(entry, dict)
    ]
    words = [str(word) for word in (code, error.get("status"), error.get("message"), *reasons) if word]
    return printable(" ".join([said, *dict.fromkeys(words)]), 600)
