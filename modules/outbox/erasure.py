"""Erasing what mails and the answers to them said: text, dialogues and files. The line with its hashes stays.

Bytes in the store are shared by everything with the same hash, so they go at once when nothing refers to them – no mail
with contents, no kept draft, no template present or former, no row of another module – and nobody has stored or touched
them since the last use that is over: whoever did that is about to write a row. A form that carries a file touches it
again before its mail is written, so between the look at the rows and the removal nobody can begin to refer to bytes
that go.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence

from flask import current_app
from sqlalchemy import ColumnElement, Select, case, delete, func, or_, select, union, update
from sqlalchemy.orm import Session

from core import clock
from core.auth.models import User
from core.db import db, empty_journal, end_reading, transaction
from core.files import StoreAwayError
from core.signals import files_in_use_asked
from modules.mail_config.models import TemplateFile, TemplateRevision
from modules.outbox.message import file_store
from modules.outbox.models import (
    ALERTS,
    ANSWER_FILES,
    ANSWERS,
    ATTACHMENTS,
    ATTEMPTS,
    INBOUND,
    MAILS,
    RECIPIENTS,
    SENT_COPIES,
    DraftFile,
    KeptDraft,
)
from modules.outbox.states import SETTLED, MailState
from modules.outbox.transitions import INSERT_EVENT, event_values

logger = logging.getLogger(__name__)

LOOK_UP = 500  # hashes asked about in one query; SQLite bounds the parameters
JUST_STORED = dt.timedelta(minutes=15)
"""Whoever has stored or touched a file writes its row within this time."""
FORGOTTEN_SECONDS = 25 * 3600
"""A file that no row refers to may lie in an open composer; after a day only a kept draft holds it."""


def erase_contents(
    session: Session, mail_ids: Sequence[int], *, by: User | None = None, detail: str = ""
) -> list[int]:
    """Erase text, HTML, dialogues and drafts of mails inside the running transaction; their files are the caller's.

    Mails that wait, and those that are erased already, are left alone.

    Returns:
        The ids of the mails that were erased.
    """
    rows = session.execute(
        select(MAILS.c.id, MAILS.c.state)
        .where(
            MAILS.c.id.in_(mail_ids), MAILS.c.contents_erased_at.is_(None), MAILS.c.state.in_(sorted(SETTLED))
        )
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
        .values(
            body_html="",
            body_text="",
            encrypted_link=None,
            contents_erased_at=clock.now(),
            claim_token=None,
            in_flight=False,
        )
    )
    session.execute(
        # Only those that have one: a second run finds nothing to write.
        update(ATTEMPTS).where(ATTEMPTS.c.mail_id.in_(ids), ATTEMPTS.c.transcript != "").values(transcript="")
    )
    session.execute(
        update(RECIPIENTS)
        .where(RECIPIENTS.c.mail_id.in_(ids), RECIPIENTS.c.encrypted_address.is_not(None))
        .values(encrypted_address=None)
    )
    # A copy that is still wanted would bring back what was erased.
    session.execute(
        delete(SENT_COPIES).where(SENT_COPIES.c.mail_id.in_(ids), SENT_COPIES.c.kept_at.is_(None))
    )
    came_in = select(INBOUND.c.id).where(INBOUND.c.mail_id.in_(ids))
    erase_answers(session, came_in)
    # What a mail was made of says what it said. One that was called back is being changed, and leaves anew.
    tokens = select(MAILS.c.submission_token).where(
        MAILS.c.id.in_(ids), or_(MAILS.c.private, MAILS.c.state != MailState.CANCELED)
    )
    session.execute(
        delete(KeptDraft).where(KeptDraft.token.in_(tokens)).execution_options(synchronize_session=False)
    )
    who = {} if by is None else {"by_user_id": by.id, "actor": ""}
    session.execute(
        INSERT_EVENT, [{**event_values(row.id, "erase", row.state, row.state, detail), **who} for row in rows]
    )
    return ids


def erase_answers(session: Session, inbound_ids: Select[int]) -> None:
    """Erase what some messages that came in say, inside the running transaction; their files are the caller's."""
    session.execute(
        update(ANSWERS)
        .where(ANSWERS.c.inbound_id.in_(inbound_ids))
        .values(
            sender="", sender_name="", reply_to="", subject="", body_text="", body_html="", reference_ids=""
        )
    )
    session.execute(
        update(ANSWER_FILES).where(ANSWER_FILES.c.answer_id.in_(inbound_ids)).values(name="", media_type="")
    )
    # Of an answer it is the name of who has written it.
    session.execute(update(ALERTS).where(ALERTS.c.inbound_id.in_(inbound_ids)).values(words=""))


def erase_private(mail_ids: Sequence[int]) -> list[int]:
    """Erase, with their files, those private mails, or with a link, that everybody has got, and return their ids.

    For the worker that has just sent them; whatever becomes of it, the next run of `apply` finds them.
    """
    with transaction() as session:
        ids = list(
            session.scalars(
                select(MAILS.c.id).where(
                    MAILS.c.id.in_(mail_ids),
                    or_(MAILS.c.private, MAILS.c.encrypted_link.is_not(None)),
                    MAILS.c.state == MailState.SENT,
                )
            )
        )
        erased = erase_contents(session, ids, detail="private")
    remove_files_of(erased)
    end_reading()
    # At once: a single receipt is not followed by anything that would overwrite the journal.
    empty_journal()
    return erased


