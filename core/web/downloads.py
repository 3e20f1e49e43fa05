"""Tables that a page offers as a file, and PDFs that it shows."""

from __future__ import annotations

from enum import StrEnum
from io import BytesIO

from flask import Response, abort, request, send_file
from flask_babel import get_locale

from core.i18n import number_locale
from core.mail.draft import safe_file_name
from core.spreadsheets import Table, csv_chunks, write_xlsx
from core.web.security import for_viewer


class TableFile(StrEnum):
    """The form of a table that is taken away."""

    CSV = "csv"
    XLSX = "xlsx"


_MEDIA_TYPES = {
    TableFile.CSV: "text/csv",
    TableFile.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def posted_form() -> TableFile:
    """Return the form in which a table is asked for by `as`; abort with 400 where there is no such form."""
    form = request.form.get("as", "")
    if form not in TableFile.__members__.values():
        abort(400)
    return TableFile(form)


def shown_pdf(data: bytes, name: str) -> Response:
    """Return a PDF that the browser shows, and saves by a name."""
    response = Response(data, mimetype="application/pdf")
    response.headers.set("Content-Disposition", "inline", filename=name)
    return for_viewer(response)


def table_download(table: Table, form: TableFile, name: str = "") -> Response:
    """Return a table as a file to be saved, written whole before the answer begins: a fault is a page, not half a file.

    Args:
        table: The table; its rows may read the database.
        form: CSV or XLSX.
        name: Of the file, without its extension; the title of the table where none is given.
    """
    # In memory: of the rows of a table only its octets are kept, some hundred for each row.
    out = BytesIO()
    if form is TableFile.CSV:
        for chunk in csv_chunks(table, number_locale(get_locale())):
            out.write(chunk)
    else:
        write_xlsx(table, out)
    out.seek(0)
    response = send_file(
        out,
        _MEDIA_TYPES[form],
        as_attachment=True,
        download_name=safe_file_name(f"{name or table.title}.{form}"),
    )
    response.headers["Cache-Control"] = "no-store"
    return response
