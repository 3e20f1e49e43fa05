"""The outcome of an attempt for a recipient: the server's reply, the state, the kind of failure.

Reply codes are those of RFC 5321 §4.2, enhanced codes those of RFC 3463 and of the registry that it has become.
What they mean stands in `core.mail.replies`; what a person is told, in `explanations` and `advice`.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum

from core.mail.advice import ADVICE, Advice
from core.mail.explanations import EXPLANATIONS, Actor, FailureKind, Repair

__all__ = [
    "ADVICE",
    "EXPLANATIONS",
    "Actor",
    "Advice",
    "Failure",
    "FailureKind",
    "RecipientOutcome",
    "RecipientState",
    "Repair",
    "Reply",
    "Stage",
    "printable",
]

# Where servers put the enhanced code: first on a line, also after a reply code that was repeated or quoted from
# another server; behind "#", as qmail and Cisco write it; in parentheses or brackets, mostly at the end.
_ENHANCED = re.compile(
    r"(?:^[ \t]*(?:\d{3}[ -]+)?[#<({\[]*|(?:said:?|smtp;)\s*(?:\d{3}[ -]+)?#?|\b[45]\d\d[ -]+#?|[(\[]#?|#)"
    r"([245]\.\d{1,3}\.\d{1,3})(?=[\s:;,)\]>}-]|\.?$|\.\s)",
    re.MULTILINE,
)
# Besides control characters, those that turn the direction of the text and so make it read otherwise.
_UNPRINTABLE = re.compile(
    r"[^\x09\x0a\x20-\x7e\u00a0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\uffef\U00010000-\U0010fffd]"
)
MAX_DIAGNOSTIC_LENGTH = 2000  # characters; servers have answered with whole web pages


class RecipientState(StrEnum):
    """The state of one recipient of one mail."""

    PENDING = "pending"  # nothing was tried yet
    ACCEPTED = (
        "accepted"  # a server has answered 250 for it, and nothing has come back since that says otherwise
    )
    DEFERRED = "deferred"  # refused for now (4yz); it is tried again by itself
    REFUSED = "refused"  # refused for good (5yz)
    INVALID = "invalid"  # never offered to a server: it is no address
    UNCERTAIN = "uncertain"  # the text went out and no answer came; never tried again by itself
    BOUNCED = "bounced"  # accepted once, and given up by a server behind that one


def _decoded(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of an SMTP server.

    Attributes:
        code: Reply code (RFC 5321 §4.2), or 0 where there was none.
        enhanced: Enhanced code (RFC 3463) such as `5.1.1`, or "".
        text: The server's own words, harmless to show.
    """

    code: int
    enhanced: str
    text: str

    @classmethod
    def parse(cls, code: int, text: bytes | str) -> Reply:
        """Take a reply apart.

        The enhanced code is that of the first line that carries one, wherever servers put it. Its class ought to
        be that of the reply code. Real servers write "550 4.2.2" and "450 5.1.1": the reply code then says
        whether to try again, since that is what clients act upon (RFC 5321 §4.2), and the enhanced code still
        says what it is about. Only where one speaks of success and the other of failure it is not read at all.
        """
        words = printable(text if isinstance(text, str) else _decoded(text))
        match = _ENHANCED.search(words)
        enhanced = match.group(1) if match else ""
        if enhanced and code >= 200 and (code < 400) is not enhanced.startswith("2"):
            enhanced = ""
        return cls(code, enhanced, words)

    @property
    def temporary(self) -> bool:
        """True for 4yz: the same mail may be accepted later."""
        return 400 <= self.code < 500


def printable(text: str, limit: int = MAX_DIAGNOSTIC_LENGTH) -> str:
    """Return the text without control characters and terminal escapes, and not endlessly long."""
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text  # nearly every line of a dialogue
    text = _UNPRINTABLE.sub("�", text[: limit * 2].replace("\r", ""))
    return text if len(text) <= limit else text[:limit] + "…"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not work.

    Attributes:
        kind: The machine-readable kind.
        temporary: True when Envoi should try again by itself.
        reply: The server's answer, where there was one.
        detail: Words of ours or of the system, where the server had none.
        also: The other reading, where the reply allows two.
        advice: A finer hint of what to do than the explanation of the kind.
        slows_server: True when the server limits how much it takes from us, so every mail through it should
            slow down. False for greylisting, which is about one sender and one recipient.
        wait: For how long it wants nothing, where it says so (RFC 9110 §10.2.3).
    """

    kind: FailureKind
    temporary: bool
    reply: Reply | None = None
    detail: str = ""
    also: FailureKind | None = None
    advice: Advice | None = None
    slows_server: bool = False
    wait: dt.timedelta | None = None

    @property
    def actor(self) -> Actor:
        """Who must act: the advice says it where it differs from the kind of failure."""
        finer = ADVICE[self.advice].actor if self.advice is not None else None
        return finer or EXPLANATIONS[self.kind].actor

    @property
    def diagnostic(self) -> str:
        """The server's own words, or ours."""
        if self.reply is not None and self.reply.code >= 200:
            return f"{self.reply.code} {self.reply.text}".strip()
        if self.reply is not None and self.reply.text:
            return f"No SMTP reply: {self.reply.text}"
        return printable(self.detail)


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """The result of one attempt for one recipient.

    Attributes:
        addr_spec: The address, as it stood in the envelope.
        state: What is now known.
        reply: The server's answer, where there was one.
        failure: Why not, unless accepted.
    """

    addr_spec: str
    state: RecipientState
    reply: Reply | None = None
    failure: Failure | None = None


class Stage(StrEnum):
    """The step of the dialogue at which a reply came."""

    CONNECT = "connect"  # the greeting, or its absence
    HELLO = "hello"  # EHLO or HELO
    STARTTLS = "starttls"  # the turn to encryption, handshake included
    AUTH = "auth"  # signing in
    MAIL = "mail"  # MAIL FROM: the envelope sender
    RCPT = "rcpt"  # RCPT TO: one recipient
    DATA = "data"  # DATA, before any text
    BODY = "body"  # after the text: only here may somebody have the mail
