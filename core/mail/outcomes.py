"""What became of a recipient, and why, in words.

Reply codes are those of RFC 5321 §4.2, enhanced codes those of RFC 3463.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from core.i18n import lazy_gettext as _l

_ENHANCED = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
# Besides control characters, those that turn the direction of the text and so make it read otherwise.
_UNPRINTABLE = re.compile(
    r"[^\x09\x0a\x20-\x7e\u00a0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\uffef\U00010000-\U0010fffd]"
)
MAX_DIAGNOSTIC_LENGTH = 2000


class RecipientState(StrEnum):
    """What is known about one recipient of one mail."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    INVALID = "invalid"
    UNCERTAIN = "uncertain"


class Actor(StrEnum):
    """Who must act after a failure."""

    SELLER = "seller"
    ADMINISTRATOR = "administrator"
    NOBODY = "nobody"


class FailureKind(StrEnum):
    """Why a mail, or one recipient of it, failed."""

    ADDRESS_INVALID = "address_invalid"
    RECIPIENT_UNKNOWN = "recipient_unknown"
    MAILBOX_FULL = "mailbox_full"
    RECIPIENT_REFUSED = "recipient_refused"
    SENDER_REFUSED = "sender_refused"
    MESSAGE_REFUSED = "message_refused"
    MESSAGE_TOO_LARGE = "message_too_large"
    SPAM_SUSPECTED = "spam_suspected"
    RATE_LIMITED = "rate_limited"
    AUTH_FAILED = "auth_failed"
    CONNECT_FAILED = "connect_failed"
    HOST_NOT_FOUND = "host_not_found"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    RENDER_FAILED = "render_failed"
    TEMPLATE_ERROR = "template_error"
    ATTACHMENT_MISSING = "attachment_missing"
    DOCUMENT_MISSING = "document_missing"
    SERVER_MISSING = "server_missing"
    SERVER_UNTESTED = "server_untested"
    OUTCOME_UNKNOWN = "outcome_unknown"
    INTERNAL_ERROR = "internal_error"
    DOCUMENT_CHANGED = "document_changed"
    SENDER_MISSING = "sender_missing"
    GIVEN_UP = "given_up"


