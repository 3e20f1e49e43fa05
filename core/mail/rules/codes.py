"""Rules about codes, when the words say nothing more: RFC 5321 §4.2, RFC 3463 and the registry of enhanced codes."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.outcomes import Stage
from core.mail.rules.model import ENVELOPE, GREETING, MESSAGE, Rule

_MAIL = frozenset({Stage.MAIL})
_RCPT = frozenset({Stage.RCPT})


def _of(kind: Kind, subject: str, advice: Advice | None = None, **more: object) -> Rule:
    return Rule(kind, subject=subject, advice=advice, **more)  # type: ignore[arg-type]


# Codes that say one thing (RFC 3463 §3, 4954, 5248, 6710, 6758, 7293, 7372, 7505, 8617, 8689).
PRECISE = (
    _of(Kind.RECIPIENT_UNKNOWN, r"1\.1"),
    _of(Kind.RECIPIENT_UNKNOWN, r"1\.2", Advice.DOMAIN_UNKNOWN),
    _of(Kind.ADDRESS_INVALID, r"1\.3"),
    _of(Kind.RECIPIENT_UNKNOWN, r"1\.4"),
    _of(Kind.RECIPIENT_UNKNOWN, r"1\.6", Advice.MAILBOX_MOVED),
    _of(Kind.SENDER_REFUSED, r"1\.7"),
    _of(Kind.SENDER_REFUSED, r"1\.8", Advice.SENDER_DOMAIN),
    _of(Kind.RECIPIENT_UNKNOWN, r"1\.10"),
    _of(Kind.RECIPIENT_UNKNOWN, r"2\.1", Advice.MAILBOX_DISABLED, codes=("5",)),
    _of(Kind.MAILBOX_FULL, r"2\.2"),
    _of(Kind.MESSAGE_TOO_LARGE, r"2\.3"),
    _of(Kind.SERVER_ERROR, r"3\.1", Advice.SYSTEM_FULL),
    _of(Kind.MESSAGE_TOO_LARGE, r"3\.4"),
    _of(Kind.RECIPIENT_UNKNOWN, r"4\.4", Advice.DOMAIN_UNKNOWN),
    _of(Kind.RATE_LIMITED, r"4\.5", temporary=True, slows=True),
    _of(Kind.SERVER_ERROR, r"4\.(?:6|14)", Advice.MAIL_LOOP),
    _of(Kind.TIMEOUT, r"4\.(?:7|300)"),
    _of(Kind.RATE_LIMITED, r"5\.3", Advice.TOO_MANY_RECIPIENTS, temporary=True),
    _of(Kind.RECIPIENT_REFUSED, r"6\.7", stages=_RCPT),
    _of(Kind.SENDER_REFUSED, r"6\.7", stages=_MAIL),
    _of(Kind.MESSAGE_REFUSED, r"6\.(?:[1-9]|1\d)", Advice.MALFORMED),
    _of(Kind.RECIPIENT_REFUSED, r"7\.2", Advice.INTERNAL_ONLY),
    _of(Kind.AUTH_FAILED, r"7\.(?:8|9|14)", Advice.CREDENTIALS, codes=("53",)),
    # Google says so of an address that it cannot read.
    Rule(Kind.SENDER_REFUSED, "syntax error", codes=("555",), stages=_MAIL),
    Rule(Kind.ADDRESS_INVALID, "syntax error", codes=("555",), stages=_RCPT),
    Rule(Kind.SPAM_SUSPECTED, codes=("541",), also=Kind.RECIPIENT_REFUSED),
    _of(Kind.TLS_FAILED, r"7\.1[01]", Advice.STARTTLS_REQUIRED),
    _of(Kind.RECIPIENT_UNKNOWN, r"7\.13", Advice.MAILBOX_DISABLED, stages=_RCPT),
    _of(Kind.RECIPIENT_UNKNOWN, r"7\.13", Advice.MAILBOX_DISABLED, words="recipient|mailbox"),
    _of(Kind.SENDER_REFUSED, r"7\.13", Advice.ACCOUNT_BLOCKED),
    _of(Kind.MESSAGE_TOO_LARGE, r"7\.16"),
    _of(Kind.RECIPIENT_UNKNOWN, r"7\.1[78]"),
    _of(Kind.RECIPIENT_REFUSED, r"7\.19"),
    _of(Kind.SPAM_SUSPECTED, r"7\.2[0-2]", Advice.DKIM),
    _of(Kind.SPAM_SUSPECTED, r"7\.2[346]", Advice.SPF),
    _of(Kind.SPAM_SUSPECTED, r"7\.25", Advice.REVERSE_DNS),
    _of(Kind.SENDER_REFUSED, r"7\.27", Advice.SENDER_DOMAIN),
    _of(Kind.SPAM_SUSPECTED, r"7\.29", Advice.DKIM),
    _of(Kind.TLS_FAILED, r"7\.30", Advice.STARTTLS_REQUIRED),
)

# x.7.0 and x.7.1 before the text was seen are a matter of permission, not of spam (RFC 3463 §3.8); for now, about a
# sender or recipient, they are how greylisting speaks.
FOR_NOW = (_of(Kind.RATE_LIMITED, r"7\.\d+", Advice.GREYLISTED, codes=("4",), stages=ENVELOPE),)

# Codes that say little, read by the step of the dialogue.
VAGUE = (
    _of(Kind.SPAM_SUSPECTED, r"7\.\d+", codes=("4",), stages=MESSAGE, also=Kind.RATE_LIMITED),
    _of(Kind.SPAM_SUSPECTED, r"7\.\d+", codes=("5",), stages=MESSAGE),
    _of(Kind.SENDER_REFUSED, r"7\.\d+", codes=("5",), stages=_MAIL),
    _of(Kind.RECIPIENT_REFUSED, r"7\.\d+", codes=("5",), stages=_RCPT),
    _of(Kind.SPAM_SUSPECTED, r"7\.\d+", Advice.BLOCK_LIST, codes=("5",), stages=GREETING),
    _of(Kind.RATE_LIMITED, r"2\.[01]", codes=("4",), stages=_RCPT, also=Kind.RECIPIENT_UNKNOWN),
    _of(Kind.SENDER_REFUSED, r"1\.0", stages=_MAIL),
    _of(Kind.RECIPIENT_REFUSED, r"1\.\d+", codes=("5",), stages=_RCPT, also=Kind.RECIPIENT_UNKNOWN),
    _of(Kind.RECIPIENT_UNKNOWN, r"4\.1", codes=("550",), stages=_RCPT),
    _of(Kind.SERVER_ERROR, r"[34]\.\d+"),
    _of(Kind.SERVER_ERROR, r"5\.[1-9]\d*", stages=GREETING | ENVELOPE, codes=("50",)),
    _of(Kind.MESSAGE_REFUSED, r"6\.0", codes=("5",), stages=MESSAGE),
    _of(Kind.RECIPIENT_REFUSED, r"2\.\d+", codes=("5",), also=Kind.RECIPIENT_UNKNOWN),
)

REPLY_CODES = (
    Rule(Kind.SERVER_ERROR, codes=("421",)),
    Rule(Kind.RATE_LIMITED, codes=("450",), stages=_RCPT, also=Kind.RECIPIENT_REFUSED),
    Rule(Kind.RATE_LIMITED, codes=("452",), stages=_RCPT, advice=Advice.TOO_MANY_RECIPIENTS, also=Kind.MAILBOX_FULL),
    Rule(Kind.TLS_FAILED, codes=("454",), stages=_MAIL, words="tls|ssl"),
    Rule(Kind.SERVER_ERROR, codes=("4",)),
    Rule(Kind.AUTH_FAILED, codes=("530", "534", "535"), advice=Advice.AUTH_REQUIRED),
    Rule(Kind.ADDRESS_INVALID, codes=("501",), stages=_RCPT),
    Rule(Kind.SENDER_REFUSED, codes=("501",), stages=_MAIL),
    Rule(Kind.RECIPIENT_UNKNOWN, codes=("521", "556"), stages=_RCPT, advice=Advice.DOMAIN_UNKNOWN),
    Rule(Kind.SERVER_ERROR, codes=("500", "501", "502", "503", "504", "521", "555", "556")),
    Rule(Kind.RECIPIENT_UNKNOWN, codes=("550", "551", "553"), stages=_RCPT),
    Rule(Kind.MAILBOX_FULL, codes=("552",), stages=_RCPT),
    Rule(Kind.MAILBOX_FULL, codes=("552",), words="storage allocation", stages=MESSAGE, also=Kind.MESSAGE_TOO_LARGE),
    Rule(Kind.MESSAGE_TOO_LARGE, codes=("552",), also=Kind.MAILBOX_FULL),
    Rule(Kind.SERVER_ERROR, codes=("5",), stages=GREETING, also=Kind.SPAM_SUSPECTED),
    Rule(Kind.SENDER_REFUSED, codes=("5",), stages=_MAIL),
    Rule(Kind.RECIPIENT_REFUSED, codes=("5",), stages=_RCPT),
    Rule(Kind.MESSAGE_REFUSED, codes=("5",), also=Kind.SPAM_SUSPECTED),
)  # fmt: skip
