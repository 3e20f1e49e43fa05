"""A connection to an SMTP server, by Flask-Mail's: made, encrypted, signed in, kept, ended."""

from __future__ import annotations

import base64
import binascii
import smtplib
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial

from flask_mail import Connection, Mail, Message

from core.mail.exceptions import BEFORE_THE_MAIL, explain_exception
from core.mail.outcomes import Advice, Failure, FailureKind, Reply, Stage, printable
from core.mail.replies import explain_reply
from modules.mail_config.models import Encryption
from modules.mail_config.transports.addresses import ForbiddenHostError, addresses_of
from modules.mail_config.transports.base import NoTokenError, ServerAccess, Step, StepTaken, trusting
from modules.mail_config.transports.certificates import read_certificate
from modules.mail_config.transports.wire import PatientSMTP, PatientSMTPS

# Servers end idle connections after some minutes (RFC 5321 §4.5.3.2.7 asks for five): do not trust one
# that has been quiet for longer than this.
KEEP_SECONDS = 60.0
# What a server answers to a goodbye is not worth more.
GOODBYE_SECONDS = 5.0
MAX_TRANSCRIPT_LINES = 2000  # of a dialogue that is kept; 500 recipients take some 1,000


class DialogueError(Exception):
    """The dialogue ended before the message was taken or refused; carries the failure.

    Attributes:
        failure: Why.
        of_server: True when it ended before anything was said about a mail, or because the server wants a sign-in
            or encryption: then it is no fault of the mail.
    """

    def __init__(self, failure: Failure, *, of_server: bool = False) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure
        self.of_server = of_server


class _RefusedTokenError(DialogueError):
    """The server has refused a token, which another one may follow."""

    def __init__(self, failure: Failure, token: str) -> None:
        super().__init__(failure, of_server=True)
        self.token = token


@cache
def _own_name() -> str:
    """Return the name for EHLO; asked once, since a resolver may take seconds."""
    name = socket.getfqdn()
    return name if "." in name else "[127.0.0.1]"


