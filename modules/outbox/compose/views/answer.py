"""The composer for an answer to a message that came in."""

from __future__ import annotations

from flask import abort, flash, request, url_for
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.errors import UserError
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import actions
from modules.outbox.compose.answering import answer_to, answerable, frame_of_answer, who_answered
from modules.outbox.compose.form import fresh_form, read_form
from modules.outbox.compose.views.page import add_posted_files, go, show, tell_sent
from modules.outbox.models import InboundMessage, OutgoingMail


@blueprint.get("/answers/<int:inbound_id>/answer")
@requires("outbox.mail.send")
def answer(inbound_id: int) -> ResponseReturnValue:
    """Open the composer for an answer: to who has written, threaded, with what they wrote below."""
    inbound, mail = _answerable(inbound_id)
    try:
        draft = answer_to(inbound, mail, signed_in_user())
    except UserError as error:
        flash(str(error.message), "warning")
        return go(url_for("outbox.mail", mail_id=mail.id))
    form = fresh_form(draft, signed_in_user(), proposal=who_answered(inbound, mail))
    return show(None, form, copied=mail, answered=inbound)


@blueprint.post("/answers/<int:inbound_id>/answer")
@requires("outbox.mail.send")
def answer_send(inbound_id: int) -> ResponseReturnValue:
    """Send the answer, or show again what was typed."""
    inbound, answered = _answerable(inbound_id)
    form = read_form(
        frame_of_answer(inbound, answered),
        request.form,
        signed_in_user(),
        proposal=who_answered(inbound, answered),
    )
    form.draft.document_revision = 0  # it carries no PDF, so it agrees with any
    add_posted_files(form)
    mail = actions.send(form)
    if mail is None:
        return show(None, form, copied=answered, answered=inbound), 422
    tell_sent(mail)
    return go(url_for("outbox.mail", mail_id=mail.id, tab="answers"))


def _answerable(inbound_id: int) -> tuple[InboundMessage, OutgoingMail]:
    return answerable(inbound_id, signed_in_user()) or abort(404)
