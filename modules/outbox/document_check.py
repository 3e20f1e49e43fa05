"""Whether a mail may still go to anybody as it is: the one rule for delivering, retrying and resending it.

A mail shows its document as its sender has seen it. Once the document says something else, or cannot be sent any more,
nobody gets that mail: whoever should have it gets a new one. Only what has begun to arrive arrives: while a mail that
some recipients have got is tried again by itself, the others get the same.

What advertises goes to nobody who does not accept it at that very moment, whatever was known when it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of, rows_of_many
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind
from core.partners.consent import promotional_among
from modules.outbox.about import further_of
from modules.outbox.models import FurtherDocument, OutgoingMail
from modules.outbox.states import WAITING

_AT_ONCE = 500  # SQLite takes a bounded number of parameters


def document_problem(mail: OutgoingMail) -> Failure | None:
    """Return why nobody is to get a mail any more as it is, or None."""
    return document_problems([mail]).get(mail.id)


def document_problems(mails: Iterable[OutgoingMail]) -> dict[int, Failure]:
    """Return the problem of each mail that has one, by id; each document is read anew, and once for all its mails."""
    mails = list(mails)
    about = [
        mail for mail in mails if mail.document_kind and not (mail.accepted_count and mail.state in WAITING)
    ]
    further = further_of(about)
    wanted = {mail.document_id for mail in about}
    wanted |= {row.document_id for rows in further.values() for row in rows}
    ids = sorted(number for number in wanted if number is not None)
    documents: dict[int, Document] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = select(Document).where(Document.id.in_(ids[start : start + _AT_ONCE]))
        found = db.session.scalars(some.execution_options(populate_existing=True))
        documents |= {document.id: document for document in found}
    held = rows_of_many(documents.values())
    unsendable = {number: _unsendable(document) for number, document in documents.items()}
    del held
    problems: dict[int, Failure] = {}
    for mail in about:
        carried: list[OutgoingMail | FurtherDocument] = [mail, *further.get(mail.id, ())]
        each = [_problem(row, documents, unsendable, named=bool(mail.further_count)) for row in carried]
        problem = next((one for one in each if one is not None), None)
        if problem is not None:
            problems[mail.id] = problem
    return problems | _unwanted([mail for mail in mails if mail.promotional])


def _problem(
    row: OutgoingMail | FurtherDocument,
    documents: Mapping[int, Document],
    unsendable: Mapping[int, Failure | None],
    *,
    named: bool,
) -> Failure | None:
    """Return why a mail cannot go because of one of its documents, which is named where it has several."""
    document = documents.get(row.document_id or 0)
    if document is None:
        words = "A document of it is gone." if named else "The document is gone."
        return Failure(FailureKind.DOCUMENT_MISSING, False, detail=words)
    if row.document_revision not in {0, document.revision}:
        which = document.number if named and document.number else "the document"
        words = f"Written at revision {row.document_revision}; {which} is at {document.revision} now."
        return Failure(FailureKind.DOCUMENT_CHANGED, False, detail=words)
    return unsendable[document.id]


def _unwanted(mails: list[OutgoingMail]) -> dict[int, Failure]:
    """Return those of some mails that advertise whose recipients do not accept that, or no longer."""
    named = {recipient.partner_id for mail in mails for recipient in mail.recipients}
    willing = promotional_among({number for number in named if number is not None}) if mails else set()
    return {
        mail.id: Failure(FailureKind.OPTED_OUT, False)
        for mail in mails
        if any(recipient.partner_id not in willing for recipient in mail.recipients)
    }


def _unsendable(document: Document) -> Failure | None:
    """Return why no mail about a document can be sent, whatever it says; or None."""
    try:
        reason = behavior_of(document).why_not_sendable(document)
    except UserError as error:
        return Failure(FailureKind.DOCUMENT_MISSING, False, detail=str(error))
    return Failure(FailureKind.DOCUMENT_CHANGED, False, detail=str(reason)) if reason else None
