"""How long texts and files are kept: after a time they go, the line with its hashes stays.

A mail that still waits keeps everything. What is erased cannot be sent again.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import current_app
from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select

from core import clock
from core.db import db, empty_journal, end_reading, transaction
from modules.outbox.erasure import (
    JUST_STORED,
    erase_contents,
    remove_files,
    remove_files_of,
    sweep_folder,
)
from modules.outbox.message import file_store
from modules.outbox.models import INBOUND, MAILS, DraftFile, KeptDraft, Verdict
from modules.outbox.service import cancel
from modules.outbox.states import CANCELABLE, SETTLED, MailState

logger = logging.getLogger(__name__)

BATCH = 200  # mails of one transaction: short enough for delivery to go on beside it
JOB_SECONDS = 240.0  # below the time a job may take; the next run goes on
KEEP_DRAFTS = dt.timedelta(days=30)
"""What somebody began to write and left is kept for so long after it was last touched."""
KEEP_SENT_DRAFTS = dt.timedelta(hours=1)
"""What a mail was made of is kept for so long, to be opened again when its sending is undone."""
KEEP_STRANGE_MESSAGES = dt.timedelta(days=90)
"""What came in and did not count is remembered for so long."""


@dataclass(slots=True)
class Report:
    """The result of a run of retention, as counts; of a dry run, what it would erase.

    Attributes:
        mails: Mails whose text and dialogues went.
        files: Files removed from the store because of them.
        orphans: Files removed that nothing referred to.
        drafts: Kept drafts that nobody came back to.
    """

    mails: int = 0
    files: int = 0
    orphans: int = 0
    drafts: int = 0


def keep_days_setting() -> int:
    """Return for how many days contents are kept where nothing else is said; 0 for ever."""
    return int(current_app.config["OUTBOX_KEEP_DAYS"])


def _keep_values() -> Iterator[int]:
    """Return every number of days that some mail with contents asks for, each found by one look at the index."""
    last = -1
    while True:
        query = select(func.min(MAILS.c.keep_days)).where(
            MAILS.c.contents_erased_at.is_(None), MAILS.c.settled_at.is_not(None), MAILS.c.keep_days > last
        )
        value = db.session.scalar(query)
        if value is None:
            return
        yield value
        last = value


def _older_than(days: int, now: dt.datetime) -> ColumnElement[bool]:
    return MAILS.c.settled_at <= now - dt.timedelta(days=days)


def private_keep_days() -> int:
    """Return for how many days the address of a private mail that failed is kept, to be corrected."""
    return int(current_app.config["OUTBOX_PRIVATE_KEEP_DAYS"])


def due_conditions() -> list[ColumnElement[bool]]:
    """Return the conditions of the mails whose time has passed; each is answered by the index alone.

    With 0 days a mail goes as soon as everybody has it; one that failed is kept like any other, since somebody
    may want to send it again.
    """
    now, setting = clock.now(), keep_days_setting()
    has_contents = and_(
        MAILS.c.contents_erased_at.is_(None),
        MAILS.c.settled_at.is_not(None),
        MAILS.c.state.in_(sorted(SETTLED)),
    )
    conditions = (
        [and_(has_contents, MAILS.c.keep_days.is_(None), _older_than(setting, now))] if setting else []
    )
    private, link = (
        and_(has_contents, MAILS.c.private),
        and_(has_contents, MAILS.c.encrypted_link.is_not(None)),
    )
    conditions += [
        and_(link, MAILS.c.state == MailState.SENT),
        and_(link, MAILS.c.link_expires_at <= now),
        # At once, whatever the settings say: the address was given for this one mail.
        and_(private, MAILS.c.state == MailState.SENT),
        and_(private, _older_than(private_keep_days(), now)),
    ]
    for days in _keep_values():
        due = _older_than(days, now)
        if days == 0:
            failed = _older_than(setting, now) if setting else MAILS.c.id.is_(None)
            due = and_(due, or_(MAILS.c.state == MailState.SENT, failed))
        conditions.append(and_(has_contents, MAILS.c.keep_days == days, due))
    return conditions


def count_due() -> int:
    """Return how many mails would be erased now."""
    query = select(func.count()).select_from(MAILS)
    return sum(int(db.session.scalar(query.where(condition)) or 0) for condition in due_conditions())


def apply(*, seconds: float = JOB_SECONDS, folders: Sequence[str] | None = None) -> Report:
    """Erase the contents whose time has passed, and files that nothing refers to; stop when the time is over.

    Whatever was done is committed, so the next run goes on where this one was ended.

    Args:
        seconds: How long it may take.
        folders: The folders of the store to look through for forgotten files; None for the share of this hour,
            so that a day sees them all.
    """
    until = time.monotonic() + seconds
    report = Report()
    # One condition at a time, each with its index; joined by OR they would read through all mails.
    for condition in due_conditions():
        while time.monotonic() < until:
            with transaction() as session:
                ids = list(
                    session.scalars(
                        select(MAILS.c.id).where(condition).order_by(MAILS.c.settled_at).limit(BATCH)
                    )
                )
                erased = erase_contents(session, ids, detail="retention")
            report.mails += len(erased)
            report.files += remove_files_of(erased)[0]
            if not erased:
                break
    _expire_private(report)
    _forget_drafts(report, until)
    _forget_strange_messages(until)
    if folders is None:
        # A share of the folders each hour, so that a store of millions is never looked through at once.
        hour = clock.now().hour
        folders = [name for number, name in enumerate(file_store().folders()) if number % 24 == hour]
    for folder in folders:
        if time.monotonic() >= until:
            break
        report.orphans += sweep_folder(folder)
    if report.mails or report.orphans or report.drafts:
        logger.info(
            "Retention: %d mails, %d files, %d orphans, %d drafts.",
            report.mails,
            report.files,
            report.orphans,
            report.drafts,
        )
    end_reading()
    empty_journal()
    return report


def _expire_private(report: Report) -> None:
    """Give up what has waited for a server for too long, and erase it.

    Of private mails that is as long as a failed one is kept, of those with a link until it has expired.
    """
    now = clock.now()
    over = (
        and_(MAILS.c.private, MAILS.c.submitted_at <= now - dt.timedelta(days=private_keep_days())),
        and_(MAILS.c.encrypted_link.is_not(None), MAILS.c.link_expires_at <= now),
    )
    for condition in over:
        waiting = (
            select(MAILS.c.id)
            .where(condition, MAILS.c.contents_erased_at.is_(None), MAILS.c.state.in_(sorted(CANCELABLE)))
            .order_by(MAILS.c.id)
            .limit(BATCH)
        )
        with transaction() as session:
            canceled = cancel(list(session.scalars(waiting)))
            erased = erase_contents(session, canceled, detail="private")
        report.mails += len(erased)
        report.files += remove_files_of(erased)[0]


def _forget_strange_messages(until: float) -> None:
    """Delete what is remembered of bounces that were about no mail of ours: nobody asks for them after a while."""
    old = select(INBOUND.c.id).where(
        INBOUND.c.verdict.in_([Verdict.UNKNOWN, Verdict.UNPROVEN]),
        INBOUND.c.received_at < clock.now() - KEEP_STRANGE_MESSAGES,
    )
    while time.monotonic() < until:
        with transaction() as session:
            ids = list(session.scalars(old.limit(BATCH)))
            session.execute(delete(INBOUND).where(INBOUND.c.id.in_(ids)))
        if not ids:
            return


def _forget_drafts(report: Report, until: float) -> None:
    """Delete kept drafts that nobody has touched for long, or whose mail has left, with their files."""
    now = clock.now()
    # A mail whose Undo was pressed is canceled, and its draft is what the person goes on with.
    has_left = exists().where(
        MAILS.c.submission_token == KeptDraft.token, MAILS.c.state != MailState.CANCELED
    )
    while time.monotonic() < until:
        with transaction() as session:
            old = select(KeptDraft.id).where(
                or_(
                    KeptDraft.touched_at < now - KEEP_DRAFTS,
                    and_(KeptDraft.touched_at < now - KEEP_SENT_DRAFTS, has_left),
                )
            )
            ids = list(session.scalars(old.order_by(KeptDraft.touched_at).limit(BATCH)))
            hashes = set(session.scalars(select(DraftFile.sha256).where(DraftFile.draft_id.in_(ids))))
            session.execute(delete(KeptDraft).where(KeptDraft.id.in_(ids)))
        if not ids:
            return
        report.drafts += len(ids)
        report.files += remove_files(dict.fromkeys(hashes, now - JUST_STORED))
