"""The interface of transports: what they take, and what they return."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from core.errors import EnvoiError
from core.mail.outcomes import Failure, RecipientOutcome
from modules.mail_config.models import Encryption


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """The parameters of a connection to a server; never logged, since they hold the password.

    Attributes:
        host: Name or address.
        port: TCP port.
        encryption: How the connection is encrypted.
        username: Leave empty for no sign-in.
        password: In the clear.
        ca_file: Trusted certificates beside the system's, of authorities of the house.
        ca_certificate: In PEM, the only authority trusted for this server; "" for those of the system and `ca_file`.
        allow_local: True where the host may be this machine itself.
        only_public: True where it may not be in a private network either: the server is of a user, not of the house.
        token: Gives the access token of OAuth 2 that takes the place of a password, or None. It is told the one that
            the server has just refused, or "", and raises `NoTokenError`.
        own_name: What this machine calls itself (EHLO); "" for the name that it has.
        timeout: Seconds to wait for each answer (RFC 5321 §4.5.3.2 asks for minutes; people do not).
    """

    host: str
    port: int
    encryption: Encryption
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str | None = None
    ca_certificate: str = ""
    allow_local: bool = True
    only_public: bool = False
    token: Callable[[str], str] | None = field(default=None, repr=False)
    timeout: float = 60.0
    own_name: str = ""


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """Return the context of an encrypted connection that trusts the system's authorities, and those of a file.

    Raises:
        OSError: The file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope of a message (RFC 5321 §2.3.1).

    Attributes:
        envelope_from: The return path.
        recipients: Addr-specs, in order.
        delivery_receipt: True to ask for a notification of success, where the server offers that (RFC 3461).
        envelope_id: By which such a notification names this envelope.
        signer: Puts our signature above a message, or None where that is not wanted. A transport that hands messages
            over as they are calls `signed` with the octets that really leave, after any change of its own; one whose
            server makes a message anew needs no signature of ours.
    """

    envelope_from: str
    recipients: tuple[str, ...]
    delivery_receipt: bool = False
    envelope_id: str = ""
    signer: Callable[[bytes], bytes] | None = None

    def signed(self, message: bytes) -> bytes:
        """Return a message as it leaves: signed, where it is to be."""
        return self.signer(message) if self.signer is not None else message


class Step(StrEnum):
    """A step of the dialogue, as a test shows it."""

    FOLDER = "folder"  # the folder is there, and takes a file
    RESOLVE = "resolve"  # the name of the host becomes addresses
    CONNECT = "connect"  # one of them answers
    TLS = "tls"  # the connection is encrypted, by a certificate that is trusted
    SIGN_IN = "sign_in"  # user name and password pass
    MAIL = "mail"  # the sender is taken
    RCPT = "rcpt"  # the recipients are asked about
    DATA = "data"  # the message is handed over
    SENT_FOLDER = "sent_folder"  # of a mailbox: where sent mails lie is found
    COPY = "copy"  # a copy is put there


@dataclass(slots=True)
class StepTaken:
    """A step that was begun.

    Attributes:
        step: Which.
        began: By the monotonic clock, in seconds.
        detail: What it has found: addresses, the certificate, or "".
    """

    step: Step
    began: float
    detail: str = ""


@dataclass(slots=True)
class Submission:
    """The result of one attempt, or of a check.

    Attributes:
        outcomes: One per recipient of the envelope, in order; empty when `failure` is set.
        failure: Why the dialogue ended without an outcome: the server was not reached, refused the sign-in, or
            broke off.
        server_failed: True when that was no fault of the mail: nothing had been said about it yet, or the server
            wants a sign-in or encryption.
        transcript: The dialogue, without secrets and without the message.
        steps: What was begun, in order; the one that failed is the last.
        no_receipt: True when a delivery receipt was wished for and the server offers none.
    """

    outcomes: tuple[RecipientOutcome, ...] = ()
    failure: Failure | None = None
    server_failed: bool = False
    transcript: list[str] = field(default_factory=list)
    steps: list[StepTaken] = field(default_factory=list)
    no_receipt: bool = False


class NoTokenError(EnvoiError):
    """There is no access token to sign in with.

    Attributes:
        failure: Why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure


class LostClaimError(EnvoiError):
    """`before_body` found that the mail is no longer this worker's; nothing was handed over."""


class Transport(Protocol):
    """A way to hand messages over to one server, by one connection at a time; it connects with its first mail.

    A module declares it as a `core.contract.TransportSpec`. One thread uses it at a time, though not always the same.
    """

    @property
    def access(self) -> ServerAccess | None:
        """How its server is reached, so that its certificate can be shown where it is not trusted; None for no host."""

    @property
    def walk(self) -> Sequence[Step]:
        """The steps that a mail goes through, in order: a test shows those as well that it has not reached."""

    @property
    def is_open(self) -> bool:
        """True while there is a connection that the next mail is likely to find open.

        It is kept then, and counts among those that the server is offered; one that is not open costs nobody anything.
        """

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """Hand a message over.

        What the server answers, and what breaks on the way, is returned and not raised. Somebody who may have got the
        message, while no answer says so, is `uncertain`: never deferred, or they might get it twice.

        Args:
            message: The whole message, lines ended by CRLF.
            envelope: Who sends, and to whom.
            before_body: Called the moment before the message itself goes out; when it raises, the message
                does not go out and the error passes through. Where the server takes fewer recipients at once than
                there are, it is called again before the message goes out to the others, so it must bear that. A
                LostClaimError does not pass through then, since some are served: their outcome is returned, and the
                others are deferred. A worker that dies there leaves nobody's outcome, so all are uncertain.
        """

    def check(self, envelope_from: str) -> Submission:
        """Find out whether mails would be taken, as far as that is possible without one, and hang up.

        Args:
            envelope_from: A sender to ask about, or "". A refusal of it says nothing about the server.

        Returns:
            No outcomes; a failure where something is wrong with the server.
        """

    def close(self) -> None:
        """End the connection in good order, if there is one; what the server answers to that changes nothing."""

    def drop(self) -> None:
        """End the connection at once, without a word, if there is one."""
