import csv
import datetime as dt
import io
import tracemalloc
import zoneinfo
from decimal import Decimal
from typing import Any

import openpyxl
import pytest

from core.spreadsheets import MAX_TEXT, Column, Format, Table, csv_chunks, write_xlsx

PARIS = zoneinfo.ZoneInfo("Europe/Paris")
COLUMNS = (
    Column("Numéro"),
    Column("Date", Format.DATE),
    Column("Total", Format.MONEY),
    Column("Envoyé le", Format.MOMENT),
    Column("Lignes", Format.NUMBER),
)
ROW = (
    "FAC/2026/00001",
    dt.date(2026, 3, 31),
    Decimal("-1234.50"),
    dt.datetime(2026, 6, 1, 22, 30, 15, 999, tzinfo=dt.UTC),
    3,
)


def _table(rows: Any = (ROW, ("FAC/2026/00002", None, None, None, 0))) -> Table:
    return Table("Factures", COLUMNS, rows, PARIS)


@pytest.mark.parametrize(
    ("locale", "separator", "amount"), [("fr_FR", ";", "-1234,50"), ("en_GB", ",", "-1234.50")]
)
def test_csv_is_written_as_the_readers_spreadsheet_reads_it(locale: str, separator: str, amount: str) -> None:
    data = b"".join(csv_chunks(_table(), locale))
    assert data.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in data
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig")), delimiter=separator))
    assert rows == [
        ["Numéro", "Date", "Total", "Envoyé le", "Lignes"],
        ["FAC/2026/00001", "2026-03-31", amount, "2026-06-02 00:30:15", "3"],
        ["FAC/2026/00002", "", "", "", "0"],
    ]


def test_xlsx_has_days_moments_and_amounts_as_such_and_a_head_that_stays() -> None:
    out = io.BytesIO()
    write_xlsx(_table(), out)
    sheet: Any = openpyxl.load_workbook(out).active
    assert sheet.title == "Factures"
    assert [cell.value for cell in sheet[1]] == ["Numéro", "Date", "Total", "Envoyé le", "Lignes"]
    number, day, total, moment, lines = sheet[2]
    assert (number.value, total.value, lines.value) == ("FAC/2026/00001", -1234.5, 3)
    assert (day.value, day.is_date) == (dt.datetime(2026, 3, 31), True)  # noqa: DTZ001 (a sheet has no zones)
    assert (moment.value, moment.is_date) == (dt.datetime(2026, 6, 2, 0, 30, 15), True)  # noqa: DTZ001
    assert total.number_format == "#,##0.00"
    assert [cell.value for cell in sheet[3]] == ["FAC/2026/00002", None, None, None, 0]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:E3")


def test_an_empty_table_and_one_with_a_long_text_are_files_all_the_same() -> None:
    out = io.BytesIO()
    write_xlsx(Table("[a/b]:*?" * 10, (Column("Text"),), []), out)
    assert len(openpyxl.load_workbook(out).sheetnames[0]) <= 31
    out = io.BytesIO()
    write_xlsx(Table("", (Column("Text"),), [("x" * 40_000,)]), out)
    sheet: Any = openpyxl.load_workbook(out).active
    assert len(sheet["A2"].value) == MAX_TEXT


def test_memory_does_not_grow_with_the_rows() -> None:
    tracemalloc.start()
    try:
        for _chunk in csv_chunks(_table(ROW for _ in range(5000)), "fr_FR"):
            pass
        write_xlsx(_table(ROW for _ in range(5000)), io.BytesIO())
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000
