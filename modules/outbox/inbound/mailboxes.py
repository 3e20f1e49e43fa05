"""The verbs of mailboxes: save one, look what lies in it, read what is new."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import or_, select, update

from core import clock
from core.db import again, db, end_reading, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.installation import service as installation
from core.mail.addresses import normalize
from core.mail.bounces import Reading
from core.mail.bounces.parts import Fields, read_head
from core.mail.outcomes import Failure, FailureKind
from core.vault import encrypt
from modules.mail_config.accounts.mailboxes import accounts_of_the_house, place_of
from modules.mail_config.accounts.tokens import TokenOf
from modules.mail_config.servers.access import access_to
from modules.mail_config.servers.providers import provider_of
from modules.mail_config.servers.sent_folder import imap_host_of
from modules.mail_config.servers.spelling import clean_host
from modules.mail_config.transports.base import ServerAccess
from modules.mail_config.transports.imap import WINDOW, ImapMailbox, Listed
from modules.mail_config.transports.imap_session import MAX_MESSAGE, MailboxError
from modules.outbox.alert_rows import settle_mailbox_alerts
from modules.outbox.inbound.failing import remember_failure
from modules.outbox.inbound.intake import explain, take
from modules.outbox.inbound.matching import ANSWERS, Match
from modules.outbox.models import Mailbox, Verdict

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 15.0  # for each answer of a server
MAILBOX_SECONDS = 45.0  # for one mailbox; the next look goes on where this one was ended
JOB_SECONDS = 200.0  # for all of them; below the time that the job may take
EVERY = dt.timedelta(seconds=50)
"""How long after a look nobody else looks at the same mailbox; below the time between two jobs."""
AFTER_FAILURE = dt.timedelta(minutes=5)
"""The same where it could not be read: a server that hangs must not take the time of all others."""
LOOK_BACK = dt.timedelta(days=7)
"""What came before a mailbox was set up, or may have come under other UIDs, is read for so long."""
SMALL = (
    1024 * 1024
)  # octets; of a larger message the beginning is read first, and the rest only if it is about ours
_REPORTS = frozenset({Verdict.COUNTED, Verdict.WAITS, Verdict.REPEATED, Verdict.EARLIER})
TESTED = 20  # messages that the test looks at


def access_of(mailbox: Mailbox) -> ServerAccess:
    """Return what is needed to reach a mailbox: with its password, or as the account that it is read by.

    Raises:
        UserError: The saved password cannot be read, or the account is gone.
    """
    access = access_to(mailbox, timeout=TIMEOUT_SECONDS)
    if mailbox.account is not None:
        return replace(access, username=mailbox.account.address, token=TokenOf(mailbox.account.server_id))
    if mailbox.secret is None:
        raise UserError(
            _l("The account of this mailbox is no longer connected. Connect it again, or save a password.")
        )
    return access


def read_account(account_id: int) -> Mailbox:
    """Read the mailbox of a connected account of the house from now on; return the one that is read already, if any.

    Raises:
        UserError: The account is gone, or whoever has connected it has not allowed that.
    """
    with transaction() as session:
        found = {account.server_id: (account, may) for account, may in accounts_of_the_house()}
        account, may = found.get(account_id, (None, False))
        if account is None or not may:
            raise UserError(
                _l("The mailbox of this account may not be read. Connect the account again and allow it.")
            )
        mailbox = session.scalar(
            select(Mailbox).where(Mailbox.account_id == account_id).with_for_update(of=Mailbox)
        )
        if mailbox is None:
            host, port, encryption = place_of(account)
            mailbox = Mailbox(
                name=account.address[:80],
                host=host,
                port=port,
                encryption=encryption,
                username=account.address,
                account_id=account_id,
                read_from=clock.now() - LOOK_BACK,
            )
            session.add(mailbox)
    return mailbox


def save_mailbox(mailbox: Mailbox | None, values: dict[str, Any], password: str | None) -> Mailbox:
    """Create or change a mailbox.

    Args:
        mailbox: The one to change, or None for a new one.
        values: Column values.
        password: A new password, or None to keep it.

    Raises:
        UserError: Host or address is malformed, or the password would go elsewhere than where it was saved for.
    """
    host = clean_host(str(values.get("host") or "") or _usual_host(values))
    values = {**values, "host": host, "folder": str(values.get("folder") or "").strip() or "INBOX"}
    address = str(values.get("address") or "").strip()
    values["address"] = normalize(address, "address") if address else ""
    if values.get("tag_answers") and not address:
        raise UserError(_l("Say which address answers come to."), "address")
    with transaction() as session:
        place = ("host", "port", "encryption", "username")
        if mailbox is None and password is None:
            raise UserError(_l("Type the password of the mailbox."), "password")
        if (
            mailbox is not None
            and password is None
            and any(getattr(mailbox, one) != values[one] for one in place)
        ):
            raise UserError(
                _l("Host, port, user or encryption has changed: type the password again."), "password"
            )
        if mailbox is None:
            mailbox = Mailbox(read_from=clock.now() - LOOK_BACK)
        elif any(getattr(mailbox, one) != values[one] for one in ("host", "username", "folder")):
            # Another mailbox: what was read before says nothing about it.
            mailbox.uid_validity, mailbox.last_uid, mailbox.read_from = None, 0, clock.now() - LOOK_BACK
        for name, value in values.items():
            setattr(mailbox, name, value)
        if password is not None:
            mailbox.secret = encrypt(password)
        # Looked at with the next job, whatever was wrong before.
        mailbox.tried_at = mailbox.failing_since = mailbox.failure_kind = None
        mailbox.failure_words = ""
        session.add(mailbox)
        if mailbox.id is not None:
            settle_mailbox_alerts(session, mailbox.id)
    return mailbox


def _usual_host(values: dict[str, Any]) -> str:
    """Return the host at which mailboxes like this one are read.

    Raises:
        UserError: Nothing says it.
    """
    for address in (values.get("username"), values.get("address")):
        provider = provider_of(str(address or "")) if "@" in str(address or "") else None
        if host := imap_host_of(provider, provider.host if provider is not None else ""):
            return host
    raise UserError(
        _l(
            "The server of this address is not known here. Look for it in your mail program: incoming mail (IMAP)."
        ),
        "host",
    )


# -- the test ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that lies in a mailbox, and what would be made of it.

    Attributes:
        listed: As the server lists it.
        sender: From, as it stands there.
        subject: As it stands there.
        reading: What it is, or None where it is too large to be read.
        match: The mail that it is about.
    """

    listed: Listed
    sender: str
    subject: str
    reading: Reading | None
    match: Match


