"""Rows from a file, of whatever subject: the file, its columns, what would become of each row, and what has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from core.auth.models import User
from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.imports import service
from core.imports.models import Import, ImportRow, ImportState, Undone, Verdict
from core.imports.reading import MAX_OCTETS
from core.imports.subject import by_name, subject_of
from core.spreadsheets import Column, Table
from core.views.blueprint import blueprint
from core.web.criteria import Choice, Facet, ListSpec, SortKey
from core.web.downloads import TableFile, table_download
from core.web.forms import submit
from core.web.listing import paginate
from core.web.pieces import PAGE_ANEW

VERDICT_TITLES = {
    Verdict.NEW: _l("New"),
    Verdict.CHANGES: _l("Changes"),
    Verdict.SAME: _l("The same"),
    Verdict.REFUSED: _l("Cannot be imported"),
    Verdict.UNKNOWN: _l("Not looked at yet"),
}
STATE_TITLES = {
    ImportState.MAPPING: _l("Columns to be chosen"),
    ImportState.CHECKING: _l("Being compared"),
    ImportState.CHECKED: _l("Compared, nothing imported yet"),
    ImportState.IMPORTING: _l("Being imported"),
    ImportState.DONE: _l("Imported"),
    ImportState.UNDOING: _l("Being undone"),
    ImportState.UNDONE: _l("Undone"),
    ImportState.FAILED: _l("Stopped by an error"),
}
TONES = {Verdict.NEW: "success", Verdict.CHANGES: "info", Verdict.REFUSED: "danger"}

ROWS = ListSpec(
    identity=ImportRow.id,
    sorts=(SortKey("line", N_("Line"), ImportRow.line, lambda row: row.line),),
    facets=(
        Facet(
            "verdict",
            N_("Result"),
            lambda: [Choice(verdict.value, str(title)) for verdict, title in VERDICT_TITLES.items()],
            lambda value: ImportRow.verdict == Verdict(value) if value in list(Verdict) else None,
        ),
        Facet(
            "undone",
            N_("Undone"),
            lambda: [Choice(Undone.KEPT.value, gettext("kept"))],
            lambda value: ImportRow.undone == Undone.KEPT if value == Undone.KEPT else None,
        ),
    ),
)


class UploadForm(FlaskForm):  # type: ignore[misc]
    """A file; whose the new ones are is asked by each subject."""

    file = FileField(
        _l("File"),
        description=_l("CSV or XLSX, up to 50,000 rows and 10 MB; the first line names the columns."),
        render_kw={"accept": ".csv,.txt,.xlsx"},
    )


@dataclass(frozen=True)
class ImportPages:
    """What the pages of one subject say, and where they stand.

    Attributes:
        subject: A name of `core.imports.subject`.
        one: Of the endpoints, `core.<one>_import…`; also what a row is.
        path: Before `/import`.
        permission: What the pages need.
        list_endpoint: The list of what is imported.
        list_title: English, marked with `N_`.
        title: That of the page with the file, likewise.
        known: What a row is that has the same of what is matched, likewise.
        row_title: What a row is, likewise.
        form: Returns the form of the file, filled in.
        whose: Returns whose new ones are, of a form that was posted.
        links: Returns the address and the name of each row that the reader may open, by its id.
        words: Returns a function that says a value, and one that names a column, for some rows.
        may_make_labels: Whether what is in no list can be made.
    """

    subject: str
    one: str
    path: str
    permission: str
    list_endpoint: str
    list_title: str
    title: str
    known: str
    row_title: str
    form: Callable[[User], Any]
    whose: Callable[[Any], dict[str, Any]]
    links: Callable[[Sequence[ImportRow]], dict[int, tuple[str, str]]]
    words: Callable[[Sequence[ImportRow]], tuple[Callable[[str, Any], str], Callable[[str], str]]]
    may_make_labels: Callable[[User], bool]

    def url(self, verb: str, **values: Any) -> str:
        """Return the address of a page: `s` for that of the file, "" for that of an import, `_start` and so on."""
        return url_for(f"core.{self.one}_import{verb}", **values)


def register(pages: ImportPages) -> None:
    """Register the pages of a subject."""
    base = f"{pages.path}/import"
    routes: tuple[tuple[str, str, Callable[..., ResponseReturnValue], tuple[str, ...]], ...] = (
        ("s", "", choose_file, ("GET", "POST")),
        ("", "/<int:import_id>", show, ("GET",)),
        ("_progress", "/<int:import_id>/progress", progress, ("GET",)),
        ("_check", "/<int:import_id>/check", check, ("POST",)),
        ("_columns", "/<int:import_id>/columns", columns, ("POST",)),
        ("_start", "/<int:import_id>/start", start, ("POST",)),
        ("_undo", "/<int:import_id>/undo", undo, ("POST",)),
        ("_discard", "/<int:import_id>/discard", discard, ("POST",)),
        ("_refused", "/<int:import_id>/refused.csv", refused, ("GET",)),
    )
    for verb, path, view, methods in routes:
        endpoint = f"{pages.one}_import{verb}"
        bound = requires(pages.permission)(wraps(view)(partial(view, pages)))
        blueprint.add_url_rule(f"{base}{path}", endpoint, bound, methods=list(methods))


def choose_file(pages: ImportPages) -> ResponseReturnValue:
    """Choose a file, or go back to one."""
    user = signed_in_user()
    form = pages.form(user)
    made: list[Import] = []

    def read() -> None:
        file = form.file.data
        if not isinstance(file, FileStorage):
            raise UserError(_l("Choose a file."), "file")
        data = file.stream.read(MAX_OCTETS + 1)
        made.append(service.read_file(pages.subject, data, file.filename or "", user, **pages.whose(form)))

    if submit(form, read):
        return redirect(pages.url("", import_id=made[0].id))
    return render_template(
        "core/imports/imports.html",
        form=form,
        pages=pages,
        imports=service.imports_of(user, pages.subject),
        state_titles=STATE_TITLES,
    )


def _import(pages: ImportPages, import_id: int) -> Import:
    return service.import_of(signed_in_user(), import_id, pages.subject) or abort(404)


def show(pages: ImportPages, import_id: int) -> ResponseReturnValue:
    """Show an import: its columns, then what would become of each row, then what has."""
    row = _import(pages, import_id)
    page = paginate(
        select(ImportRow).where(ImportRow.import_id == row.id),
        ROWS,
        size=40 if row.state != ImportState.MAPPING else 5,
    )
    kind = subject_of(pages.subject)
    known = by_name(kind)
    shown_value, shown_column = pages.words(page.rows)
    return render_template(
        "core/imports/import.html",
        row=row,
        page=page,
        pages=pages,
        columns=kind.columns,
        matches=[(way, gettext(known[way].title)) for way in kind.ways],
        may_make_labels=pages.may_make_labels(signed_in_user()),
        name_place=row.mapping.index("name") if "name" in row.mapping else 0,
        links=pages.links(page.rows),
        shown_column=shown_column,
        shown_value=shown_value,
        **_progress(row),
    )


def _progress(row: Import) -> dict[str, Any]:
    return {
        "counts": service.counts(row),
        "undone": service.counts_of_undone(row),
        "verdict_titles": VERDICT_TITLES,
        "state_titles": STATE_TITLES,
        "tones": TONES,
        "working": row.state in {ImportState.CHECKING, ImportState.IMPORTING, ImportState.UNDOING},
    }


def progress(pages: ImportPages, import_id: int) -> ResponseReturnValue:
    """Tell how far an import is; once it stands still, all of the page is another one."""
    row = _import(pages, import_id)
    known = _progress(row)
    answer = render_template("core/imports/_progress.html", row=row, pages=pages, **known)
    return answer if known["working"] else (answer, PAGE_ANEW)


def check(pages: ImportPages, import_id: int) -> ResponseReturnValue:
    """Compare the rows, by what the person says that the columns are."""
    row = _import(pages, import_id)
    way = request.form.get("match_by", "")
    if way not in subject_of(pages.subject).ways:
        abort(400)
    labels = pages.may_make_labels(signed_in_user()) and "make_labels" in request.form
    mapping = request.form.getlist("column")
    return _done(pages, row, lambda: service.check(row, mapping, way, make_labels=labels))


def columns(pages: ImportPages, import_id: int) -> ResponseReturnValue:
    """Go back to the columns."""
    row = _import(pages, import_id)
    return _done(pages, row, lambda: service.back_to_columns(row))


def start(pages: ImportPages, import_id: int) -> ResponseReturnValue:
    """Import what was looked at."""
    row = _import(pages, import_id)
    return _done(pages, row, lambda: service.start(row))


def undo(pages: ImportPages, import_id: int) -> ResponseReturnValue:
    """Take the import back."""
    row = _import(pages, import_id)
    return _done(pages, row, lambda: service.undo(row))


def _done(pages: ImportPages, row: Import, verb: Any) -> ResponseReturnValue:
    number = row.id
    verb()
    return redirect(pages.url("", import_id=number))


def discard(pages: ImportPages, import_id: int) -> ResponseReturnValue:
    """Forget a file that was not imported."""
    row = _import(pages, import_id)
    name = row.file_name
    service.discard(row)
    flash(gettext("%(name)s was discarded; nothing was imported.", name=name), "success")
    return redirect(pages.url("s"))


def refused(pages: ImportPages, import_id: int) -> ResponseReturnValue:
    """Return the rows that cannot be imported, with why: to be corrected and imported by themselves."""
    row = _import(pages, import_id)
    heads = [Column(title) for title in (*row.header, gettext("Why not"))]
    found = db.session.scalars(
        select(ImportRow)
        .where(ImportRow.import_id == row.id, ImportRow.verdict == Verdict.REFUSED)
        .order_by(ImportRow.id)
        .execution_options(yield_per=500)
    )
    table = Table(gettext("Not imported"), heads, ([*one.cells, one.problem] for one in found))
    return table_download(table, TableFile.CSV)
