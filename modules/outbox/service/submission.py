"""Submitting a mail: it is written in the transaction that caused it, and leaves after the commit."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import transaction
from core.documents.models import Document
from core.errors import ConcurrentChangeError, UserError
from core.i18n import lazy_gettext as _l
from core.mail.draft import MailDraft
from core.mail.outcomes import FailureKind, RecipientState
from core.vault import encrypt
from modules.outbox.alert_rows import write_alerts
from modules.outbox.dead_addresses import dead_among
from modules.outbox.html_body import clean_html, plain_text
from modules.outbox.limits import check_draft
from modules.outbox.models import Answer, FurtherDocument, MailAttachment, MailRecipient, OutgoingMail
from modules.outbox.private_addresses import encrypt_address
from modules.outbox.search_index import index_mail
from modules.outbox.service.queue import enqueue_delivery
from modules.outbox.states import MailState
from modules.outbox.transitions import note


def submit(
    draft: MailDraft,
    by: User | None,
    *,
    not_before: dt.datetime | None = None,
    token: str | None = None,
    hold_dead: bool = False,
) -> OutgoingMail:
    """Write a mail with its recipients and attachments, and put it on the queue after the commit.

    Args:
        draft: What the composer holds.
        by: Who sends, or None for the system.
        not_before: When it may leave, or None for now.
        token: Names the form that was posted; the same form posted again leads to the same mail.
        hold_dead: True where no person has seen the recipients: dead addresses are held, see `dead_addresses`.

    Raises:
        UserError: Recipients or subject are missing, or something is too large; nothing is written.
        ConcurrentChangeError: The document has changed since the draft was made.
    """
    same_form = select(OutgoingMail).where(OutgoingMail.submission_token == token)
    with transaction() as session:
        mail = session.scalar(same_form) if token else None
        if mail is not None:
            return mail
        try:
            # A savepoint: where the other press was first, only this block is undone, and the caller's
            # transaction lives on.
            with session.begin_nested():
                mail = write_mail(draft, by, not_before=not_before, hold_dead=hold_dead)
                mail.submission_token = token
                session.flush()
        except IntegrityError:
            # Pressed twice at the same moment: the other press has written it.
            twin = session.scalar(same_form) if token else None
            if twin is None:
                raise
            return twin
        if mail.state is MailState.QUEUED:
            # A person looks at the page; what the application writes by itself can wait for its turn.
            enqueue_delivery([mail.id], front=by is not None)
    return mail


def write_mail(
    draft: MailDraft, by: User | None, *, not_before: dt.datetime | None = None, hold_dead: bool = False
) -> OutgoingMail:
    """Write a mail as `submit` does, and leave the queue to the caller, who writes many at once.

    Raises:
        UserError: As for `submit`.
    """
    check_draft(draft)
    with transaction() as session:
        document = _as_it_was_seen(session, draft)
        further = _further_rows(session, draft)
        recipients = _recipient_rows(draft)
        held = _held(draft, recipients) if hold_dead else False
        mail = _mail_row(
            draft, session.get_one(Company, draft.company_id), document, by, not_before, held=held
        )
        if draft.private:
            for row in recipients:
                encrypt_address(mail, row, row.addr_spec)
        mail.recipients = recipients
        mail.attachments = _attachment_rows(draft)
        mail.further, mail.further_count = further, len(further)
        if draft.answers_id is not None:
            _go_on_with_thread(session, mail, draft.answers_id)
        note(mail, "submit", by, before=None)
        session.add(mail)
        session.flush()
        index_mail(mail)
        if mail.state is MailState.FAILED:
            write_alerts(session, mail.id, mail.failure_kind, "")
    return mail


def _go_on_with_thread(session: Session, mail: OutgoingMail, inbound_id: int) -> None:
    """Let a mail answer a message that came in (RFC 5322 §3.6.4)."""
    answered = session.get(Answer, inbound_id)
    if answered is None:
        raise UserError(_l("The message that this answers is no longer kept."))
    thread = answered.reference_ids.split()
    mail.answers_id, mail.reference_ids = inbound_id, answered.reference_ids
    mail.in_reply_to = thread[-1] if thread else ""


def _held(draft: MailDraft, rows: Sequence[MailRecipient]) -> bool:
    """Send nothing to recipients whose addresses are dead; a resend is the word to try all the same.

    Returns:
        True when that is all of them.
    """
    addresses = [recipient.address.addr_spec for recipient in draft.recipients]
    dead = dead_among(addresses)
    for row, address in zip(rows, addresses, strict=True):
        if address in dead:
            row.state, row.failure_kind = RecipientState.REFUSED, FailureKind.ADDRESS_HELD
            row.settled_at = clock.now()
    return all(address in dead for address in addresses)


def _as_it_was_seen(session: Session, draft: MailDraft) -> Document | None:
    """Return the document of a draft, or None for a mail without one.

    Raises:
        UserError: The document is gone.
        ConcurrentChangeError: It has changed since the draft was made.
    """
    if draft.document_id is None:
        return None
    if draft.answers_id is not None:
        return session.get(Document, draft.document_id)  # carries no PDF that could be outdated
    return _of_revision(session, draft.document_id, draft.document_revision)


def _of_revision(session: Session, document_id: int, revision: int) -> Document:
    # As it is in the table now, not as this session read it when the composer was opened.
    document = session.get(Document, document_id, populate_existing=True)
    if document is None:
        raise UserError(_l("The document no longer exists."))
    if document.revision != revision:
        raise ConcurrentChangeError(
            _l("The document has changed since you began to write. Check the text, then send.")
        )
    return document


def _further_rows(session: Session, draft: MailDraft) -> list[FurtherDocument]:
    """Return rows for what a draft carries beside its document; raises what `_as_it_was_seen` does."""
    rows = []
    for position, one in enumerate(draft.further, start=1):
        document = _of_revision(session, one.document_id, one.revision)
        rows.append(
            FurtherDocument(
                position=position,
                document_id=document.id,
                document_kind=document.kind,
                document_revision=one.revision,
            )
        )
    return rows


def _mail_row(
    draft: MailDraft,
    company: Company,
    document: Document | None,
    by: User | None,
    not_before: dt.datetime | None,
    *,
    held: bool,
) -> OutgoingMail:
    # Cleaned here as well, whatever the form did: a caller of its own, such as a module, may have skipped it.
    body = clean_html(draft.body_html)
    now = clock.now()
    scheduled = not_before is not None and not_before > now
    state = MailState.SCHEDULED if scheduled else MailState.QUEUED
    return OutgoingMail(
        state=MailState.FAILED if held else state,
        failure_kind=FailureKind.ADDRESS_HELD if held else None,
        settled_at=now if held else None,
        # Made once and stored: a server or reader that has the message knows a second copy by it.
        message_id=new_message_id(company.email),
        subject=draft.subject.strip(),
        body_html=body,
        body_text=plain_text(body),
        language=draft.language,
        reply_to_address=draft.reply_to.addr_spec if draft.reply_to else "",
        reply_to_name=draft.reply_to.display_name if draft.reply_to else "",
        company_id=draft.company_id,
        document_id=document.id if document is not None else None,
        document_kind=document.kind if document is not None else "",
        document_revision=draft.document_revision if draft.answers_id is None else 0,
        zip_name=draft.zip_name if draft.further else "",
        submitted_by_id=by.id if by else None,
        submitted_at=now,
        not_before=not_before,
        next_attempt_at=not_before or now,
        # The age of a mail decides when it is given up, and the time it was meant to wait does not count.
        due_since=not_before if scheduled else now,
        keep_days=draft.keep_days,
        priority=draft.priority,
        delivery_receipt=draft.delivery_receipt,
        read_receipt=draft.read_receipt,
        private=draft.private,
        purpose=draft.purpose,
        promotional=draft.promotional,
        encrypted_link=encrypt(draft.link) if draft.link else None,
        link_expires_at=draft.link_expires_at,
        recipient_count=len(draft.recipients),
    )


def _recipient_rows(draft: MailDraft) -> list[MailRecipient]:
    return [
        MailRecipient(
            position=position,
            field=recipient.field,
            addr_spec=recipient.address.addr_spec,
            display_name=recipient.address.display_name[:160],
            reason=recipient.reason,
            reason_detail=recipient.reason_detail[:160],
            partner_id=recipient.partner_id,
        )
        for position, recipient in enumerate(draft.recipients)
    ]


def _attachment_rows(draft: MailDraft) -> list[MailAttachment]:
    """Return the PDFs first, each at the position of its document, then the files that a person has added."""
    documents = [(draft.pdf_name, draft.pdf), *((one.pdf_name, one.pdf) for one in draft.further)]
    rows = [
        MailAttachment(
            position=position,
            name=name,
            media_type="application/pdf",
            # Where the person was shown the PDF of this revision, these bytes are what is sent.
            size=pdf.size if pdf else 0,
            sha256=pdf.sha256 if pdf else "",
            generated=True,
        )
        for position, (name, pdf) in enumerate(documents)
        if name
    ]
    rows += [
        MailAttachment(
            position=position,
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            sha256=file.sha256,
            content_id=file.content_id,
        )
        for position, file in enumerate(draft.attachments, start=len(documents))
    ]
    return rows


def new_message_id(sender_address: str) -> str:
    """Return a Message-ID (RFC 5322 §3.6.4) in the domain of the sender."""
    # Not the host's name: that is nobody's business, and spam filters compare the domain with the From.
    domain = sender_address.rpartition("@")[2]
    return f"<{secrets.token_hex(16)}@{domain if domain.isascii() and domain else 'envoi.invalid'}>"