@dataclass(frozen=True, slots=True)
class TestReport:
    """What the test of a mailbox has found.

    Attributes:
        failure: Why it cannot be read, or None.
        count: How many messages the folder has.
        seen: The newest of them, newest first.
    """

    __test__ = False  # not a test of pytest

    failure: Failure | None = None
    count: int = 0
    seen: Sequence[Seen] = ()


def test_mailbox(mailbox: Mailbox) -> TestReport:
    """Look what lies in a mailbox and what would be made of it; nothing is changed, there or here.

    Raises:
        UserError: The saved password cannot be read, the account is gone, or this installation reads no mailbox.
    """
    if installation.keeps_to_itself():
        raise UserError(_l("This installation is a copy, or held after a restore: it reads no mailbox."))
    access = access_of(mailbox)
    folder = mailbox.folder
    end_reading()
    try:
        with ImapMailbox(access, folder, seconds=MAILBOX_SECONDS) as box:
            newest = box.listed(max(1, box.count - TESTED + 1), box.count)
            found = [(one, box.octets(one.uid, SMALL) or b"") for one in reversed(newest)]
            count = box.count
    except MailboxError as error:
        return TestReport(error.failure)
    return TestReport(None, count, [_seen(one, octets) for one, octets in found])


test_mailbox.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest


def _seen(listed: Listed, octets: bytes) -> Seen:
    fields, _body = read_head(octets)
    if listed.size > MAX_MESSAGE:
        return Seen(listed, *_who(fields), None, Match())
    return Seen(listed, *_who(fields), *explain(octets, listed.received_at))


def _who(fields: Fields) -> tuple[str, str]:
    return fields.first("from")[:200], fields.first("subject")[:200]


# -- reading -------------------------------------------------------------------------------------------


def read_mailboxes() -> int:
    """Read what is new in every mailbox whose turn it is; return how many messages were looked at."""
    if installation.keeps_to_itself():
        # The real one reads it: of what is deleted or marked as read there, a copy would be the last to know.
        return 0
    until = time.monotonic() + JOB_SECONDS
    ids = db.session.scalars(
        select(Mailbox.id).where(Mailbox.active).order_by(Mailbox.tried_at, Mailbox.id)
    ).all()
    end_reading()
    looked = 0
    for mailbox_id in ids:
        if time.monotonic() < until and again(partial(_claim, mailbox_id)):
            looked += _read(mailbox_id, min(until, time.monotonic() + MAILBOX_SECONDS))
    return looked


def _claim(mailbox_id: int) -> bool:
    """Return True for the one who looks at a mailbox now."""
    now = clock.now()
    with transaction() as session:
        claimed = session.execute(
            update(Mailbox)
            .where(
                Mailbox.id == mailbox_id,
                Mailbox.active,
                or_(
                    Mailbox.tried_at.is_(None),
                    # By a clock that was put back the last look lies ahead.
                    Mailbox.tried_at > now + EVERY,
                    Mailbox.tried_at <= now - AFTER_FAILURE,
                    Mailbox.failing_since.is_(None) & (Mailbox.tried_at <= now - EVERY),
                ),
            )
            .values(tried_at=now)
            .execution_options(synchronize_session=False)
        )
    return bool(getattr(claimed, "rowcount", 0))


