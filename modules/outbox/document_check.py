"""Whether a mail still says what its document says: the one rule for delivering, retrying and resending it.

A mail shows its document as its sender has seen it. Once the document says something else, or cannot be sent any more,
nobody gets that mail: whoever should have it gets a new one. Only what has begun to arrive arrives: while a mail that
some recipients have got is tried again by itself, the others get the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind
from modules.outbox.models import OutgoingMail
from modules.outbox.states import WAITING

_AT_ONCE = 500  # SQLite takes a bounded number of parameters


def document_problem(mail: OutgoingMail) -> Failure | None:
    """Return why nobody is to get a mail any more as it is, or None; one about no document has no such reason."""
    if not mail.document_kind or (mail.accepted_count and mail.state in WAITING):
        return None
    document = db.session.get(Document, mail.document_id) if mail.document_id is not None else None
    if document is None:
        return Failure(FailureKind.DOCUMENT_MISSING, False, detail="The document is gone.")
    if mail.document_revision not in {0, document.revision}:
        words = f"Written at revision {mail.document_revision}; the document is at {document.revision} now."
        return Failure(FailureKind.DOCUMENT_CHANGED, False, detail=words)
    try:
        reason = behavior_of(document).why_not_sendable(document)
    except UserError as error:
        return Failure(FailureKind.DOCUMENT_MISSING, False, detail=str(error))
    return Failure(FailureKind.DOCUMENT_CHANGED, False, detail=str(reason)) if reason else None


def document_problems(mails: Iterable[OutgoingMail]) -> dict[int, Failure]:
    """Return the problem of each mail that has one, by id, with the documents as they are in the database now."""
    mails = list(mails)
    ids = sorted({mail.document_id for mail in mails if mail.document_id is not None})
    # Held until all are asked about: a session forgets rows that nobody refers to.
    documents: list[Document] = []
    for start in range(0, len(ids), _AT_ONCE):
        some = select(Document).where(Document.id.in_(ids[start : start + _AT_ONCE]))
        documents += db.session.scalars(some.execution_options(populate_existing=True))
    return {mail.id: problem for mail in mails if (problem := document_problem(mail)) is not None}
