"""Reading a mailbox by IMAP (RFC 9051, RFC 3501), without changing it.

By the standard library's imaplib: of IMAP's many parts only listing and fetching are needed, and a library around it
takes away what matters here: bounds upon what a server may send, and upon the time that all of it may take.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import imaplib
import io
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, cast

from core.mail.exceptions import explain_exception
from core.mail.outcomes import Failure, FailureKind, Reply, Stage, printable
from modules.mail_config.models import Encryption
from modules.mail_config.transports.base import ServerAccess, trusting

MAX_MESSAGE = 32 * 1024 * 1024
"""Octets of the largest message that is fetched."""
WINDOW = 500
"""Messages that are listed by one command."""
_SPARE = 64 * 1024  # octets that a server may send around a message
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,19})\b")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_CHANGED = re.compile(rb"\* \d{1,10} (?:EXISTS|EXPUNGE|RECENT)\b", re.IGNORECASE)
_LOOK_UP = 5.0  # seconds after which who waits looks whether to go on
_SEQUENCE = re.compile(rb"^(\d{1,10}) ")


class MailboxError(Exception):
    """A mailbox cannot be read now.

    Attributes:
        failure: Why, in the kinds of the house.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as the server lists it.

    Attributes:
        uid: Its UID, which holds while `uid_validity` does.
        size: In octets.
        received_at: When the server got it, or None where it does not say.
    """

    uid: int
    size: int
    received_at: dt.datetime | None


class _Watched:
    """Tells of its socket before the first answer is read, and takes no larger literal than was asked for."""

    def __init__(self, opened: Callable[[socket.socket], None], *args: Any, **named: Any) -> None:
        self._tell_of = opened
        super().__init__(*args, **named)

    def read(self, size: int) -> bytes:
        """Read a literal."""
        if size > MAX_MESSAGE + _SPARE:
            raise imaplib.IMAP4.abort(f"The server announces {size} octets at once.")
        return cast("bytes", super().read(size))  # type: ignore[misc]

    def _create_socket(self, timeout: float | None) -> socket.socket:
        sock: socket.socket = super()._create_socket(timeout)  # type: ignore[misc]
        self._tell_of(sock)
        return sock


class _Imap(_Watched, imaplib.IMAP4):
    """A connection that begins in the clear."""


class _ImapTls(_Watched, imaplib.IMAP4_SSL):
    """A connection that is encrypted from the first octet."""


class ImapMailbox:
    """A folder of a mailbox, open for reading.

    Args:
        access: Host, port, encryption, user and password; its timeout is for each answer.
        folder: The name of the folder.
        seconds: How long all of it may take; then the connection is cut, whatever the server does.
        writable: True to be able to mark messages as seen; else the folder is opened so that nothing can change.

    Raises:
        MailboxError: It cannot be opened.
    """

    def __init__(self, access: ServerAccess, folder: str, *, seconds: float, writable: bool = False) -> None:
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
            self._sign_in(access)
            self._stage = Stage.MAIL
            self.count: int = int(self._ok(self._imap.select(_folder(folder), readonly=not writable))[0] or 0)
            self.uid_validity: int = int((self._imap.response("UIDVALIDITY")[1] or [b"0"])[0] or 0)

    def _sign_in(self, access: ServerAccess) -> None:
        if (access.username + access.password).isascii():
            self._ok(self._imap.login(access.username, access.password))
            return
        # LOGIN takes ASCII alone (RFC 3501 §6.2.3), this one UTF-8 (RFC 4616 §2).
        said = f"\0{access.username}\0{access.password}".encode()
        self._ok(self._imap.authenticate("PLAIN", lambda _challenge: said))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye, if there is somebody to say it to."""
        self._watchdog.cancel()
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            self._imap.logout()

    def listed(self, first: int, last: int) -> list[Listed]:
        """Return the messages from one place to another, both included, in the order of the folder.

        Raises:
            MailboxError: The server does not tell.
        """
        if not 1 <= first <= last:
            return []
        with self._told():
            data = self._ok(self._imap.fetch(f"{first}:{last}", "(UID RFC822.SIZE INTERNALDATE)"))
        found: dict[int, Listed] = {}
        for line in data:
            text = line[0] if isinstance(line, tuple) else line
            if not isinstance(text, bytes):
                continue
            place, uid, size = _SEQUENCE.match(text), _UID.search(text), _SIZE.search(text)
            # A server may speak of messages that nobody has asked about (RFC 9051 §5.2).
            if place is not None and first <= int(place[1]) <= last and uid is not None and size is not None:
                found[int(place[1])] = Listed(int(uid[1]), int(size[1]), _moment(text))
        return [found[place] for place in sorted(found)]

    def octets(self, uid: int, limit: int = MAX_MESSAGE) -> bytes | None:
        """Return the first octets of a message, or None where it is gone.

        Raises:
            MailboxError: The server does not give it.
        """
        with self._told():
            data = self._ok(self._imap.uid("FETCH", str(uid), f"(BODY.PEEK[]<0.{limit}>)"))
        return next((bytes(line[1]) for line in data if isinstance(line, tuple)), None)

    @property
    def tells(self) -> bool:
        """True where the server tells of what comes while one waits (RFC 2177)."""
        return "IDLE" in self._imap.capabilities

    def wait(self, seconds: float, ended: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the server tells of something that has come or gone.

        Args:
            seconds: How long at most; RFC 2177 wants less than 29 minutes, and what stands between may forget sooner.
            ended: Asked now and then whether to stop waiting.

        Returns:
            True where something has changed, False where the time is over.

        Raises:
            MailboxError: The server is gone, or does not keep to what it offers.
        """
        with self._told():
            tag = self._imap._new_tag()  # imaplib has no IDLE before Python 3.14
            self._imap.send(tag + b" IDLE\r\n")
            changed = False
            while not (line := self._line()).startswith(b"+"):
                changed = changed or _CHANGED.match(line) is not None
                if line.startswith(tag):
                    raise imaplib.IMAP4.error(printable(line.decode("utf-8", "replace")))
            until = time.monotonic() + seconds
            while not changed and not ended() and (left := until - time.monotonic()) > 0:
                if self._has_come(min(left, _LOOK_UP)):
                    break
            # Whatever has come is read up to the end of the command: nothing stays behind in a buffer.
            self._imap.send(b"DONE\r\n")
            while not (line := self._line()).startswith(tag):
                changed = changed or _CHANGED.match(line) is not None
            if not line[len(tag) :].strip().upper().startswith(b"OK"):
                raise imaplib.IMAP4.error(printable(line.decode("utf-8", "replace")))
            return changed

    def _line(self) -> bytes:
        line: bytes = self._imap.readline()
        if not line:
            raise imaplib.IMAP4.abort("The server has closed the connection.")
        return line

    def _has_come(self, seconds: float) -> bool:
        return self._is_read_ahead() or bool(select.select([self._imap.sock], [], [], seconds)[0])

    def _is_read_ahead(self) -> bool:
        """Return True where something was read or decrypted beyond the last line, of which no socket tells any more."""
        sock = self._imap.sock
        timeout = sock.gettimeout()
        sock.settimeout(0)
        try:
            return bool(cast("io.BufferedReader", self._imap.file).peek(1))
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            sock.settimeout(timeout)

    def mark_seen(self, uid: int) -> None:
        """Mark a message as read.

        Raises:
            MailboxError: The server does not do it.
        """
        with self._told():
            self._ok(self._imap.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen)"))

    def _connect(self, access: ServerAccess) -> None:
        secure = access.encryption is not Encryption.NONE
        context = trusting(access.ca_file) if secure else None
        self._imap: imaplib.IMAP4
        if access.encryption is Encryption.TLS:
            self._imap = _ImapTls(
                self._opened, access.host, access.port, ssl_context=context, timeout=access.timeout
            )
        else:
            self._imap = _Imap(self._opened, access.host, access.port, timeout=access.timeout)
        self._is_open = True
        if access.encryption is Encryption.STARTTLS:
            self._stage = Stage.STARTTLS
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
        except (imaplib.IMAP4.error, OSError, ValueError) as error:
            self._watchdog.cancel()
            if self._is_open:  # else imaplib has closed what it could not open
                with contextlib.suppress(OSError):
                    self._imap.shutdown()
            raise MailboxError(self._failure(error)) from error

    def _failure(self, error: BaseException) -> Failure:
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


def _folder(name: str) -> str:
    """Return the name of a folder as it is sent: in the modified UTF-7 of RFC 3501 §5.1.3, quoted."""
    encoded = re.sub(r"[^\x20-\x7e]+|&", _in_utf7, name)
    return '"' + encoded.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_utf7(match: re.Match[str]) -> str:
    text = match.group()
    if text == "&":
        return "&-"
    packed = base64.b64encode(text.encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
    return f"&{packed}-"


def _moment(text: bytes) -> dt.datetime | None:
    match = _DATE.search(text)
    if match is None:
        return None
    try:
        return parsedate_to_datetime(match[1].decode("ascii").replace("-", " ", 2)).astimezone(dt.UTC)
    except (ValueError, UnicodeDecodeError, OverflowError):
        return None
