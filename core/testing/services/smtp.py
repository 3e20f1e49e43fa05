"""A real SMTP server on loopback that fails as its recipients ask it to, and writes down what is said."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import socket
import ssl
import tempfile
import threading
import time
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, TLSSetupException

from core.mail.script import scripted_behaviour, scripted_reply
from core.testing.services.certificates import make_certificate
from core.testing.services.limits import LOOPBACK, POLL_SECONDS, START_SECONDS, ServiceError

Security = Literal["none", "starttls", "tls"]
HookStage = Literal["before", "received", "after"]
CommandHook = Callable[[str, str, HookStage], None]


@dataclass(frozen=True)
class Transaction:
    """One message that came in whole.

    Args:
        envelope_from: The sender of the envelope; empty for a bounce.
        recipients: The recipients that were accepted at RCPT, in order.
        data: The message as it came, dots unstuffed.
        at: When the last line of it came in.
        connection: Which connection it came over, from 1.
    """

    envelope_from: str
    recipients: tuple[str, ...]
    data: bytes
    at: dt.datetime
    connection: int


@dataclass
class Command:
    """One command of a dialogue and what was answered.

    Args:
        connection: Over which connection, from 1.
        verb: The command, in capitals.
        arg: The rest of its line; without the credentials of AUTH.
        replies: The lines of the answer, so far.
    """

    connection: int
    verb: str
    arg: str
    replies: list[str] = field(default_factory=list)


class _LabSession(Session):
    # The library writes this for old callers and logs a deprecation each time; a plain attribute is quiet.
    login_data: Any = None


class _LabHandler:
    """What the library asks at each step; see `SmtpLab` for the rules."""

    def __init__(self, lab: SmtpLab) -> None:
        self._lab = lab

    async def handle_EHLO(  # noqa: N802 - the library finds it by this name
        self, server: _LabProtocol, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        del server, envelope
        session.host_name = hostname
        if not self._lab.wants_sign_in:
            # The library offers AUTH over TLS even when nobody could log in.
            responses = [line for line in responses if not line[4:].startswith("AUTH")]
        return responses

    async def auth_XOAUTH2(self, server: _LabProtocol, args: list[str]) -> AuthResult:  # noqa: N802
        """Take a token as Google describes it: a challenge says what is wrong, the refusal follows an empty line."""
        said = base64.b64decode(args[1] if len(args) > 1 else "").decode()
        user, _, bearer = said.removeprefix("user=").removesuffix("\x01\x01").partition("\x01auth=Bearer ")
        if bearer and (self._lab.tokens or {}).get(user) == bearer:
            return AuthResult(success=True)
        why = b'{"status":"401","schemes":"bearer mac","scope":"https://mail.google.com/"}'
        await server.push("334 " + base64.b64encode(why).decode("ascii"))
        self._lab.after_challenge.append(await server._reader.readline())
        return AuthResult(success=False, handled=False)

    async def handle_RCPT(  # noqa: N802
        self, server: _LabProtocol, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session
        if self._lab.scripted and (reply := scripted_reply(address, "rcpt")) is not None:
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: _LabProtocol, session: Session, envelope: Envelope
    ) -> str:
        del session
        lab = self._lab
        recipients = tuple(envelope.rcpt_tos)
        transaction = Transaction(
            envelope_from=(envelope.mail_from or "").removeprefix("<>"),
            recipients=recipients,
            data=envelope.original_content or b"",
            at=dt.datetime.now(dt.UTC),
            connection=server.number,
        )
        lab.received.append(transaction)
        scripted = recipients if lab.scripted else ()
        behaviours = {scripted_behaviour(recipient) for recipient in scripted}
        refusals = [reply for to in scripted if (reply := scripted_reply(to, "data")) is not None]
        accepted = not refusals and "drop" not in behaviours
        if accepted:
            # From here on the message is the server's, whether or not its sender ever hears of it.
            lab.accepted.append(transaction)
            server.took_message = True
        lab.call_hook("DATA", "", "received")
        if "drop" in behaviours:
            # The library answers a canceled dialogue by closing the connection, without a word.
            raise asyncio.CancelledError
        if "slow" in behaviours:
            await asyncio.sleep(lab.slow_seconds)
        return refusals[0] if refusals else f"250 2.0.0 OK queued as {len(lab.accepted)}"

    async def handle_exception(self, error: Exception) -> str:
        if not isinstance(error, TLSSetupException):
            # A client that does not trust the certificate is no fault of the server's; the rest is.
            self._lab.errors.append(error)
        return "451 4.3.0 The server for tests has a fault of its own"


class _LabProtocol(SMTP):
    """One connection: the library's server, writing down what is said and calling the hook."""

    # Before these are answered the hook is called.
    _HOOKED = frozenset({"EHLO", "HELO", "MAIL", "RCPT", "DATA"})

    def __init__(self, lab: SmtpLab, number: int, **options: Any) -> None:
        self.lab = lab
        self.number = number
        self.took_message = False
        self._command: Command | None = None
        self._socket: TransportSocket | None = None
        super().__init__(_LabHandler(lab), **options)
        self._smtp_methods = {
            verb: self._watched(verb, method) for verb, method in self._smtp_methods.items()
        }

    def _create_session(self) -> Session:
        return _LabSession(self.loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._socket = transport.get_extra_info("socket")
        self.lab.protocols.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.lab.protocols.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        """End the connection at once, without the goodbyes of SMTP and TLS."""
        if self._socket is not None:
            # A transport that is closing already refuses to be aborted; its socket may always be shut.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _watched(
        self, verb: str, method: Callable[[str | None], Coroutine[Any, Any, None]]
    ) -> Callable[[str | None], Coroutine[Any, Any, None]]:
        async def watched(arg: str | None) -> None:
            said = arg or ""
            shown = said.partition(" ")[0] if verb == "AUTH" else said
            self._command = Command(self.number, verb, shown)
            self.lab.dialogue.append(self._command)
            if verb in self._HOOKED:
                self.lab.call_hook(verb, shown, "before")
            self.took_message = False
            await method(arg)
            if self.took_message:
                self.took_message = False
                self.lab.call_hook(verb, shown, "after")

        # HELP looks for the syntax that the library notes on its methods.
        watched.__dict__.update(getattr(method, "__dict__", {}))
        return watched

    async def push(self, status: Any) -> None:
        if self._command is not None:
            text = status if isinstance(status, str) else status.decode("ascii", "replace")
            self._command.replies.append(text)
        await super().push(status)

    async def check_auth_needed(self, caller_method: str) -> bool:
        # The library's own switch warns when AUTH is wanted without TLS, which is what some tests are about.
        del caller_method
        assert self.session is not None
        if not self.lab.wants_sign_in or self.session.authenticated:
            return False
        await self.push("530 5.7.0 Authentication required")
        return True


