"""A connection to a mailbox by IMAP (RFC 9051, RFC 3501): made, encrypted, signed in, ended.

By the standard library's imaplib: of IMAP's many parts only few are needed, and a library around it takes away what
matters here: bounds upon what a server may send, and upon the time that all of it may take.
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, cast

from core.mail.exceptions import explain_exception
from core.mail.outcomes import Advice, Failure, FailureKind, Reply, Stage, printable
from modules.mail_config.models import Encryption
from modules.mail_config.transports.addresses import ForbiddenHostError, addresses_of
from modules.mail_config.transports.base import NoTokenError, ServerAccess, Step, StepTaken
from modules.mail_config.transports.connection import trusted_by

MAX_MESSAGE = 32 * 1024 * 1024
"""Octets of the largest message that is fetched."""
_SPARE = 64 * 1024  # octets that a server may send around a message


class MailboxError(Exception):
    """A mailbox cannot be used now.

    Attributes:
        failure: Why, in the kinds of the house.
        steps: What was begun; the one that failed is the last.
        of_message: True where the mailbox works, and only what was just asked for was refused.
    """

    def __init__(
        self, failure: Failure, steps: Sequence[StepTaken] = (), *, of_message: bool = False
    ) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure
        self.steps = steps
        self.of_message = of_message


class _Watched:
    """Tells of its socket before the first answer is read, and takes no larger literal than was asked for."""

    def __init__(
        self, addresses: Sequence[str], opened: Callable[[socket.socket], None], *args: Any, **named: Any
    ) -> None:
        self._addresses = addresses
        self._tell_of = opened
        super().__init__(*args, **named)

    def read(self, size: int) -> bytes:
        """Read a literal."""
        if size > MAX_MESSAGE + _SPARE:
            raise imaplib.IMAP4.abort(f"The server announces {size} octets at once.")
        return cast("bytes", super().read(size))  # type: ignore[misc]

    def _create_socket(self, timeout: float | None) -> socket.socket:
        sock = self._connected(timeout)
        self._tell_of(sock)
        return sock

    def _connected(self, timeout: float | None) -> socket.socket:
        failure: OSError | None = None
        for address in self._addresses:
            try:
                return socket.create_connection((address, self.port), timeout)  # type: ignore[attr-defined]
            except OSError as error:
                failure = error
        raise failure or OSError("The host has no address.")


class _Imap(_Watched, imaplib.IMAP4):
    """A connection that begins in the clear."""


class _ImapTls(_Watched, imaplib.IMAP4_SSL):
    """A connection that is encrypted from the first octet."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        plain = self._connected(timeout)
        # Told before the handshake, which may hang as well.
        self._tell_of(plain)
        sock: socket.socket = self.ssl_context.wrap_socket(plain, server_hostname=self.host)
        self._tell_of(sock)
        return sock


