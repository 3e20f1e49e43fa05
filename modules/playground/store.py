"""The mailbox: a folder with one file for each message.

A file begins with one line of JSON – the envelope and what the list shows – and goes on with the message
exactly as it came. One file, renamed into place when it is complete, can never be seen in half. Its name
begins with the time, so names sort as the messages arrived and are the keys of the pages.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from core import clock
from core.mail.reader import ReadMessage, read_message

SUFFIX = ".mail"
MAX_HEAD_BYTES = 8_000_000  # of the line that describes a message; a damaged file has no end
MAX_SHOWN_LENGTH = 500  # characters of a field in the list
_KEY = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """The summary of a message, which the list shows without reading it whole.

    Attributes:
        key: Its name, which sorts by time.
        received_at: When the server took it.
        envelope_from: MAIL FROM, "" for a bounce.
        recipients: The accepted RCPT TO, in order.
        size: Bytes of the message.
        subject: Its subject.
        header_from: Its From, for reading.
        header_to: Its To, for reading.
        file_count: How many files are attached.
        message_id: Its Message-ID with the brackets, or "".
    """

    key: str
    received_at: dt.datetime
    envelope_from: str
    recipients: tuple[str, ...]
    size: int
    subject: str
    header_from: str
    header_to: str
    file_count: int
    message_id: str = ""

    def matches(self, text: str) -> bool:
        """Return True when the text occurs in the subject or in any address, whatever its case."""
        shown = (self.subject, self.header_from, self.header_to, self.envelope_from, *self.recipients)
        return text.casefold() in "\n".join(shown).casefold()


@dataclass(frozen=True, slots=True)
class StorePage:
    """One page of the mailbox, newest first.

    Attributes:
        rows: The messages.
        more_newer: True when newer ones match as well.
        more_older: True when older ones match as well.
    """

    rows: list[StoredMessage]
    more_newer: bool
    more_older: bool


@dataclass(frozen=True, slots=True)
class MailStore:
    """The mailbox in a folder; the server writes it, the pages read it.

    Attributes:
        root: The folder; made with the first message.
    """

    root: Path

    def put(self, data: bytes, envelope_from: str, recipients: list[str]) -> StoredMessage:
        """Store a message durably, as a whole or not at all.

        Args:
            data: The message as it came.
            envelope_from: MAIL FROM, "" for a bounce.
            recipients: The accepted RCPT TO.

        Raises:
            OSError: The disk is full or not writable; nothing is left behind.
        """
        now = clock.now()
        key = f"{now:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(4)}"
        stored = _summarize(key, now, data, envelope_from, recipients)
        # ASCII JSON: addresses that are no UTF-8 come as lone surrogates, which only escapes can hold.
        head = json.dumps(_as_json(stored), separators=(",", ":")).encode("ascii")
        path = self._path(key)
        # The list looks for whole messages only, and finds this one once it has its name.
        temporary = path.with_suffix(".part")
        self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(head + b"\n")
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return stored

    def page(
        self,
        *,
        search: str = "",
        before: str = "",
        after: str = "",
        size: int = 40,
        readable: Callable[[Sequence[StoredMessage]], Collection[str]] | None = None,
    ) -> StorePage:
        """Return a page of messages, newest first.

        Args:
            search: Text that must occur, see `StoredMessage.matches`.
            before: Key of a message; the page ends with what is next newer. Has no effect beside `after`.
            after: Key of a message; the page begins with what is next older.
            size: Messages on a page.
            readable: Returns the keys of those messages that are shown, of some at a time; None for all.
        """
        keys = self._keys()
        backwards = bool(before) and not after
        if after:
            keys = [key for key in keys if key < after]
        elif before:
            keys = [key for key in reversed(keys) if key > before]
        found = (stored for key in keys if (stored := self._head(key)) is not None)
        matching = (row for row in found if not search or row.matches(search))
        # Read piece by piece until the page is full: the folder may hold thousands.
        rows = list(islice(_shown(matching, readable, size + 1), size + 1))
        more = len(rows) > size
        rows = rows[:size]
        if backwards:
            return StorePage(rows[::-1], more_newer=more, more_older=True)
        return StorePage(rows, more_newer=bool(after), more_older=more)

    def get(self, key: str) -> tuple[StoredMessage, bytes] | None:
        """Return a message with its bytes, or None when there is none of that key."""
        # The key comes from the address of a page, and becomes a path.
        if not _KEY.fullmatch(key):
            return None
        try:
            with self._path(key).open("rb") as file:
                stored = _from_line(key, file.readline(MAX_HEAD_BYTES))
                return None if stored is None else (stored, file.read())
        except OSError:
            return None

    def read(self, key: str) -> tuple[StoredMessage, ReadMessage, bytes] | None:
        """Return a message with its bytes, and read, or None when there is none of that key."""
        found = self.get(key)
        return None if found is None else (found[0], read_message(found[1]), found[1])

    def delete_all(self) -> int:
        """Delete every message and return how many there were; what is still being written stays."""
        count = 0
        for key in self._keys():
            self._path(key).unlink(missing_ok=True)
            count += 1
        return count

    def sweep(self) -> None:
        """Delete what a killed server left half written; only for the one server, when it starts."""
        for left in self.root.glob("*.part"):
            left.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / f"{key}{SUFFIX}"

    def _keys(self) -> list[str]:
        """Return the keys of all complete messages, newest first."""
        try:
            names = [path.name for path in self.root.iterdir()]
        except FileNotFoundError:
            return []
        keys = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
        return sorted((key for key in keys if _KEY.fullmatch(key)), reverse=True)

    def _head(self, key: str) -> StoredMessage | None:
        try:
            with self._path(key).open("rb") as file:
                return _from_line(key, file.readline(MAX_HEAD_BYTES))
        except OSError:
            return None  # deleted since the folder was listed


def _shown(
    messages: Iterator[StoredMessage],
    readable: Callable[[Sequence[StoredMessage]], Collection[str]] | None,
    piece: int,
) -> Iterator[StoredMessage]:
    """Return those messages that may be shown, asking about some at a time."""
    while some := list(islice(messages, piece)):
        keys = readable(some) if readable is not None else None
        yield from (message for message in some if keys is None or message.key in keys)


def _summarize(
    key: str, at: dt.datetime, data: bytes, envelope_from: str, recipients: list[str]
) -> StoredMessage:
    message = read_message(data)
    return StoredMessage(
        key=key,
        received_at=at,
        envelope_from=envelope_from,
        recipients=tuple(recipients),
        size=len(data),
        subject=message.subject[:MAX_SHOWN_LENGTH],
        header_from=", ".join(map(str, message.header_from))[:MAX_SHOWN_LENGTH],
        header_to=", ".join(map(str, message.to))[:MAX_SHOWN_LENGTH],
        file_count=len(message.files),
        message_id=message.message_id[:MAX_SHOWN_LENGTH],
    )


def _as_json(stored: StoredMessage) -> dict[str, Any]:
    return {
        "received_at": stored.received_at.isoformat(),
        "envelope_from": stored.envelope_from,
        "recipients": stored.recipients,
        "size": stored.size,
        "subject": stored.subject,
        "header_from": stored.header_from,
        "header_to": stored.header_to,
        "file_count": stored.file_count,
        "message_id": stored.message_id,
    }


def _clean(text: object) -> str:
    return str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _from_line(key: str, line: bytes) -> StoredMessage | None:
    """Return what the first line of a file says, or None when the file is no message of ours."""
    try:
        values = json.loads(line)
        return StoredMessage(
            key=key,
            received_at=dt.datetime.fromisoformat(values["received_at"]),
            envelope_from=_clean(values["envelope_from"]),
            recipients=tuple(map(_clean, values["recipients"])),
            size=int(values["size"]),
            subject=_clean(values["subject"]),
            header_from=_clean(values["header_from"]),
            header_to=_clean(values["header_to"]),
            file_count=int(values["file_count"]),
            # Not in those that were taken before it was asked who may read them: they are for whoever reads all.
            message_id=_clean(values.get("message_id", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None
