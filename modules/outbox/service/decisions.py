"""What people decide about mails that were submitted: resend, retry, cancel, correct, mark as arrived or not."""

from __future__ import annotations

from collections.abc import Sequence

from flask_babel import ngettext

from core import clock
from core.auth.models import User
from core.db import transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.installation.service import note_decision
from core.mail.addresses import normalize
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.reach import EDIT, partner_for
from modules.outbox.alert_rows import settle_alerts
from modules.outbox.copy_rows import want_copies
from modules.outbox.document_check import document_problems
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.private_addresses import encrypt_address, hash_in
from modules.outbox.queries import marked_recipients
from modules.outbox.search_index import index_mail
from modules.outbox.service.queue import enqueue_delivery
from modules.outbox.states import CANCELABLE, FAILED, RESENDABLE, MailState, summarise
from modules.outbox.transitions import MAX_DETAIL_LENGTH, Steps, locked_mails, move, note


def resend(
    mail_ids: Sequence[int], *, by: User | None = None, uncertain: bool = True, front: bool = False
) -> list[int]:
    """Put failed mails on the queue again; each reaches only those who did not get it.

    Whoever is uncertain is sent to again, since a person has decided so. Mails that have left their failed
    state meanwhile (pressed twice, by two people) are left alone, and so are those whose contents are erased, and
    those that no longer say what their document says (`document_check`).

    Args:
        mail_ids: The mails.
        by: Who asks for it, or None for the process.
        uncertain: False leaves the uncertain ones alone, whose recipients may have the mail already.
        front: True to put them before all others.

    Returns:
        The ids of the mails that were put on the queue.
    """
    steps = Steps("resend", by)
    with transaction() as session:
        # Silently: of two people who press at once, the second has what they wanted.
        mails = [
            mail
            for mail in locked_mails(mail_ids)
            if mail.state in RESENDABLE
            and mail.contents_erased_at is None
            and (uncertain or mail.state is not MailState.UNCERTAIN)
        ]
        outdated = document_problems(mails)
        for mail in mails:
            if mail.id in outdated:
                continue
            steps.move(mail, MailState.QUEUED)
            if mail.accepted_count == 0:
                # Nobody has this message yet: who it is from may be decided anew.
                mail.sender_address = mail.sender_name = mail.message_sha256 = ""
            for recipient in mail.recipients:
                if recipient.state is not RecipientState.ACCEPTED:
                    _reset(recipient)
            _requeue(mail)
        steps.write(session)
        settle_alerts(session, steps.ids)
        enqueue_delivery(steps.ids, front=front)
    return steps.ids


def retry_now(mail_ids: Sequence[int], *, by: User | None = None, front: bool = False) -> list[int]:
    """Let mails that wait for their next try, or for their time, leave now.

    Those that no longer say what their document says are left alone (`document_check`).

    Args:
        mail_ids: The mails.
        by: Who asks for it, or None for the process.
        front: True to put them before all others.

    Returns:
        The ids of the mails that were put on the queue.
    """
    steps = Steps("release", by)
    with transaction() as session:
        waiting = {MailState.DEFERRED, MailState.SCHEDULED}
        mails = [mail for mail in locked_mails(mail_ids) if mail.state in waiting]
        outdated = document_problems(mails)
        for mail in mails:
            if mail.id not in outdated:
                steps.move(mail, MailState.QUEUED)
                mail.next_attempt_at = clock.now()
                mail.slot_at = mail.slot_server_id = None
                mail.edit_token = mail.edit_until = None
        steps.write(session)
        enqueue_delivery(steps.ids, front=front)
    return steps.ids


def cancel(mail_ids: Sequence[int], *, by: User | None = None, detail: str = "") -> list[int]:
    """Cancel mails that have not left; one that is being sent cannot be called back.

    A mail that some recipients have got is not canceled but given up for the others: it becomes partial.

    Args:
        mail_ids: The mails.
        by: Who cancels, or None for the process.
        detail: Why, for the record, or "".

    Returns:
        The ids of the mails that were canceled.
    """
    steps = Steps("cancel", by, detail=detail[:MAX_DETAIL_LENGTH])
    with transaction() as session:
        for mail in locked_mails(mail_ids):
            if mail.state in CANCELABLE:
                # Whoever has got it already has got it: then canceling means to stop trying for the others.
                state = MailState.PARTIAL if mail.accepted_count else MailState.CANCELED
                steps.move(mail, state)
                mail.claim_token, mail.lease_until, mail.settled_at = None, None, clock.now()
                mail.edit_token = mail.edit_until = None
                given_up = {RecipientState.DEFERRED, RecipientState.PENDING} if mail.accepted_count else set()
                for recipient in mail.recipients:
                    if recipient.state in given_up:
                        recipient.state, recipient.failure_kind = RecipientState.REFUSED, FailureKind.GIVEN_UP
                show_worst(mail)
        steps.write(session)
        if steps.ids:
            # Or a database from before would send what was called back.
            note_decision()
    return steps.ids