def _read(mailbox_id: int, until: float) -> int:
    mailbox = db.session.get_one(Mailbox, mailbox_id, populate_existing=True)
    try:
        access = access_of(mailbox)
    except UserError as error:
        remember_failure(mailbox_id, Failure(FailureKind.AUTH_FAILED, True, detail=str(error)))
        return 0
    folder, mark_seen, delete = mailbox.folder, mailbox.mark_seen, mailbox.delete_reports
    known = mailbox.uid_validity
    last_uid, since = mailbox.last_uid, mailbox.read_from
    if known is not None and mailbox.looked_at is not None:
        since = max(since, mailbox.looked_at - LOOK_BACK)
    end_reading()
    looked = 0
    reports: list[int] = []
    try:
        with ImapMailbox(
            access,
            folder,
            seconds=until - time.monotonic() + TIMEOUT_SECONDS,
            writable=mark_seen or delete,
        ) as box:
            if box.uid_validity != known:
                # The UIDs of before name other messages, or none. Those that were taken are known by their hash.
                last_uid = 0
                place = _first_since(box, since)
            else:
                place = _first_after(box, last_uid)
            for listed in _behind(box, place, last_uid, until):
                if _take_one(box, mailbox_id, listed):
                    reports.append(listed.uid)
                    # Deleted at the end: all that lies behind moves up by that.
                    if mark_seen and not delete:
                        box.mark_seen(listed.uid)
                last_uid, looked = listed.uid, looked + 1
                _remember(mailbox_id, box.uid_validity, last_uid)
            _remember(mailbox_id, box.uid_validity, last_uid, looked_at=clock.now())
            if delete:
                box.delete(reports)
    except MailboxError as error:
        remember_failure(mailbox_id, error.failure)
    return looked


def _behind(box: ImapMailbox, place: int, uid: int, until: float) -> Iterator[Listed]:
    """Return the messages from a place on that are behind a UID, as far as the time allows."""
    while place <= box.count and time.monotonic() < until:
        for listed in box.listed(place, min(place + WINDOW - 1, box.count)):
            if time.monotonic() >= until:
                return
            if listed.uid > uid:  # else a server lists what was not asked for, or does not count upwards
                uid = listed.uid
                yield listed
        place += WINDOW


def _take_one(box: ImapMailbox, mailbox_id: int, listed: Listed) -> bool:
    """Take a message in, and return True for a report about a mail of ours: an answer is for a person to read."""
    if listed.size > MAX_MESSAGE:
        with transaction() as session:
            session.execute(
                update(Mailbox).where(Mailbox.id == mailbox_id).values(skipped=Mailbox.skipped + 1)
            )
        logger.warning("Mailbox %s: a message of %d octets was not read.", mailbox_id, listed.size)
        return False
    octets = box.octets(listed.uid, SMALL)
    if octets and listed.size > SMALL and _is_wanted(octets, listed.received_at):
        octets = box.octets(listed.uid)
    if not octets:
        return False
    taken = again(partial(take, octets, mailbox_id=mailbox_id, received_at=listed.received_at))
    return taken.verdict in _REPORTS


def _is_wanted(beginning: bytes, received_at: dt.datetime | None) -> bool:
    """Return True for a report, and for an answer to a mail of ours, as far as the beginning of a message says."""
    reading, found = explain(beginning, received_at)
    wanted = reading.nature not in ANSWERS or found.mail is not None
    end_reading()
    return wanted


def _first_after(box: ImapMailbox, uid: int) -> int:
    """Return the place of the first message behind a UID, found by halves: UIDs rise with the places."""
    low, high = 1, box.count + 1
    while low < high:
        middle = (low + high) // 2
        listed = box.listed(middle, middle)
        if not listed:
            return low  # gone in between: read from where it is certain
        if listed[0].uid <= uid:
            low = middle + 1
        else:
            high = middle
    return low


def _first_since(box: ImapMailbox, since: dt.datetime) -> int:
    """Return the place from which on all that came since then lies; moments need not rise with the places."""
    place = box.count + 1
    while place > 1:
        first = max(1, place - WINDOW)
        window = box.listed(first, place - 1)
        if window and all(one.received_at is not None and one.received_at < since for one in window):
            return place
        place = first
    return place


def _remember(
    mailbox_id: int, uid_validity: int, last_uid: int, *, looked_at: dt.datetime | None = None
) -> None:
    values: dict[str, Any] = {"uid_validity": uid_validity, "last_uid": last_uid}
    if looked_at is not None:
        values |= {"looked_at": looked_at, "failure_kind": None, "failure_words": "", "failing_since": None}
    with transaction() as session:
        session.execute(update(Mailbox).where(Mailbox.id == mailbox_id).values(**values))
        if looked_at is not None:
            settle_mailbox_alerts(session, mailbox_id)