class ServerConnection(Connection):
    """Flask-Mail's connection: waits for no answer for ever, verifies certificates, is kept from mail to mail."""

    host: PatientSMTP | None

    def __init__(self, access: ServerAccess) -> None:
        # Flask-Mail keeps such a state for the application; here each server has one, and the password leaves
        # with it.
        state = Mail().init_mail(
            {
                "MAIL_SERVER": access.host,
                "MAIL_PORT": access.port,
                "MAIL_USE_TLS": access.encryption is Encryption.STARTTLS,
                "MAIL_USE_SSL": access.encryption is Encryption.TLS,
                "MAIL_USERNAME": access.username or None,
                "MAIL_PASSWORD": access.password or None,
            }
        )
        super().__init__(state)  # type: ignore[arg-type]  # Flask-Mail passes this state itself in Mail.connect()
        self.access = access
        self.transcript: list[str] = []
        self.steps: list[StepTaken] = []
        self._last_used = 0.0

    # -- the connection ------------------------------------------------------------------------------

    def configure_host(self) -> PatientSMTP:
        """Connect, encrypt and sign in; with another token where the server refuses the first, once.

        Raises:
            DialogueError: With the failure, explained.
        """
        try:
            return self._connected()
        except _RefusedTokenError as error:
            # It may have been withdrawn, or have ended by the server's clock: one made anew tells which.
            self._note("* the token was refused: once more with a new one")
            self.steps.clear()
            return self._connected(error.token)

    def _connected(self, refused: str = "") -> PatientSMTP:
        access = self.access
        stage = Stage.CONNECT
        host: PatientSMTP | None = None
        self._note(f"* connecting to {access.host}:{access.port} ({access.encryption.value})")
        try:
            # Reading the certificates of the system costs more than a whole dialogue in the clear.
            secure = access.encryption is not Encryption.NONE
            context = trusted_by(access) if secure else None
            host = self._unconnected_host(context)
            # smtplib verifies the certificate against this name, which connect() alone does not set.
            host._host = access.host  # type: ignore[attr-defined]
            self._heard(*host.connect(access.host, access.port), expect=220, stage=stage)
            stage = Stage.HELLO
            self._note(f"C: EHLO {host.local_hostname}")
            code, text = host.ehlo()
            if 500 <= code < 600:
                # An old server; one that answers nonsense is none (RFC 5321 §3.2).
                code, text = host.helo()
            self._heard(code, text, expect=250, stage=stage)
            if access.encryption is Encryption.STARTTLS:
                stage = Stage.STARTTLS
                self._begin(Step.TLS)
                self._note("C: STARTTLS")
                self._heard(*host.starttls(context=context), expect=220, stage=stage)
                self._heard(*host.ehlo(), expect=250, stage=stage)
            if secure and not host.is_encrypted:
                # Cannot be; but if it ever is, nothing secret is said.
                words = "The connection is not encrypted."
                raise DialogueError(
                    Failure(FailureKind.TLS_FAILED, temporary=True, detail=words), of_server=True
                )
            if secure:
                self._note_certificate(host)
            if access.token is not None:
                stage = Stage.AUTH
                self._begin(Step.SIGN_IN)
                self._sign_in_by_token(host, access.token(refused))
            elif access.username:
                stage = Stage.AUTH
                self._begin(Step.SIGN_IN)
                # The record is shown to people, so what is said here is never written down.
                self._note("C: AUTH (secret)")
                self._heard(*host.login(access.username, access.password), expect=235, stage=stage)
        except DialogueError:
            _hang_up(host)
            raise
        except NoTokenError as error:
            _hang_up(host)
            self._note(f"* {error.failure.diagnostic}")
            raise DialogueError(error.failure, of_server=True) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            _hang_up(host)
            failure = (
                Failure(FailureKind.CONNECT_FAILED, True, detail=str(error), advice=Advice.HOST_FORBIDDEN)
                if isinstance(error, ForbiddenHostError)
                else explain_exception(error, stage)
            )
            self._note(f"* {failure.diagnostic}")
            raise DialogueError(failure, of_server=True) from error
        return host

    def _sign_in_by_token(self, host: PatientSMTP, token: str) -> None:
        """Sign in by SASL XOAUTH2, as Google and Microsoft describe it.

        https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
        """
        if "XOAUTH2" not in str(host.esmtp_features.get("auth", "")).upper().split():
            raise smtplib.SMTPException("The server does not offer XOAUTH2.")
        said = f"user={self.access.username}\x01auth=Bearer {token}\x01\x01"
        self._note("C: AUTH XOAUTH2 (secret)")
        code, text = host.docmd("AUTH", "XOAUTH2 " + base64.b64encode(said.encode()).decode("ascii"))
        if code == 334:
            # A challenge that says in JSON what is wrong; the refusal itself follows an empty line.
            why = _challenge(text)
            self._note(f"S: 334 {why}")
            self._note("C: ")
            code, text = host.docmd("")
            text += b"\n" + why.encode()
        try:
            self._heard(code, text, expect=235, stage=Stage.AUTH)
        except DialogueError as error:
            if error.failure.kind is FailureKind.AUTH_FAILED and code >= 500:
                raise _RefusedTokenError(error.failure, token) from error
            raise

    def _unconnected_host(self, context: ssl.SSLContext | None) -> PatientSMTP:
        """Resolve the host, and return what connects to the addresses that may be spoken to.

        Raises:
            ForbiddenHostError: One of them may not.
            OSError: There are none.
        """
        access = self.access
        self._begin(Step.RESOLVE)
        addresses = addresses_of(
            access.host, access.port, allow_local=access.allow_local, only_public=access.only_public
        )
        self.steps[-1].detail = ", ".join(addresses)
        self._begin(Step.CONNECT)
        own_name = access.own_name or _own_name()
        host: PatientSMTP
        if access.encryption is Encryption.TLS:
            secure = PatientSMTPS(local_hostname=own_name, timeout=access.timeout, context=context)
            secure.before_tls = partial(self._begin, Step.TLS)
            host = secure
        else:
            host = PatientSMTP(local_hostname=own_name, timeout=access.timeout)
        host.addresses = addresses
        return host

    def _heard(self, code: int, text: bytes, *, expect: int, stage: Stage) -> Reply:
        """Record a reply, and return it when it is positive; raises `DialogueError`, about the server."""
        reply = self._note_reply(code, text)
        # Any positive answer will do (RFC 5321 §4.2.1). smtplib takes 503 to AUTH for "already signed in", which
        # on a new connection it can only be where the server says so; Postfix means "there is no sign-in".
        if code == expect or 200 <= code < 300 or (code == 503 and "already" in reply.text.casefold()):
            return reply
        failure = explain_reply(reply, stage)
        raise DialogueError(
            replace(failure, temporary=True) if stage in BEFORE_THE_MAIL else failure, of_server=True
        )

    def _begin(self, step: Step) -> None:
        """Remember that a step of the dialogue begins, and so that the one before it has ended."""
        self.steps.append(StepTaken(step, time.monotonic()))

    def _note_certificate(self, host: PatientSMTP) -> None:
        if isinstance(host.sock, ssl.SSLSocket) and (der := host.sock.getpeercert(binary_form=True)):
            # One that cannot be read was trusted all the same.
            with suppress(ValueError):
                self.steps[-1].detail = str(read_certificate(der))

    def _note(self, line: str) -> None:
        if len(self.transcript) < MAX_TRANSCRIPT_LINES:
            self.transcript.append(printable(line))

    def _note_reply(self, code: int, text: bytes) -> Reply:
        reply = Reply.parse(code, text)
        self._note(f"S: {code} {reply.text}")
        return reply

    @property
    def is_open(self) -> bool:
        """True when a connection is open that the server is likely to remember."""
        # Not asked by NOOP: that costs a round trip for each mail, and a dead connection is found out anyway.
        return self.host is not None and time.monotonic() - self._last_used < KEEP_SECONDS

    def close(self) -> None:
        """Say goodbye; the answer, or its absence, changes nothing."""
        host, self.host = self.host, None
        if host is not None:
            try:
                host.timeout = min(self.access.timeout, GOODBYE_SECONDS)
                if host.sock is not None:
                    host.sock.settimeout(host.timeout)
                host.quit()
            except (OSError, smtplib.SMTPException):
                _hang_up(host)

    def drop(self) -> None:
        """End the connection at once, without a word."""
        host, self.host = self.host, None
        _hang_up(host)

    def send(self, message: Message, envelope_from: str | tuple[str, str] | None = None) -> None:
        """Refuse Flask-Mail's own way of sending, which forgets who was refused.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("Use submit(), which returns the outcome of every recipient.")


def trusted_by(access: ServerAccess) -> ssl.SSLContext:
    """Return the context of an encrypted connection: which authorities are trusted."""
    if access.ca_certificate:
        return ssl.create_default_context(cadata=access.ca_certificate)
    return trusting(access.ca_file)


def _challenge(text: bytes) -> str:
    """Return what a challenge of XOAUTH2 says, or "" where it is none."""
    try:
        return printable(base64.b64decode(text, validate=True).decode("utf-8", "replace"), 500)
    except binascii.Error:
        return ""


def _hang_up(host: smtplib.SMTP | None) -> None:
    if host is not None:
        host.close()
