"""Files of the composer: upload, look at, the PDF made beside, the draft for a mail program."""

from __future__ import annotations

from io import BytesIO

from flask import Response, abort, jsonify, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from core.auth.permissions import requires, signed_in_user
from core.db import end_reading
from core.errors import UserError
from core.files import FileMissingError
from core.mail.draft import safe_file_name
from core.mail.html import shown_size
from core.web.formats import file_size
from core.web.security import for_viewer
from modules.outbox.blueprint import blueprint
from modules.outbox.compose import actions
from modules.outbox.compose.mail_program import take_along
from modules.outbox.compose.uploads import Origin, picture_size, read_token, store_upload
from modules.outbox.compose.views.page import sendable, show
from modules.outbox.message import file_store

_SHOWN = {"application/pdf", "image/png", "image/jpeg", "image/gif"}
"""Media types that a browser may show; all others are downloaded, so that no file runs as a page of ours."""


@blueprint.post("/compose/file")
@requires("outbox.mail.send")
def compose_file() -> ResponseReturnValue:
    """Take one file, and answer with the token that names it."""
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        abort(400)
    end_reading()
    try:
        file = store_upload(upload, picture=bool(request.form.get("picture")))
    except UserError as error:
        return jsonify(error=str(error.message)), 422
    size = picture_size(file.attachment) if file.origin is Origin.PICTURE else None
    return jsonify(
        token=file.token,
        name=file.name,
        size=file.size,
        size_text=file_size(file.size),
        media_type=file.media_type,
        url=url_for("outbox.compose_file_show", token=file.token),
        shown=shown_size(size) if size is not None else None,
    )


@blueprint.get("/compose/file/<token>")
@requires("outbox.mail.send")
def compose_file_show(token: str) -> ResponseReturnValue:
    """Show a file of the composer; the token was signed for somebody who may send."""
    try:
        file = read_token(token)
        data = file_store().get(file.sha256)
    except (UserError, FileMissingError):
        abort(404)
    response = Response(
        data, mimetype=file.media_type if file.media_type in _SHOWN else "application/octet-stream"
    )
    kind = "inline" if file.media_type in _SHOWN else "attachment"
    response.headers.set("Content-Disposition", kind, filename=file.name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, max-age=3600"
    return for_viewer(response)


@blueprint.post("/compose/<int:document_id>/pdf")
@requires("outbox.mail.send")
def compose_pdf(document_id: int) -> ResponseReturnValue:
    """Make the PDF beside the composer; the mail will carry these very bytes."""
    document = sendable(document_id)
    form = actions.posted_form(document, request.form, signed_in_user())
    problem = ""
    file = form.pdf
    wanted = (document.revision, form.draft.pdf_name, form.draft.language)
    if file is None or (file.revision, file.name, file.language) != wanted:
        try:
            file = actions.make_pdf(document, form.draft.pdf_name, form.draft.language)
        except UserError as error:
            file, problem = None, str(error.message)
    return render_template(
        "outbox/compose/_pdf.html",
        document=document,
        draft=form.draft,
        pdf=file,
        problem=problem,
        revision=document.revision,
    )


@blueprint.post("/compose/<int:document_id>/eml")
@requires("outbox.mail.send")
def compose_eml(document_id: int) -> ResponseReturnValue:
    """Hand the mail over to the person's own mail program."""
    document = sendable(document_id)
    form = actions.posted_form(document, request.form, signed_in_user())
    try:
        data = take_along(form)
    except UserError as error:
        form.error(error.field or "", error.message)
        return show(document, form), 422
    name = safe_file_name(f"{form.draft.subject.strip()[:80] or document.number}.eml", fallback="mail.eml")
    return send_file(BytesIO(data), mimetype="message/rfc822", as_attachment=True, download_name=name)
