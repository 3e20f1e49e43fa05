"""The composer of a mail that waits: opened, saved, left as it was; and another time for it."""

from __future__ import annotations

from flask import abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from core.web.formats import moment
from modules.outbox import service
from modules.outbox.access import mail_or_404
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import actions
from modules.outbox.compose.draft import copy_of, may_copy
from modules.outbox.compose.views.page import add_posted_files, go, show, tell_sent
from modules.outbox.models import OutgoingMail
from modules.outbox.permissions import RESEND
from modules.outbox.typed_times import typed_moment

SEND = "outbox.mail.send"


def _changeable(mail_id: int) -> OutgoingMail:
    """Return a mail that the user may decide about and write anew; abort with 404 otherwise."""
    mail = mail_or_404(mail_id, RESEND)
    if not may_copy(mail, signed_in_user()):
        abort(404)
    return mail


@blueprint.post("/mails/<int:mail_id>/change")
@requires(SEND)
def mail_change(mail_id: int) -> ResponseReturnValue:
    """Take a mail out of the queue, and open it in the composer."""
    mail, user = _changeable(mail_id), signed_in_user()
    try:
        copy_of(mail, user)  # what cannot be opened stays where it is
        token = service.begin_change(mail.id, user, take_over="take_over" in request.form)
    except UserError as error:
        flash(str(error.message), "warning")
        return go(url_for("outbox.mail", mail_id=mail_id))
    return go(url_for("outbox.compose_change", mail_id=mail_id, token=token))


@blueprint.get("/compose/change/<int:mail_id>/<token>")
@requires(SEND)
def compose_change(mail_id: int, token: str) -> ResponseReturnValue:
    """Show a mail in the composer with everything as it was."""
    mail, user = _changeable(mail_id), signed_in_user()
    editor = service.editor_of(mail)
    if mail.edit_token != token or editor is None or editor.id != user.id:
        return go(url_for("outbox.mail", mail_id=mail.id))
    try:
        form = actions.change_form(mail, user)
    except UserError as error:
        flash(str(error.message), "warning")
        return go(url_for("outbox.mail", mail_id=mail.id))
    return show(mail.document, form, changes=mail)


@blueprint.post("/compose/change/<int:mail_id>/<token>")
@requires(SEND)
def compose_change_save(mail_id: int, token: str) -> ResponseReturnValue:
    """Let what was written take the place of the mail that waits, or show it again with what is wrong."""
    former, user = _changeable(mail_id), signed_in_user()
    form = actions.posted_change(former, token, request.form, user)
    add_posted_files(form)
    mail = actions.send(form)
    if mail is None:
        return show(former.document, form, changes=former), 422
    actions.keep_sent(form, mail, request.form)
    tell_sent(mail)
    return go(url_for("outbox.mail", mail_id=mail.id))


@blueprint.post("/compose/change/<int:mail_id>/<token>/stay")
@requires(SEND)
def compose_change_stay(mail_id: int, token: str) -> ResponseReturnValue:
    """Note that a mail is still being changed: the page says so every minute."""
    service.prolong_change(mail_or_404(mail_id, RESEND).id, token, signed_in_user())
    return "", 204


@blueprint.post("/mails/<int:mail_id>/put-back")
@requires(SEND)
def mail_put_back(mail_id: int) -> ResponseReturnValue:
    """Leave a mail as it was; the browser posts this as well when a composer is left, and names it."""
    mail, user = mail_or_404(mail_id, RESEND), signed_in_user()
    if service.end_change(mail.id, user, token=request.form.get("token")):
        flash(gettext("The email stays as it was and leaves at its time."), "success")
    return go(url_for("outbox.mail", mail_id=mail_id))


@blueprint.post("/mails/<int:mail_id>/time")
@requires(RESEND)
def mail_time(mail_id: int) -> ResponseReturnValue:
    """Let a mail that waits leave at another time."""
    mail, user = mail_or_404(mail_id, RESEND), signed_in_user()
    try:
        chosen = typed_moment(request.form.get("not_before", "")[:40], user)
        service.reschedule(mail.id, chosen, user)
    except UserError as error:
        flash(str(error.message), "warning")
    else:
        flash(gettext("The email leaves on %(moment)s.", moment=moment(chosen)), "success")
    return go(url_for("outbox.mail", mail_id=mail_id))
