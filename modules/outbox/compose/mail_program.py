"""The mail in the person's own mail program: as a link where it has no file, else as a file that the program opens."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.draft import DraftDocument, MailDraft, RecipientField
from core.mail.text import plain_text
from modules.outbox.compose import actions
from modules.outbox.compose.form import ComposeForm, complete_draft
from modules.outbox.message import file_store, unsent_message
from modules.outbox.models import EmlExport

LONGEST_LINK = 1900
"""Characters; what is longer, some systems cut off without a word."""


def link_of(form: ComposeForm) -> str:
    """Return a `mailto:` link (RFC 6068) that says all that the mail says; "" where it needs a file.

    A link has no file and no picture, and its text is plain.

    Raises:
        UserError: Something of it is wrong.
    """
    for field, sentences in form.errors.items():
        raise UserError(sentences[0], field)
    draft = complete_draft(form)
    if form.document is not None or draft.pdf is not None or draft.further or draft.attachments:
        return ""
    link = _link(draft)
    return link if len(link) <= LONGEST_LINK else ""


def _link(draft: MailDraft) -> str:
    people: dict[RecipientField, list[str]] = {field: [] for field in RecipientField}
    for recipient in draft.recipients:
        people[recipient.field].append(quote(recipient.address.addr_spec, safe="@"))
    told = {
        "cc": ",".join(people[RecipientField.CC]),
        "bcc": ",".join(people[RecipientField.BCC]),
        "subject": quote(draft.subject, safe=""),
        "body": quote(plain_text(draft.body_html).replace("\r\n", "\n").replace("\n", "\r\n"), safe=""),
    }
    return f"mailto:{','.join(people[RecipientField.TO])}?" + "&".join(
        f"{name}={value}" for name, value in told.items() if value
    )


def take_along(form: ComposeForm) -> bytes:
    """Return the mail as a draft for a mail program, and note in the history of the document that it was taken.

    Raises:
        UserError: Something of it is gone, or its PDF could not be made.
    """
    for field, sentences in form.errors.items():
        raise UserError(sentences[0], field)
    draft = complete_draft(form)
    pdf = None
    if form.document is not None:
        shown = draft.pdf or actions.make_pdf(form.document, draft.pdf_name, draft.language).attachment
        pdf = file_store().get(shown.sha256)
        draft = replace(draft, further=[_with_pdf(one, draft.language) for one in draft.further])
    route = actions.route_of(form)
    if not route.header_from.addr_spec:
        raise UserError(_l("The company has no email address to write from."))
    data = unsent_message(draft, route.header_from, route.reply_to, pdf)
    if form.document is not None:
        with transaction() as session:
            session.add_all(
                EmlExport(
                    document_id=document_id,
                    by_user_id=form.user.id,
                    subject=draft.subject[:500],
                    recipient_count=len(draft.recipients),
                )
                for document_id in (form.document.id, *(one.document_id for one in draft.further))
            )
    return data


def _with_pdf(one: DraftDocument, language: str) -> DraftDocument:
    document = db.session.get_one(Document, one.document_id)
    return replace(one, pdf=actions.make_pdf(document, one.pdf_name, language).attachment)
