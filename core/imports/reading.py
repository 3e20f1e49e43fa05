"""A file of a spreadsheet as rows of texts: CSV in whatever encoding and with whatever separator, or XLSX.

Everything is bounded before it is unpacked or parsed: a file of others may be made to fill the memory.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from babel.numbers import get_decimal_symbol
from flask_babel import get_locale

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.i18n import number_locale
from core.spreadsheets import unguarded, workbooks

MAX_OCTETS = 10_000_000
"""Of a file."""
MAX_ROWS = 50_000
"""Below the head; a longer table is refused, not cut off."""
MAX_COLUMNS = 60
MAX_CELL = 2_000
"""Characters; the longest column of a customer has 254."""
MAX_UNPACKED = 100_000_000
"""Octets that a workbook may unpack to: fifty thousand rows of sixty columns are less."""
DELIMITERS = (";", ",", "\t", "|")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that was read.

    Attributes:
        header: The first row that is not empty.
        rows: The rows below it that are not empty, each with its line in the file, and as wide as the header.
        form: "XLSX", or encoding and separator of a CSV, for people.
    """

    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    form: str


def read_sheet(data: bytes) -> Sheet:
    """Return the table of a file.

    Args:
        data: The file.

    Raises:
        UserError: It is none, or larger than what is taken; the sentence says what to do. Its field is `file`.
    """
    if not data.strip():
        raise _refused(_l("The file is empty."))
    if len(data) > MAX_OCTETS:
        raise _refused(_l("The file is larger than 10 MB. Divide it into several."))
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise _refused(_l("This is a workbook of an old Excel. Save it as XLSX or CSV."))
    if data.startswith(b"PK"):
        return _table(_rows_of_workbook(data), "XLSX")
    text, encoding = decoded(data)
    delimiter = delimiter_of(text)
    shown = {"\t": "tab"}.get(delimiter, delimiter)
    return _table(_rows_of_text(text, delimiter), f"CSV, {encoding}, {shown}")


def _refused(sentence: object) -> UserError:
    return UserError(sentence, "file")


def _table(lines: Iterator[tuple[int, Sequence[str]]], form: str) -> Sheet:
    header: tuple[str, ...] = ()
    rows: list[tuple[int, list[str]]] = []
    for line, cells in lines:
        if not any(cells):
            continue
        if not header:
            header = tuple(cells)
            while header and not header[-1]:
                header = header[:-1]
            continue
        if len(rows) == MAX_ROWS:
            raise _refused(_l("The file has more than 50,000 rows. Divide it into several."))
        if any(cells[len(header) :]):
            raise _refused(_l("Line %(line)s has more cells than the head of the table.", line=line))
        rows.append((line, [*cells[: len(header)], *[""] * (len(header) - len(cells))]))
    if not rows:
        raise _refused(_l("The file has no rows below its first line, which names the columns."))
    return Sheet(header, rows, form)


# ------------------------------------------------------------------------------------------------------------- CSV


def decoded(data: bytes) -> tuple[str, str]:
    """Return the text of a CSV and the name of its encoding: UTF-8 or UTF-16 with a mark or without, or Windows-1252.

    Raises:
        UserError: It is no text.
    """
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return _text(data, encoding), encoding.removesuffix("-sig").upper()
    sample = data[:2000]
    if sample.count(0) > len(sample) // 4:  # every other octet of Latin letters
        encoding = "utf-16-le" if sample[1::2].count(0) > sample[::2].count(0) else "utf-16-be"
        return _text(data, encoding), "UTF-16"
    try:
        return _text(data, "utf-8"), "UTF-8"
    except UnicodeDecodeError:
        # Excel saves so where Windows speaks a language of Western Europe. Five octets are no letters there.
        return _text(data, "cp1252", errors="replace"), "Windows-1252"


