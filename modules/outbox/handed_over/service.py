"""The verbs: say that documents were handed over, and take it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from core import clock
from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import behavior_of, readable_by
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from modules.outbox.models import HAND_OVERS, HandOver, Way

SEND = "outbox.mail.send"
AT_ONCE = 500
"""Documents that one transaction marks."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What became of documents that were to be marked.

    Attributes:
        done: How many were.
        already: How many were before, the same way and as they are now.
        left: How many cannot be sent as they are, or are not for the person to decide about.
    """

    done: int = 0
    already: int = 0
    left: int = 0


def hand_over(document_ids: Sequence[int], way: Way, by: User, note: str = "") -> Marked:
    """Note that documents were handed over, as they are now.

    Args:
        document_ids: The documents; those that the person may not send, or nobody may, are left alone.
        way: How.
        by: Who says so.
        note: More words; demanded where `way` says nothing.

    Raises:
        UserError: The note is missing or too long; nothing is noted.
    """
    note = " ".join(note.split())
    if way is Way.OTHER and not note:
        raise UserError(_l("Say how it was handed over."), "note")
    if len(note) > 200:
        raise UserError(_l("At most 200 characters."), "note")
    marked = Marked()
    for start in range(0, len(document_ids), AT_ONCE):
        some = _hand_over(document_ids[start : start + AT_ONCE], way, by, note)
        marked = Marked(marked.done + some.done, marked.already + some.already, marked.left + some.left)
    return marked


def _hand_over(ids: Sequence[int], way: Way, by: User, note: str) -> Marked:
    with transaction() as session:
        documents = [row for row in _reached(ids, by) if _sendable(row)]
        there = {
            (document_id, revision)
            for document_id, revision in session.execute(
                select(HandOver.document_id, HandOver.revision).where(
                    HandOver.document_id.in_(ids), HandOver.way == way, HandOver.taken_back_at.is_(None)
                )
            )
        }
        new = [row for row in documents if (row.id, row.revision) not in there]
        now = clock.now()
        if new:
            session.execute(
                insert(HAND_OVERS),
                [
                    {
                        "document_id": row.id,
                        "revision": row.revision,
                        "way": way,
                        "note": note,
                        "at": now,
                        "by_user_id": by.id,
                        "taken_back_at": None,
                        "taken_back_by_id": None,
                    }
                    for row in new
                ],
            )
    return Marked(len(new), len(documents) - len(new), len(ids) - len(documents))


def take_back(document_ids: Sequence[int], by: User, *, only: int | None = None) -> int:
    """Say that documents were not handed over after all; return for how many that changed anything.

    Args:
        document_ids: The documents; those that the person may not send are left alone.
        by: Who says so.
        only: The one word that is taken back, a `HandOver.id`; None for all.
    """
    touched: set[int] = set()
    for start in range(0, len(document_ids), AT_ONCE):
        with transaction() as session:
            reached = [row.id for row in _reached(document_ids[start : start + AT_ONCE], by)]
            counting = update(HandOver).where(
                HandOver.document_id.in_(reached), HandOver.taken_back_at.is_(None)
            )
            if only is not None:
                counting = counting.where(HandOver.id == only)
            touched |= set(
                session.scalars(
                    counting.values(taken_back_at=clock.now(), taken_back_by_id=by.id)
                    .returning(HandOver.document_id)
                    .execution_options(synchronize_session=False)
                )
            )
            session.expire_all()
    return len(touched)


def _reached(ids: Iterable[int], by: User) -> list[Document]:
    within = within_reach(by, SEND, owner=Document.owner_id, company=Document.company_id)
    query = select(Document).where(Document.id.in_(list(ids)), within, readable_by(by))
    return list(db.session.scalars(query.execution_options(populate_existing=True)).unique())


def _sendable(document: Document) -> bool:
    try:
        return not behavior_of(document).why_not_sendable(document)
    except UserError:
        return False
