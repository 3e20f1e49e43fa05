"""How long texts and files are kept: after a time they go, the line with its hashes stays.

A mail that still waits keeps everything. What is erased cannot be sent again.

Bytes in the store are shared by everything with the same hash, so they go only when nothing refers to them – no
mail with contents, no kept draft, no template present or former – and when nobody has stored or touched them
lately: whoever did that is about to write a row. A form that carries a file touches it again before its mail is
written, so between the look at the rows and the removal nobody can begin to refer to bytes that go. The store
belongs to the outbox alone.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flask import current_app
from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, union, update
from sqlalchemy.orm import Session

from core import clock
from core.auth.models import User
from core.db import db, end_reading, transaction
from modules.mail_config.models import TemplateFile, TemplateRevision
from modules.outbox.mime import file_store
from modules.outbox.models import ATTACHMENTS, ATTEMPTS, MAILS, RECIPIENTS, DraftFile, KeptDraft
from modules.outbox.service import cancel
from modules.outbox.states import CANCELABLE, WAITING, MailState
from modules.outbox.transitions import INSERT_EVENT, event_values

logger = logging.getLogger(__name__)

BATCH = 200  # mails of one transaction: short enough for delivery to go on beside it
LOOK_UP = 500  # hashes asked about in one query; SQLite bounds the parameters
JOB_SECONDS = 240.0  # below the time a job may take; the next run goes on
JUST_STORED_SECONDS = 15 * 60
"""Whoever has stored or touched a file writes its row within this time."""
FORGOTTEN_SECONDS = 25 * 3600
"""A file that no row refers to may lie in an open composer; after a day only a kept draft holds it."""
KEEP_DRAFTS = dt.timedelta(days=30)
"""What somebody began to write and left is kept for so long after it was last touched."""
KEEP_SENT_DRAFTS = dt.timedelta(hours=1)
"""What a mail was made of is kept for so long, to be opened again when its sending is undone."""
SETTLED = sorted(set(MailState) - WAITING)


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
        MAILS.c.contents_erased_at.is_(None), MAILS.c.settled_at.is_not(None), MAILS.c.state.in_(SETTLED)
    )
    conditions = (
        [and_(has_contents, MAILS.c.keep_days.is_(None), _older_than(setting, now))] if setting else []
    )
    private = and_(has_contents, MAILS.c.private)
    conditions += [
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
            report.files += remove_files(hashes_of(erased))
            if not erased:
                break
    _expire_private(report)
    _forget_drafts(report, until)
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
    return report


def _expire_private(report: Report) -> None:
    """Give up private mails that have waited for a server for as long as a failed one is kept, and erase them."""
    old = clock.now() - dt.timedelta(days=private_keep_days())
    waiting = (
        select(MAILS.c.id)
        .where(MAILS.c.private, MAILS.c.contents_erased_at.is_(None))
        .where(MAILS.c.state.in_(sorted(CANCELABLE)), MAILS.c.submitted_at <= old)
        .order_by(MAILS.c.id)
        .limit(BATCH)
    )
    with transaction() as session:
        canceled = cancel(list(session.scalars(waiting)))
        erased = erase_contents(session, canceled, detail="private")
    report.mails += len(erased)
    report.files += remove_files(hashes_of(erased))


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
        report.files += remove_files(hashes)


def erase_contents(
    session: Session, mail_ids: Sequence[int], *, by: User | None = None, detail: str = ""
) -> list[int]:
    """Erase text, HTML and dialogues of mails inside the running transaction; their files are the caller's.

    Mails that wait, and those that are erased already, are left alone.

    Returns:
        The ids of the mails that were erased.
    """
    rows = session.execute(
        select(MAILS.c.id, MAILS.c.state)
        .where(MAILS.c.id.in_(mail_ids), MAILS.c.contents_erased_at.is_(None), MAILS.c.state.in_(SETTLED))
        .order_by(MAILS.c.id)
        .with_for_update()
    ).all()
    if not rows:
        return []
    ids = [row.id for row in rows]
    session.execute(
        update(MAILS)
        .where(MAILS.c.id.in_(ids))
        # Without its token a worker that was only stopped cannot put off, and so send again, what has no text.
        .values(body_html="", body_text="", contents_erased_at=clock.now(), claim_token=None, in_flight=False)
    )
    session.execute(
        # Only those that have one: a second run finds nothing to write.
        update(ATTEMPTS).where(ATTEMPTS.c.mail_id.in_(ids), ATTEMPTS.c.transcript != "").values(transcript="")
    )
    session.execute(
        update(RECIPIENTS)
        .where(RECIPIENTS.c.mail_id.in_(ids), RECIPIENTS.c.sealed.is_not(None))
        .values(sealed=None)
    )
    who = {} if by is None else {"by_user_id": by.id, "actor": ""}
    session.execute(
        INSERT_EVENT, [{**event_values(row.id, "erase", row.state, row.state, detail), **who} for row in rows]
    )
    return ids


def erase_private(mail_ids: Sequence[int]) -> list[int]:
    """Erase, with their files and drafts, those of some private mails that everybody has got, and return their ids.

    For the worker that has just sent them; whatever becomes of it, the next run of `apply` finds them.
    """
    with transaction() as session:
        ids = list(
            session.scalars(
                select(MAILS.c.id).where(
                    MAILS.c.id.in_(mail_ids), MAILS.c.private, MAILS.c.state == MailState.SENT
                )
            )
        )
        erased = erase_contents(session, ids, detail="private")
        tokens = select(MAILS.c.submission_token).where(MAILS.c.id.in_(erased))
        session.execute(
            delete(KeptDraft).where(KeptDraft.token.in_(tokens)).execution_options(synchronize_session=False)
        )
    # The PDF was made for this mail: nobody else can be about to refer to these very bytes.
    own = select(ATTACHMENTS.c.sha256).where(ATTACHMENTS.c.mail_id.in_(erased), ATTACHMENTS.c.generated)
    remove_files(set(db.session.scalars(own)), untouched_for=0)
    remove_files(hashes_of(erased))
    return erased


def hashes_of(mail_ids: Sequence[int]) -> set[str]:
    """Return the hashes of the files of some mails."""
    query = select(ATTACHMENTS.c.sha256).where(
        ATTACHMENTS.c.mail_id.in_(mail_ids), ATTACHMENTS.c.sha256 != ""
    )
    return set(db.session.scalars(query)) if mail_ids else set()


def _in_use(hashes: Sequence[str]) -> set[str]:
    """Return those hashes that a mail with contents, a kept draft or a template refers to."""
    of_mails = (
        select(ATTACHMENTS.c.sha256)
        .join(MAILS, MAILS.c.id == ATTACHMENTS.c.mail_id)
        .where(ATTACHMENTS.c.sha256.in_(hashes), MAILS.c.contents_erased_at.is_(None))
    )
    of_drafts = select(DraftFile.sha256).where(DraftFile.sha256.in_(hashes))
    of_templates = select(TemplateFile.sha256).where(TemplateFile.sha256.in_(hashes))
    # Asked after the commit that let them go; a file that is taken up in between was touched, and stays by that.
    used = set(db.session.scalars(union(of_mails, of_drafts, of_templates)))
    return used | {sha256 for sha256 in hashes if sha256 not in used and _in_history(sha256)}


def _in_history(sha256: str) -> bool:
    """Return True when a template had the file once: whoever goes back to that revision needs it."""
    # Templates change rarely, and few hashes come here: no index is worth its keep.
    query = select(TemplateRevision.id).where(TemplateRevision.contents.contains(sha256)).limit(1)
    return db.session.scalar(query) is not None


def remove_files(hashes: Iterable[str], *, untouched_for: float = JUST_STORED_SECONDS) -> int:
    """Remove files that nothing refers to any more, after the commit that made them so.

    One that was stored or touched lately stays; the look for forgotten files finds it a day later.

    Returns:
        How many are gone.
    """
    gone = 0
    store, wanted = file_store(), sorted(hashes)
    for start in range(0, len(wanted), LOOK_UP):
        some = wanted[start : start + LOOK_UP]
        used = _in_use(some)
        end_reading()
        gone += sum(
            store.remove(sha256, untouched_for=untouched_for) for sha256 in some if sha256 not in used
        )
    return gone


def sweep_folder(folder: str) -> int:
    """Remove what lies in a folder of the store, forgotten for a day, and return how many files that were."""
    store, hashes = file_store(), []
    for name, is_hash in store.names(folder, untouched_for=FORGOTTEN_SECONDS):
        if is_hash:
            hashes.append(name)
        else:
            store.discard_leftover(folder, name)
    return remove_files(hashes, untouched_for=FORGOTTEN_SECONDS)
