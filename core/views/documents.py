"""What every document page offers: its PDF and its followers."""

from __future__ import annotations

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from core.auth.permissions import requires, signed_in, signed_in_user
from core.auth.service import companies_of
from core.db import db, end_reading
from core.documents.models import Document
from core.documents.pdf import EngineBusyError, RenderError, render_document
from core.documents.service import file_name, get_readable
from core.errors import UserError
from core.followers import service as followers
from core.followers.models import Follower
from core.partners.models import Partner
from core.registry import current_registry
from core.views.blueprint import blueprint

# A request that waits for the PDF of another keeps a thread from everybody else.
PATIENCE_SECONDS = 5.0


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
            text=gettext("The module of this document is not enabled. Its mails are still in the outbox."),
        )
    row = _readable(document_id)
    return redirect(url_for(kind.endpoint, document_id=row.id))


@blueprint.get("/documents/<int:document_id>/pdf")
@signed_in
def document_pdf(document_id: int) -> ResponseReturnValue:
    """Show the PDF of a document as it is now."""
    row = _readable(document_id)
    try:
        data = render_document(row, patience=PATIENCE_SECONDS)
    except EngineBusyError as error:
        raise UserError(
            gettext("Other PDFs are being made at this moment. Try again in a moment.")
        ) from error
    except RenderError as error:
        raise UserError(
            gettext("The PDF could not be made. An administrator finds the reason in the log.")
        ) from error
    name = file_name(row)
    end_reading()
    response = Response(data, mimetype="application/pdf")
    response.headers.set("Content-Disposition", "inline", filename=name)
    # The browser's own viewer needs more than our pages do; there is no markup of ours in a PDF.
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'"
    )
    return response


@blueprint.post("/documents/<int:document_id>/followers")
@requires("core.follower.edit")
def follower_add(document_id: int) -> ResponseReturnValue:
    """Make a partner follow a document."""
    row = _readable(document_id)
    partner = db.session.get(Partner, min(request.form.get("partner_id", 0, type=int), 2**31 - 1))
    if partner is None:
        raise UserError(gettext("Choose somebody from the list."))
    followers.follow(row.id, partner_id=partner.id, by=signed_in_user())
    flash(gettext("%(name)s follows this document now.", name=partner.name), "success")
    return redirect(url_for("core.document", document_id=row.id))


@blueprint.post("/documents/<int:document_id>/followers/<int:follower_id>/remove")
@requires("core.follower.edit")
def follower_remove(document_id: int, follower_id: int) -> ResponseReturnValue:
    """Remove a follower of a document."""
    row = _readable(document_id)
    follower = db.session.get(Follower, follower_id)
    if follower is None or follower.document_id != row.id:
        abort(404)
    followers.unfollow(follower)
    flash(gettext("%(name)s no longer follows this document.", name=follower.name), "success")
    return redirect(url_for("core.document", document_id=row.id))
