"""Views that every kind of document shares: the address that leads to its page, and its PDF."""

from __future__ import annotations

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import signed_in, signed_in_user
from core.auth.service import companies_of
from core.config import SUPPORTED_LANGUAGES
from core.db import db, end_reading
from core.documents.models import Document
from core.documents.pdf import render_for_reader
from core.documents.service import file_name, get_readable
from core.registry import current_registry
from core.views.blueprint import blueprint
from core.web.downloads import shown_pdf


def _readable(document_id: int) -> Document:
    return get_readable(signed_in_user(), document_id) or abort(404)


@blueprint.get("/documents/<int:document_id>")
@signed_in
def document(document_id: int) -> ResponseReturnValue:
    """Lead to the page of a document, whatever its kind."""
    row = db.session.get(Document, document_id) or abort(404)
    kind = current_registry().kinds.get(row.kind)
    if kind is None and row.company_id not in companies_of(signed_in_user()):
        abort(404)
    if kind is None:
        return render_template(
            "core/error.html",
            title=row.number or gettext("Document"),
            text=gettext("The module of this document is not enabled. Its emails are still in the outbox."),
        )
    row = _readable(document_id)
    return redirect(url_for(kind.endpoint, document_id=row.id))


@blueprint.get("/documents/<int:document_id>/pdf")
@signed_in
def document_pdf(document_id: int) -> ResponseReturnValue:
    """Show the PDF of a document as it is now; with `language`, as it would be in another one."""
    row = _readable(document_id)
    wanted = request.args.get("language")
    language = wanted if wanted in SUPPORTED_LANGUAGES else None
    data = render_for_reader(row, language)
    name = file_name(row, language)
    end_reading()
    return shown_pdf(data, name)
