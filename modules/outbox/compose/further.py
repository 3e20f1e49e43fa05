"""The documents that a mail in the composer carries beside the one that it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask_babel import gettext

from core.auth.models import User
from core.documents.models import Document
from core.documents.service import get_readable
from core.errors import UserError
from core.mail.draft import DraftDocument, MailDraft, safe_file_name
from core.partners.service import customer_of
from modules.mail_config.mail_templates.service import templates_for
from modules.mail_config.template_language.documents_mail import DocumentsMail
from modules.outbox.compose.draft import can_send, take_text

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

MOST_READ = 100
"""Further documents that a form is read for; no mail of ours has more."""


def as_posted(one: DraftDocument) -> str:
    """Return a document as the form names it: what it was when the form was made."""
    return f"{one.document_id}:{one.revision}:{one.pdf_name}"


def read_further(
    lead: Document, posted: MultiDict[str, str], user: User
) -> tuple[list[DraftDocument], list[str]]:
    """Return the further documents that a form has posted as they are now, and what is to be told of them.

    A document that has changed since the form was made is told once: the text may say what it said before.

    Args:
        lead: The document that the mail is about.
        posted: What was posted.
        user: Who writes.
    """
    found: dict[int, DraftDocument] = {}
    problems: list[str] = []
    for text in posted.getlist("also")[:MOST_READ]:
        number, _colon, rest = text.partition(":")
        revision, _colon, name = rest.partition(":")
        document = get_readable(user, int(number)) if number.isascii() and number.isdigit() else None
        if document is None or document.id == lead.id:
            problems.append(gettext("A document of this email is no longer there."))
            continue
        if not _of_same_customer(document, lead) or not can_send(document, user):
            problems.append(gettext("“%(number)s” cannot be sent with this email.", number=document.number))
            continue
        if revision != str(document.revision):
            problems.append(
                gettext(
                    "“%(number)s” has changed since you began to write. Check the text, then send.",
                    number=document.number,
                )
            )
        name = safe_file_name(name, fallback=f"{document.id}.pdf")
        found[document.id] = DraftDocument(document.id, document.revision, name)
    return list(found.values()), problems


def _of_same_customer(document: Document, lead: Document) -> bool:
    if document.company_id != lead.company_id or document.partner is None or lead.partner is None:
        return False
    return customer_of(document.partner).id == customer_of(lead.partner).id


def write_anew(draft: MailDraft, lead: Document, user: User) -> MailDraft:
    """Return a draft with the text that its documents, as they are now, are written by.

    Raises:
        UserError: The template is broken.
    """
    rows = [get_readable(user, one.document_id) for one in draft.further]
    documents = [lead, *(row for row in rows if row is not None)]
    about = DocumentsMail(lead.company, user, lead.partner, documents)
    template = next(iter(templates_for(about)), None)
    if template is None:
        raise UserError(gettext("There is no template for several documents."))
    written = replace(draft)
    take_text(written, template, about, user)
    return written
