"""Which mails are about which documents: the one that a mail is about, and those that it carries besides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    bindparam,
    literal_column,
    or_,
    select,
    union_all,
)

from core.auth.models import User
from core.db import db
from core.db.aside import aside, one_by_one
from core.documents.models import Document
from core.documents.service import readable_by
from modules.outbox.models import MAILS, FurtherDocument, OutgoingMail

DOCUMENTS: BindParameter[int] = bindparam("documents", expanding=True)
"""The parameter of what `pairs` returns: ids of documents."""


def pairs(*conditions: ColumnElement[bool]) -> Subquery:
    """Return `document_id`, `mail_id` and `revision` of the mails about `DOCUMENTS`, each half by its own index.

    Args:
        conditions: What must hold of the mails.
    """
    return _pairs(
        OutgoingMail.document_id.in_(DOCUMENTS), FurtherDocument.document_id.in_(DOCUMENTS), conditions
    ).subquery()


def pairs_of_the_one(*conditions: ColumnElement[bool]) -> Subquery:
    """Return the same of the document that the statement around is at; it reads `core_document`."""
    own, further = OutgoingMail.document_id == Document.id, FurtherDocument.document_id == Document.id
    return _pairs(own, further, conditions, correlate=True).subquery()


def pairs_of_all(*conditions: ColumnElement[bool]) -> Subquery:
    """Return the same of any document: the conditions must keep the mails to few, by an index."""
    # Or SQLite would walk all mails by the index of this column, and leave the one of the few.
    own, further = aside(OutgoingMail.document_id).is_not(None), FurtherDocument.document_id.is_not(None)
    return _pairs(own, further, conditions).subquery()


def _pairs(
    own_document: ColumnElement[bool],
    further_document: ColumnElement[bool],
    conditions: Sequence[ColumnElement[bool]],
    *,
    correlate: bool = False,
) -> CompoundSelect[int | None, int, int | None]:
    own = select(
        OutgoingMail.document_id.label("document_id"),
        OutgoingMail.id.label("mail_id"),
        OutgoingMail.document_revision.label("revision"),
    ).where(own_document, *conditions)
    # Asked of each, and not joined: PostgreSQL would walk all mails beside the few that carry several documents.
    holds = select(OutgoingMail.id).where(OutgoingMail.id == FurtherDocument.mail_id, *conditions)
    further = select(
        FurtherDocument.document_id, FurtherDocument.mail_id, FurtherDocument.document_revision
    ).where(further_document, one_by_one(holds))
    if correlate:
        own, further = own.correlate(Document), further.correlate(Document)
    return union_all(own, further)


def about(document_id: int) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the mails that carry a document."""
    own = select(OutgoingMail.id).where(OutgoingMail.document_id == document_id)
    further = select(FurtherDocument.mail_id).where(FurtherDocument.document_id == document_id)
    # Beside an OR, a database may walk all mails in their order instead.
    return OutgoingMail.id.in_(union_all(own, further))


def none_hidden(user: User) -> ColumnElement[bool]:
    """Return the condition that the user may read all that mails carry besides: their texts name it, and show it."""
    hidden: Select[str] = (
        select(literal_column("1"))
        .select_from(FurtherDocument)
        .where(
            FurtherDocument.mail_id == OutgoingMail.id,
            ~select(Document.id)
            .where(Document.id == FurtherDocument.document_id, readable_by(user))
            .correlate(FurtherDocument)
            .exists(),
        )
        .correlate(OutgoingMail)
    )
    return or_(OutgoingMail.further_count == 0, ~hidden.exists())


def all_ids() -> Select[int | None]:
    """Return the ids of what the mail carries besides that the statement around is at; it reads `outbox_mail`."""
    return select(FurtherDocument.document_id).where(FurtherDocument.mail_id == MAILS.c.id).correlate(MAILS)


def further_of(mails: Iterable[OutgoingMail]) -> dict[int, list[FurtherDocument]]:
    """Return what some mails carry besides, by the id of the mail; of most nothing is asked."""
    ids = [mail.id for mail in mails if mail.further_count]
    found: dict[int, list[FurtherDocument]] = {}
    if not ids:
        return found
    rows = db.session.scalars(
        select(FurtherDocument)
        .where(FurtherDocument.mail_id.in_(ids))
        .order_by(FurtherDocument.mail_id, FurtherDocument.position)
        .execution_options(populate_existing=True)
    )
    for row in rows:
        found.setdefault(row.mail_id, []).append(row)
    return found


def documents_of(mail: OutgoingMail, user: User | None = None) -> list[Document]:
    """Return the documents of a mail that are still there, in the order of the mail.

    Args:
        mail: The mail.
        user: Who looks: of several documents, those are left out that they may not read. None for all.
    """
    if not mail.further_count:
        return [mail.document] if mail.document is not None else []
    ids = [mail.document_id, *(row.document_id for row in further_of([mail]).get(mail.id, ()))]
    query = select(Document).where(Document.id.in_([number for number in ids if number is not None]))
    if user is not None:
        query = query.where(readable_by(user))
    found = {row.id: row for row in db.session.scalars(query).unique()}
    return [found[number] for number in ids if number in found]


def further_documents(mails: Iterable[OutgoingMail], user: User) -> dict[int, list[Document]]:
    """Return the documents that some mails carry besides and the user may read, by the id of the mail."""
    rows = further_of(mails)
    ids = {row.document_id for found in rows.values() for row in found if row.document_id is not None}
    if not ids:
        return {}
    query = select(Document).where(Document.id.in_(ids), readable_by(user))
    there = {row.id: row for row in db.session.scalars(query).unique()}
    return {
        mail_id: [there[row.document_id] for row in found if row.document_id in there]
        for mail_id, found in rows.items()
    }


def numbers_of(document_ids: Collection[int]) -> list[str]:
    """Return the numbers of some documents."""
    rows = db.session.scalars(
        select(Document.number).where(Document.id.in_(document_ids)).order_by(Document.id)
    )
    return list(rows)
