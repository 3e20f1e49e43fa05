"""How one document is distributed: by which rule, what waits, what has gone; print, archive, stop, let go."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.documents.models import Document
from core.documents.service import kind_title
from core.errors import UserError
from modules.distribution import archive, dispatches
from modules.distribution.blueprint import blueprint
from modules.distribution.decisions import decision_for
from modules.distribution.models import Dispatch, Way
from modules.distribution.permissions import DISTRIBUTE
from modules.distribution.words import DISPATCH_TITLES, DISPATCH_TONES, WAY_ICONS, WAY_TITLES


def _document_or_404(document_id: int) -> Document:
    found = select(Document).where(Document.id == document_id, dispatches.allowed(signed_in_user()))
    return db.session.scalar(found) or abort(404)


@blueprint.get("/documents/<int:document_id>")
@requires(DISTRIBUTE)
def document(document_id: int) -> ResponseReturnValue:
    """Show how a document reaches its customer, and why."""
    row = _document_or_404(document_id)
    return render_template(
        "distribution/document.html",
        document=row,
        title=gettext("Distribution of %(number)s", number=row.number or gettext(kind_title(row.kind))),
        decision=decision_for(row),
        rows=dispatches.dispatches_of(row),
        archive_problem=archive.problem(),
        open_states=dispatches.OPEN,
        way_titles=WAY_TITLES,
        way_icons=WAY_ICONS,
        state_titles=DISPATCH_TITLES,
        state_tones=DISPATCH_TONES,
    )


@blueprint.post("/documents/<int:document_id>/want/<way>")
@requires(DISTRIBUTE)
def document_want(document_id: int, way: str) -> ResponseReturnValue:
    """Print or archive a document, since a person wants it."""
    row = _document_or_404(document_id)
    if way not in {Way.PAPER.value, Way.ARCHIVE.value}:
        abort(404)
    dispatches.want([row], Way(way), signed_in_user())
    flash(
        gettext("It waits to be printed.") if way == Way.PAPER else gettext("It is being archived."),
        "success",
    )
    return _page_of(row.id)


def _page_of(document_id: int | None) -> ResponseReturnValue:
    return redirect(url_for("distribution.document", document_id=document_id))


def _dispatch_or_404(dispatch_id: int) -> Dispatch:
    return dispatches.dispatch_for(signed_in_user(), dispatch_id) or abort(404)


@blueprint.post("/dispatches/<int:dispatch_id>/stop")
@requires(DISTRIBUTE)
def dispatch_stop(dispatch_id: int) -> ResponseReturnValue:
    """Stop what has not gone."""
    row = _dispatch_or_404(dispatch_id)
    try:
        dispatches.stop(row, signed_in_user())
    except UserError as error:
        flash(str(error.message), "warning")
    return _page_of(row.document_id)


@blueprint.post("/dispatches/<int:dispatch_id>/go")
@requires(DISTRIBUTE)
def dispatch_go(dispatch_id: int) -> ResponseReturnValue:
    """Let go what waits."""
    row = _dispatch_or_404(dispatch_id)
    try:
        dispatches.let_go(row, signed_in_user())
    except UserError as error:
        flash(str(error.message), "warning")
    return _page_of(row.document_id)
