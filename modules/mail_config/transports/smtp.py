"""SMTP (RFC 5321) by Flask-Mail's connection, with the outcome of every recipient."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from functools import cache

from flask_mail import Connection, Mail, Message

from core.mail.addresses import ascii_addr_spec, needs_smtputf8
from core.mail.outcomes import (
    Failure,
    FailureKind,
    RecipientOutcome,
    RecipientState,
    Reply,
    Stage,
    explain_reply,
    printable,
)
from modules.mail_config.models import Encryption
from modules.mail_config.transports.base import Envelope, ServerAccess, Submission

# Servers end idle connections after some minutes (RFC 5321 §4.5.3.2.7 asks for five): do not trust one
# that has been quiet for longer than this.
KEEP_SECONDS = 60.0
MAX_TRANSCRIPT_LINES = 2000
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class DialogueError(Exception):
    """The dialogue ended before the message was spoken about; carries the failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure


@cache
def _own_name() -> str:
    """Return the name for EHLO; asked once, since a resolver may take seconds."""
    name = socket.getfqdn()
    return name if "." in name else "[127.0.0.1]"


def explain_exception(error: Exception, stage: Stage) -> Failure:
    """Translate what a connection raises into a failure; all of them are worth another try."""
    kind = FailureKind.CONNECT_FAILED
    if isinstance(error, UnicodeError) and stage is Stage.AUTH:
        # Its own words would show a character of the password.
        words = "User name and password may only hold ASCII characters for this sign-in."
        return Failure(FailureKind.AUTH_FAILED, temporary=True, detail=words)
    if isinstance(error, ssl.SSLError):
        kind = FailureKind.TLS_FAILED
    elif isinstance(error, socket.gaierror | UnicodeError):
        # A UnicodeError: a name that cannot be one, such as with an empty label.
        kind = FailureKind.HOST_NOT_FOUND
    elif isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        # smtplib reports a reply that never came as a disconnection, and keeps the truth in the context.
        kind = FailureKind.TIMEOUT
    elif isinstance(error, smtplib.SMTPServerDisconnected):
        kind = FailureKind.CONNECT_FAILED if stage is Stage.CONNECT else FailureKind.SERVER_ERROR
    elif isinstance(error, smtplib.SMTPNotSupportedError):
        kind = FailureKind.TLS_FAILED if stage is Stage.STARTTLS else FailureKind.AUTH_FAILED
    elif isinstance(error, smtplib.SMTPResponseException):
        return explain_reply(Reply.parse(error.smtp_code, error.smtp_error), stage)
    elif isinstance(error, smtplib.SMTPException):
        # At AUTH: the server offers no way to sign in that we know.
        kind = FailureKind.AUTH_FAILED if stage is Stage.AUTH else FailureKind.SERVER_ERROR
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, ssl.SSLCertVerificationError):
        detail = f"{type(error).__name__}: {error.verify_message}"
    return Failure(kind, temporary=True, detail=detail)


