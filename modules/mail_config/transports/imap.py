"""Reading a mailbox by IMAP (RFC 9051, RFC 3501), without changing it but where that is wanted."""

from __future__ import annotations

import datetime as dt
import imaplib
import io
import re
import select
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import cast

from core.mail.outcomes import printable
from modules.mail_config.transports.base import ServerAccess
from modules.mail_config.transports.imap_session import MAX_MESSAGE, ImapSession, quoted_folder

WINDOW = 500
"""Messages that are listed by one command."""
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,19})\b")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_CHANGED = re.compile(rb"\* \d{1,10} (?:EXISTS|EXPUNGE|RECENT)\b", re.IGNORECASE)
_LOOK_UP = 5.0  # seconds after which who waits looks whether to go on
_SEQUENCE = re.compile(rb"^(\d{1,10}) ")


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


class ImapMailbox(ImapSession):
    """A folder of a mailbox, open for reading.

    Args:
        access: Host, port, encryption, user and password; its timeout is for each answer.
        folder: The name of the folder.
        seconds: How long all of it may take; then the connection is cut, whatever the server does.
        writable: True to be able to mark or delete messages; else the folder is opened so that nothing can change.

    Raises:
        MailboxError: It cannot be opened.
    """

    def __init__(self, access: ServerAccess, folder: str, *, seconds: float, writable: bool = False) -> None:
        super().__init__(access, seconds=seconds)
        with self._told():
            self.count: int = int(
                self._ok(self._imap.select(quoted_folder(folder), readonly=not writable))[0] or 0
            )
            self.uid_validity: int = int((self._imap.response("UIDVALIDITY")[1] or [b"0"])[0] or 0)

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

    def delete(self, uids: Sequence[int]) -> None:
        """Delete messages; the places of those behind them change by that.

        A server without UIDPLUS (RFC 4315) could only expunge all that anybody has marked: there they are marked, and
        go when somebody tidies up.

        Raises:
            MailboxError: The server does not do it.
        """
        with self._told():
            for start in range(0, len(uids), WINDOW):
                some = ",".join(str(uid) for uid in uids[start : start + WINDOW])
                self._ok(self._imap.uid("STORE", some, "+FLAGS.SILENT", r"(\Deleted)"))
                if "UIDPLUS" in self._imap.capabilities:
                    self._ok(self._imap.uid("EXPUNGE", some))


def _moment(text: bytes) -> dt.datetime | None:
    match = _DATE.search(text)
    if match is None:
        return None
    try:
        return parsedate_to_datetime(match[1].decode("ascii").replace("-", " ", 2)).astimezone(dt.UTC)
    except (ValueError, UnicodeDecodeError, OverflowError):
        return None
