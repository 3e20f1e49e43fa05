"""The SMTP server of the playground, on aiosmtpd; the only file that needs the extra `embedded`.

It takes mail from everybody on this machine, with any user and password, delivers none of it, and refuses
what the recipient's address asks to be refused: see `core.mail.script`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from core.errors import EnvoiError
from core.logs import kind_of
from core.mail.script import scripted_behaviour, scripted_reply
from modules.playground.store import MailStore

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"  # loopback only: it takes mail for everybody, without a password
MAX_MESSAGE_BYTES = 50 * 1000 * 1000  # as large as most providers take
MAX_RECIPIENTS = 1000  # of one message
SLOW_SECONDS = 10.0  # how late `slow+…@` answers
# Then a silent connection is closed (RFC 5321 §4.5.3.2.7 asks for 5 minutes; nobody waits so long here).
IDLE_SECONDS = 120.0


class _Session(Session):
    # The library writes this for old callers and logs a deprecation each time; a plain attribute is quiet.
    login_data: Any = None


class _Protocol(SMTP):
    """One connection."""

    def _create_session(self) -> Session:
        return _Session(self.loop)


class _Handler:
    """The handler that aiosmtpd calls at each step of the dialogue."""

    def __init__(self, store: MailStore, slow_seconds: float) -> None:
        self._store = store
        self._slow_seconds = slow_seconds

    async def handle_RCPT(  # noqa: N802 (the library finds it by this name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        if (reply := scripted_reply(address, "rcpt")) is not None:
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del server, session
        recipients = list(envelope.rcpt_tos)
        refusals = [reply for to in recipients if (reply := scripted_reply(to, "data")) is not None]
        # One refuses for all: after DATA, SMTP has one answer for the whole message.
        if refusals:
            return refusals[0]
        behaviours = {scripted_behaviour(to) for to in recipients}
        if "drop" in behaviours:
            # The library answers a cancelled dialogue by closing the connection, without a word.
            raise asyncio.CancelledError
        data = envelope.original_content or b""
        sender = (envelope.mail_from or "").removeprefix("<>")
        try:
            # In a thread: other connections go on while the disk works.
            stored = await asyncio.to_thread(self._store.put, data, sender, recipients)
        except OSError as error:
            logger.warning("A message could not be stored: %s", error.strerror)
            return "452 4.3.1 The playground mailbox has no room left"
        # Stored first: the sender may give up, and that is what is to be tried.
        if "slow" in behaviours:
            await asyncio.sleep(self._slow_seconds)
        return f"250 2.0.0 OK stored as {stored.key}"

    async def handle_exception(self, error: Exception) -> str:
        logger.error("The playground mailbox could not answer: %s", kind_of(error))
        return "451 4.3.0 The playground mailbox could not do this"


def _accept_anybody(*_arguments: Any) -> AuthResult:
    # Anybody, by any password: programs that insist on signing in can be tried here too.
    return AuthResult(success=True)


async def serve(
    store: MailStore,
    port: int,
    *,
    stop: asyncio.Event,
    ready: Callable[[int], None] = lambda _port: None,
    slow_seconds: float = SLOW_SECONDS,
) -> None:
    """Take mail until told to stop.

    Args:
        store: Where accepted messages go.
        port: TCP port on loopback, 0 for any that is free.
        stop: Ends the server when set; open connections are closed.
        ready: Called with the port once mail is taken.
        slow_seconds: How late the answer to `slow+…@…` is.

    Raises:
        EnvoiError: The port is taken or may not be used.
    """
    loop = asyncio.get_running_loop()
    handler = _Handler(store, slow_seconds)

    def protocol() -> _Protocol:
        return _Protocol(
            handler,
            loop=loop,
            # Asking the resolver for this machine's name may take long.
            hostname="playground.localhost",
            ident="Envoi playground: mail stays here",
            data_size_limit=MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            timeout=IDLE_SECONDS,
            auth_require_tls=False,
            authenticator=_accept_anybody,
        )

    try:
        server = await loop.create_server(protocol, HOST, port)
    except OSError as error:
        raise EnvoiError(
            f"The playground mailbox cannot listen on {HOST}:{port}: {error.strerror}. "
            "ENVOI_PLAYGROUND_SMTP_PORT names another port."
        ) from error
    # Listening first: a second server on the same data ends above, before it could sweep the first one's.
    await asyncio.to_thread(store.sweep)
    try:
        ready(server.sockets[0].getsockname()[1])
        await stop.wait()
    finally:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def run(store: MailStore, port: int, ready: Callable[[int], None]) -> None:
    """Take mail in the foreground until SIGTERM or SIGINT.

    Args:
        store: Where accepted messages go.
        port: TCP port on loopback.
        ready: Called with the port once mail is taken.

    Raises:
        EnvoiError: The port is taken or may not be used.
    """
    # The library tells every command; a warning for each unknown one would fill the log.
    logging.getLogger("mail.log").setLevel(logging.ERROR)

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(store, port, stop=stop, ready=ready)

    asyncio.run(main())