class SmtpConnection(Connection):
    """Flask-Mail's connection, made to tell the truth.

    It waits for no answer for ever, verifies certificates, keeps the connection from mail to mail, reports
    each recipient by itself, and does not take a QUIT that fails for a mail that failed.
    """

    def __init__(self, access: ServerAccess) -> None:
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
        self._last_used = 0.0

    # -- the connection ------------------------------------------------------------------------------

    def configure_host(self) -> smtplib.SMTP:
        """Connect, encrypt and sign in.

        Raises:
            DialogueError: With the failure, explained.
        """
        access = self.access
        stage = Stage.CONNECT
        host: smtplib.SMTP | None = None
        self._note(f"* connecting to {access.host}:{access.port} ({access.encryption.value})")
        try:
            # Reading the certificates of the system costs more than a whole dialogue in the clear.
            secure = access.encryption is not Encryption.NONE
            context = ssl.create_default_context(cafile=access.ca_file) if secure else None
            if access.encryption is Encryption.TLS:
                host = smtplib.SMTP_SSL(local_hostname=_own_name(), timeout=access.timeout, context=context)
            else:
                host = smtplib.SMTP(local_hostname=_own_name(), timeout=access.timeout)
            # smtplib verifies the certificate against this name, which connect() alone does not set.
            host._host = access.host  # type: ignore[attr-defined]
            self._heard(*host.connect(access.host, access.port), expect=220, stage=stage)
            stage = Stage.HELLO
            self._note(f"C: EHLO {_own_name()}")
            code, text = host.ehlo()
            if 500 <= code < 600:
                # An old server; one that answers nonsense is none (RFC 5321 §3.2).
                code, text = host.helo()
            self._heard(code, text, expect=250, stage=stage)
            if access.encryption is Encryption.STARTTLS:
                stage = Stage.STARTTLS
                self._note("C: STARTTLS")
                self._heard(*host.starttls(context=context), expect=220, stage=stage)
                host.ehlo()
            if access.username:
                stage = Stage.AUTH
                self._note("C: AUTH (secret)")
                self._heard(*host.login(access.username, access.password), expect=235, stage=stage)
        except DialogueError:
            _hang_up(host)
            raise
        except (OSError, smtplib.SMTPException, ValueError) as error:
            _hang_up(host)
            failure = explain_exception(error, stage)
            self._note(f"* {failure.diagnostic}")
            raise DialogueError(failure) from error
        return host

    def _heard(self, code: int, text: bytes, *, expect: int, stage: Stage) -> Reply:
        reply = self._note_reply(code, text)
        # Any positive answer will do (RFC 5321 §4.2.1): 503 to AUTH means "already signed in".
        if code != expect and not 200 <= code < 300 and not (stage is Stage.AUTH and code == 503):
            raise DialogueError(explain_reply(reply, stage))
        return reply

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
        return self.host is not None and time.monotonic() - self._last_used < KEEP_SECONDS

    def close(self) -> None:
        """Say goodbye; the answer, or its absence, changes nothing."""
        host, self.host = self.host, None
        if host is not None:
            try:
                host.quit()
            except (OSError, smtplib.SMTPException):
                _hang_up(host)

    def drop(self) -> None:
        """End the connection at once, without a word."""
        host, self.host = self.host, None
        _hang_up(host)

    # -- one message ---------------------------------------------------------------------------------

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """Hand a message over; see `Transport.submit`."""
        self.transcript = []
        reused = self.is_open
        if not reused:
            self.close()
        try:
            submission = self._speak(message, envelope, before_body)
        except DialogueError as error:
            self.drop()
            if not reused:
                return Submission(failure=error.failure, transcript=self.transcript)
            # The kept connection had died meanwhile, which says nothing about the server: once more, anew.
            try:
                submission = self._speak(message, envelope, before_body)
            except DialogueError as again:
                self.drop()
                return Submission(failure=again.failure, transcript=self.transcript)
        except BaseException:
            # before_body has said no, or the worker is being stopped: the server must not get a body.
            self.drop()
            raise
        self._last_used = time.monotonic()
        return submission

    def _speak(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        if self.host is None:
            self.host = self.configure_host()
        host = self.host
        utf8 = any(needs_smtputf8(address) for address in (envelope.envelope_from, *envelope.recipients))
        if utf8 and not host.has_extn("smtputf8"):
            plain = [address for address in envelope.recipients if not needs_smtputf8(address)]
            return self._without_utf8(message, envelope, plain, before_body)
        refused = self._mail_from(envelope.envelope_from, len(message), utf8=utf8)
        if refused is not None:
            return self._all(envelope, refused)
        answers = [self._rcpt_to(address, utf8=utf8) for address in envelope.recipients]
        if not any(answer.state is RecipientState.ACCEPTED for answer in answers):
            self._reset()
            return Submission(tuple(answers), transcript=self.transcript)
        final = self._data(message, before_body)
        outcomes = tuple(
            RecipientOutcome(answer.addr_spec, final.state, final.reply, final.failure)
            if answer.state is RecipientState.ACCEPTED
            else answer
            for answer in answers
        )
        return Submission(outcomes, transcript=self.transcript)

    def _without_utf8(
        self, message: bytes, envelope: Envelope, plain: Sequence[str], before_body: Callable[[], None]
    ) -> Submission:
        """Serve those whose address an old server can take; say so of the others."""
        words = "The server does not offer SMTPUTF8 (RFC 6531), which this address needs."
        failure = Failure(FailureKind.RECIPIENT_REFUSED, temporary=False, detail=words)
        served: dict[str, RecipientOutcome] = {}
        transcript = self.transcript
        if plain and not needs_smtputf8(envelope.envelope_from):
            inner = self._speak(message, Envelope(envelope.envelope_from, tuple(plain)), before_body)
            served = {outcome.addr_spec: outcome for outcome in inner.outcomes}
            transcript = inner.transcript
        return Submission(
            tuple(
                served.get(address) or RecipientOutcome(address, RecipientState.REFUSED, failure=failure)
                for address in envelope.recipients
            ),
            transcript=transcript,
        )

    def _command(self, stage: Stage, line: str) -> Reply:
        host = self.host
        assert host is not None  # noqa: S101 (only called inside a dialogue)
        self._note(f"C: {line}")
        try:
            host.putcmd(line)
            return self._note_reply(*host.getreply())
        except (OSError, smtplib.SMTPException) as error:
            failure = explain_exception(error, stage)
            self._note(f"* {failure.diagnostic}")
            raise DialogueError(failure) from error

    def _mail_from(self, address: str, size: int, *, utf8: bool) -> RecipientOutcome | None:
        host = self.host
        assert host is not None  # noqa: S101
        # smtplib writes the command in this encoding.
        host.command_encoding = "utf-8" if utf8 else "ascii"
        options = f" SIZE={size}" if host.has_extn("size") else ""
        options += " SMTPUTF8" if utf8 else ""
        reply = self._command(Stage.MAIL, f"MAIL FROM:<{_wire(address, utf8=utf8)}>{options}")
        if 200 <= reply.code < 300:
            return None
        failure = explain_reply(reply, Stage.MAIL)
        if reply.code == 421:
            raise DialogueError(failure)
        self._reset()
        return _refusal("", reply, failure)

    def _rcpt_to(self, address: str, *, utf8: bool) -> RecipientOutcome:
        reply = self._command(Stage.RCPT, f"RCPT TO:<{_wire(address, utf8=utf8)}>")
        if 200 <= reply.code < 300:
            return RecipientOutcome(address, RecipientState.ACCEPTED, reply)
        failure = explain_reply(reply, Stage.RCPT)
        if reply.code == 421:
            raise DialogueError(failure)
        return _refusal(address, reply, failure)

    def _data(self, message: bytes, before_body: Callable[[], None]) -> RecipientOutcome:
        host = self.host
        assert host is not None  # noqa: S101
        reply = self._command(Stage.DATA, "DATA")
        if reply.code != 354:
            failure = explain_reply(reply, Stage.DATA)
            if reply.code == 421 or reply.code < 400:
                raise DialogueError(failure)
            self._reset()
            return _refusal("", reply, failure)
        before_body()
        self._note(f"C: (message of {len(message)} bytes)")
        try:
            # Dot-stuffing, RFC 5321 §4.5.2. One write: two would wait for each other (Nagle, delayed ACK).
            end = b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n"
            host.send(_LEADING_DOT.sub(b"..", message) + end)
        except (OSError, smtplib.SMTPException) as error:
            # The system did not take the last octets, so the server cannot have seen the end of the message.
            failure = explain_exception(error, Stage.BODY)
            self._note(f"* {failure.diagnostic}")
            raise DialogueError(failure) from error
        try:
            reply = self._note_reply(*host.getreply())
        except (OSError, smtplib.SMTPException) as error:
            # The message has gone out, and nobody has said what became of it.
            self._note(f"* {printable(f'{type(error).__name__}: {error}')}")
            self.drop()
            return _unknown(f"{type(error).__name__}: {error}")
        if 200 <= reply.code < 300:
            return RecipientOutcome("", RecipientState.ACCEPTED, reply)
        if not 400 <= reply.code < 600:
            self.drop()
            return _unknown(f"The server answered “{reply.code} {reply.text}”.")
        if reply.code == 421:
            self.drop()
        return _refusal("", reply, explain_reply(reply, Stage.BODY))

    def _reset(self) -> None:
        """Make the connection ready for the next mail; one that cannot be is dropped."""
        try:
            if self._command(Stage.MAIL, "RSET").code != 250:
                self.drop()
        except DialogueError:
            self.drop()

    def _all(self, envelope: Envelope, outcome: RecipientOutcome) -> Submission:
        return Submission(
            tuple(
                RecipientOutcome(address, outcome.state, outcome.reply, outcome.failure)
                for address in envelope.recipients
            ),
            transcript=self.transcript,
        )

    def send(self, message: Message, envelope_from: str | tuple[str, str] | None = None) -> None:
        """Refuse Flask-Mail's own way of sending, which forgets who was refused.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("Use submit(), which returns the outcome of every recipient.")


def _wire(address: str, *, utf8: bool) -> str:
    return address if utf8 else ascii_addr_spec(address) if not address.isascii() else address


def _refusal(address: str, reply: Reply, failure: Failure) -> RecipientOutcome:
    state = RecipientState.DEFERRED if failure.temporary else RecipientState.REFUSED
    return RecipientOutcome(address, state, reply, failure)


def _unknown(detail: str) -> RecipientOutcome:
    failure = Failure(FailureKind.OUTCOME_UNKNOWN, temporary=False, detail=detail)
    return RecipientOutcome("", RecipientState.UNCERTAIN, failure=failure)


def _hang_up(host: smtplib.SMTP | None) -> None:
    if host is not None:
        host.close()
