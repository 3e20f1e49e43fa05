"""What lists of documents are narrowed to by what became of their emails; the same rules as their badges."""

from __future__ import annotations

from functools import cache

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select
from sqlalchemy.orm import aliased

from core.documents.models import Document
from modules.outbox.about import pairs_of_all, pairs_of_the_one
from modules.outbox.badges import missed
from modules.outbox.models import FAILS, WAITS, FurtherDocument, HandOver, OutgoingMail
from modules.outbox.states import FAILED, WAITING, MailState

# Each is put together once: every page of a list offers them, whether they are asked or not.


@cache
def not_sent() -> ColumnElement[bool]:
    """Return the condition that nobody was sent a document, nor was it handed over otherwise."""
    mail = aliased(OutgoingMail)
    # Canceled ones have reached nobody, and an answer to what somebody wrote does not bring the document.
    counts = (mail.state != MailState.CANCELED, mail.answers_id.is_(None))
    own = exists().where(mail.document_id == Document.id, *counts)
    further = exists().where(
        FurtherDocument.document_id == Document.id, mail.id == FurtherDocument.mail_id, *counts
    )
    return and_(~own, ~further, ~_handed_over())


@cache
def failed() -> ColumnElement[bool]:
    """Return the condition that somebody whom an email about a document should have reached has not got it."""
    people = missed(
        pairs_of_the_one(OutgoingMail.state.in_(sorted(FAILED)), OutgoingMail.dismissed_at.is_(None))
    )
    mail, word = aliased(OutgoingMail), aliased(HandOver)
    # Whoever has handed it over knew of the emails before; those after it speak for themselves.
    later = or_(
        exists().where(mail.document_id == word.document_id, mail.submitted_at > word.at),
        exists().where(
            FurtherDocument.document_id == word.document_id,
            mail.id == FurtherDocument.mail_id,
            mail.submitted_at > word.at,
        ),
    )
    settled = exists().where(word.document_id == Document.id, word.taken_back_at.is_(None), ~later)
    return and_(people.correlate(Document).exists(), ~settled)


@cache
def among_failed() -> Select[int | None]:
    """Return the documents that an email has failed about, whoever has got it since."""
    return select(pairs_of_all(FAILS, OutgoingMail.dismissed_at.is_(None)).c.document_id)


@cache
def waiting() -> ColumnElement[bool]:
    """Return the condition that an email about a document has still to leave."""
    waits = pairs_of_the_one(OutgoingMail.state.in_(sorted(WAITING)))
    return select(waits.c.mail_id).correlate(Document).exists()


@cache
def among_waiting() -> Select[int | None]:
    """Return the documents about which an email has still to leave."""
    return select(pairs_of_all(WAITS).c.document_id)


def _handed_over() -> ColumnElement[bool]:
    return exists().where(HandOver.document_id == Document.id, HandOver.taken_back_at.is_(None))
