"""*To be printed*: what waits for paper, and the PDFs made of it."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from sqlalchemy import select

from core.auth.permissions import requires, signed_in_user
from core.db import db, end_reading
from core.errors import UserError
from core.files import FileMissingError
from core.selection import back_to, list_or_404, read_selection
from core.web.downloads import shown_pdf
from core.web.listing import paginate
from core.web.pieces import PAGE_ANEW
from modules.distribution import paper, tables
from modules.distribution.blueprint import blueprint
from modules.distribution.models import Dispatch, Print, PrintOrder, PrintState
from modules.distribution.permissions import DISTRIBUTE
from modules.distribution.words import DISPATCH_TITLES, DISPATCH_TONES, PRINT_TITLES, PRINT_TONES

SHOWN = 20
"""Prints that the page shows, and documents that did not get into one."""


@blueprint.get("/to-print")
@requires(DISTRIBUTE)
def to_print() -> ResponseReturnValue:
    """List what waits to be printed, and the last PDFs of the user."""
    user = signed_in_user()
    mine = select(Print).where(Print.by_user_id == user.id).order_by(Print.id.desc()).limit(SHOWN)
    return render_template(
        "distribution/to_print.html",
        page=paginate(paper.waiting(user), tables.SPEC),
        prints=list(db.session.scalars(mine)),
        titles=PRINT_TITLES,
        tones=PRINT_TONES,
    )


@blueprint.post("/prints/of/<name>")
@requires(DISTRIBUTE)
def print_choose(name: str) -> ResponseReturnValue:
    """Take what is selected in a list into one PDF."""
    user = signed_in_user()
    declared = list_or_404(name, user, "document")
    ids = read_selection(declared).row_ids(user, paper.MOST + 1)
    if not ids:
        flash(gettext("Select at least one line first."), "warning")
        return back_to(declared)
    try:
        made = paper.choose(ids, user)
    except UserError as error:
        flash(str(error.message), "warning")
        return back_to(declared)
    left = len(ids) - made.total
    if left:
        flash(
            ngettext(
                "%(num)d document was left out: it cannot be sent yet, or is not yours to distribute.",
                "%(num)d documents were left out: they cannot be sent yet, or are not yours to distribute.",
                left,
            ),
            "warning",
        )
    return redirect(url_for("distribution.print", print_id=made.id))


def _print_or_404(print_id: int) -> Print:
    return paper.print_for(signed_in_user(), print_id) or abort(404)


@blueprint.get("/prints/<int:print_id>", endpoint="print")
@requires(DISTRIBUTE)
def print_page(print_id: int) -> ResponseReturnValue:
    """Show a print: how it is to be made, how far it is, what is done with it."""
    row = _print_or_404(print_id)
    held = select(Dispatch).where(Dispatch.print_id == row.id, Dispatch.detail != "").limit(SHOWN)
    return render_template(
        "distribution/print.html",
        row=row,
        held=list(db.session.scalars(held)),
        titles=PRINT_TITLES,
        tones=PRINT_TONES,
        dispatch_titles=DISPATCH_TITLES,
        dispatch_tones=DISPATCH_TONES,
    )


@blueprint.get("/prints/<int:print_id>/progress")
@requires(DISTRIBUTE)
def print_progress(print_id: int) -> ResponseReturnValue:
    """Show how far a print is; once it has ended, all of the page is another one."""
    row = _print_or_404(print_id)
    answer = render_template(
        "distribution/_print_progress.html", row=row, titles=PRINT_TITLES, tones=PRINT_TONES
    )
    return answer if row.state is PrintState.MAKING else (answer, PAGE_ANEW)


@blueprint.post("/prints/<int:print_id>/make")
@requires(DISTRIBUTE)
def print_make(print_id: int) -> ResponseReturnValue:
    """Let the PDF be made."""
    row = _print_or_404(print_id)
    order = request.form.get("order", "")
    chosen = PrintOrder(order) if order in set(PrintOrder) else PrintOrder.LIST
    try:
        paper.make(row, chosen, double_sided="double_sided" in request.form)
    except UserError as error:
        flash(str(error.message), "warning")
    return _page_of(row)


def _page_of(row: Print) -> ResponseReturnValue:
    return redirect(url_for("distribution.print", print_id=row.id))


@blueprint.get("/prints/<int:print_id>/pdf")
@requires(DISTRIBUTE)
def print_pdf(print_id: int) -> ResponseReturnValue:
    """Show the PDF."""
    row = _print_or_404(print_id)
    if not row.sha256:
        abort(404)
    sha256, name = row.sha256, gettext("To be printed")
    end_reading()
    try:
        return shown_pdf(paper.store().get(sha256), f"{name} {print_id}.pdf")
    except FileMissingError:
        abort(404)


@blueprint.post("/prints/<int:print_id>/mark")
@requires(DISTRIBUTE)
def print_mark(print_id: int) -> ResponseReturnValue:
    """Mark what is in the PDF as printed."""
    row = _print_or_404(print_id)
    try:
        count = paper.mark(row, signed_in_user())
    except UserError as error:
        flash(str(error.message), "warning")
    else:
        flash(
            ngettext(
                "%(num)d document is marked as printed.", "%(num)d documents are marked as printed.", count
            ),
            "success",
        )
    return _page_of(row)


@blueprint.post("/prints/<int:print_id>/back")
@requires(DISTRIBUTE)
def print_back(print_id: int) -> ResponseReturnValue:
    """Take it back that it was printed."""
    row = _print_or_404(print_id)
    count = paper.take_back(row, signed_in_user())
    flash(
        ngettext(
            "%(num)d document waits to be printed again.",
            "%(num)d documents wait to be printed again.",
            count,
        )
    )
    return _page_of(row)
