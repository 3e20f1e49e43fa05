"""Copies of sent mails in the mailbox of a server's account: whether they are kept, where, and how that fares.

Providers that keep what they are given to send need none: Gmail and Microsoft 365, by SMTP as by their interfaces.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import update

from core import clock
from core.db import db, end_reading, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.outcomes import Failure
from modules.mail_config.mailbox_models import Encryption, SentFolder
from modules.mail_config.models import MailServer
from modules.mail_config.servers.access import access_of
from modules.mail_config.servers.providers import Provider, provider_of
from modules.mail_config.servers.spelling import clean_host
from modules.mail_config.transports.base import Step, StepTaken
from modules.mail_config.transports.imap_session import MailboxError
from modules.mail_config.transports.sent_folder import SentMailbox

PORT = 993
WALK = (Step.RESOLVE, Step.CONNECT, Step.SIGN_IN, Step.SENT_FOLDER, Step.COPY)
DELAYS = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720))
"""How long after each failure in a row the mailbox is left alone; the last one repeats."""
FIELDS = ("sent_copy", "imap_host", "imap_port", "imap_encryption", "sent_folder")
"""What a form asks about it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a form says about copies.

    Attributes:
        host: Of the mailbox, or "" where none are wanted.
        port: TCP port.
        encryption: How the connection is encrypted.
        folder: Its name, or "" for the one that is found.
    """

    host: str = ""
    port: int = PORT
    encryption: Encryption = Encryption.TLS
    folder: str = ""


@dataclass(frozen=True, slots=True)
class CopyTest:
    """What the test of a copy has found.

    Attributes:
        taken: The steps, in order.
        ended: When it ended, by the monotonic clock.
        failure: Why there is none, or None.
        folder: Where it lies.
    """

    taken: Sequence[StepTaken]
    ended: float
    failure: Failure | None = None
    folder: str = ""


def keeps_itself(server: MailServer) -> bool:
    """Return True for a server whose provider puts what it sends into the Sent folder itself."""
    provider = provider_of(server.host)
    return server.account is not None or (provider is not None and provider.keeps_sent)


def shown_values(server: MailServer | None) -> dict[str, Any]:
    """Return what a form shows about the copies of a server."""
    row = server.sent_folder if server is not None else None
    if row is None:
        return {
            "sent_copy": False,
            "imap_host": "",
            "imap_port": PORT,
            "imap_encryption": Encryption.TLS,
            "sent_folder": "",
        }
    return {
        "sent_copy": True,
        "imap_host": row.host,
        "imap_port": row.port,
        "imap_encryption": row.encryption,
        "sent_folder": row.folder,
    }


def imap_host_of(provider: Provider | None, smtp_host: str) -> str:
    """Return the host of the mailboxes of a provider, or "" where it is not known."""
    if provider is None:
        return ""
    return smtp_host if provider.imap == "=" else provider.imap


def taken_from(values: dict[str, Any]) -> Wish | None:
    """Take what a form says about copies out of the values of a server; None where it does not ask.

    Args:
        values: Of the server, by their columns; those about copies are removed.

    Raises:
        UserError: Copies are wanted where the provider keeps them itself, nobody signs in, or the host is not known.
    """
    asked = {name: values.pop(name) for name in FIELDS if name in values}
    if "sent_copy" not in asked:
        return None
    if not asked["sent_copy"]:
        return Wish()
    smtp_host = str(values.get("host") or "")
    provider = provider_of(smtp_host)
    if provider is not None and provider.keeps_sent:
        raise UserError(
            _l(
                "%(provider)s itself keeps a copy of every email in the Sent folder. Leave this empty, or there would "
                "be two.",
                provider=provider.name,
            ),
            "sent_copy",
        )
    if not values.get("username"):
        raise UserError(
            _l("A copy goes to the mailbox of the account: user name and password are needed."), "sent_copy"
        )
    host = str(asked.get("imap_host") or "").strip() or imap_host_of(provider, smtp_host)
    if not host:
        domain = smtp_host.partition(".")[2]
        if "." not in domain or domain[-1:].isdigit():
            domain = "example.com"
        raise UserError(
            _l(
                "Type the host by which this mailbox is read (IMAP); your mail program shows it. It is often "
                "imap.%(domain)s.",
                domain=domain[:80],
            ),
            "imap_host",
        )
    try:
        host = clean_host(host)
    except UserError as error:
        raise UserError(error.message, "imap_host") from error
    return Wish(
        host,
        int(asked.get("imap_port") or PORT),
        Encryption(asked.get("imap_encryption") or Encryption.TLS),
        " ".join(str(asked.get("sent_folder") or "").split()),
    )


def goes_elsewhere(server: MailServer, wish: Wish | None) -> bool:
    """Return True where the saved password would be told to a mailbox that it was not saved for.

    The one of the server's own provider is known to be of the same house.
    """
    if wish is None or not wish.host:
        return False
    row = server.sent_folder
    if row is not None and (row.host.lower(), row.port) == (wish.host.lower(), wish.port):
        return wish.encryption is Encryption.NONE and row.encryption is not Encryption.NONE
    known = imap_host_of(provider_of(server.host), server.host)
    return (wish.host.lower(), wish.port, wish.encryption) != (known.lower(), PORT, Encryption.TLS)


def apply(server: MailServer, wish: Wish | None) -> None:
    """Write what a form says into the row of a server, in the running transaction."""
    if wish is None:
        return
    if not wish.host:
        server.sent_folder = None
        return
    row = server.sent_folder
    if row is None:
        row = server.sent_folder = SentFolder(found="", failures=0, failure_words="", failure_advice="")
    if (row.host, row.port, row.folder) != (wish.host, wish.port, wish.folder):
        row.found = ""
    row.host, row.port, row.encryption, row.folder = wish.host, wish.port, wish.encryption, wish.folder
    # Whatever was wrong before may be right now.
    row.failures, row.failing_since, row.next_look_at, row.told_at = 0, None, None, None
    row.failure_kind, row.failure_words, row.failure_advice = None, "", ""


def open_folder(server: MailServer, *, timeout: float, seconds: float) -> SentMailbox:
    """Return the folder of a server, open for copies; ends the reading transaction.

    Raises:
        MailboxError: It cannot be opened.
        UserError: The saved password cannot be read, or no copies are kept.
    """
    row = server.sent_folder
    if row is None:
        raise UserError(_l("This server keeps no copies of what it sends."))
    access = replace(
        access_of(server, timeout=timeout), host=row.host, port=row.port, encryption=row.encryption
    )
    folder = row.folder
    end_reading()
    return SentMailbox(access, folder, seconds=seconds)


def test_copy(
    server: MailServer, message: bytes, message_id: str, *, timeout: float, seconds: float
) -> CopyTest:
    """Put a test mail into the Sent folder of a server, and remember how that went.

    Raises:
        UserError: The saved password cannot be read.
    """
    server_id = server.id
    try:
        with open_folder(server, timeout=timeout, seconds=seconds) as box:
            box.put(message, message_id, clock.now())
            name, taken, ended = box.name, list(box.steps), time.monotonic()
    except MailboxError as error:
        note_failure(server_id, error.failure)
        return CopyTest(list(error.steps), time.monotonic(), error.failure)
    note_success(server_id, name)
    return CopyTest(taken, ended, None, name)


test_copy.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest


def note_success(server_id: int, folder: str) -> None:
    """Remember that a copy was put into a folder."""
    row = db.session.get(SentFolder, server_id, populate_existing=True)
    if row is None or (row.found == folder and not row.failures):
        end_reading()
        return
    with transaction() as session:
        session.execute(
            update(SentFolder)
            .where(SentFolder.server_id == server_id)
            .values(
                found=folder,
                failures=0,
                failing_since=None,
                next_look_at=None,
                told_at=None,
                failure_kind=None,
                failure_words="",
                failure_advice="",
            )
        )


def note_failure(server_id: int, failure: Failure) -> int:
    """Remember that the mailbox could not be used, and leave it alone for a while.

    Returns:
        How often that was in a row; 0 where no copies are kept any more.
    """
    with transaction() as session:
        row = session.get(SentFolder, server_id, populate_existing=True, with_for_update=True)
        if row is None:
            return 0
        now = clock.now()
        row.failures += 1
        row.failing_since = row.failing_since or now
        row.next_look_at = now + DELAYS[min(row.failures, len(DELAYS)) - 1]
        row.failure_kind, row.failure_words = failure.kind, failure.diagnostic[:500]
        row.failure_advice = failure.advice or ""
        return row.failures
