"""A draft of a mail: about a document, or made again from a mail."""

from __future__ import annotations

from contextlib import suppress

from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of, file_name
from core.errors import UserError
from core.followers.models import Follower, FollowReason
from core.followers.service import followers_of
from core.mail.addresses import Address, InvalidAddressError, normalize
from core.mail.draft import DraftAttachment, DraftRecipient, MailDraft, Reason
from modules.mail_config.models import MailTemplate
from modules.mail_config.templates_service import language_of, pdf_name_for, render_for, templates_for
from modules.outbox.bodies import clean_html
from modules.outbox.models import OutgoingMail
from modules.outbox.queries import reach


def may_send(document: Document, user: User) -> bool:
    """Return True when the user may send this document."""
    condition = within_reach(user, "outbox.mail.send", owner=Document.owner_id, company=Document.company_id)
    return db.session.scalar(select(Document.id).where(Document.id == document.id, condition)) is not None


def may_copy(mail: OutgoingMail, user: User) -> bool:
    """Return True when the user may make a new mail of this one, as long as its contents are there."""
    if mail.document is not None:
        return may_send(mail.document, user)
    within = select(OutgoingMail.id).where(OutgoingMail.id == mail.id, reach(user, "outbox.mail.send"))
    return db.session.scalar(within) is not None


def draft_for(document: Document, template: MailTemplate | None, user: User | None) -> MailDraft:
    """Return a draft for a document: recipients from its followers, text from the template, the PDF.

    Args:
        document: The document.
        template: The template, or None for the one that applies.
        user: Who composes; never a recipient by itself.

    Raises:
        UserError: The document cannot be sent in its present state, or the template is broken.
    """
    draft = blank_draft(document, user)
    template = template or next(iter(templates_for(document)), None)
    if template is not None:
        rendered = render_for(template, document)
        draft.subject, draft.body_html = rendered.subject, clean_html(rendered.body_html)
        take_settings(draft, template, document)
    return draft


def take_settings(draft: MailDraft, template: MailTemplate, document: Document) -> None:
    """Give a draft what a template says beside its text: the name of the PDF, Reply-To, the language.

    Raises:
        UserError: The template is broken.
    """
    draft.template_id, draft.keep_days = template.id, template.keep_days
    draft.language = language_of(template, document)
    draft.pdf_name = pdf_name_for(template, document)
    if template.reply_to:
        draft.reply_to = Address(normalize(template.reply_to))


def blank_draft(document: Document, user: User | None) -> MailDraft:
    """Return a draft without a text: recipients from the followers, the PDF.

    Raises:
        UserError: The document cannot be sent in its present state.
    """
    reason = behavior_of(document).why_not_sendable(document)
    if reason is not None:
        raise UserError(str(reason))
    draft = MailDraft(
        document_id=document.id,
        document_revision=document.revision,
        company_id=document.company_id,
        language=document.language,
        subject="",
        body_html="",
        pdf_name=file_name(document),
    )
    add_followers(draft, followers_of(document.id), user)
    return draft


def copy_of(mail: OutgoingMail, user: User | None) -> tuple[MailDraft, list[tuple[DraftRecipient, bool]]]:
    """Return a draft with the contents of a mail, and everybody it offers with whether they are ticked.

    About a document, the draft is of that document as it is now: its PDF is made anew, and whoever follows it by
    now is offered too, without a tick. Without one, the PDF that was sent goes along as a file.

    Raises:
        UserError: The contents were erased, or the document cannot be sent in its present state.
    """
    if mail.contents_erased_at is not None:
        raise UserError(gettext("Text and files of this mail were erased, so no new mail can be made of it."))
    draft = _frame_of(mail, user)
    followers = {recipient.address.key: recipient for recipient in draft.recipients}
    draft.subject, draft.body_html, draft.language = mail.subject, clean_html(mail.body_html), mail.language
    draft.recipients = []
    for row in mail.recipients:
        follower = followers.pop(row.address.key, None)
        draft.recipients.append(
            DraftRecipient(
                row.address, row.field, follower.reason, follower.reason_detail, follower.partner_id
            )
            if follower is not None
            else DraftRecipient(row.address, row.field, partner_id=row.partner_id)
        )
    draft.attachments = [
        DraftAttachment(file.name, file.media_type, file.sha256, file.size)
        for file in mail.attachments
        if file.sha256 and (mail.document is None or not file.generated)
    ]
    offered = [(recipient, True) for recipient in draft.recipients]
    return draft, [*offered, *((follower, False) for follower in followers.values())]


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


def _frame_of(mail: OutgoingMail, user: User | None) -> MailDraft:
    if mail.document is None:
        return frame_without_document(mail)
    draft = blank_draft(mail.document, user)
    template = next(iter(templates_for(mail.document)), None)
    if template is not None:
        with suppress(UserError):  # a broken template must not keep anybody from sending this text again
            take_settings(draft, template, mail.document)
    return draft


def add_followers(draft: MailDraft, followers: list[Follower], user: User | None) -> None:
    """Put those who follow by mail into the draft, each with the reason, each address once."""
    seen: set[str] = set()
    for follower in followers:
        if not follower.by_mail or (user is not None and follower.user_id == user.id):
            continue
        if not follower.email:
            draft.without_address.append(follower.name)
            continue
        try:
            address = Address(normalize(follower.email), follower.name)
        except InvalidAddressError:
            draft.without_address.append(f"{follower.name} ({follower.email})")
            continue
        if address.key in seen:
            continue
        seen.add(address.key)
        is_customer = follower.reason is FollowReason.CUSTOMER
        draft.recipients.append(
            DraftRecipient(
                address=address,
                reason=Reason.CUSTOMER if is_customer else Reason.FOLLOWER,
                reason_detail="" if is_customer or follower.added_by is None else follower.added_by.name,
                partner_id=follower.partner_id,
            )
        )


def reason_text(reason: Reason, detail: str) -> str:
    """Return in words why somebody is among the recipients."""
    if reason is Reason.CUSTOMER:
        return str(gettext("customer"))
    if reason is Reason.FOLLOWER:
        return (
            str(gettext("follower, added by %(name)s", name=detail)) if detail else str(gettext("follower"))
        )
    return str(gettext("typed"))
