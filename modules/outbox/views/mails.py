"""The outbox: the list, one mail, and what can be done about them."""

from __future__ import annotations

from io import BytesIO

from flask import Response, abort, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import UserError
from core.files import FileMissingError
from core.mail.outcomes import EXPLANATIONS, Actor, Repair
from core.web.listing import paginate
from core.web.security import foreign_html
from modules.outbox import queries, service
from modules.outbox.bodies import page as html_page
from modules.outbox.composer import reason_text
from modules.outbox.mime import build_message, file_store
from modules.outbox.models import MailAttachment, MailRecipient, OutgoingMail
from modules.outbox.states import (
    CANCELABLE,
    FAILED,
    RECIPIENT_TITLES,
    RECIPIENT_TONES,
    RESENDABLE,
    MailState,
)
from modules.outbox.views.blueprint import blueprint

TABS = ("recipients", "message", "reason", "attempts")
MAX_BULK = 5000


@blueprint.get("/mails")
@requires("outbox.mail.read")
def mails() -> ResponseReturnValue:
    """List the mails that the user may read."""
    user = signed_in_user()
    listing = paginate(queries.mails_within(user), queries.mail_list(user))
    return render_template(
        "outbox/mails.html",
        page=listing,
        badge_of=queries.badge_of,
        explanations=EXPLANATIONS,
        failed=FAILED,
        deferred=MailState.DEFERRED,
    )


@blueprint.get("/technical")
@requires("outbox.mail.inspect")
def technical_mails() -> ResponseReturnValue:
    """Lead from the technical menu to the list, failures first."""
    return redirect(url_for("outbox.mails", f="failed"))


def _mail(mail_id: int, permission: str = "outbox.mail.read") -> OutgoingMail:
    return queries.mail_for(signed_in_user(), mail_id, permission) or abort(404)


@blueprint.get("/mails/<int:mail_id>")
@requires("outbox.mail.read")
def mail(mail_id: int) -> ResponseReturnValue:
    """Show one mail: recipients, message, reason of the failure, attempts."""
    row = _mail(mail_id)
    default = "reason" if row.state in FAILED else "recipients"
    tab = request.args.get("tab", default)
    return render_template(
        "outbox/mail.html",
        mail=row,
        tab=tab if tab in TABS else default,
        badge=queries.badge_of(row),
        explanations=EXPLANATIONS,
        actors={
            Actor.SELLER: gettext("The sender"),
            Actor.ADMINISTRATOR: gettext("An administrator"),
            Actor.NOBODY: gettext("Nobody: Envoi tries again by itself"),
        },
        repair_url=_repair_url(row),
        may_resend=queries.mail_for(signed_in_user(), mail_id, "outbox.mail.resend") is not None,
        can_resend=row.state in RESENDABLE,
        can_cancel=row.state in CANCELABLE,
        waiting=row.state in {MailState.QUEUED, MailState.SENDING},
        recipient_titles=RECIPIENT_TITLES,
        recipient_tones=RECIPIENT_TONES,
        reason_text=reason_text,
        inspect=signed_in_user().can("outbox.mail.inspect"),
    )


def _repair_url(row: OutgoingMail) -> str | None:
    """Return where the failure of a mail is repaired, for a user who may go there."""
    if row.failure_kind is None:
        return None
    user = signed_in_user()
    url: str | None = None
    match EXPLANATIONS[row.failure_kind].repair:
        case Repair.SERVER if row.server_id and user.can("mail_config.server.edit"):
            url = url_for("mail_config.server", server_id=row.server_id)
        case Repair.SERVER | Repair.SERVERS if user.can("mail_config.server.edit"):
            url = url_for("mail_config.servers")
        case Repair.TEMPLATE if user.can("mail_config.template.edit"):
            url = url_for("mail_config.templates")
        case Repair.DOCUMENT if row.document_id:
            url = url_for("core.document", document_id=row.document_id)
        case Repair.RECIPIENT:
            url = url_for("outbox.mail", mail_id=row.id, tab="recipients")
    return url


@blueprint.get("/mails/<int:mail_id>/html")
@requires("outbox.mail.read")
def mail_html(mail_id: int) -> ResponseReturnValue:
    """Return the HTML of a mail for its sandboxed frame."""
    row = _mail(mail_id)
    return foreign_html(html_page(row.body_html, row.language))


@blueprint.get("/mails/<int:mail_id>/eml")
@requires("outbox.mail.read")
def mail_eml(mail_id: int) -> ResponseReturnValue:
    """Download the exact message."""
    row = _mail(mail_id)
    if not row.sender_address:
        raise UserError(gettext("The message is made at the first attempt; it does not exist yet."))
    try:
        data = build_message(row)
    except FileMissingError as error:
        raise UserError(gettext("A file of this mail is gone from the store.")) from error
    response = Response(data, mimetype="message/rfc822")
    response.headers.set("Content-Disposition", "attachment", filename=f"envoi-{row.id}.eml")
    return response