def remove_files_of(mail_ids: Sequence[int]) -> tuple[int, int]:
    """Remove the files of mails that were erased, after the commit, unless somebody has taken one up since.

    Returns:
        How many are gone, and how many are still needed.
    """
    # A PDF is made when its mail leaves, and for this mail alone; other files were touched when it was written.
    used = case(
        (ATTACHMENTS.c.generated, func.coalesce(MAILS.c.settled_at, MAILS.c.submitted_at)),
        else_=MAILS.c.submitted_at,
    )
    query = (
        select(ATTACHMENTS.c.sha256, func.max(used, type_=MAILS.c.submitted_at.type).label("used_until"))
        .join(MAILS, MAILS.c.id == ATTACHMENTS.c.mail_id)
        .where(ATTACHMENTS.c.mail_id.in_(mail_ids), ATTACHMENTS.c.sha256 != "")
        .group_by(ATTACHMENTS.c.sha256)
    )
    last_used = {row.sha256: row.used_until for row in db.session.execute(query)} if mail_ids else {}
    for sha256, at in _files_of_answers(INBOUND.c.mail_id.in_(mail_ids)).items() if mail_ids else ():
        last_used[sha256] = max(at, last_used.get(sha256, at))
    gone = remove_files(last_used)
    return gone, len(last_used) - gone


def remove_files_of_answers(inbound_ids: Sequence[int]) -> None:
    """Remove the files of answers that were erased, after the commit, as `remove_files_of` does those of mails."""
    remove_files(_files_of_answers(INBOUND.c.id.in_(inbound_ids)))


def _files_of_answers(condition: ColumnElement[bool]) -> dict[str, dt.datetime]:
    erased = (
        select(ANSWER_FILES.c.sha256)
        .join(INBOUND, INBOUND.c.id == ANSWER_FILES.c.answer_id)
        .where(condition, ANSWER_FILES.c.name == "")
    )
    # A message may have been read, and its files stored, long after it had come.
    return dict.fromkeys(db.session.scalars(erased), clock.now() - JUST_STORED)


def _in_use(hashes: Sequence[str]) -> set[str]:
    """Return those hashes that a mail with contents, an answer to one, a kept draft or a template refers to."""
    of_mails = (
        select(ATTACHMENTS.c.sha256)
        .join(MAILS, MAILS.c.id == ATTACHMENTS.c.mail_id)
        .where(ATTACHMENTS.c.sha256.in_(hashes), MAILS.c.contents_erased_at.is_(None))
    )
    of_answers = select(ANSWER_FILES.c.sha256).where(
        ANSWER_FILES.c.sha256.in_(hashes), ANSWER_FILES.c.name != ""
    )
    of_drafts = select(DraftFile.sha256).where(DraftFile.sha256.in_(hashes))
    of_templates = select(TemplateFile.sha256).where(TemplateFile.sha256.in_(hashes))
    # Asked after the commit that let them go; a file that is taken up in between was touched, and stays by that.
    used = set(db.session.scalars(union(of_mails, of_answers, of_drafts, of_templates)))
    for _receiver, others in files_in_use_asked.send(current_app._get_current_object(), hashes=hashes):  # type: ignore[attr-defined]
        used |= others
    return used | {sha256 for sha256 in hashes if sha256 not in used and _in_history(sha256)}


def _in_history(sha256: str) -> bool:
    """Return True when a template had the file once: whoever goes back to that revision needs it."""
    # Templates change rarely, and few hashes come here: no index is worth its keep.
    query = select(TemplateRevision.id).where(TemplateRevision.contents.contains(sha256)).limit(1)
    return db.session.scalar(query) is not None


def remove_files(last_used: Mapping[str, dt.datetime]) -> int:
    """Remove files that nothing refers to any more, after the commit that made them so.

    Args:
        last_used: Hashes, each with the moment of its last use that is over. One that was stored or touched after it
            stays; the look for forgotten files finds it a day later.

    Returns:
        How many are gone.
    """
    gone = 0
    store, wanted = file_store(), sorted(last_used)
    for start in range(0, len(wanted), LOOK_UP):
        some = wanted[start : start + LOOK_UP]
        used = _in_use(some)
        end_reading()
        try:
            gone += sum(
                store.remove(sha256, unless_touched_after=last_used[sha256])
                for sha256 in some
                if sha256 not in used
            )
        except StoreAwayError as error:
            logger.warning("%s Files that nothing refers to any more are removed later.", error)
            break
    return gone


def sweep_folder(folder: str) -> int:
    """Remove what lies in a folder of the store, forgotten for a day, and return how many files that were."""
    store, hashes = file_store(), []
    for name, is_hash in store.names(folder, untouched_for=FORGOTTEN_SECONDS):
        if is_hash:
            hashes.append(name)
        else:
            store.discard_leftover(folder, name)
    return remove_files(dict.fromkeys(hashes, clock.now() - dt.timedelta(seconds=FORGOTTEN_SECONDS)))
