"""What lists of documents are narrowed to by what became of their emails; the same rules as their badges."""

from __future__ import annotations

from functools import cache

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import aliased

from core.documents.models import Document
from modules.outbox.about import pairs
from modules.outbox.badges import left_out
from modules.outbox.models import WAITS, FurtherDocument, HandOver, OutgoingMail
from modules.outbox.states import MailState

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
    people = left_out(everywhere=True).subquery()
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
    return and_(Document.id.in_(select(people.c.document_id)), ~settled)


@cache
def waiting() -> ColumnElement[bool]:
    """Return the condition that an email about a document has still to leave."""
    waits = pairs(WAITS, everywhere=True)
    return Document.id.in_(select(waits.c.document_id))


def _handed_over() -> ColumnElement[bool]:
    return exists().where(HandOver.document_id == Document.id, HandOver.taken_back_at.is_(None))
