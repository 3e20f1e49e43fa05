"""The verbs that all documents share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import cast

from flask_babel import gettext
from sqlalchemy import ColumnElement, false, or_, select

from core.auth.models import User
from core.auth.permissions import within_reach
from core.companies.models import Company
from core.contract import DocumentKind, Scope
from core.db import db, transaction
from core.db.aside import aside
from core.documents import revisions
from core.documents.behavior import DocumentBehavior
from core.documents.locale import speaking
from core.documents.models import Document
from core.errors import ConcurrentChangeError, UserError
from core.followers.models import FollowReason
from core.followers.service import FormerFollows, customer_changed, follow
from core.i18n import lazy_gettext as _l
from core.mail.draft import safe_file_name
from core.registry import current_registry, resolve
from core.signals import document_customer_changed, mail_templates_asked


def create_document(
    kind: str,
    *,
    company_id: int,
    partner_id: int | None,
    owner: User | None,
    language: str,
    currency: str,
    date: dt.date | None = None,
    number: str = "",
) -> Document:
    """Create the header of a document; its customer and its owner follow it.

    The customer follows by mail, the owner in the application only.
    """
    with transaction() as session:
        document = Document(
            kind=kind,
            number=number,
            company_id=company_id,
            partner_id=partner_id,
            owner_id=owner.id if owner else None,
            language=language,
            currency=currency,
            date=date or session.get_one(Company, company_id).today,
        )
        session.add(document)
        session.flush()
        if partner_id is not None:
            follow(document.id, partner_id=partner_id, reason=FollowReason.CUSTOMER, by=owner)
        if owner is not None:
            follow(document.id, user_id=owner.id, reason=FollowReason.OWNER, by=owner, by_mail=False)
    return document


def lock(document: Document, *, seen_revision: int | None = None) -> None:
    """Keep everybody else from changing a document until the running transaction ends.

    Args:
        document: The document that is about to change.
        seen_revision: The revision that the person had before them, or None when it does not matter.

    Raises:
        ConcurrentChangeError: Somebody else changed the document since.
    """
    with transaction() as session:
        session.flush()  # what was changed before must not be lost by the refresh
        session.refresh(document, ["revision"], with_for_update=True)
        # What this transaction has counted itself is nobody else's change.
        before = revisions.counted(session).get(document.id, document.revision)
        if seen_revision is not None and before != seen_revision:
            raise ConcurrentChangeError(
                _l("Somebody else has changed this document since you opened it. Reload the page to see it.")
            )


def touch(document: Document, *, seen_revision: int | None = None) -> None:
    """Count a change that the session does not see by itself, inside the running transaction; see `revisions`.

    Args:
        document: The document that changes.
        seen_revision: As for `lock`.

    Raises:
        ConcurrentChangeError: Somebody else changed the document since.
    """
    with transaction() as session:
        lock(document, seen_revision=seen_revision)
        revisions.count(session, [document.id])


def change_customer(
    document: Document,
    partner_id: int,
    by: User | None,
    *,
    former: FormerFollows = FormerFollows.STOPS,
    former_contacts: FormerFollows = FormerFollows.STOPS,
) -> None:
    """Give a document another customer, who follows it by mail from now on.

    Args:
        document: The document.
        partner_id: The new customer; nothing happens when it is the present one.
        by: Who changes it.
        former: Whether the former customer goes on following.
        former_contacts: The same for its contacts who follow.
    """
    with transaction() as session:
        previous = document.partner_id
        if previous == partner_id:
            return
        document.partner_id = partner_id
        session.flush()
        customer_changed(document.id, previous, partner_id, by, customer=former, contacts=former_contacts)
        # Or the relationship would go on showing the former customer until the commit.
        session.expire(document, ["partner"])
        document_customer_changed.send(document, previous_id=previous)


def behavior_of(document: Document) -> DocumentBehavior:
    """Return the behavior of a document's kind.

    Raises:
        UserError: Its module is not enabled.
    """
    kind = current_registry().kinds.get(document.kind)
    if kind is None:
        raise UserError(_l("The module of this document is not enabled."))
    return cast("DocumentBehavior", resolve(kind.behavior))


def _ask_behavior(document: Document, question: str) -> object | None:
    """Return what the behavior of a document's kind answers, or None where it has no such question."""
    asked = getattr(behavior_of(document), question, None)
    return asked(document) if asked is not None else None


