"""A test mail of a template: a real one, to nobody but the person who asks for it."""

from __future__ import annotations

from flask_babel import gettext

from core.auth.models import User
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.errors import UserError
from core.files import StoreError
from core.mail.addresses import Address, normalize
from core.mail.draft import DraftAttachment, DraftRecipient, MailDraft, Reason
from modules.mail_config.editor.preview import Preview
from modules.outbox.html_body import clean_html
from modules.outbox.limits import MAX_SUBJECT_LENGTH
from modules.outbox.message import file_store
from modules.outbox.models import OutgoingMail
from modules.outbox.service import submit

PATIENCE_SECONDS = 10.0  # for the PDF: a person waits before the page


def send_test(preview: Preview, user: User) -> OutgoingMail:
    """Send what comes of a template to the user alone, by the queue and the servers that all mails take.

    The mail is about no document, so that none looks as if it had been sent.

    Args:
        preview: What comes of the template.
        user: Who asks for it, and gets it.

    Raises:
        UserError: The template cannot be used, there is no document, or the PDF could not be made.
    """
    document, rendered = preview.document, preview.rendered
    if document is None:
        raise UserError(gettext("There is no document of this kind yet that you may read; a test needs one."))
    if rendered is None or preview.error:
        raise UserError(preview.error or gettext("Nothing is written yet."))
    template = preview.template
    draft = MailDraft(
        document_id=None,
        document_revision=0,
        company_id=document.company_id,
        language=preview.language,
        subject=str(gettext("[Test] %(subject)s", subject=rendered.subject))[:MAX_SUBJECT_LENGTH],
        body_html=clean_html(rendered.body_html),
        recipients=[DraftRecipient(Address(normalize(user.login), user.name), reason=Reason.COLLEAGUE)],
        attachments=[
            DraftAttachment(file.name, file.media_type, file.sha256, file.size) for file in template.files
        ],
        pdf_name=preview.file_name,
        pdf=_pdf(document, preview.file_name, preview.language) if isinstance(document, Document) else None,
        reply_to=Address(normalize(template.reply_to)) if template.reply_to else None,
        keep_days=template.keep_days,
        priority=template.priority,
        delivery_receipt=template.delivery_receipt,
        read_receipt=template.read_receipt,
    )
    return submit(draft, user)


def _pdf(document: Document, name: str, language: str) -> DraftAttachment:
    try:
        data = render_document(document, language=language, patience=PATIENCE_SECONDS)
        return DraftAttachment(name, "application/pdf", file_store().put(data), len(data))
    except (RenderError, StoreError) as error:
        raise UserError(gettext("The PDF could not be made: %(why)s", why=str(error))) from error
