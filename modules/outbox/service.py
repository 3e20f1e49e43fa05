"""The verbs of the outbox that people use: submit, resend, retry, correct, cancel, mark."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence

from flask import current_app
from flask_babel import ngettext
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.errors import ConcurrentChangeError, UserError
from core.i18n import lazy_gettext as _l
from core.jobs import enqueue_after_commit
from core.mail.addresses import normalize
from core.mail.draft import MailDraft
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.models import Partner
from core.web.formats import file_size
from modules.outbox.bodies import clean_html, plain_text
from modules.outbox.models import MailAttachment, MailRecipient, OutgoingMail
from modules.outbox.states import CANCELABLE, FAILED, RESENDABLE, MailState, check_transition, summarise

MAX_RECIPIENTS = 500
MAX_SUBJECT_LENGTH = 500
MAX_BODY_LENGTH = 1_000_000
CHUNK = 25
"""How many mails one job delivers: RQ costs some milliseconds a job, a chunk is redone as a whole."""


def attachment_limit() -> int:
    """Return how many bytes the files of one mail may have together."""
    return int(float(current_app.config["OUTBOX_ATTACHMENTS_MB"]) * 1_000_000)


def submit(
    draft: MailDraft, by: User | None, *, not_before: dt.datetime | None = None, token: str | None = None
) -> OutgoingMail:
    """Write a mail with its recipients and attachments, and put it on the queue after the commit.

    Args:
        draft: What the composer holds.
        by: Who sends, or None for the system.
        not_before: When it may leave, or None for now.
        token: Names the form that was posted; the same form posted again leads to the same mail.

    Raises:
        UserError: Recipients or subject are missing, or something is too large; nothing is written.
        ConcurrentChangeError: The document has changed since the draft was made.
    """
    same_form = select(OutgoingMail).where(OutgoingMail.submission_token == token)
    try:
        with transaction() as session:
            mail = session.scalar(same_form) if token else None
            if mail is None:
                mail = write_mail(draft, by, not_before=not_before)
                mail.submission_token = token
                session.flush()
                if mail.state is MailState.QUEUED:
                    enqueue_delivery([mail.id])
    except IntegrityError:
        # Pressed twice at the same moment: the other press has written it.
        twin = db.session.scalar(same_form) if token else None
        if twin is None:
            raise
        return twin
    return mail


def write_mail(draft: MailDraft, by: User | None, *, not_before: dt.datetime | None = None) -> OutgoingMail:
    """Write a mail as `submit` does, and leave the queue to the caller, who writes many at once.

    Raises:
        UserError: As for `submit`.
    """
    check_draft(draft)
    with transaction() as session:
        if draft.document_id is not None:
            document = session.get(Document, draft.document_id, populate_existing=True)
            if document is None:
                raise UserError(_l("The document no longer exists."))
            if document.revision != draft.document_revision:
                raise ConcurrentChangeError(
                    _l("The document has changed since you began to write. Check the text, then send.")
                )
        company = session.get_one(Company, draft.company_id)
        body = clean_html(draft.body_html)
        now = clock.now()
        scheduled = not_before is not None and not_before > now
        mail = OutgoingMail(
            state=MailState.SCHEDULED if scheduled else MailState.QUEUED,
            message_id=new_message_id(company.email),
            subject=draft.subject.strip(),
            body_html=body,
            body_text=plain_text(body),
            language=draft.language,
            reply_to_address=draft.reply_to.addr_spec if draft.reply_to else "",
            reply_to_name=draft.reply_to.display_name if draft.reply_to else "",
            company_id=draft.company_id,
            document_id=draft.document_id,
            document_revision=draft.document_revision,
            submitted_by_id=by.id if by else None,
            submitted_at=now,
            not_before=not_before,
            next_attempt_at=not_before or now,
            recipient_count=len(draft.recipients),
        )
        mail.recipients = [
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
        if draft.pdf_name:
            mail.attachments.append(
                MailAttachment(position=0, name=draft.pdf_name, media_type="application/pdf", generated=True)
            )
        mail.attachments += [
            MailAttachment(
                position=position,
                name=file.name,
                media_type=file.media_type,
                size=file.size,
                sha256=file.sha256,
            )
            for position, file in enumerate(draft.attachments, start=1)
        ]
        session.add(mail)
        session.flush()
    return mail


def check_draft(draft: MailDraft) -> None:
    """Make sure that a draft can be sent.

    Raises:
        UserError: The first of `draft_problems`.
    """
    for problem in draft_problems(draft):
        raise problem


def draft_problems(draft: MailDraft) -> list[UserError]:
    """Return everything that keeps a draft from being sent, each with the field it is about."""
    problems: list[UserError] = []
    keys = [recipient.address.key for recipient in draft.recipients]
    if not keys:
        problems.append(UserError(_l("Nobody would get this mail: add a recipient."), "recipients"))
    if len(set(keys)) != len(keys):
        problems.append(UserError(_l("An address appears twice."), "recipients"))
    if len(keys) > MAX_RECIPIENTS:
        words = _l(
            "%(count)s recipients are too many for one mail; %(limit)s is the limit.",
            count=len(keys),
            limit=MAX_RECIPIENTS,
        )
        problems.append(UserError(words, "recipients"))
    if not draft.subject.strip():
        words = _l("The subject is empty. Say in a few words what the mail is about.")
        problems.append(UserError(words, "subject"))
    if len(draft.subject) > MAX_SUBJECT_LENGTH:
        words = _l("The subject is too long: at most %(count)s characters.", count=MAX_SUBJECT_LENGTH)
        problems.append(UserError(words, "subject"))
    if len(draft.body_html) > MAX_BODY_LENGTH:
        problems.append(UserError(_l("The text is too long."), "body"))
    size = sum(file.size for file in draft.attachments)
    if size > attachment_limit():
        words = _l(
            "The files total %(size)s; the limit is %(limit)s.",
            size=file_size(size),
            limit=file_size(attachment_limit()),
        )
        problems.append(UserError(words, "files"))
    return problems


def new_message_id(sender_address: str) -> str:
    """Return a Message-ID (RFC 5322 §3.6.4) in the domain of the sender."""
    domain = sender_address.rpartition("@")[2]
    return f"<{secrets.token_hex(16)}@{domain if domain.isascii() and domain else 'envoi.invalid'}>"


def enqueue_delivery(mail_ids: Sequence[int]) -> None:
    """Put mails on the queue after the commit, in chunks."""
    for start in range(0, len(mail_ids), CHUNK):
        enqueue_after_commit("outbox.deliver_mails", list(mail_ids[start : start + CHUNK]))


def resend(mail_ids: Sequence[int], *, uncertain: bool = True) -> list[int]:
    """Put failed mails on the queue again; each reaches only those who did not get it.

    Whoever is uncertain is sent to again, since a person has decided so. Mails that have left their failed
    state meanwhile (pressed twice, by two people) are left alone.

    Args:
        mail_ids: The mails.
        uncertain: False leaves the uncertain ones alone, whose recipients may have the mail already.

    Returns:
        The ids of the mails that were put on the queue.
    """
    done: list[int] = []
    with transaction() as session:
        for mail in _locked(mail_ids):
            if mail.state not in RESENDABLE or (mail.state is MailState.UNCERTAIN and not uncertain):
                continue
            check_transition("resend", mail.state, MailState.QUEUED)
            if mail.accepted_count == 0:
                # Nobody has this message yet: who it is from may be decided anew.
                mail.sender_address = mail.sender_name = mail.message_sha256 = ""
            for recipient in mail.recipients:
                if recipient.state is not RecipientState.ACCEPTED:
                    _reset(recipient)
            _requeue(mail)
            done.append(mail.id)
        session.flush()
        enqueue_delivery(done)
    return done


def retry_now(mail_ids: Sequence[int]) -> list[int]:
    """Let mails that wait for their next try, or for their time, leave now.

    Returns:
        The ids of the mails that were put on the queue.
    """
    done: list[int] = []
    with transaction() as session:
        for mail in _locked(mail_ids):
            if mail.state in {MailState.DEFERRED, MailState.SCHEDULED}:
                check_transition("release", mail.state, MailState.QUEUED)
                mail.state, mail.next_attempt_at = MailState.QUEUED, clock.now()
                done.append(mail.id)
        session.flush()
        enqueue_delivery(done)
    return done


def cancel(mail_ids: Sequence[int]) -> list[int]:
    """Cancel mails that have not left; one that is being sent cannot be called back.

    A mail that some recipients have got is not canceled but given up for the others: it becomes partial.

    Returns:
        The ids of the mails that were canceled.
    """
    done: list[int] = []
    with transaction():
        for mail in _locked(mail_ids):
            if mail.state in CANCELABLE:
                # Whoever has got it already has got it: then canceling means to stop trying for the others.
                state = MailState.PARTIAL if mail.accepted_count else MailState.CANCELED
                check_transition("cancel", mail.state, state)
                mail.state, mail.claim_token, mail.lease_until = state, None, None
                given_up = {RecipientState.DEFERRED, RecipientState.PENDING} if mail.accepted_count else set()
                for recipient in mail.recipients:
                    if recipient.state in given_up:
                        recipient.state, recipient.failure_kind = RecipientState.REFUSED, FailureKind.GIVEN_UP
                _show_worst(mail)
                done.append(mail.id)
    return done


def correct_recipient(recipient: MailRecipient, address: str, *, also_partner: bool = False) -> None:
    """Give a recipient who did not get the mail another address.

    Args:
        recipient: The recipient.
        address: The right address.
        also_partner: True to keep it on the customer or contact as well.

    Raises:
        UserError: The address is invalid or among the recipients already, the recipient has got the mail, or
            the mail is being sent at this moment.
    """
    try:
        address = normalize(address)
    except UserError as error:
        raise UserError(error.message, "address") from error
    with transaction() as session:
        (mail,) = _locked([recipient.mail_id])
        session.refresh(recipient)
        if recipient.state is RecipientState.ACCEPTED:
            raise UserError(_l("This recipient has got the mail already."))
        if mail.state not in FAILED | {MailState.DEFERRED, MailState.CANCELED, MailState.SCHEDULED}:
            raise UserError(_l("The mail is on its way at this moment; wait until it has settled."))
        if any(
            other.addr_spec.casefold() == address.casefold()
            for other in mail.recipients
            if other is not recipient
        ):
            raise UserError(_l("This address is among the recipients already."), "address")
        former = recipient.addr_spec
        recipient.addr_spec = address
        # The header changes with the address: from here on it is another message in that line.
        mail.message_sha256 = ""
        if also_partner and recipient.partner_id is not None:
            partner = session.get(Partner, recipient.partner_id)
            if partner is not None and partner.email.casefold() == former.casefold():
                partner.email = address


def mark_uncertain(mail_id: int, *, accepted: bool) -> None:
    """Settle an uncertain mail by the word of a person who has asked.

    Raises:
        UserError: The mail is not uncertain any more.
    """
    with transaction():
        (mail,) = _locked([mail_id])
        if mail.state is not MailState.UNCERTAIN:
            raise UserError(_l("This mail is no longer uncertain."))
        for recipient in mail.recipients:
            if recipient.state is RecipientState.UNCERTAIN:
                recipient.state = RecipientState.ACCEPTED if accepted else RecipientState.REFUSED
                recipient.failure_kind = None if accepted else FailureKind.GIVEN_UP
                recipient.settled_at = clock.now()
            elif recipient.state in {RecipientState.DEFERRED, RecipientState.PENDING}:
                recipient.state, recipient.failure_kind = RecipientState.REFUSED, FailureKind.GIVEN_UP
        states = [recipient.state for recipient in mail.recipients]
        state = summarise(states)
        check_transition("mark", mail.state, state)
        mail.state, mail.claim_token, mail.in_flight = state, None, False
        mail.accepted_count = states.count(RecipientState.ACCEPTED)
        _show_worst(mail)


def _show_worst(mail: OutgoingMail) -> None:
    """Show on the mail what has happened to its recipients, after a person has decided."""
    failed = [r for r in mail.recipients if r.failure_kind and r.state is not RecipientState.ACCEPTED]
    mail.failure_kind = failed[0].failure_kind if failed and mail.state is not MailState.CANCELED else None
    mail.failure_reason = failed[0].diagnostic if failed and mail.state is not MailState.CANCELED else ""


def _locked(mail_ids: Sequence[int]) -> list[OutgoingMail]:
    """Return mails for a change, as they are now, in one order so that two people cannot block each other."""
    return list(
        db.session.scalars(
            select(OutgoingMail)
            .where(OutgoingMail.id.in_(mail_ids))
            .order_by(OutgoingMail.id)
            .with_for_update(of=OutgoingMail)
            .execution_options(populate_existing=True)
        )
    )


def _reset(recipient: MailRecipient) -> None:
    recipient.state = RecipientState.PENDING
    recipient.failure_kind, recipient.settled_at = None, None
    recipient.reply_code, recipient.enhanced_code, recipient.diagnostic = 0, "", ""


def _requeue(mail: OutgoingMail) -> None:
    mail.state, mail.attempts, mail.next_attempt_at = MailState.QUEUED, 0, clock.now()
    mail.claim_token, mail.lease_until, mail.in_flight = None, None, False
    mail.failure_kind, mail.failure_reason, mail.settled_at = None, "", None


def count_sentence(count: int) -> str:
    """Return how many mails were put on the queue, in words."""
    return str(
        ngettext("%(num)d mail is in the queue again.", "%(num)d mails are in the queue again.", count)
    )
