"""Tables as spreadsheets, CSV (RFC 4180) and XLSX (ISO/IEC 29500): row by row, and harmless for whoever opens them.

What a customer is called may begin with `=`, and a spreadsheet would calculate it, or start a program: a text stays
a text here, whatever it says (OWASP, "CSV Injection"). In XLSX its cell says so. In CSV nothing can, so that an
apostrophe stands before it, which `unguarded` takes away again.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from importlib import import_module
from io import StringIO
from typing import IO, Any

from babel.numbers import get_decimal_symbol

Cell = str | Decimal | int | dt.date | dt.datetime | None
"""A moment (with its zone), a day, a number, a text, or nothing."""

MAX_TEXT = 32_767
"""Characters that a cell of Excel holds; what is longer is cut off."""
MAX_ROWS = 1_048_575
"""Rows that a sheet of Excel holds below its head (specification of Excel 2007 and later)."""

_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@＝＋－＠]")
# XML 1.0 §2.2 allows no other control character than tab and the ends of lines; nor half a surrogate pair.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_SHEET_NAME = re.compile(r"[\\/*?:\[\]]")


class Format(Enum):
    """How Excel shows the cells of a column; the names are those of its formats."""

    TEXT = "@"
    NUMBER = "General"
    MONEY = "#,##0.00"
    # The built-in formats 14 and 22: shown as the reader's own Excel writes dates.
    DATE = "mm-dd-yy"
    MOMENT = "m/d/yy h:mm"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its head, translated.
        format: How its cells are shown.
        width: In characters.
    """

    title: str
    format: Format = Format.TEXT
    width: int = 18


@dataclass(frozen=True, slots=True)
class Table:
    """A table to be written once.

    Attributes:
        title: Name of its sheet, translated.
        columns: Its columns.
        rows: Its rows, as long as the columns are many; taken one by one.
        zone: In which moments are written: a sheet has no zones.
    """

    title: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Cell]]
    zone: dt.tzinfo = dt.UTC


def csv_chunks(table: Table, locale: str) -> Iterator[bytes]:
    """Return a table as CSV, piece by piece.

    Excel knows UTF-8 by its mark at the beginning, and reads days as 2026-03-31 in every language. What separates
    numbers it expects as the reader's language does: `1,5;2` where a comma marks decimals, else `1.5,2`. Texts are
    quoted, so that one with the other separator in it falls not into two.

    Args:
        table: The table.
        locale: Of the numbers, such as `fr_FR`.
    """
    point = get_decimal_symbol(locale)
    buffer = StringIO(newline="")
    writer = csv.writer(buffer, delimiter=";" if point == "," else ",", quoting=csv.QUOTE_ALL)
    yield b"\xef\xbb\xbf"
    writer.writerow([_guarded(column.title) for column in table.columns])
    for count, row in enumerate(table.rows):
        writer.writerow([_csv_text(value, point, table.zone) for value in row])
        if count % 200 == 199:
            yield _taken(buffer)
    yield _taken(buffer)


@cache
def workbooks() -> Any:
    """Return openpyxl, which takes long to load: most processes neither read nor write a workbook."""
    return import_module("openpyxl")


def write_xlsx(table: Table, out: IO[bytes]) -> None:
    """Write a table as a workbook of one sheet, whose head stays in view and can be filtered by.

    Rows go to a temporary file as they come, so that memory does not grow with them. Those beyond `MAX_ROWS` are
    left out.

    Args:
        table: The table.
        out: A binary file that is open for writing.
    """
    openpyxl = workbooks()
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(_SHEET_NAME.sub(" ", _clean(table.title)).strip("' ")[:31] or "1")
    for index, column in enumerate(table.columns, 1):
        sheet.column_dimensions[openpyxl.utils.get_column_letter(index)].width = column.width
    sheet.freeze_panes = "A2"
    head = [_text_cell(sheet, column.title) for column in table.columns]
    for cell in head:
        cell.font = openpyxl.styles.Font(bold=True)
    sheet.append(head)
    count = 0
    for count, row in enumerate(table.rows, 1):
        if count > MAX_ROWS:
            break
        sheet.append(
            [
                _xlsx_cell(sheet, value, column, table.zone)
                for value, column in zip(row, table.columns, strict=True)
            ]
        )
    sheet.auto_filter.ref = (
        f"A1:{openpyxl.utils.get_column_letter(len(table.columns))}{min(count, MAX_ROWS) + 1}"
    )
    book.save(out)


def unguarded(text: str) -> str:
    """Return what a cell of our CSV said before an apostrophe was put in front of it; other texts as they are."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text, 1) else text


def _clean(text: str) -> str:
    return _NO_TEXT.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))[:MAX_TEXT]


def _guarded(text: str) -> str:
    text = _clean(text)
    return f"'{text}"[:MAX_TEXT] if _FORMULA.match(text) else text


def _local(value: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    return value.astimezone(zone).replace(tzinfo=None, microsecond=0)


def _csv_text(value: Cell, point: str, zone: dt.tzinfo) -> str:
    if isinstance(value, str):
        return _guarded(value)
    if isinstance(value, dt.datetime):
        return _local(value, zone).isoformat(sep=" ")
    if isinstance(value, Decimal):
        return f"{value:f}".replace(".", point)
    return "" if value is None else str(value)


def _text_cell(sheet: Any, text: str) -> Any:
    cell = workbooks().cell.WriteOnlyCell(sheet, "")
    # Not by assigning a value: that would take "=1" for a formula, and "#N/A" for an error.
    cell._value, cell.data_type = _clean(text), "s"
    return cell


def _xlsx_cell(sheet: Any, value: Cell, column: Column, zone: dt.tzinfo) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return _text_cell(sheet, value)
    cell = workbooks().cell.WriteOnlyCell(
        sheet, _local(value, zone) if isinstance(value, dt.datetime) else value
    )
    if column.format is not Format.TEXT:
        cell.number_format = column.format.value
    return cell


def _taken(buffer: StringIO) -> bytes:
    data = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return data
