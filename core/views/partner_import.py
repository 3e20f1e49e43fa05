"""Customers from a file, and into one."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from core.auth.permissions import requires, signed_in_user
from core.db import db
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.partners.export import partners_table
from core.partners.imports import service
from core.partners.imports.columns import BY_NAME, COLUMNS
from core.partners.imports.judging import LABELS, NEW_LABELS
from core.partners.imports.models import ImportRow, ImportState, MatchBy, PartnerImport, Undone, Verdict
from core.partners.imports.reading import MAX_OCTETS
from core.partners.labels import PartnerLabel
from core.partners.listing import PARTNERS
from core.partners.models import Partner
from core.pickers import ReachField
from core.spreadsheets import Column, Table
from core.views.blueprint import blueprint
from core.views.partners import usual_reach
from core.web.criteria import Choice, Facet, ListSpec, SortKey, read_criteria
from core.web.downloads import TableFile, table_download
from core.web.forms import submit
from core.web.listing import paginate

EDIT = "core.partner.edit"

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
    """A file, and whose its new customers are."""

    file = FileField(
        _l("File"),
        description=_l("CSV or XLSX, up to 50,000 rows and 10 MB; the first line names the columns."),
        render_kw={"accept": ".csv,.txt,.xlsx"},
    )
    reach = ReachField(_l("New customers are visible to"))


@blueprint.route("/partners/import", methods=["GET", "POST"])
@requires(EDIT)
def partner_imports() -> ResponseReturnValue:
    """Choose a file, or go back to one."""
    user = signed_in_user()
    form = UploadForm(reach=usual_reach(user))
    form.reach.offer(user)
    made: list[PartnerImport] = []

    def read() -> None:
        file = form.file.data
        if not isinstance(file, FileStorage):
            raise UserError(_l("Choose a file."), "file")
        data = file.stream.read(MAX_OCTETS + 1)
        made.append(service.read_file(data, file.filename or "", user, **form.reach.columns))

    if submit(form, read):
        return redirect(url_for("core.partner_import", import_id=made[0].id))
    return render_template(
        "core/partners/imports.html", form=form, imports=service.imports_of(user), state_titles=STATE_TITLES
    )


def _import(import_id: int) -> PartnerImport:
    return service.import_of(signed_in_user(), import_id) or abort(404)


@blueprint.get("/partners/import/<int:import_id>")
@requires(EDIT)
def partner_import(import_id: int) -> ResponseReturnValue:
    """Show an import: its columns, then what would become of each row, then what has."""
    row = _import(import_id)
    page = paginate(
        select(ImportRow).where(ImportRow.import_id == row.id),
        ROWS,
        size=40 if row.state != ImportState.MAPPING else 5,
    )
    return render_template(
        "core/partners/import.html",
        row=row,
        page=page,
        columns=COLUMNS,
        matches=[(way, gettext(BY_NAME[way.value].title)) for way in MatchBy],
        may_make_labels=signed_in_user().can(LABELS),
        name_place=row.mapping.index("name") if "name" in row.mapping else 0,
        shown_column=_shown_column,
        shown_value=_Values(page.rows).shown,
        **_progress(row),
    )


def _progress(row: PartnerImport) -> dict[str, Any]:
    return {
        "counts": service.counts(row),
        "undone": service.counts_of_undone(row),
        "verdict_titles": VERDICT_TITLES,
        "state_titles": STATE_TITLES,
        "tones": TONES,
        "working": row.state in {ImportState.CHECKING, ImportState.IMPORTING, ImportState.UNDOING},
    }


def _shown_column(name: str) -> str:
    if name == NEW_LABELS:
        return str(gettext("New in the lists"))
    named = {
        "family_id": "family",
        "label_ids": "tags",
        "company_id": "",
        "owner_id": "",
        "parent_id": "parent",
    }
    column = BY_NAME.get(named.get(name, name))
    return str(gettext(column.title)) if column is not None else ""


class _Values:
    """Values of rows as people read them: ids by their names."""

    def __init__(self, rows: list[ImportRow]) -> None:
        values = [values for row in rows for values in (row.before, row.after)]
        numbers = {
            *(number for some in values for number in some.get("label_ids") or ()),
            *(some["family_id"] for some in values if some.get("family_id")),
        }
        labels = db.session.scalars(select(PartnerLabel).where(PartnerLabel.id.in_(numbers)))
        self._labels = {label.id: label.title for label in labels}
        parents = {some["parent_id"] for some in values if some.get("parent_id")}
        rows_of = db.session.execute(select(Partner.id, Partner.name).where(Partner.id.in_(parents)))
        self._parents = {number: name for number, name in rows_of}  # noqa: C416

    def shown(self, name: str, value: Any) -> str:
        """Return a value in words."""
        words: Any = value
        if name == "label_ids":
            words = [self._labels.get(number, "?") for number in value]
        elif name == "family_id" and value:
            words = self._labels.get(value, "?")
        elif name == "parent_id":
            words = self._parents.get(value, "") or gettext("a customer of this file")
        elif name == "consent_at" and value:
            words = value[:10]
        elif isinstance(value, bool):
            words = gettext("yes") if value else gettext("no")
        return (", ".join(map(str, words)) if isinstance(words, list) else str(words or "")) or "–"


@blueprint.get("/partners/import/<int:import_id>/progress")
@requires(EDIT)
def partner_import_progress(import_id: int) -> ResponseReturnValue:
    """Tell how far an import is; once it stands still, the page is loaded anew."""
    row = _import(import_id)
    known = _progress(row)
    answer = Response(render_template("core/partners/_import_progress.html", row=row, **known))
    if not known["working"]:
        answer.headers["HX-Refresh"] = "true"
    return answer


@blueprint.post("/partners/import/<int:import_id>/check")
@requires(EDIT)
def partner_import_check(import_id: int) -> ResponseReturnValue:
    """Compare the rows, by what the person says that the columns are."""
    row = _import(import_id)
    way = request.form.get("match_by", "")
    if way not in list(MatchBy):
        abort(400)
    labels = signed_in_user().can(LABELS) and "make_labels" in request.form
    mapping = request.form.getlist("column")
    return _done(row, lambda: service.check(row, mapping, MatchBy(way), make_labels=labels))


@blueprint.post("/partners/import/<int:import_id>/columns")
@requires(EDIT)
def partner_import_columns(import_id: int) -> ResponseReturnValue:
    """Go back to the columns."""
    row = _import(import_id)
    return _done(row, lambda: service.back_to_columns(row))


@blueprint.post("/partners/import/<int:import_id>/start")
@requires(EDIT)
def partner_import_start(import_id: int) -> ResponseReturnValue:
    """Import what was looked at."""
    row = _import(import_id)
    return _done(row, lambda: service.start(row))


@blueprint.post("/partners/import/<int:import_id>/undo")
@requires(EDIT)
def partner_import_undo(import_id: int) -> ResponseReturnValue:
    """Take the import back."""
    row = _import(import_id)
    return _done(row, lambda: service.undo(row))


def _done(row: PartnerImport, verb: Any) -> ResponseReturnValue:
    number = row.id
    verb()
    return redirect(url_for("core.partner_import", import_id=number))


@blueprint.post("/partners/import/<int:import_id>/discard")
@requires(EDIT)
def partner_import_discard(import_id: int) -> ResponseReturnValue:
    """Forget a file that was not imported."""
    row = _import(import_id)
    name = row.file_name
    service.discard(row)
    flash(gettext("%(name)s was discarded; nothing was imported.", name=name), "success")
    return redirect(url_for("core.partner_imports"))


@blueprint.get("/partners/import/<int:import_id>/refused.csv")
@requires(EDIT)
def partner_import_refused(import_id: int) -> ResponseReturnValue:
    """Return the rows that cannot be imported, with why: to be corrected and imported by themselves."""
    row = _import(import_id)
    columns = [Column(title) for title in (*row.header, gettext("Why not"))]
    refused = db.session.scalars(
        select(ImportRow)
        .where(ImportRow.import_id == row.id, ImportRow.verdict == Verdict.REFUSED)
        .order_by(ImportRow.id)
        .execution_options(yield_per=500)
    )
    table = Table(gettext("Not imported"), columns, ([*one.cells, one.problem] for one in refused))
    return table_download(table, TableFile.CSV)


@blueprint.get("/partners/export")
@requires("core.partner.read")
def partners_export() -> ResponseReturnValue:
    """Return the customers that the list is narrowed to, with their contacts, as a file: CSV unless XLSX is wanted."""
    criteria = read_criteria(PARTNERS, request.args, ("customers",))
    form = TableFile.XLSX if request.args.get("form") == TableFile.XLSX else TableFile.CSV
    return table_download(partners_table(signed_in_user(), criteria), form)