@blueprint.get("/mails/<int:mail_id>/attachments/<int:attachment_id>")
@requires("outbox.mail.read")
def attachment(mail_id: int, attachment_id: int) -> ResponseReturnValue:
    """Download a file of a mail."""
    _mail(mail_id)
    row = db.session.get(MailAttachment, attachment_id)
    if row is None or row.mail_id != mail_id or not row.sha256:
        abort(404)
    try:
        data = file_store().get(row.sha256)
    except FileMissingError as error:
        raise UserError(gettext("This file is gone from the store.")) from error
    # Only our own PDF may open in the browser; a file by others could be a page with scripts.
    media_type = "application/pdf" if row.generated else "application/octet-stream"
    response = send_file(BytesIO(data), media_type, as_attachment=not row.generated, download_name=row.name)
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'"
    )
    return response


@blueprint.post("/mails/<int:mail_id>/resend")
@requires("outbox.mail.resend")
def resend(mail_id: int) -> ResponseReturnValue:
    """Put a mail on the queue again for those who did not get it, or let a waiting one go now."""
    row = _mail(mail_id, "outbox.mail.resend")
    done = service.resend([row.id]) or service.retry_now([row.id])
    if done:
        flash(gettext("The mail is in the queue again. It goes only to those who did not get it."), "success")
    else:
        flash(gettext("Nothing to resend: the mail is on its way already, or everybody has it."), "info")
    return redirect(url_for("outbox.mail", mail_id=row.id, tab="recipients"))


@blueprint.post("/mails/<int:mail_id>/cancel")
@requires("outbox.mail.resend")
def cancel(mail_id: int) -> ResponseReturnValue:
    """Cancel a mail that has not left."""
    row = _mail(mail_id, "outbox.mail.resend")
    if service.cancel([row.id]):
        flash(gettext("The mail was canceled."), "success")
    else:
        flash(gettext("Too late: the mail is being sent, or has left."), "warning")
    return redirect(url_for("outbox.mail", mail_id=row.id))


@blueprint.post("/mails/<int:mail_id>/mark")
@requires("outbox.mail.resend")
def mark(mail_id: int) -> ResponseReturnValue:
    """Settle an uncertain mail by the word of a person."""
    row = _mail(mail_id, "outbox.mail.resend")
    service.mark_uncertain(row.id, accepted=request.form.get("accepted") == "1")
    return redirect(url_for("outbox.mail", mail_id=row.id))


@blueprint.post("/mails/<int:mail_id>/recipients/<int:recipient_id>")
@requires("outbox.mail.resend")
def correct(mail_id: int, recipient_id: int) -> ResponseReturnValue:
    """Correct an address, and resend when asked to."""
    row = _mail(mail_id, "outbox.mail.resend")
    recipient = db.session.get(MailRecipient, recipient_id)
    if recipient is None or recipient.mail_id != row.id:
        abort(404)
    keep = "keep" in request.form and signed_in_user().can("core.partner.edit")
    typed = request.form.get("address", "")
    try:
        service.correct_recipient(recipient, typed, also_partner=keep)
    except UserError as error:
        flash(str(error.message), "danger")
        back = url_for("outbox.mail", mail_id=row.id, tab="recipients", wrong=recipient_id, typed=typed[:254])
        return redirect(back)
    if "resend" in request.form and (service.resend([row.id]) or service.retry_now([row.id])):
        flash(gettext("The address was corrected, and the mail is in the queue again."), "success")
    else:
        flash(gettext("The address was corrected."), "success")
    return redirect(url_for("outbox.mail", mail_id=row.id, tab="recipients"))


@blueprint.post("/mails/bulk")
@requires("outbox.mail.resend")
def bulk() -> ResponseReturnValue:
    """Resend or cancel the selected mails."""
    wanted = [
        int(value) for value in request.form.getlist("id")[:MAX_BULK] if value.isascii() and value.isdigit()
    ]
    ids = queries.reachable_ids(signed_in_user(), wanted, "outbox.mail.resend")
    if request.form.get("action") == "cancel":
        done = service.cancel(ids)
        message = ngettext("%(num)d mail was canceled.", "%(num)d mails were canceled.", len(done))
    else:
        done = service.resend(ids, uncertain=False) + service.retry_now(ids)
        message = service.count_sentence(len(done))
    left = len(wanted) - len(done)
    if left:
        message += " " + ngettext(
            "%(num)d was left as it is: sent, on its way, uncertain, or not yours.",
            "%(num)d were left as they are: sent, on their way, uncertain, or not yours.",
            left,
        )
    flash(message, "success" if done else "info")
    target = request.form.get("back", "")
    return redirect(target if target.startswith("/outbox/") else url_for("outbox.mails"))
