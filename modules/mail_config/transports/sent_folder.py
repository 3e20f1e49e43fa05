"""The folder of a mailbox in which sent mails lie, and a copy put into it by IMAP (RFC 9051 §6.3.12).

Which folder that is, the server says by a flag (RFC 6154), or its name does; where there is none, it is made as mail
programs make it.
"""

from __future__ import annotations

import datetime as dt
import imaplib
import re
from collections.abc import Sequence
from typing import Any

from core.mail.outcomes import Advice, Failure, FailureKind, Reply, printable
from modules.mail_config.transports.base import ServerAccess, Step
from modules.mail_config.transports.imap_session import (
    ImapSession,
    MailboxError,
    folder_name,
    quoted_folder,
)

USUAL_NAMES = (
    *("sent", "sent items", "sent messages", "sent mail", "sent-mail"),
    *("éléments envoyés", "messages envoyés", "courrier envoyé", "courriers envoyés", "envoyés", "envoyes"),
    *("gesendet", "gesendete elemente", "gesendete objekte", "gesendete nachrichten", "objets envoyés"),
    *("verzonden", "verzonden items", "verzonden berichten", "inviata", "posta inviata", "enviados"),
)
"""What it is called where the server does not say which it is, in small letters; the first that is found counts."""
MADE = "Sent"
"""What it is called where it has to be made."""
MOST_FOLDERS = 5000
"""Of a mailbox, that are looked at."""
_LISTED = re.compile(rb'^\((?P<flags>[^()]*)\) (?:"(?P<delimiter>\\?.)"|NIL) (?P<name>.*)$', re.DOTALL)
_MESSAGE_ID = re.compile(r"<[\x21-\x7e]{3,250}>")
_FULL = re.compile(
    r"\bOVERQUOTA\b|over ?quota|quota exceeded|mailbox (?:is )?full|quota dépassé", re.IGNORECASE
)


class SentMailbox(ImapSession):
    """A mailbox, open to put copies of sent mails into one folder of it.

    Args:
        access: Host, port, encryption, user and password; its timeout is for each answer.
        folder: The name of the folder, or "" for the one that is found.
        seconds: How long all of it may take; then the connection is cut, whatever the server does.

    Attributes:
        name: The name of the folder.

    Raises:
        MailboxError: It cannot be opened, or has no such folder.
    """

    def __init__(self, access: ServerAccess, folder: str, *, seconds: float) -> None:
        super().__init__(access, seconds=seconds)
        self._begin(Step.SENT_FOLDER)
        with self._told():
            self.name: str = folder or self._found() or self._made()
            # Opened so that nothing can change: it is only searched. APPEND names its folder itself.
            status, data = self._imap.select(quoted_folder(self.name), readonly=True)
            if status != "OK":
                raise _NoFolderError(_words(data))
        self.steps[-1].detail = self.name

    def put(self, message: bytes, message_id: str, moment: dt.datetime) -> bool:
        """Put a message into the folder as one that was read, unless it lies there already.

        Args:
            message: The whole message, lines ended by CRLF.
            message_id: Its Message-ID, with brackets.
            moment: When it was sent.

        Returns:
            False where it was there.

        Raises:
            MailboxError: The server does not take it, or nobody knows whether it did.
        """
        self._begin(Step.COPY)
        with self._told():
            # Nobody knows of an APPEND whose answer did not come, and some servers keep what they are given to send.
            if self._holds(message_id):
                return False
            status, data = self._imap.append(quoted_folder(self.name), r"(\Seen)", moment, message)
        if status != "OK":
            words = _words(data)
            advice = Advice.SENT_FOLDER_FULL if _FULL.search(words) else None
            raise MailboxError(_refusal(words, advice), self.steps, of_message=True)
        return True

    def _holds(self, message_id: str) -> bool:
        if not _MESSAGE_ID.fullmatch(message_id) or '"' in message_id or "\\" in message_id:
            return False  # none of ours
        data = self._ok(self._imap.uid("SEARCH", "HEADER", "Message-ID", f'"{message_id}"'))
        return any(isinstance(line, bytes) and line.strip() for line in data)

    def _found(self) -> str:
        """Return the name of the folder of sent mails, or "" where there is none."""
        by_name: dict[str, str] = {}
        for line in self._ok(self._imap.list())[:MOST_FOLDERS]:
            listed = _read_listed(line)
            if listed is None:
                continue
            flags, delimiter, name = listed
            if "\\noselect" in flags or "\\nonexistent" in flags:
                continue
            if "\\sent" in flags:
                return name
            last = name.rpartition(delimiter)[2] if delimiter else name
            for called in (name, last):
                by_name.setdefault(called.casefold(), name)
        return next((by_name[name] for name in USUAL_NAMES if name in by_name), "")

    def _made(self) -> str:
        refused = ""
        # Some servers keep all folders below the inbox.
        for name in (MADE, f"INBOX.{MADE}", f"INBOX/{MADE}"):
            status, data = self._imap.create(quoted_folder(name))
            if status == "OK":
                # Else many programs do not show it.
                self._imap.subscribe(quoted_folder(name))
                return name
            refused = refused or _words(data)
        raise _NoFolderError(refused)

    def _failure(self, error: BaseException) -> Failure:
        if isinstance(error, _NoFolderError):
            return _refusal(str(error), Advice.NO_SENT_FOLDER)
        return super()._failure(error)


class _NoFolderError(imaplib.IMAP4.error):
    """There is no such folder, and none can be made."""


def _read_listed(line: Any) -> tuple[set[str], str, str] | None:
    """Return flags, delimiter and name of a folder as the server lists it, or None for what cannot be read."""
    literal = None
    if isinstance(line, tuple):
        line, literal = line[0], line[1]
    if not isinstance(line, bytes):
        return None
    match = _LISTED.match(line)
    if match is None:
        return None
    raw = literal if literal is not None else match["name"].strip()
    if literal is None and raw[:1] == b'"' == raw[-1:] and len(raw) > 1:
        raw = re.sub(rb"\\(.)", rb"\1", raw[1:-1])
    flags = {flag.casefold() for flag in match["flags"].decode("ascii", "replace").split()}
    delimiter = (match["delimiter"] or b"").decode("ascii", "replace")[-1:]
    return flags, delimiter, folder_name(raw)


def _words(data: Sequence[Any]) -> str:
    words = b" ".join(one for one in data if isinstance(one, bytes))
    return printable(words.decode("utf-8", "replace"), 400)


def _refusal(words: str, advice: Advice | None) -> Failure:
    return Failure(FailureKind.SERVER_ERROR, True, reply=Reply(0, "", words), detail=words, advice=advice)