def correct_recipient(
    recipient: MailRecipient, address: str, *, also_partner: bool = False, by: User | None = None
) -> None:
    """Give a recipient who did not get the mail another address.

    Args:
        recipient: The recipient.
        address: The right address.
        also_partner: True to keep it on the customer or contact as well, where `by` may change that one.
        by: Who corrects, or None for the process.

    Raises:
        UserError: The address is invalid or among the recipients already, the recipient has got the mail, or
            the mail is being sent at this moment.
    """
    address = normalize(address, "address")
    with transaction() as session:
        # Locked before the recipient is looked at: a worker may be settling it at this moment.
        (mail,) = locked_mails([recipient.mail_id])
        session.refresh(recipient)
        _refuse_correcting(mail, recipient)
        former, taken = recipient.addr_spec, hash_in(mail, address) if mail.private else address
        if any(
            other.addr_spec.casefold() == taken.casefold()
            for other in mail.recipients
            if other is not recipient
        ):
            raise UserError(_l("This address is among the recipients already."), "address")
        if mail.private:
            encrypt_address(mail, recipient, address)
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
            partner = partner_for(by, recipient.partner_id, EDIT)
            # Only where the partner still has the wrong address; somebody may have corrected it already.
            if partner is not None and partner.email.casefold() == former.casefold():
                partner.email = address


def correct_everywhere(
    recipients: Sequence[MailRecipient], address: str, *, by: User | None = None
) -> list[int]:
    """Give the recipients of several mails the right address, those of whom none can be corrected being left alone.

    Args:
        recipients: The recipients, of one wrong address.
        address: The right address.
        by: Who corrects.

    Returns:
        The ids of the mails that were corrected.

    Raises:
        UserError: The address is invalid.
    """
    normalize(address, "address")
    done = []
    with transaction():
        for recipient in sorted(recipients, key=lambda row: (row.mail_id, row.position)):
            try:
                correct_recipient(recipient, address, by=by)
            except UserError:
                # Got by now, on its way, or the right address is among its recipients already.
                continue
            done.append(recipient.mail_id)
    return list(dict.fromkeys(done))


def _refuse_correcting(mail: OutgoingMail, recipient: MailRecipient) -> None:
    if recipient.state is RecipientState.ACCEPTED:
        raise UserError(_l("This recipient has got the email already."))
    if mail.contents_erased_at is not None:
        raise UserError(_l("The text of this email is erased; it cannot be sent again."))
    if mail.link_expires_at is not None:
        # Or whoever corrects would get the link, and with it the account.
        raise UserError(
            _l("It holds a link for one person. Correct the address of the user, then send a new one.")
        )
    if mail.state not in FAILED | {MailState.DEFERRED, MailState.CANCELED, MailState.SCHEDULED}:
        raise UserError(_l("The email is on its way at this moment; wait until it has settled."))


def mark(mail_ids: Sequence[int], *, accepted: bool, by: User | None = None) -> list[int]:
    """Settle uncertain mails by the word of a person who has asked.

    Those that are not uncertain, or not any more since a server or somebody else has said what became of them, are
    left alone.

    Args:
        mail_ids: The mails.
        accepted: True where their uncertain recipients have them.
        by: The person.

    Returns:
        The ids of the mails that were settled.
    """
    steps = Steps("mark", by)
    with transaction() as session:
        for mail in locked_mails(mail_ids):
            if mail.state is MailState.UNCERTAIN:
                _settle_by_word(mail, accepted=accepted)
                states = [recipient.state for recipient in mail.recipients]
                steps.move(mail, summarise(states))
                mail.claim_token, mail.in_flight = None, False
                mail.accepted_count = states.count(RecipientState.ACCEPTED)
                show_worst(mail)
        steps.write(session)
        settle_alerts(session, steps.ids)
        if accepted and steps.ids:
            want_copies(session, steps.ids)
    return steps.ids