class Repair(StrEnum):
    """The place where a failure is repaired."""

    RECIPIENT = "recipient"
    MAIL = "mail"
    SERVER = "server"
    SERVERS = "servers"
    TEMPLATE = "template"
    DOCUMENT = "document"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person is told about a kind of failure.

    Attributes:
        title: A few words.
        text: What happened and what to do, in sentences.
        actor: Who must act.
        repair: Where.
    """

    title: object
    text: object
    actor: Actor
    repair: Repair


EXPLANATIONS: dict[FailureKind, Explanation] = {
    FailureKind.ADDRESS_INVALID: Explanation(
        _l("Invalid address"),
        _l("This is not a valid email address. Correct it and resend."),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.RECIPIENT_UNKNOWN: Explanation(
        _l("Address unknown"),
        _l(
            "The recipient's mail server says that this mailbox does not exist. Ask the customer for the right "
            "address, correct it and resend."
        ),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.MAILBOX_FULL: Explanation(
        _l("Mailbox full"),
        _l(
            "The recipient's mailbox takes no more mail. Reach the customer another way, or resend later or to "
            "another address."
        ),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.RECIPIENT_REFUSED: Explanation(
        _l("Recipient refused"),
        _l("The mail server does not accept mail for this recipient. Its own words below say why."),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.SENDER_REFUSED: Explanation(
        _l("Sender refused"),
        _l(
            "The mail server does not let Envoi send from this address. Give the server an account that may, or "
            "correct the From filter of the server."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.MESSAGE_REFUSED: Explanation(
        _l("Message refused"),
        _l("The mail server read the message and refused it. Its own words below say why."),
        Actor.SELLER,
        Repair.MAIL,
    ),
    FailureKind.MESSAGE_TOO_LARGE: Explanation(
        _l("Message too large"),
        _l(
            "The message with its attachments is larger than the mail server allows. Send it with fewer files."
        ),
        Actor.SELLER,
        Repair.MAIL,
    ),
    FailureKind.SPAM_SUSPECTED: Explanation(
        _l("Taken for spam"),
        _l(
            "The mail server took the message for spam, or does not trust the server that sent it. The "
            "administrator should check the sender's domain (SPF, DKIM) and its reputation."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.RATE_LIMITED: Explanation(
        _l("Server asked to wait"),
        _l(
            "The mail server wants this mail later: it gets too many at once, or lets unknown senders wait. Envoi "
            "tries again by itself."
        ),
        Actor.NOBODY,
        Repair.NONE,
    ),
    FailureKind.AUTH_FAILED: Explanation(
        _l("Sign-in refused"),
        _l("The mail server does not accept the user name and password. Correct them, then test the server."),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.CONNECT_FAILED: Explanation(
        _l("Server unreachable"),
        _l(
            "No connection to the mail server could be made. It may be down, or host, port or firewall may be "
            "wrong. Envoi tries again by itself."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.HOST_NOT_FOUND: Explanation(
        _l("Server name unknown"),
        _l("No machine has the host name in the mail server's settings. Correct the host."),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.TLS_FAILED: Explanation(
        _l("Encryption failed"),
        _l(
            "No trusted, encrypted connection could be made: the certificate of the server is expired, issued "
            "for another name or not trusted, or the kind of encryption is wrong for this port."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.TIMEOUT: Explanation(
        _l("Server too slow"),
        _l("The mail server did not answer in time. Envoi tries again by itself."),
        Actor.NOBODY,
        Repair.NONE,
    ),
    FailureKind.SERVER_ERROR: Explanation(
        _l("Mail server failing"),
        _l("The mail server could not do its work, or gave an answer that makes no sense."),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.RENDER_FAILED: Explanation(
        _l("PDF could not be made"),
        _l(
            "The PDF of the document could not be made, so nothing was sent. Open the PDF of the document to see why."
        ),
        Actor.ADMINISTRATOR,
        Repair.DOCUMENT,
    ),
    FailureKind.TEMPLATE_ERROR: Explanation(
        _l("Error in the template"),
        _l(
            "The mail template uses a field that does not exist, or is not well formed. Correct the template."
        ),
        Actor.ADMINISTRATOR,
        Repair.TEMPLATE,
    ),
    FailureKind.ATTACHMENT_MISSING: Explanation(
        _l("Attachment missing"),
        _l("A file of this mail is gone from the store or is damaged. Attach it again in a new mail."),
        Actor.ADMINISTRATOR,
        Repair.MAIL,
    ),
    FailureKind.DOCUMENT_MISSING: Explanation(
        _l("Document missing"),
        _l("The document of this mail cannot be read: its module is disabled, or the document is gone."),
        Actor.ADMINISTRATOR,
        Repair.DOCUMENT,
    ),
    FailureKind.SERVER_MISSING: Explanation(
        _l("No mail server"),
        _l(
            "No active mail server may send from this address. The mail waits; add a server, or widen a From filter."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVERS,
    ),
    FailureKind.SERVER_UNTESTED: Explanation(
        _l("Mail server untested"),
        _l(
            "The mail server has not passed its test since it was last changed. The mail waits; test the "
            "server."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.OUTCOME_UNKNOWN: Explanation(
        _l("Outcome unknown"),
        _l(
            "The connection ended after the message had been handed over and before the server answered. "
            "It was probably accepted. Ask the recipient before you resend."
        ),
        Actor.SELLER,
        Repair.MAIL,
    ),
    FailureKind.DOCUMENT_CHANGED: Explanation(
        _l("Document changed meanwhile"),
        _l(
            "The document was changed after the mail was written and before it left, so text and PDF would not "
            "agree. Nothing was sent. Open the document and send it anew."
        ),
        Actor.SELLER,
        Repair.DOCUMENT,
    ),
    FailureKind.SENDER_MISSING: Explanation(
        _l("No sender address"),
        _l("The company has no email address to send from. The mail waits; give the company one."),
        Actor.ADMINISTRATOR,
        Repair.NONE,
    ),
    FailureKind.GIVEN_UP: Explanation(
        _l("Given up"),
        _l(
            "Envoi no longer tries: every try was used, or somebody has decided so. The last words of the server "
            "say what kept the mail. Resend it when that is mended."
        ),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.INTERNAL_ERROR: Explanation(
        _l("Fault in Envoi"),
        _l(
            "Envoi, or one of its modules, could not handle this mail because of a fault of its own. Nothing was "
            "sent. The details are in the worker's log."
        ),
        Actor.ADMINISTRATOR,
        Repair.NONE,
    ),
}


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
        """Split the enhanced code off the text of a reply."""
        words = printable(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
        match = _ENHANCED.match(words)
        return cls(code, match.group(1) if match else "", words)

    @property
    def temporary(self) -> bool:
        """True for 4yz: the same mail may be accepted later."""
        return 400 <= self.code < 500


def printable(text: str) -> str:
    """Return the text without control characters and terminal escapes, and not endlessly long."""
    text = _UNPRINTABLE.sub("�", text[: MAX_DIAGNOSTIC_LENGTH * 2].replace("\r", ""))
    return text if len(text) <= MAX_DIAGNOSTIC_LENGTH else text[:MAX_DIAGNOSTIC_LENGTH] + "…"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not work.

    Attributes:
        kind: The machine-readable kind.
        temporary: True when Envoi should try again by itself.
        reply: The server's answer, where there was one.
        detail: Words of ours or of the system, where the server had none.
    """

    kind: FailureKind
    temporary: bool
    reply: Reply | None = None
    detail: str = ""

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
    """What one attempt did for one recipient.

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

    CONNECT = "connect"
    HELLO = "hello"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"


_BY_ENHANCED = {
    "1.0": FailureKind.RECIPIENT_REFUSED,
    "1.1": FailureKind.RECIPIENT_UNKNOWN,
    "1.2": FailureKind.RECIPIENT_UNKNOWN,
    "1.3": FailureKind.RECIPIENT_UNKNOWN,
    "1.6": FailureKind.RECIPIENT_UNKNOWN,
    "1.10": FailureKind.RECIPIENT_UNKNOWN,
    "1.7": FailureKind.SENDER_REFUSED,
    "1.8": FailureKind.SENDER_REFUSED,
    "2.1": FailureKind.RECIPIENT_UNKNOWN,
    "2.2": FailureKind.MAILBOX_FULL,
    "2.3": FailureKind.MESSAGE_TOO_LARGE,
    "3.4": FailureKind.MESSAGE_TOO_LARGE,
    "4.5": FailureKind.RATE_LIMITED,
    "7.0": FailureKind.SPAM_SUSPECTED,
    "7.1": FailureKind.SPAM_SUSPECTED,
    "7.8": FailureKind.AUTH_FAILED,
    "7.9": FailureKind.AUTH_FAILED,
}

_BY_CODE_AND_STAGE = {
    (552, Stage.RCPT): FailureKind.MAILBOX_FULL,
    (552, Stage.MAIL): FailureKind.MESSAGE_TOO_LARGE,
    (552, Stage.DATA): FailureKind.MESSAGE_TOO_LARGE,
    (552, Stage.BODY): FailureKind.MESSAGE_TOO_LARGE,
    (452, Stage.RCPT): FailureKind.RATE_LIMITED,
    (530, Stage.MAIL): FailureKind.AUTH_FAILED,
    (550, Stage.RCPT): FailureKind.RECIPIENT_UNKNOWN,
    (551, Stage.RCPT): FailureKind.RECIPIENT_UNKNOWN,
    (553, Stage.RCPT): FailureKind.RECIPIENT_UNKNOWN,
    (553, Stage.MAIL): FailureKind.SENDER_REFUSED,
}

_BY_STAGE = {
    Stage.CONNECT: FailureKind.SERVER_ERROR,
    Stage.HELLO: FailureKind.SERVER_ERROR,
    Stage.STARTTLS: FailureKind.TLS_FAILED,
    Stage.AUTH: FailureKind.AUTH_FAILED,
    Stage.MAIL: FailureKind.SENDER_REFUSED,
    Stage.RCPT: FailureKind.RECIPIENT_REFUSED,
    Stage.DATA: FailureKind.MESSAGE_REFUSED,
    Stage.BODY: FailureKind.MESSAGE_REFUSED,
}


def explain_reply(reply: Reply, stage: Stage) -> Failure:
    """Translate a refusal of a server into a failure.

    The enhanced code outweighs the reply code, which outweighs the step of the dialogue.
    """
    if reply.code == 421:
        return Failure(FailureKind.SERVER_ERROR, True, reply)
    if not 400 <= reply.code < 600:
        return Failure(FailureKind.SERVER_ERROR, True, reply)
    kind = _BY_ENHANCED.get(reply.enhanced.partition(".")[2])
    if kind is FailureKind.SPAM_SUSPECTED and stage not in {Stage.DATA, Stage.BODY}:
        # x.7.0 and x.7.1 before the text was seen are a matter of permission, not of spam (RFC 3463 §3.8); for
        # now, about a sender or recipient, they are how greylisting speaks.
        if reply.temporary and stage in {Stage.MAIL, Stage.RCPT}:
            kind = FailureKind.RATE_LIMITED
        else:
            kind = FailureKind.AUTH_FAILED if reply.code == 530 else _BY_STAGE[stage]
    if kind is None:
        kind = _BY_CODE_AND_STAGE.get((reply.code, stage), _BY_STAGE[stage])
        if reply.temporary and stage not in {Stage.AUTH, Stage.STARTTLS} and kind is _BY_STAGE[stage]:
            kind = FailureKind.SERVER_ERROR
    return Failure(kind, reply.temporary, reply)
