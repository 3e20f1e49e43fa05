"""Signs of single providers, which say exactly what is meant."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.rules.model import SIGNED_IN, Rule

# Orange ("OFR_416", "OFR005_104") and La Poste ("LPN105_402", "LPN416"): the last three digits count.
_PTT = r"\b(?:ofr|lpn|lpnaaa|ouk)(?:\d{3} )? ?(?:(?!\d{3} \d{3}\b))"

FRENCH = (
    Rule(Kind.RATE_LIMITED, _PTT + r"104\b", temporary=True, slows=True),
    Rule(
        Kind.RATE_LIMITED,
        _PTT + r"(?:103|105|107|108|109|201|423|424|505|510|999)\b",
        codes=("4",),
        also=Kind.SPAM_SUSPECTED,
        slows=True,
    ),
    Rule(Kind.SPAM_SUSPECTED, _PTT + r"(?:10\d|510|630|999)\b", advice=Advice.BLOCK_LIST),
    Rule(Kind.SPAM_SUSPECTED, _PTT + r"(?:506|513|51[89]|520)\b"),
    Rule(Kind.SPAM_SUSPECTED, _PTT + r"401\b", advice=Advice.SPF),
    Rule(Kind.SPAM_SUSPECTED, _PTT + r"517\b", advice=Advice.DMARC),
    Rule(Kind.AUTH_FAILED, _PTT + r"402\b", advice=Advice.AUTH_REQUIRED),
    Rule(Kind.AUTH_FAILED, _PTT + r"305\b", advice=Advice.CREDENTIALS),
    Rule(Kind.SENDER_REFUSED, _PTT + r"(?:403|405|415)\b", advice=Advice.SENDER_DOMAIN),
    Rule(Kind.SENDER_REFUSED, _PTT + r"421\b", advice=Advice.FROM_NOT_YOURS),
    Rule(Kind.RECIPIENT_UNKNOWN, _PTT + r"41[68]\b"),
    Rule(Kind.MAILBOX_FULL, _PTT + r"417\b"),
    Rule(Kind.RECIPIENT_UNKNOWN, _PTT + r"(?:420|426)\b", advice=Advice.MAILBOX_DISABLED),
    Rule(Kind.MESSAGE_TOO_LARGE, _PTT + r"514\b"),
    # Free and SFR count the spam that an address has sent.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        too many spams?
        trop de spams?
        sfr in \d0[1-4]
        bad behaviou?r
        identified as (?:an? )?spam
        blocked…for…(?:attempting|the day)
        """,
        also=Kind.RATE_LIMITED,
        advice=Advice.BLOCK_LIST,
    ),
)

YAHOO = (
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        will be permanently deferred
        retrying will not succeed
        """,
        advice=Advice.BLOCK_LIST,
    ),
    Rule(
        Kind.RATE_LIMITED,
        r"""
        \[?(?:tss?|ipts)0\d\]?…(?:temporarily )?deferred
        temporarily deferred due to (?:user complaints|unexpected volume|excessive)
        \brly:b[123]
        \bdyn:t
        \bcon:b1…later
        """,
        codes=("4",),
        also=Kind.SPAM_SUSPECTED,
        slows=True,
    ),
    Rule(Kind.SERVER_ERROR, r"\brtr:ge\b"),
)

# SendGrid says so of a sign-in.
CREDITS = (
    Rule(
        Kind.RATE_LIMITED, r"maximum credits exceeded", temporary=True, advice=Advice.DAILY_QUOTA, slows=True
    ),
)

# Codes of their own, where the words beside them say little or mislead.
MICROSOFT = (
    Rule(
        Kind.SENDER_REFUSED,
        subject=r"1\.8",
        codes=("5",),
        advice=Advice.ACCOUNT_BLOCKED,
        also=Kind.SPAM_SUSPECTED,
        words=r"outbound|access denied",
    ),
    Rule(
        Kind.SENDER_REFUSED,
        subject=r"7\.64|7\.68|7\.54",
        advice=Advice.RELAY_DENIED,
        also=Kind.AUTH_FAILED,
        stages=SIGNED_IN,
    ),
    Rule(Kind.SENDER_REFUSED, subject=r"7\.(?:60|61|367)", advice=Advice.FROM_NOT_YOURS, stages=SIGNED_IN),
    Rule(Kind.SENDER_REFUSED, subject=r"7\.750", advice=Advice.VERIFY_IDENTITY, stages=SIGNED_IN),
    Rule(
        Kind.AUTH_FAILED,
        subject=r"7\.57",
        advice=Advice.AUTH_REQUIRED,
        stages=SIGNED_IN,
        words=r"anonymous|authenticat(?!.*disabled for)",
    ),
    Rule(
        Kind.SPAM_SUSPECTED,
        subject=r"7\.50[123]|7\.70[0-46-9]|7\.7[1-4]\d",
        codes=("5",),
        advice=Advice.ACCOUNT_BLOCKED,
        stages=SIGNED_IN,
        words=r"spam|tenant|banned|traffic|^.{0,12}$|access denied",
        also=Kind.SENDER_REFUSED,
    ),
    Rule(
        Kind.SPAM_SUSPECTED,
        subject=r"7\.(?:511|60[6-9]|6[1-4]\d)",
        codes=("5",),
        advice=Advice.BLOCK_LIST,
        stages=SIGNED_IN,
    ),
    Rule(Kind.SPAM_SUSPECTED, subject=r"7\.509", advice=Advice.DMARC, stages=SIGNED_IN),
    Rule(Kind.SPAM_SUSPECTED, subject=r"7\.515", advice=Advice.SPF, stages=SIGNED_IN),
    Rule(Kind.MESSAGE_REFUSED, subject=r"7\.512", advice=Advice.MALFORMED, stages=SIGNED_IN),
    Rule(Kind.RECIPIENT_UNKNOWN, subject=r"7\.504", stages=SIGNED_IN),
    Rule(Kind.RECIPIENT_UNKNOWN, words=r"accountdisabled|aduserdisabled", advice=Advice.MAILBOX_DISABLED),
    Rule(
        Kind.SPAM_SUSPECTED,
        words=r"^(?:sc|ou|dy) 00[1-4]\b",
        codes=("5",),
        stages=SIGNED_IN,
        advice=Advice.BLOCK_LIST,
    ),
    Rule(Kind.SPAM_SUSPECTED, words="outboundspam", advice=Advice.ACCOUNT_BLOCKED, stages=SIGNED_IN),
    Rule(Kind.RATE_LIMITED, subject=r"7\.508", temporary=True, slows=True),
    Rule(
        Kind.RATE_LIMITED,
        subject=r"7\.(?:[5-8]\d\d)",
        codes=("4",),
        also=Kind.SPAM_SUSPECTED,
        slows=True,
        words=r"try again|busy|rate limited|later",
    ),
)
