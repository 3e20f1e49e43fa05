"""What can be done with the rows that are selected in any list: count those that match, take them away, print them."""

from __future__ import annotations

import io

from flask import flash, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import get_timezone, gettext, ngettext
from pypdf import PdfReader, PdfWriter
from sqlalchemy import select

from core.auth.permissions import signed_in, signed_in_user
from core.contract import SelectableList
from core.db import db, end_reading
from core.documents.models import Document
from core.documents.pdf import render_for_reader
from core.documents.service import readable_by
from core.errors import UserError
from core.mail.draft import safe_file_name
from core.selection import Selection, back_to, count_matching, list_or_404, read_selection
from core.spreadsheets import Table
from core.views.blueprint import blueprint
from core.web.downloads import posted_form, shown_pdf, table_download

PRINTED_AT_MOST = 100
"""Documents in one PDF: making it is somebody's request, and keeps other PDFs waiting."""


@blueprint.get("/lists/<name>/matching")
@signed_in
def list_matching(name: str) -> ResponseReturnValue:
    """Offer to select all rows of a list that match, and say how many they are."""
    user = signed_in_user()
    count = count_matching(list_or_404(name, user), user, request.args)
    return render_template("core/lists/_matching.html", count=count)


@blueprint.post("/lists/<name>/table")
@signed_in
def list_table(name: str) -> ResponseReturnValue:
    """Take the selected rows away as a table."""
    user = signed_in_user()
    declared = list_or_404(name, user)
    form = posted_form()
    selection = read_selection(declared)
    if selection.ids == ():
        return _nothing(declared)
    title = gettext(declared.title)
    table = Table(title, selection.source(user).columns, selection.cells(user), get_timezone())
    return table_download(table, form, f"{title} {user.today.isoformat()}")


@blueprint.post("/lists/<name>/print")
@signed_in
def list_print(name: str) -> ResponseReturnValue:
    """Show the selected documents as one PDF, in the order of the list."""
    user = signed_in_user()
    declared = list_or_404(name, user, "document")
    documents = _documents(read_selection(declared))
    if not documents:
        return _nothing(declared)
    if len(documents) > PRINTED_AT_MOST:
        flash(
            gettext(
                "One PDF holds %(most)s documents at most. Select fewer, or narrow the list.",
                most=PRINTED_AT_MOST,
            ),
            "warning",
        )
        return back_to(declared)
    try:
        data = _one_pdf(documents)
    except UserError as error:
        flash(str(error.message), "danger")
        return back_to(declared)
    end_reading()
    title = ngettext("%(num)d document", "%(num)d documents", len(documents))
    return shown_pdf(data, safe_file_name(f"{gettext(declared.title)} ({title}).pdf"))


def _nothing(declared: SelectableList) -> ResponseReturnValue:
    flash(gettext("Select at least one line first."), "warning")
    return back_to(declared)


def _documents(selection: Selection) -> list[Document]:
    """Return what is to be printed, and one more where that is too much."""
    user = signed_in_user()
    ids = selection.row_ids(user, PRINTED_AT_MOST + 1)
    rows = db.session.scalars(select(Document).where(Document.id.in_(ids), readable_by(user))).unique()
    by_id = {row.id: row for row in rows}
    return [by_id[number] for number in ids if number in by_id]


def _one_pdf(documents: list[Document]) -> bytes:
    """Return the PDFs of documents one behind the other, each found by its number beside the pages.

    Raises:
        UserError: One of them could not be made.
    """
    writer = PdfWriter()
    for document in documents:
        reader = PdfReader(io.BytesIO(render_for_reader(document)))
        writer.append(reader, outline_item=document.number or gettext("Draft"))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