def _text(data: bytes, encoding: str, errors: str = "strict") -> str:
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError:
        if encoding == "utf-8":
            raise
        raise _refused(_l("The file is damaged: it is not the text that it begins as.")) from None
    strange = sum(letter < " " and letter not in "\t\r\n\f" for letter in text[:5000])
    if "\0" in text or strange > 5:
        raise _refused(_l("This is neither a CSV file nor an XLSX workbook."))
    return text


def delimiter_of(text: str) -> str:
    """Return what separates the cells: what makes the most columns of the head, in as many lines as possible."""
    first = text[:20_000].splitlines()[:20]
    lines = [line for line in first if line.strip()]

    def score(delimiter: str) -> tuple[int, int]:
        try:
            rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
        except csv.Error:
            return (0, 0)
        widths = [len(row) for row in rows if row]
        wide = widths[0] if widths else 0
        return (sum(width == wide for width in widths) if wide > 1 else 0, wide)

    return max(DELIMITERS, key=score)


def _rows_of_text(text: str, delimiter: str) -> Iterator[tuple[int, Sequence[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    end = 0
    while True:
        begin = end + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            raise _refused(
                _l(
                    "Line %(line)s cannot be read: a quotation mark is not closed, or stands alone.",
                    line=begin,
                )
            ) from None
        if cells is None:
            return
        end = reader.line_num
        yield begin, _clean([unguarded(cell) for cell in cells], begin)


def _clean(cells: Sequence[str], line: int) -> list[str]:
    if len(cells) > MAX_COLUMNS and any(cells[MAX_COLUMNS:]):
        raise _refused(_l("Line %(line)s has more than 60 cells. Is this the right file?", line=line))
    if any(len(cell) > MAX_CELL for cell in cells):
        raise _refused(
            _l(
                "A cell of line %(line)s has more than 2,000 characters. Is a quotation mark not closed?",
                line=line,
            )
        )
    return [cell.replace("\r\n", "\n").strip() for cell in cells[:MAX_COLUMNS]]


# ------------------------------------------------------------------------------------------------------------ XLSX


def _rows_of_workbook(data: bytes) -> Iterator[tuple[int, Sequence[str]]]:
    openpyxl = workbooks()
    damaged = _l("This workbook cannot be read. Open it in a spreadsheet and save it anew as XLSX.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MAX_UNPACKED or len(entries) > 2000:
                raise _refused(_l("This workbook unpacks to more than what is taken. Save its sheet as CSV."))
            for entry in entries:
                # No program of an office writes one, and entities make much of little.
                with archive.open(entry) as part:
                    if b"<!DOCTYPE" in part.read(4000).replace(b"\0", b""):
                        raise _refused(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parts of a workbook that are not looked at
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            sheet = book.worksheets[0]
            for line, cells in enumerate(
                # One more than is taken of each, so that more is noticed; what a sheet says of its own size is not
                # believed, and rows that it leaves out cost nothing.
                sheet.iter_rows(max_row=MAX_ROWS + 1000, max_col=MAX_COLUMNS + 1, values_only=True),
                1,
            ):
                yield line, _clean([_as_text(cell) for cell in cells], line)
            if _goes_on(sheet):
                raise _refused(_l("The file has more than 50,000 rows. Divide it into several."))
    except UserError:
        raise
    except (
        zipfile.BadZipFile,
        openpyxl.utils.exceptions.InvalidFileException,
        SyntaxError,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:  # whatever a damaged or hostile workbook makes openpyxl stumble over
        raise _refused(damaged) from error


def _goes_on(sheet: object) -> bool:
    rows = sheet.iter_rows(  # type: ignore[attr-defined]
        min_row=MAX_ROWS + 1001, max_row=MAX_ROWS + 1001, max_col=MAX_COLUMNS, values_only=True
    )
    return any(any(cell is not None for cell in row) for row in rows)


def _as_text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # a postal code or a number that Excel took for one
    if isinstance(cell, float):
        # As whoever imports writes it: whatever reads it later goes by their marks.
        return repr(cell).replace(".", get_decimal_symbol(number_locale(get_locale())))
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(sep=" ")
    return "".join(letter for letter in str(cell) if letter >= " " or letter in "\t\n\r")
