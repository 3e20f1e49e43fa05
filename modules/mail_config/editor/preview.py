"""The preview of a template with one document, before it is saved."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request
from sqlalchemy import select

from core.auth.models import User
from core.auth.permissions import signed_in_user
from core.companies.service import current_company
from core.db import db
from core.documents.models import Document
from core.documents.service import NEWEST_FIRST, get_readable, readable_by
from core.errors import UserError
from core.partners.models import Partner
from core.partners.reach import partner_for, reachable
from modules.mail_config.editor.form import TypedTemplate
from modules.mail_config.mail_templates import service
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CUSTOMER, CustomerMail, Subject
from modules.mail_config.template_language.documents_mail import DOCUMENTS, DocumentsMail
from modules.mail_config.template_language.render import BadTemplateError, Rendered

MOST_TRIED = 3
"""Documents that a template about several is tried on."""


@dataclass(slots=True)
class Preview:
    """A rendered template with the values of one document, or what is wrong with it.

    Attributes:
        template: The template, in no session.
        document: The document, or the email to a customer; None when there is none to try it on.
        language: The language of the text, or "" when there is none.
        rendered: Subject and body; None when the template cannot be used.
        file_name: Of the PDF.
        error: Why it cannot be used, or "".
    """

    template: MailTemplate
    document: Subject | None
    language: str
    rendered: Rendered | None = None
    file_name: str = ""
    error: str = ""

    @property
    def of_document(self) -> bool:
        """True where it was tried on a document, which has a PDF and followers."""
        return isinstance(self.document, Document)


def posted_template(kind: str) -> TypedTemplate:
    """Return what stands on the page that was posted, of a stored template or of a new one."""
    row = db.session.get(MailTemplate, request.form.get("template_id", 0, type=int))
    user = signed_in_user()
    if row is not None and row.owner_id != user.id and not user.can("mail_config.template.edit"):
        row = None
    return TypedTemplate.posted(row if row is not None and row.kind == kind else None, kind)


def chosen_subject(kind: str, user: User) -> Subject | None:
    """Return what the page that was posted has chosen to try the template on, else the newest that the user may read.

    Raises:
        UserError: The template is for customers, and the user works for no company.
    """
    chosen = request.form.get("preview_document", 0, type=int)
    if kind == DOCUMENTS:
        return _several_documents(chosen, user)
    if kind == CUSTOMER:
        return CustomerMail(current_company(user), user, _chosen_customer(chosen, user))
    document = get_readable(user, chosen) if chosen else None
    if document is not None and document.kind == kind:
        return document
    newest = select(Document).where(Document.kind == kind, readable_by(user)).order_by(*NEWEST_FIRST).limit(1)
    # One with a number says more than a draft.
    return db.session.scalar(newest.where(Document.number != "")) or db.session.scalar(newest)


def _several_documents(chosen: int, user: User) -> DocumentsMail | None:
    """Return an email with the newest documents of a customer, or of the one of the newest document."""
    query = select(Document).where(readable_by(user), Document.partner_id.is_not(None), Document.number != "")
    query = query.order_by(Document.id.desc())
    newest = db.session.scalar((query.where(Document.partner_id == chosen) if chosen else query).limit(1))
    if newest is None:
        return None
    same = (Document.partner_id == newest.partner_id, Document.kind == newest.kind)
    rows = db.session.scalars(query.where(*same, Document.company_id == newest.company_id).limit(MOST_TRIED))
    return DocumentsMail(newest.company, user, newest.partner, sorted(rows, key=lambda row: row.id))


def _chosen_customer(chosen: int, user: User) -> Partner | None:
    customer = partner_for(user, chosen) if chosen else None
    newest = select(Partner).where(Partner.active, Partner.parent_id.is_(None), reachable(user))
    return customer or db.session.scalar(newest.order_by(Partner.id.desc()).limit(1))


def preview_of(typed: TypedTemplate, document: Subject | None, language: str) -> Preview:
    """Return what comes of what stands on the page.

    Args:
        typed: What stands there.
        document: What to try it on, or None.
        language: A language of the texts; another one stands for the language that the document would get.
    """
    template = typed.as_template()
    if language not in {text.language for text in template.texts}:
        language = service.language_of(template, document) if document is not None else ""
    preview = Preview(template, document, language)
    if document is None or not template.texts:
        return preview
    try:
        preview.rendered = service.render_for(template, document, language=language)
    except BadTemplateError as error:
        preview.error = _first_problem(template, language) or str(error.message)
    except UserError as error:
        preview.error = str(error.message)
    if not isinstance(document, Document):
        return preview
    try:
        preview.file_name = service.pdf_name_for(template, document, language=language)
    except UserError as error:
        preview.error = preview.error or str(error.message)
    return preview


def _first_problem(template: MailTemplate, language: str) -> str:
    """Return what the check says about the text in a language: it knows the place."""
    texts = {text.language: (text.subject, text.body) for text in template.texts if text.language == language}
    found = service.check_in_detail(template.kind, texts, "", company_id=template.company_id)
    return found[0].sentence if found else ""