class ImapSession:
    """A connection that is signed in.

    Args:
        access: Host, port, encryption, user and password; its timeout is for each answer.
        seconds: How long all of it may take; then the connection is cut, whatever the server does.

    Attributes:
        steps: What was begun, in order; the one that failed is the last.

    Raises:
        MailboxError: It cannot be made.
    """

    def __init__(self, access: ServerAccess, *, seconds: float) -> None:
        self.steps: list[StepTaken] = []
        self._stage = Stage.CONNECT
        self._is_open = False
        self._sock: socket.socket | None = None
        self._was_cut = False
        # A server that sends an octet now and then keeps every timeout of an answer; the end of them all it cannot.
        self._watchdog = threading.Timer(seconds, self._cut)
        self._watchdog.daemon = True
        self._watchdog.start()
        with self._told():
            self._connect(access)
            self._stage = Stage.AUTH
            self._begin(Step.SIGN_IN)
            self._sign_in(access)
            self._stage = Stage.MAIL
            # What a server can do it tells whole only to whom it knows (RFC 9051 §6.1.1).
            self._imap._get_capabilities()

    def _begin(self, step: Step, detail: str = "") -> None:
        """Remember that a step begins, and what the one before it has found."""
        if self.steps and detail:
            self.steps[-1].detail = detail
        self.steps.append(StepTaken(step, time.monotonic()))

    def _sign_in(self, access: ServerAccess) -> None:
        if access.token is not None:
            self._sign_in_by_token(access.username, access.token)
            return
        if (access.username + access.password).isascii():
            self._ok(self._imap.login(access.username, access.password))
            return
        # LOGIN takes ASCII alone (RFC 3501 §6.2.3), this one UTF-8 (RFC 4616 §2).
        said = f"\0{access.username}\0{access.password}".encode()
        self._ok(self._imap.authenticate("PLAIN", lambda _challenge: said))

    def _sign_in_by_token(self, username: str, token: Callable[[str], str]) -> None:
        """Sign in by SASL XOAUTH2, as Google and Microsoft describe it; with a new token where the kept one is refused.

        https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
        """
        current = token("")
        try:
            self._show_token(username, current)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            self._show_token(username, token(current))

    def _show_token(self, username: str, token: str) -> None:
        # What is wrong comes as a challenge in JSON; the refusal itself follows an empty answer.
        said = [f"user={username}\x01auth=Bearer {token}\x01\x01".encode(), b""]
        self._ok(self._imap.authenticate("XOAUTH2", lambda _challenge: said.pop(0) if said else None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye, if there is somebody to say it to."""
        self._watchdog.cancel()
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            self._imap.logout()

    def _connect(self, access: ServerAccess) -> None:
        context = trusted_by(access) if access.encryption is not Encryption.NONE else None
        self._begin(Step.RESOLVE)
        addresses = addresses_of(
            access.host, access.port, allow_local=access.allow_local, only_public=access.only_public
        )
        self._begin(Step.CONNECT, ", ".join(addresses))
        self._imap: imaplib.IMAP4
        named: dict[str, Any] = {"host": access.host, "port": access.port, "timeout": access.timeout}
        if access.encryption is Encryption.TLS:
            self._imap = _ImapTls(addresses, self._opened, **named, ssl_context=context)
        else:
            self._imap = _Imap(addresses, self._opened, **named)
        self._is_open = True
        if access.encryption is Encryption.STARTTLS:
            self._stage = Stage.STARTTLS
            self._begin(Step.TLS)
            self._ok(self._imap.starttls(ssl_context=context))
            self._sock = self._imap.sock

    def _opened(self, sock: socket.socket) -> None:
        self._sock = sock

    def _cut(self) -> None:
        self._was_cut = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _ok(self, answer: tuple[str, Sequence[Any]]) -> Sequence[Any]:
        kind, data = answer
        if kind != "OK":
            words = b" ".join(one for one in data if isinstance(one, bytes))
            raise imaplib.IMAP4.error(printable(words.decode("utf-8", "replace")) or kind)
        return data

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (imaplib.IMAP4.error, OSError, ValueError, NoTokenError) as error:
            self._watchdog.cancel()
            if self._is_open:  # else imaplib has closed what it could not open
                with contextlib.suppress(OSError):
                    self._imap.shutdown()
            raise MailboxError(self._failure(error), self.steps) from error

    def _failure(self, error: BaseException) -> Failure:
        if isinstance(error, NoTokenError):
            return error.failure
        if isinstance(error, ForbiddenHostError):
            return Failure(FailureKind.CONNECT_FAILED, True, detail=str(error), advice=Advice.HOST_FORBIDDEN)
        if not isinstance(error, imaplib.IMAP4.error):
            return explain_exception(error, self._stage)
        # imaplib hands on what the server said as octets.
        said = error.args[0] if error.args else ""
        words = printable(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said), 400)
        if self._was_cut:
            return Failure(FailureKind.TIMEOUT, True, detail=words)
        if isinstance(error, imaplib.IMAP4.abort):
            return Failure(FailureKind.CONNECT_FAILED, True, detail=words)
        kind = FailureKind.AUTH_FAILED if self._stage is Stage.AUTH else FailureKind.SERVER_ERROR
        return Failure(kind, True, reply=Reply(0, "", words), detail=words)


def quoted_folder(name: str) -> str:
    """Return the name of a folder as it is sent: in the modified UTF-7 of RFC 3501 §5.1.3, quoted."""
    encoded = re.sub(r"[^\x20-\x7e]+|&", _in_utf7, name)
    return '"' + encoded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_utf7(match: re.Match[str]) -> str:
    text = match.group()
    if text == "&":
        return "&-"
    packed = base64.b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
    return f"&{packed}-"


def folder_name(octets: bytes) -> str:
    """Return the name of a folder as people read it; what is no UTF-7 stays as it is."""

    def read(match: re.Match[bytes]) -> bytes:
        packed = match[1]
        if not packed:
            return b"&"
        padded = packed.replace(b",", b"/") + b"=" * (-len(packed) % 4)
        try:
            return base64.b64decode(padded, validate=True).decode("utf-16-be").encode()
        except ValueError:
            return match[0]

    return re.sub(rb"&([^&-]*)-", read, octets).decode("utf-8", "replace")
