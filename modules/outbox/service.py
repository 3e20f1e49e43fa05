"""The verbs of the outbox that people use: submit, resend, retry, correct, cancel, mark."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence

from flask_babel import ngettext
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, on_commit, transaction
from core.documents.models import Document
from core.errors import ConcurrentChangeError, UserError
from core.i18n import lazy_gettext as _l
from core.jobs import enqueue
from core.mail.addresses import normalize
from core.mail.draft import MailDraft
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.models import Partner
from modules.outbox.alert_rows import settle_alerts
from modules.outbox.bodies import clean_html, plain_text
from modules.outbox.models import MailAttachment, MailRecipient, OutgoingMail
from modules.outbox.preflight import check_draft
from modules.outbox.private import mark_of, seal
from modules.outbox.search import index_mail
from modules.outbox.states import CANCELABLE, FAILED, RESENDABLE, MailState, summarise
from modules.outbox.transitions import move, note

CHUNK = 50
"""How many mails one job delivers: RQ costs some milliseconds a job, a chunk is redone as a whole."""


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
    with transaction() as session:
        mail = session.scalar(same_form) if token else None
        if mail is not None:
            return mail
        try:
            # A savepoint: where the other press was first, only this block is undone, and the caller's
            # transaction lives on.
            with session.begin_nested():
                mail = write_mail(draft, by, not_before=not_before)
                mail.submission_token = token
                session.flush()
        except IntegrityError:
            # Pressed twice at the same moment: the other press has written it.
            twin = session.scalar(same_form) if token else None
            if twin is None:
                raise
            return twin
        if mail.state is MailState.QUEUED:
            enqueue_delivery([mail.id])
    return mail


def write_mail(draft: MailDraft, by: User | None, *, not_before: dt.datetime | None = None) -> OutgoingMail:
    """Write a mail as `submit` does, and leave the queue to the caller, who writes many at once.

    Raises:
        UserError: As for `submit`.
    """
    check_draft(draft)
    with transaction() as session:
        document = None
        if draft.document_id is not None:
            # As it is in the table now, not as this session read it when the composer was opened.
            document = session.get(Document, draft.document_id, populate_existing=True)
            if document is None:
                raise UserError(_l("The document no longer exists."))
            if document.revision != draft.document_revision:
                raise ConcurrentChangeError(
                    _l("The document has changed since you began to write. Check the text, then send.")
                )
        company = session.get_one(Company, draft.company_id)
        # Cleaned here as well, whatever the form did: a caller of its own, such as a module, may have skipped it.
        body = clean_html(draft.body_html)
        now = clock.now()
        scheduled = not_before is not None and not_before > now
        mail = OutgoingMail(
            state=MailState.SCHEDULED if scheduled else MailState.QUEUED,
            # Made once and stored: a server or reader that has the message knows a second copy by it.
            message_id=new_message_id(company.email),
            subject=draft.subject.strip(),
            body_html=body,
            body_text=plain_text(body),
            language=draft.language,
            reply_to_address=draft.reply_to.addr_spec if draft.reply_to else "",
            reply_to_name=draft.reply_to.display_name if draft.reply_to else "",
            company_id=draft.company_id,
            document_id=draft.document_id,
            document_kind=document.kind if document is not None else "",
            document_revision=draft.document_revision,
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
        if draft.private:
            for row in mail.recipients:
                seal(row, row.addr_spec)
        if draft.pdf_name:
            mail.attachments.append(
                MailAttachment(
                    position=0,
                    name=draft.pdf_name,
                    media_type="application/pdf",
                    # Where the person was shown the PDF of this revision, these bytes are what is sent.
                    size=draft.pdf.size if draft.pdf else 0,
                    sha256=draft.pdf.sha256 if draft.pdf else "",
                    generated=True,
                )
            )
        mail.attachments += [
            MailAttachment(
                position=position,
                name=file.name,
                media_type=file.media_type,
                size=file.size,
                sha256=file.sha256,
                content_id=file.content_id,
            )
            for position, file in enumerate(draft.attachments, start=1)
        ]
        note(mail, "submit", by, before=None)
        session.add(mail)
        session.flush()
        index_mail(mail)
    return mail


def new_message_id(sender_address: str) -> str:
    """Return a Message-ID (RFC 5322 §3.6.4) in the domain of the sender."""
    # Not the host's name: that is nobody's business, and spam filters compare the domain with the From.
    domain = sender_address.rpartition("@")[2]
    return f"<{secrets.token_hex(16)}@{domain if domain.isascii() and domain else 'envoi.invalid'}>"


def release_due(mail_ids: Sequence[int]) -> list[int]:
    """Let those of scheduled mails whose time has come go on the queue, and return their ids.

    For the job that is asked for at that time; whatever becomes of it, the sweep finds them.
    """
    done: list[int] = []
    with transaction() as session:
        now = clock.now()
        for mail in _locked(mail_ids):
            if mail.state is MailState.SCHEDULED and mail.next_attempt_at <= now:
                move(mail, "release", MailState.QUEUED)
                done.append(mail.id)
        session.flush()
    return done


def enqueue_delivery(mail_ids: Sequence[int], *, front: bool = False) -> None:
    """Put mails on the queue after the commit, in chunks; at its front, if a person is waiting for them.

    Where the queue does not take one chunk, it is not asked to take the others: each question may last a second,
    and the sweep finds them.
    """

    def put() -> None:
        for start in range(0, len(mail_ids), CHUNK):
            if not enqueue("outbox.deliver_mails", list(mail_ids[start : start + CHUNK]), front=front):
                return

    on_commit(put)


def resend(
    mail_ids: Sequence[int], *, by: User | None = None, uncertain: bool = True, front: bool = False
) -> list[int]:
    """Put failed mails on the queue again; each reaches only those who did not get it.

    Whoever is uncertain is sent to again, since a person has decided so. Mails that have left their failed
    state meanwhile (pressed twice, by two people) are left alone, and so are those whose contents are erased.

    Args:
        mail_ids: The mails.
        by: Who asks for it, or None for the process.
        uncertain: False leaves the uncertain ones alone, whose recipients may have the mail already.
        front: True to put them before all others.

    Returns:
        The ids of the mails that were put on the queue.
    """
    done: list[int] = []
    with transaction() as session:
        for mail in _locked(mail_ids):
            # Silently: of two people who press at once, the second has what they wanted.
            if mail.state not in RESENDABLE or mail.contents_erased_at is not None:
                continue
            if mail.state is MailState.UNCERTAIN and not uncertain:
                continue
            move(mail, "resend", MailState.QUEUED, by)
            if mail.accepted_count == 0:
                # Nobody has this message yet: who it is from may be decided anew.
                mail.sender_address = mail.sender_name = mail.message_sha256 = ""
            for recipient in mail.recipients:
                if recipient.state is not RecipientState.ACCEPTED:
                    _reset(recipient)
            _requeue(mail)
            done.append(mail.id)
        session.flush()
        settle_alerts(session, done)
        enqueue_delivery(done, front=front)
    return done


def retry_now(mail_ids: Sequence[int], *, by: User | None = None, front: bool = False) -> list[int]:
    """Let mails that wait for their next try, or for their time, leave now.

    Args:
        mail_ids: The mails.
        by: Who asks for it, or None for the process.
        front: True to put them before all others.

    Returns:
        The ids of the mails that were put on the queue.
    """
    done: list[int] = []
    with transaction() as session:
        for mail in _locked(mail_ids):
            if mail.state in {MailState.DEFERRED, MailState.SCHEDULED}:
                move(mail, "release", MailState.QUEUED, by)
                mail.next_attempt_at = clock.now()
                mail.slot_at = mail.slot_server_id = None
                done.append(mail.id)
        session.flush()
        enqueue_delivery(done, front=front)
    return done


def cancel(mail_ids: Sequence[int], *, by: User | None = None) -> list[int]:
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
                move(mail, "cancel", state, by)
                mail.claim_token, mail.lease_until, mail.settled_at = None, None, clock.now()
                given_up = {RecipientState.DEFERRED, RecipientState.PENDING} if mail.accepted_count else set()
                for recipient in mail.recipients:
                    if recipient.state in given_up:
                        recipient.state, recipient.failure_kind = RecipientState.REFUSED, FailureKind.GIVEN_UP
                _show_worst(mail)
                done.append(mail.id)
    return done


def correct_recipient(
    recipient: MailRecipient, address: str, *, also_partner: bool = False, by: User | None = None
) -> None:
    """Give a recipient who did not get the mail another address.

    Args:
        recipient: The recipient.
        address: The right address.
        also_partner: True to keep it on the customer or contact as well.
        by: Who corrects, or None for the process.

    Raises:
        UserError: The address is invalid or among the recipients already, the recipient has got the mail, or
            the mail is being sent at this moment.
    """
    try:
        address = normalize(address)
    except UserError as error:
        raise UserError(error.message, "address") from error
    with transaction() as session:
        # Locked before the recipient is looked at: a worker may be settling it at this moment.
        (mail,) = _locked([recipient.mail_id])
        session.refresh(recipient)
        if recipient.state is RecipientState.ACCEPTED:
            raise UserError(_l("This recipient has got the mail already."))
        if mail.contents_erased_at is not None:
            raise UserError(_l("The text of this mail is erased; it cannot be sent again."))
        if mail.state not in FAILED | {MailState.DEFERRED, MailState.CANCELED, MailState.SCHEDULED}:
            raise UserError(_l("The mail is on its way at this moment; wait until it has settled."))
        former, taken = recipient.addr_spec, mark_of(address) if mail.private else address
        if any(
            other.addr_spec.casefold() == taken.casefold()
            for other in mail.recipients
            if other is not recipient
        ):
            raise UserError(_l("This address is among the recipients already."), "address")
        if mail.private:
            seal(recipient, address)
        else:
            recipient.addr_spec = address
        # The header changes with the address: from here on it is another message in that line.
        mail.message_sha256 = ""
        if mail.state is MailState.DEFERRED and recipient.state is not RecipientState.DEFERRED:
            # Whoever corrects wants it to go there: it is served with those who wait.
            _reset(recipient)
            recipient.state = RecipientState.DEFERRED
        # What a worker that was only stopped may still learn is about the former address.
        mail.claim_token, mail.in_flight = None, False
        note(mail, "correct", by, before=mail.state, detail=f"{former} → {recipient.addr_spec}")
        index_mail(mail)
        if also_partner and recipient.partner_id is not None:
            partner = session.get(Partner, recipient.partner_id)
            # Only where the partner still has the wrong address; somebody may have corrected it already.
            if partner is not None and partner.email.casefold() == former.casefold():
                partner.email = address


def mark_uncertain(mail_id: int, *, accepted: bool, by: User | None = None) -> None:
    """Settle an uncertain mail by the word of a person who has asked.

    Raises:
        UserError: The mail is not uncertain any more.
    """
    with transaction() as session:
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
        move(mail, "mark", state, by)
        mail.claim_token, mail.in_flight = None, False
        mail.accepted_count = states.count(RecipientState.ACCEPTED)
        _show_worst(mail)
        settle_alerts(session, [mail.id])


def _show_worst(mail: OutgoingMail) -> None:
    """Show on the mail what has happened to its recipients, after a person has decided."""
    failed = [r for r in mail.recipients if r.failure_kind and r.state is not RecipientState.ACCEPTED]
    mail.failure_kind = failed[0].failure_kind if failed and mail.state is not MailState.CANCELED else None
    mail.failure_reason = failed[0].diagnostic if failed and mail.state is not MailState.CANCELED else ""
    mail.failure_also, mail.failure_advice = None, ""


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
    recipient.failure_also, recipient.failure_advice = None, ""


def _requeue(mail: OutgoingMail) -> None:
    now = clock.now()
    mail.attempts, mail.next_attempt_at, mail.due_since = 0, now, now
    mail.claim_token, mail.lease_until, mail.in_flight = None, None, False
    mail.slot_at = mail.slot_server_id = mail.settled_at = None
    mail.failure_kind, mail.failure_reason = None, ""
    mail.failure_also, mail.failure_advice = None, ""


def count_sentence(count: int) -> str:
    """Return how many mails were put on the queue, in words."""
    return str(
        ngettext("%(num)d mail is in the queue again.", "%(num)d mails are in the queue again.", count)
    )
