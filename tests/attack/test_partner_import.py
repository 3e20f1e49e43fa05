"""Files of customers that are made to do harm: bombs, formulas, millions of rows, ids and names of others."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress

import openpyxl
import pytest
from flask import Flask
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.errors import UserError
from core.imports import service
from core.imports.models import ImportRow
from core.imports.reading import MAX_ROWS, read_sheet
from core.partners.imports.judging import MatchBy
from core.partners.models import Partner
from core.partners.service import save_partner


def _workbook(**parts: bytes) -> bytes:
    """Return a workbook with some of its parts replaced."""
    book = openpyxl.Workbook()
    book.active.append(["Name", "City"])
    book.active.append(["Dupont", "Paris"])
    plain, made = io.BytesIO(), io.BytesIO()
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            name = entry.filename.rpartition("/")[2].partition(".")[0]
            new.writestr(entry, parts.get(name, old.read(entry)), zipfile.ZIP_DEFLATED)
    return made.getvalue()


_ENTITIES = b'<!DOCTYPE x [<!ENTITY a "' + b"ha" * 1000 + b'"><!ENTITY b "' + b"&a;" * 1000 + b'">]>'
_SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
_CELL = b'<c r="%s" t="inlineStr"><is><t>x</t></is></c>'


HOSTILE: dict[str, Callable[[], bytes]] = {
    "bomb": lambda: _workbook(sheet1=_SHEET % (b" " * 120_000_000)),
    "entities": lambda: _workbook(
        sheet1=_ENTITIES + _SHEET % b"<row><c t='inlineStr'><is><t>&b;</t></is></c></row>"
    ),
    "entities-utf16": lambda: _workbook(sheet1=(_ENTITIES + _SHEET % b"").decode().encode("utf-16")),
    "cut": lambda: _workbook(sheet1=b"<worksheet"),
    "no-book": lambda: _workbook(workbook=b"<x/>"),
    "styles": lambda: _workbook(sharedStrings=b"\0" * 100, styles=b"<styleSheet><numFmts count='x'>"),
    "empty-zip": lambda: b"PK\x05\x06" + b"\0" * 18,
    "no-end": lambda: _workbook()[:-30],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_workbook_is_refused_at_once(app: Flask, name: str) -> None:
    data = HOSTILE[name]()
    began = time.process_time()
    with app.test_request_context(), pytest.raises(UserError) as refused:
        read_sheet(data)
    assert refused.value.field == "file"
    assert time.process_time() - began < 3


def test_a_cell_at_the_far_corner_costs_nothing(app: Flask) -> None:
    rows = b'<row r="1">%s</row><row r="1048576">%s</row>' % (_CELL % b"A1", _CELL % b"XFD1048576")
    began = time.process_time()
    with app.test_request_context(), pytest.raises(UserError, match=r"no rows|50,000"):
        read_sheet(_workbook(sheet1=_SHEET % rows))
    assert time.process_time() - began < 3


@pytest.mark.parametrize("lines", [MAX_ROWS + 1, 1_000_000])
def test_more_rows_than_are_taken_are_refused(app: Flask, lines: int) -> None:
    began = time.process_time()
    with app.test_request_context(), pytest.raises(UserError, match=r"50,000|10 MB"):
        read_sheet(b"Name;City\n" + b"Dupont;\n" * lines)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "text",
    [
        "Name;Email\n=cmd|'/c calc'!A1;a@example.com\n",
        "Name;Email\n\0\0\0x;a@example.com\n",
        "Name;Email\nx;a@example.com\r\nBcc: b@example.com\n",
        "Name;Email\n" + "\N{RIGHT-TO-LEFT OVERRIDE}" * 50 + ";a@example.com\n",
        "Name;Email\n<script>alert(1)</script> %(name)s;a@example.com\n",
        'Name;Email\n"' + "\n" * 500 + '";a@example.com\n',
        "Name;Name;Email\nx;y;a@example.com\n",
        "Name;" + ";" * 500 + "\nx\n",
        "\N{ZERO WIDTH SPACE};\nx;y\n",
    ],
)
def test_strange_cells_do_no_harm(app: Flask, make_user: Callable[..., User], text: str) -> None:
    seller = make_user("salesperson")
    with app.test_request_context(), suppress(UserError):
        of = service.read_file("partners", text.encode(), "../../x\n<b>.csv", seller)
        service.check(of, of.mapping, MatchBy.EMAIL)
        service.start(of)
    for partner in db.session.scalars(select(Partner)):
        assert "\n" not in partner.name
        assert "\0" not in partner.name


def test_a_file_changes_nobody_of_others_and_tells_nothing_of_them(
    company: Company, make_user: Callable[..., User], app: Flask
) -> None:
    theirs = save_company(None, {"name": "Others"})
    secret = save_partner(
        None,
        {
            "name": "Secret SA",
            "number": "S-1",
            "email": "s@example.com",
            "vat": "FR40303265045",
            "company_id": theirs.id,
        },
    )  # fmt: skip
    seller = make_user("salesperson")
    text = "Number;Name;Email;VAT;Contact of\nS-1;Mine;s@example.com;FR40303265045;\n;Anna;a@example.com;;Secret SA\n"
    for way in MatchBy:
        with app.test_request_context():
            of = service.read_file("partners", text.encode(), "x.csv", seller)
            service.check(of, of.mapping, way)
        first, second = db.session.scalars(
            select(ImportRow).where(ImportRow.import_id == of.id).order_by(ImportRow.id)
        )
        assert (first.verdict, first.partner_id, first.before) == ("new", None, {})
        assert (second.verdict, second.field) == ("refused", "parent")
        with app.test_request_context():
            service.start(of)
            service.undo(of)
        db.session.expire_all()
        assert (secret.name, secret.company_id) == ("Secret SA", theirs.id)
        assert company.id != theirs.id
