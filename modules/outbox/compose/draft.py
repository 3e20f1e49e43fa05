"""A draft of a mail: about a document, or made again from a mail."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from flask_babel import gettext
from sqlalchemy import func, select

from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of, file_name, keeps_addresses_private, readable_by
from core.errors import UserError
from core.mail.addresses import Address, normalize
from core.mail.draft import DraftAttachment, DraftDocument, DraftRecipient, MailDraft, Purpose
from core.registry import current_registry
from modules.mail_config.mail_templates.service import language_of, pdf_name_for, render_for, templates_for
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import Subject
from modules.outbox.about import documents_of, further_of
from modules.outbox.compose.recipients import Proposal, default_recipients
from modules.outbox.html_body import clean_html
from modules.outbox.models import OutgoingMail
from modules.outbox.private_addresses import address_of
from modules.outbox.queries import reach


def may_send(document: Document, user: User) -> bool:
    """Return True when the user may send this document."""
    return bool(sendable_ids([document.id], user))


def sendable_ids(document_ids: Iterable[int], user: User) -> set[int]:
    """Return the ids of those documents that the user may send; whether they may be read is asked elsewhere."""
    within = within_reach(user, "outbox.mail.send", owner=Document.owner_id, company=Document.company_id)
    return set(db.session.scalars(select(Document.id).where(Document.id.in_(list(document_ids)), within)))


def can_send(document: Document, user: User) -> bool:
    """Return True when the user may send a document, and it can be sent as it is now."""
    known = document.kind in current_registry().kinds
    return known and not behavior_of(document).why_not_sendable(document) and may_send(document, user)


def may_copy(mail: OutgoingMail, user: User) -> bool:
    """Return True when the user may make a new mail of this one, as long as its contents are there."""
    if mail.document is not None:
        ids = [row.id for row in documents_of(mail)]
        reached = within_reach(user, "outbox.mail.send", owner=Document.owner_id, company=Document.company_id)
        allowed = select(func.count()).where(Document.id.in_(ids), reached, readable_by(user))
        return db.session.scalar(allowed) == len(ids)
    within = select(OutgoingMail.id).where(OutgoingMail.id == mail.id, reach(user, "outbox.mail.send"))
    return db.session.scalar(within) is not None


def draft_for(document: Document, template: MailTemplate | None, user: User | None) -> MailDraft:
    """Return a draft for a document: recipients, text and files from the template, the signature, the PDF.

    Args:
        document: The document.
        template: The template, or None for the one that applies.
        user: Who composes; never a recipient by itself.

    Raises:
        UserError: The document cannot be sent in its present state, or the template is broken.
    """
    draft = blank_draft(document)
    template = template or next(iter(templates_for(document)), None)
    if template is not None:
        fill_in(draft, template, document, user)
    proposal = default_recipients(document, template, user)
    draft.recipients, draft.without_address = list(proposal.recipients), proposal.without_address
    return draft


def fill_in(draft: MailDraft, template: MailTemplate, document: Document, user: User | None) -> None:
    """Give a draft everything that a template says; what needs no formula comes first, and stays if one is broken.

    Raises:
        UserError: The template is broken.
    """
    take_options(draft, template)
    draft.attachments = files_of(template)
    take_settings(draft, template, document)
    take_text(draft, template, document, user)


def take_text(draft: MailDraft, template: MailTemplate, document: Subject, user: User | None) -> None:
    """Give a draft the text of a template, and the signature of who writes.

    Raises:
        UserError: The template is broken.
    """
    rendered = render_for(template, document)
    draft.subject = rendered.subject
    draft.body_html = clean_html(rendered.body_html) + signature_of(user)


def signature_of(user: User | None) -> str:
    """Return what the mails of a user end with, after the line that mail programs know it by; or ""."""
    # RFC 3676, section 4.3: two hyphens and a blank.
    return f"<div>--&nbsp;</div>{user.signature_html}" if user is not None and user.signature_html else ""


def take_settings(draft: MailDraft, template: MailTemplate, document: Document) -> None:
    """Give a draft what a template says beside its text: the name of the PDF, the language, how long it is kept.

    Raises:
        UserError: The template is broken.
    """
    draft.template_id, draft.keep_days = template.id, template.keep_days
    draft.language = language_of(template, document)
    draft.pdf_name = pdf_name_for(template, document)


def take_options(draft: MailDraft, template: MailTemplate) -> None:
    """Give a draft what a template says and the person may change: Reply-To, priority, receipts."""
    draft.reply_to = Address(normalize(template.reply_to)) if template.reply_to else None
    draft.priority = template.priority
    draft.delivery_receipt, draft.read_receipt = template.delivery_receipt, template.read_receipt


def files_of(template: MailTemplate) -> list[DraftAttachment]:
    """Return the files that go with every mail of a template."""
    return [DraftAttachment(file.name, file.media_type, file.sha256, file.size) for file in template.files]


def blank_draft(document: Document) -> MailDraft:
    """Return a draft without text and recipients, with the PDF.

    Raises:
        UserError: The document cannot be sent in its present state.
    """
    reason = behavior_of(document).why_not_sendable(document)
    if reason is not None:
        raise UserError(str(reason))
    return MailDraft(
        document_id=document.id,
        document_revision=document.revision,
        company_id=document.company_id,
        language=document.language,
        subject="",
        body_html="",
        pdf_name=file_name(document),
        # A walk-in answers to the company, also when somebody writes the mail by hand.
        purpose=Purpose.RECEIPT if keeps_addresses_private(document) else Purpose.SINGLE,
    )


def copy_of(mail: OutgoingMail, user: User | None) -> tuple[MailDraft, list[DraftRecipient]]:
    """Return a draft with the contents of a mail, and whoever follows the document by now beside its recipients.

    About a document, the draft is of that document as it is now: its PDF is made anew. Without one, the PDF that
    was sent goes along as a file.

    Raises:
        UserError: The contents were erased, or the document cannot be sent in its present state.
    """
    if mail.contents_erased_at is not None:
        raise UserError(
            gettext("Text and files of this email were erased, so no new email can be made of it.")
        )
    draft = _frame_of(mail)
    draft.subject, draft.body_html, draft.language = mail.subject, clean_html(mail.body_html), mail.language
    draft.priority = mail.priority
    draft.delivery_receipt, draft.read_receipt = mail.delivery_receipt, mail.read_receipt
    draft.keep_days, draft.private = mail.keep_days, mail.private
    draft.promotional = mail.promotional
    if mail.document is not None:
        draft.further, draft.zip_name = _further_of(mail), mail.zip_name
    # Who sends gets the answers unless somebody else was named; another sender is not to be named for the former.
    former = mail.submitted_by.login if mail.submitted_by is not None else ""
    if mail.reply_to_address and mail.reply_to_address.casefold() != former.casefold():
        draft.reply_to = Address(mail.reply_to_address, mail.reply_to_name)
    proposal = default_recipients(mail.document, None, user) if mail.document is not None else Proposal()
    followers = {recipient.address.key: recipient for recipient in proposal.recipients}
    for row in mail.recipients:
        address = address_of(row)
        follower = followers.pop(address.key, None)
        draft.recipients.append(
            DraftRecipient(address, row.field, follower.reason, follower.reason_detail, follower.partner_id)
            if follower is not None
            else DraftRecipient(address, row.field, row.reason, row.reason_detail, row.partner_id)
        )
    draft.attachments = [
        DraftAttachment(file.name, file.media_type, file.sha256, file.size, file.content_id)
        for file in mail.attachments
        if file.sha256 and (mail.document is None or not file.generated)
    ]
    return draft, list(followers.values())


def _further_of(mail: OutgoingMail) -> list[DraftDocument]:
    """Return what a mail carries beside its document, as it is now and where it is still there.

    Raises:
        UserError: It cannot be sent in its present state.
    """
    names = {file.position: file.name for file in mail.attachments if file.generated}
    found = []
    for row in further_of([mail]).get(mail.id, ()):
        if row.document is not None:
            blank = blank_draft(row.document)
            name = names.get(row.position, blank.pdf_name)
            found.append(DraftDocument(row.document.id, blank.document_revision, name))
    return found


def frame_without_document(mail: OutgoingMail) -> MailDraft:
    """Return an empty draft from the company and in the language of a mail that is about no document."""
    return MailDraft(
        document_id=None,
        document_revision=0,
        company_id=mail.company_id,
        language=mail.language,
        subject="",
        body_html="",
        keep_days=mail.keep_days,
    )


def _frame_of(mail: OutgoingMail) -> MailDraft:
    if mail.document is None:
        return frame_without_document(mail)
    draft = blank_draft(mail.document)
    template = next(iter(templates_for(mail.document)), None)
    if template is not None:
        with suppress(UserError):  # a broken template must not keep anybody from sending this text again
            take_settings(draft, template, mail.document)
            take_options(draft, template)
    return draft