def _settle_by_word(mail: OutgoingMail, *, accepted: bool) -> None:
    for recipient in mail.recipients:
        if recipient.state is RecipientState.UNCERTAIN:
            recipient.by_word = True
            recipient.state = RecipientState.ACCEPTED if accepted else RecipientState.REFUSED
            recipient.failure_kind = None if accepted else FailureKind.GIVEN_UP
            recipient.settled_at = clock.now()
        elif recipient.state in {RecipientState.DEFERRED, RecipientState.PENDING}:
            recipient.state, recipient.failure_kind = RecipientState.REFUSED, FailureKind.GIVEN_UP


def mark_uncertain(mail_id: int, *, accepted: bool, by: User | None = None) -> None:
    """Settle an uncertain mail by the word of a person who has asked.

    Raises:
        UserError: The mail is not uncertain any more.
    """
    if not mark([mail_id], accepted=accepted, by=by):
        raise UserError(_l("This email is no longer uncertain."))


def take_mark_back(mail_id: int, *, by: User | None = None) -> None:
    """Let a mail be uncertain again for those about whom a person has said whether they got it.

    Raises:
        UserError: Nobody's word stands: nobody has said anything, a server has answered since, or it was sent again.
    """
    with transaction():
        (mail,) = locked_mails([mail_id])
        marked = marked_recipients(mail)
        if not marked:
            raise UserError(_l("There is nothing to take back any more."))
        for recipient in marked:
            recipient.by_word = False
            recipient.state, recipient.failure_kind = RecipientState.UNCERTAIN, FailureKind.OUTCOME_UNKNOWN
        mail.dismissed_at = None
        move(mail, "unmark", MailState.UNCERTAIN, by)
        mail.accepted_count = sum(row.state is RecipientState.ACCEPTED for row in mail.recipients)
        show_worst(mail)


def dismiss(mail_ids: Sequence[int], note_text: str = "", *, by: User | None = None) -> list[int]:
    """Put failures aside about which nothing has to be done; they are found by the filter "Dismissed".

    Args:
        mail_ids: The mails; those that have not failed, or are aside already, are left alone.
        note_text: Why, in the words of the person, or "".
        by: Who dismisses.

    Returns:
        The ids of the mails that were put aside.
    """
    done: list[int] = []
    with transaction() as session:
        for mail in locked_mails(mail_ids):
            if mail.state in FAILED and mail.dismissed_at is None:
                mail.dismissed_at = clock.now()
                note(mail, "dismiss", by, before=mail.state, detail=" ".join(note_text.split()))
                done.append(mail.id)
        session.flush()
        settle_alerts(session, done)
    return done


def take_dismissal_back(mail_ids: Sequence[int], *, by: User | None = None) -> list[int]:
    """Let failures that were put aside be failures again; return their ids."""
    done: list[int] = []
    with transaction():
        for mail in locked_mails(mail_ids):
            if mail.dismissed_at is not None:
                mail.dismissed_at = None
                note(mail, "undismiss", by, before=mail.state)
                done.append(mail.id)
    return done


def show_worst(mail: OutgoingMail) -> None:
    """Show on a settled mail what has happened to its recipients."""
    failed = [r for r in mail.recipients if r.failure_kind and r.state is not RecipientState.ACCEPTED]
    worst = failed[0] if failed and mail.state is not MailState.CANCELED else None
    mail.failure_kind = worst.failure_kind if worst else None
    mail.failure_reason = worst.diagnostic if worst else ""
    mail.failure_also = worst.failure_also if worst else None
    mail.failure_advice = worst.failure_advice if worst else ""


def _reset(recipient: MailRecipient) -> None:
    recipient.state = RecipientState.PENDING
    recipient.failure_kind, recipient.settled_at = None, None
    recipient.reply_code, recipient.enhanced_code, recipient.diagnostic = 0, "", ""
    recipient.failure_also, recipient.failure_advice = None, ""
    recipient.by_word = False


def _requeue(mail: OutgoingMail) -> None:
    now = clock.now()
    mail.attempts, mail.next_attempt_at, mail.due_since = 0, now, now
    mail.claim_token, mail.lease_until, mail.in_flight = None, None, False
    mail.slot_at = mail.slot_server_id = mail.settled_at = None
    mail.failure_kind, mail.failure_reason = None, ""
    mail.failure_also, mail.failure_advice = None, ""
    mail.dismissed_at = None


def count_sentence(count: int) -> str:
    """Return how many mails were put on the queue, in words."""
    return str(
        ngettext("%(num)d email is in the queue again.", "%(num)d emails are in the queue again.", count)
    )