def rows_of_many(documents: Iterable[Document]) -> list[object]:
    """Return what the modules of some documents keep about them, with a statement for each kind.

    Whoever asks about many documents one by one holds it meanwhile: then nobody asks the database for each.
    """
    by_kind: dict[str, list[Document]] = {}
    for document in documents:
        by_kind.setdefault(document.kind, []).append(document)
    found: list[object] = []
    for kind, several in by_kind.items():
        known = current_registry().kinds.get(kind)
        asked = getattr(resolve(known.behavior), "rows_of", None) if known is not None else None
        found += asked(several) if asked is not None else ()
    return found


def keeps_addresses_private(document: Document) -> bool:
    """Return True when the addresses that mails about a document go to are used and not kept."""
    return bool(_ask_behavior(document, "keeps_addresses_private"))


def warnings_of(document: Document) -> list[str]:
    """Return a sentence for each thing that is probably wrong in a document, as its module knows."""
    if document.kind not in current_registry().kinds:
        return []
    told = cast("Sequence[object]", _ask_behavior(document, "warnings") or ())
    return [str(sentence) for sentence in told]


def preferred_template(document: Document) -> int | None:
    """Return the id of the mail template that settings of the document's module name, or None; it may be gone."""
    return cast("int | None", _ask_behavior(document, "preferred_template"))


def mail_templates(company: Company, kind: str) -> list[tuple[int, str]]:
    """Return id and name of each mail template that a company has for a kind; none where no module keeps templates."""
    answers = mail_templates_asked.send(company, kind=kind)
    return [row for _receiver, rows in answers for row in rows or ()]


def kind_title(kind: str) -> str:
    """Return the title of a kind in the current language, or its name when its module is not enabled."""
    from_registry = current_registry().kinds.get(kind)
    return gettext(from_registry.title) if from_registry else kind


def readable_by(user: User) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the documents that the user may read."""
    # One condition for all kinds that are read as far: most people read them all alike.
    alike: dict[Scope | None, list[DocumentKind]] = {}
    for kind in current_registry().kinds.values():
        alike.setdefault(user.scope(kind.read), []).append(kind)
    alike.pop(None, None)
    reaches = [
        # Nearly all documents are of these kinds: an index of the kind would lead nowhere.
        aside(Document.kind).in_([kind.name for kind in kinds])
        & within_reach(user, kinds[0].read, owner=Document.owner_id, company=Document.company_id)
        for kinds in alike.values()
    ]
    # False first: who may read no kind sees nothing, where an empty OR would be everything.
    return or_(false(), *reaches)


def get_readable(user: User, document_id: int) -> Document | None:
    """Return a document that the user may read, or None."""
    return db.session.scalar(select(Document).where(Document.id == document_id, readable_by(user)))


NEWEST_FIRST = (Document.date.desc(), Document.id.desc())
"""The order of the documents of one kind that an index has; the newest of all kinds are those with the highest ids."""


def find_by_number(number: str) -> list[Document]:
    """Return the documents of a number; several when companies share it."""
    return list(db.session.scalars(select(Document).where(Document.number == number).order_by(Document.id)))


def file_name(document: Document, language: str | None = None) -> str:
    """Return the usual file name of a document's PDF: its module's, or one like `Invoice_INV-2026-00001.pdf`.

    Args:
        document: The document.
        language: The language of its mail, where it is not the document's.
    """
    enabled = document.kind in current_registry().kinds
    named = _ask_behavior(document, "file_name") if enabled else None
    if named is not None:
        return str(named)
    with speaking(document, language):
        title = kind_title(document.kind)
    return safe_file_name(f"{title}_{document.number or document.id}.pdf".replace(" ", "_"))
