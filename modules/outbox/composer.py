"""A draft of a mail about a document."""

from __future__ import annotations

from flask_babel import gettext

from core.auth.models import User
from core.documents.models import Document
from core.documents.service import behavior_of, file_name
from core.errors import UserError
from core.followers.models import Follower, FollowReason
from core.followers.service import followers_of
from core.mail.addresses import Address, InvalidAddressError, normalize
from core.mail.draft import DraftRecipient, MailDraft, Reason
from modules.mail_config.models import MailTemplate
from modules.mail_config.templates_service import language_of, pdf_name_for, render_for, templates_for
from modules.outbox.bodies import clean_html


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
    draft.template_id = template.id
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
