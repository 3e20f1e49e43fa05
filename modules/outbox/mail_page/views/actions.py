"""Views of the actions on one mail; each reports afterwards what has really happened."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import UserError
from core.mail.outcomes import EXPLANATIONS, FailureKind
from core.partners.models import Partner
from core.partners.reach import EDIT
from modules.outbox import queries, service
from modules.outbox.access import list_come_from, mail_or_404
from modules.outbox.blueprint import blueprint
from modules.outbox.document_check import document_problem
from modules.outbox.mail_page.views.page import TypedAddress, recipients_context, show
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.sent_copies.service import want_again
from modules.outbox.states import MailState

MAX_TYPED_LENGTH = 1000
MAX_NOTE_LENGTH = 300  # as the field takes


@blueprint.post("/mails/<int:mail_id>/resend")
@requires("outbox.mail.resend")
def resend(mail_id: int) -> ResponseReturnValue:
    """Retry: put a mail on the queue again for those who did not get it, or a waiting one without its delay."""
    return _send_again(mail_id, front=False)


@blueprint.post("/mails/<int:mail_id>/send-now")
@requires("outbox.mail.resend")
def send_now(mail_id: int) -> ResponseReturnValue:
    """Put a mail first on the queue, for those who did not get it."""
    return _send_again(mail_id, front=True)


def _send_again(mail_id: int, *, front: bool) -> ResponseReturnValue:
    row = mail_or_404(mail_id, "outbox.mail.resend")
    if not _again(row, front=front):
        _say_why_not(row)
    elif front:
        flash(
            gettext("The email is first on the queue. It goes only to those who did not get it."), "success"
        )
    else:
        flash(
            gettext("The email is in the queue again. It goes only to those who did not get it."), "success"
        )
    return _back(row)


@blueprint.post("/mails/<int:mail_id>/sent-copy")
@requires("outbox.mail.resend")
def mail_sent_copy(mail_id: int) -> ResponseReturnValue:
    """Try again to put the copy of a mail into the Sent folder."""
    row = mail_or_404(mail_id, "outbox.mail.resend")
    try:
        want_again(row)
    except UserError as error:
        flash(str(error.message), "warning")
    else:
        flash(gettext("The copy is tried again. The email itself is not sent again."), "success")
    return _back(row)


@blueprint.post("/mails/<int:mail_id>/cancel")
@requires("outbox.mail.resend")
def cancel(mail_id: int) -> ResponseReturnValue:
    """Cancel a mail that has not left."""
    row = mail_or_404(mail_id, "outbox.mail.resend")
    if not service.cancel([row.id], by=signed_in_user()):
        _say_why_not(row)
    elif _as_it_is(row).state is MailState.PARTIAL:
        flash(gettext("Envoi has stopped trying. Those who have got the email keep it."), "success")
    else:
        flash(gettext("The email was canceled."), "success")
    return _back(row)


@blueprint.post("/mails/<int:mail_id>/mark")
@requires("outbox.mail.resend")
def mark(mail_id: int) -> ResponseReturnValue:
    """Settle an uncertain mail by the word of a person."""
    row = mail_or_404(mail_id, "outbox.mail.resend")
    accepted = request.form.get("accepted") == "1"
    try:
        service.mark_uncertain(row.id, accepted=accepted, by=signed_in_user())
    except UserError as error:
        flash(str(error.message), "info")
        return _back(row)
    if accepted:
        flash(gettext("Noted: the email has arrived."), "success")
    else:
        flash(
            gettext("Noted: the email has not arrived. Send it again, or correct the address first."),
            "success",
        )
    return _back(row)


@blueprint.post("/mails/<int:mail_id>/unmark")
@requires("outbox.mail.resend")
def unmark(mail_id: int) -> ResponseReturnValue:
    """Take back what somebody has said about whether a mail has arrived."""
    row = mail_or_404(mail_id, "outbox.mail.resend")
    try:
        service.take_mark_back(row.id, by=signed_in_user())
    except UserError as error:
        flash(str(error.message), "info")
    else:
        flash(gettext("Taken back: the email is uncertain again."), "success")
    return _back(row)


@blueprint.post("/mails/<int:mail_id>/dismiss")
@requires("outbox.mail.resend")
def dismiss(mail_id: int) -> ResponseReturnValue:
    """Put a failure aside about which nothing has to be done."""
    row = mail_or_404(mail_id, "outbox.mail.resend")
    note = request.form.get("note", "").replace("\0", "")[:MAX_NOTE_LENGTH]
    if service.dismiss([row.id], note, by=signed_in_user()):
        flash(gettext("Dismissed. The filter “Dismissed” of the emails has it."), "success")
    else:
        _say_why_not(row)
    return _back(row)


@blueprint.post("/mails/<int:mail_id>/undismiss")
@requires("outbox.mail.resend")
def undismiss(mail_id: int) -> ResponseReturnValue:
    """Let a failure that was put aside be one again."""
    row = mail_or_404(mail_id, "outbox.mail.resend")
    if service.take_dismissal_back([row.id], by=signed_in_user()):
        flash(gettext("The email is among the failures again."), "success")
    else:
        _say_why_not(row)
    return _back(row)


@blueprint.post("/mails/<int:mail_id>/recipients/<int:recipient_id>")
@requires("outbox.mail.resend")
def correct(mail_id: int, recipient_id: int) -> ResponseReturnValue:
    """Resend to another address, or only correct it; a wrong one is told beside its field and kept."""
    row = mail_or_404(mail_id, "outbox.mail.resend")
    recipient = db.session.get(MailRecipient, recipient_id)
    if recipient is None or recipient.mail_id != row.id:
        abort(404)
    user = signed_in_user()
    keep = "keep" in request.form and user.can(EDIT)
    address = request.form.get("address", "")[:MAX_TYPED_LENGTH]
    former = recipient.addr_spec
    in_place = bool(request.headers.get("HX-Request"))
    try:
        if address.strip() != former or keep:
            service.correct_recipient(recipient, address, also_partner=keep, by=user)
    except UserError as error:
        db.session.rollback()
        row = mail_or_404(mail_id, "outbox.mail.resend")
        typed = TypedAddress(recipient_id, address, str(error.message))
        if not in_place:
            return show(row, typed=typed), 422
        context = recipients_context(row, typed=typed)
        recipient = db.session.get_one(MailRecipient, recipient_id)
        return render_template(
            "outbox/mail_page/_recipient_form.html", mail=row, recipient=recipient, **context
        ), 422
    _say_what_was_corrected(row, recipient, former, keep=keep, resend_asked="resend" in request.form)
    if "everywhere" in request.form and recipient.addr_spec != former:
        _correct_others(row, former, recipient.addr_spec, resend_asked="resend" in request.form)
    target = url_for("outbox.mail", mail_id=row.id, tab="recipients", **list_come_from())
    return ("", 204, {"HX-Redirect": target}) if in_place else redirect(target)


def _correct_others(row: OutgoingMail, former: str, address: str, *, resend_asked: bool) -> None:
    """Correct the same wrong address in the other mails that have not reached it, and say in how many."""
    user = signed_in_user()
    ids = service.correct_everywhere(queries.others_at(former, row, user), address, by=user)
    # One that is uncertain stays so: somebody has to say first whether it has arrived.
    sent = service.resend(ids, by=user, uncertain=False) if resend_asked else []
    if ids:
        flash(
            ngettext("Corrected in %(num)d other email.", "Corrected in %(num)d other emails.", len(ids))
            + (f" {service.count_sentence(len(sent))}" if resend_asked else ""),
            "success",
        )


def _say_what_was_corrected(
    row: OutgoingMail, recipient: MailRecipient, former: str, *, keep: bool, resend_asked: bool
) -> None:
    corrected = recipient.addr_spec != former
    partner = db.session.get(Partner, recipient.partner_id) if keep and recipient.partner_id else None
    if partner is not None and partner.email == recipient.addr_spec and corrected:
        flash(
            gettext("%(name)s has the address %(address)s now.", name=partner.name, address=partner.email),
            "success",
        )
    if not resend_asked:
        flash(
            gettext("The address was corrected.")
            if corrected
            else gettext("The address is the same as before."),
            "success" if corrected else "info",
        )
    elif _as_it_is(row).state is MailState.UNCERTAIN:
        # Sending it to this one would send it to those as well who may have it already.
        flash(
            gettext(
                "The address is kept. First say whether the email has arrived; then it can be sent again."
            ),
            "info",
        )
    elif not _again(row, front=False):
        if corrected:
            flash(gettext("The address was corrected."), "success")
        _say_why_not(row)
    elif corrected:
        flash(gettext("The address was corrected, and the email is in the queue again."), "success")
    else:
        flash(
            gettext("The email is in the queue again. It goes only to those who did not get it."), "success"
        )


def _again(row: OutgoingMail, *, front: bool) -> bool:
    """Put a mail on the queue, whichever way its state allows; False when nothing was changed."""
    user = signed_in_user()
    return bool(
        service.resend([row.id], by=user, front=front) or service.retry_now([row.id], by=user, front=front)
    )


def _as_it_is(row: OutgoingMail) -> OutgoingMail:
    db.session.refresh(row)
    return row


def _say_why_not(row: OutgoingMail) -> None:
    """Say why nothing was changed: pressed twice, by two people, or too late."""
    row = _as_it_is(row)
    choices = queries.choices_for(row, outdated=document_problem(row) is not None)
    if choices.outdated:
        text = str(EXPLANATIONS[FailureKind.DOCUMENT_CHANGED].text)
    elif row.contents_erased_at is not None:
        text = gettext(
            "Nothing was changed: text and files of this email were erased, so it cannot be sent again."
        )
    elif row.state in {MailState.QUEUED, MailState.SENDING}:
        text = gettext("Nothing was changed: the email is on its way already.")
    elif row.state is MailState.SENT:
        text = gettext("Nothing was changed: everybody has got the email already.")
    elif row.state is MailState.CANCELED:
        text = gettext("Nothing was changed: the email is canceled already.")
    else:
        text = gettext("Nothing was changed: the email has settled already.")
    flash(text, "warning" if choices.outdated else "info")


def _back(row: OutgoingMail) -> ResponseReturnValue:
    """Lead back to the page whose button was pressed: the mail's, its document's or the customer's."""
    back = request.form.get("back", "")
    if back == "document" and row.document_id:
        return redirect(url_for("core.document", document_id=row.document_id))
    kind, _, number = back.partition("-")
    if kind == "partner" and number.isascii() and number.isdigit():
        return redirect(url_for("core.partner", partner_id=int(number)))
    return redirect(url_for("outbox.mail", mail_id=row.id, **list_come_from()))