class SmtpLab:
    """A real SMTP server on loopback, in a thread of its own, that fails as its recipients ask it to.

    Who it is written to decides what goes wrong: see `core.mail.script`. A message is in `accepted` from the
    moment that the server took it, which is before its sender hears of it: with `slow+…@…` the sender may
    give up on a message that was taken, and with a hook that kills the sender it never learns.

    Args:
        security: `none`, `starttls` (required before anything else) or `tls` from the first byte.
        expired: Whether the certificate's time is over.
        credentials: User and password without which nothing is taken; None: nobody needs to log in.
        tokens: Users with the access token by which XOAUTH2 takes them, instead of a password; may be changed.
        size_limit: The SIZE it announces and enforces, in bytes; None: none.
        smtputf8: Whether it takes addresses beyond ASCII.
        slow_seconds: For how long `slow+…@…` waits.
        on_command: Called in the server's thread with a verb, its argument and a stage: `before` EHLO, MAIL,
            RCPT and DATA (the 354) are answered, `received` when the message is in and not answered yet,
            `after` its 250 has been sent.

    Attributes:
        scripted: Set to False, it takes everything: what was wrong has been mended.
        accepted: Every message it took, in order.
        after_challenge: What was said after each challenge of XOAUTH2.
        received: Every message that came in whole, also those it refused or dropped.
        dialogue: Every command that it understood, with the replies.
        port: Where it listens on 127.0.0.1.
        ca_file: The certificate to trust, or None without TLS.
    """

    host = LOOPBACK

    def __init__(
        self,
        *,
        security: Security = "none",
        expired: bool = False,
        credentials: tuple[str, str] | None = None,
        tokens: dict[str, str] | None = None,
        size_limit: int | None = 32 * 1024 * 1024,
        smtputf8: bool = True,
        slow_seconds: float = 5.0,
        on_command: CommandHook | None = None,
    ) -> None:
        self.security = security
        self.expired = expired
        self.credentials = credentials
        self.tokens = tokens
        self.size_limit = size_limit
        self.smtputf8 = smtputf8
        self.slow_seconds = slow_seconds
        self.on_command = on_command
        self.scripted = True
        self.accepted: list[Transaction] = []
        self.received: list[Transaction] = []
        self.after_challenge: list[bytes] = []
        self.dialogue: list[Command] = []
        self.errors: list[BaseException] = []
        self.protocols: set[_LabProtocol] = set()
        self.connections = 0
        self.port = 0
        self.ca_file: Path | None = None
        self._context: ssl.SSLContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self.errors and error is None:
            raise ServiceError("Something went wrong inside the SMTP server.") from self.errors[0]

    def start(self) -> None:
        """Listen on a free port.

        Raises:
            ServiceError: It could not.
        """
        if self.security != "none":
            self._folder = tempfile.TemporaryDirectory(prefix="envoi-smtp-")
            files = make_certificate(Path(self._folder.name), expired=self.expired)
            self.ca_file = files.certificate
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(files.certificate, files.key)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="smtp-lab", daemon=True)
        self._thread.start()
        if not ready.wait(START_SECONDS) or self.port == 0:
            raise ServiceError("The SMTP server did not start.")

    def stop(self) -> None:
        """Close every connection and stop listening; the records stay."""
        if self._loop is not None and self._thread is not None:
            loop, thread = self._loop, self._thread
            with contextlib.suppress(RuntimeError):  # its loop has ended already
                loop.call_soon_threadsafe(loop.stop)
            thread.join(START_SECONDS)
            if thread.is_alive():
                raise ServiceError("The SMTP server did not stop: is its hook still at work?")
        self._loop = self._thread = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def clear(self) -> None:
        """Forget what was recorded, so that several tests can share one server."""
        for record in (self.accepted, self.received, self.dialogue, self.errors):
            cast("list[Any]", record).clear()
        self.on_command = None

    @property
    def wants_sign_in(self) -> bool:
        """True when nothing is taken from somebody who has not signed in."""
        return self.credentials is not None or self.tokens is not None

    def verbs(self) -> list[str]:
        """The commands of the dialogue, without their arguments."""
        return [command.verb for command in self.dialogue]

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Transaction]:
        """Wait until that many messages were taken.

        Args:
            count: How many.
            timeout: For how many seconds.

        Returns:
            All that were taken; fewer when the time was over first.
        """
        deadline = time.monotonic() + timeout
        while len(self.accepted) < count and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return list(self.accepted)

    def call_hook(self, verb: str, arg: str, stage: HookStage) -> None:
        """Tell the test, if it wants to know, how far the dialogue is; called by the server."""
        if self.on_command is not None:
            self.on_command(verb, arg, stage)

    def _protocol(self) -> _LabProtocol:
        self.connections += 1
        starttls = self.security == "starttls"
        return _LabProtocol(
            self,
            self.connections,
            loop=self._loop,
            # Asking the resolver for this machine's name may take long.
            hostname="smtp-lab.test",
            ident="SMTP for tests",
            data_size_limit=self.size_limit,
            enable_SMTPUTF8=self.smtputf8,
            tls_context=self._context if starttls else None,
            require_starttls=starttls,
            auth_require_tls=starttls or not self.wants_sign_in,
            auth_exclude_mechanism=["XOAUTH2"] if self.tokens is None else ["LOGIN", "PLAIN"],
            authenticator=self._authenticate,
        )

    def _authenticate(
        self, server: _LabProtocol, session: Session, envelope: Envelope, mechanism: str, login: LoginPassword
    ) -> AuthResult:
        del server, session, envelope, mechanism
        good = self.credentials is not None and login == tuple(word.encode() for word in self.credentials)
        # Not handled: the library then answers 535 5.7.8.
        return AuthResult(success=good, handled=good)

    def _run(self, ready: threading.Event) -> None:
        loop = self._loop = asyncio.new_event_loop()
        try:
            context = self._context if self.security == "tls" else None
            server = loop.run_until_complete(loop.create_server(self._protocol, self.host, 0, ssl=context))
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            loop.run_forever()
            server.close()
            loop.run_until_complete(self._hang_up())
        except BaseException as error:  # noqa: BLE001 - it is raised where the lab is left
            self.errors.append(error)
        finally:
            ready.set()
            loop.close()

    async def _hang_up(self) -> None:
        for protocol in tuple(self.protocols):
            protocol.hang_up()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(100):
            if not self.protocols:
                break
            # The transports notice it in the rounds after this one.
            await asyncio.sleep(POLL_SECONDS)
