"""What an answer holds: its text as it was written, and its files; nothing of it runs or loads anything."""

from __future__ import annotations

from io import BytesIO

from flask import abort, send_file
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires
from core.db import db
from core.errors import UserError
from core.files import FileMissingError
from core.web.security import for_viewer, foreign_html
from modules.outbox.access import mail_or_404
from modules.outbox.blueprint import blueprint
from modules.outbox.html_body import page as html_page
from modules.outbox.message import file_store
from modules.outbox.models import Answer, AnswerFile, InboundMessage, Verdict


def _answer(inbound_id: int) -> Answer:
    inbound = db.session.get(InboundMessage, inbound_id)
    if inbound is None or inbound.mail_id is None or inbound.verdict is not Verdict.ANSWER:
        abort(404)
    mail_or_404(inbound.mail_id)
    return inbound.answer or abort(404)


@blueprint.get("/answers/<int:inbound_id>/html")
@requires("outbox.mail.read")
def answer_html(inbound_id: int) -> ResponseReturnValue:
    """Return the HTML of an answer for its sandboxed frame."""
    answer = _answer(inbound_id)
    mail = answer.inbound.mail
    return foreign_html(html_page(answer.body_html, mail.language if mail is not None else "en"))


@blueprint.get("/answers/<int:inbound_id>/files/<int:file_id>")
@requires("outbox.mail.read")
def answer_file(inbound_id: int, file_id: int) -> ResponseReturnValue:
    """Download a file of an answer; strangers have made it, so that no browser opens it as a page of ours."""
    answer = _answer(inbound_id)
    file = db.session.get(AnswerFile, file_id)
    if file is None or file.answer_id != answer.inbound_id or not file.name:
        abort(404)
    try:
        data = file_store().get(file.sha256)
    except FileMissingError as error:
        raise UserError(gettext("This file is gone from the store.")) from error
    response = send_file(
        BytesIO(data), "application/octet-stream", as_attachment=True, download_name=file.name
    )
    return for_viewer(response)
