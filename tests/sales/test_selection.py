"""What is done to the rows that are selected in the lists of sales: exported, printed, confirmed, posted."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues
from modules.sales.states import InvoiceState, OrderState
from tests.statements import statements

LINES = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]


@pytest.fixture
def seller(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def client(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


@pytest.fixture
def quote(company: Company, customer: Partner, seller: User) -> Callable[..., Document]:
    def make(partner: Partner = customer, lines: list[LineValues] = LINES) -> Document:
        return orders.create_quotation(
            company, orders.QuotationValues(partner.id, clock.day_in("UTC"), lines), seller
        ).document

    return make


@pytest.fixture
def draft(company: Company, customer: Partner, seller: User) -> Callable[..., Invoice]:
    def make(date: dt.date | None = None, lines: list[LineValues] = LINES) -> Invoice:
        return invoices.create_invoice(company, invoices.InvoiceValues(customer.id, date, lines), seller)

    return make


def _csv(response: Any) -> list[list[str]]:
    assert response.status_code == 200, response.text
    return list(
        csv.reader(io.StringIO(response.data.decode("utf-8-sig")), delimiter=_separator(response.data))
    )


def _separator(data: bytes) -> str:
    return ";" if b'";"' in data else ","


def test_what_is_selected_is_exported_in_the_order_of_the_list(
    client: FlaskClient, quote: Callable[..., Document]
) -> None:
    ids = [quote().id for _ in range(3)]
    chosen = {"id": [ids[2], ids[0]], "as": "csv", "criteria": "sort=number&dir=asc"}
    head, *rows = _csv(client.post("/lists/sales.quotations/table", data=chosen))
    assert head[0] == "Number"
    assert [row[0] for row in rows] == ["S00001", "S00003"]


def test_all_that_match_are_those_that_the_list_is_narrowed_to(
    client: FlaskClient, quote: Callable[..., Document], company: Company
) -> None:
    other = save_partner(None, {"name": "=cmd|' /C calc'!A0", "email": "o@example.com", "language": "fr"})
    quote()
    quote(other)
    found = client.post(
        "/lists/sales.quotations/table", data={"all": "1", "as": "xlsx", "criteria": "q=cmd", "id": "99"}
    )
    assert "attachment" in found.headers["Content-Disposition"]
    sheet: Any = openpyxl.load_workbook(io.BytesIO(found.data)).active
    assert [[cell.value for cell in row][:2] for row in sheet.iter_rows(min_row=2)] == [
        ["S00002", "=cmd|' /C calc'!A0"]
    ]
    assert sheet["B2"].data_type in {"s", "inlineStr"}
    assert "Select all 1 that match" in client.get("/lists/sales.quotations/matching?q=cmd").text


def test_nobody_exports_prints_or_changes_what_is_out_of_reach(
    client: FlaskClient, quote: Callable[..., Document], make_user: Callable[..., User], sign_in: Any
) -> None:
    document = quote()
    other = save_company(None, {"name": "Other", "email": "x@other.example.com"})
    stranger = sign_in(make_user(login="stranger@other.example.com", company_ids=[other.id]))
    for action in ("table", "print"):
        form = {"id": document.id, "as": "csv"}
        assert stranger.post(f"/lists/sales.quotations/{action}", data=form).status_code == 404
    stranger.post("/sales/quotations/confirm", data={"id": document.id})
    assert db.session.get_one(Order, document.id).state is OrderState.QUOTATION
    cashier = sign_in(make_user("cashier"))
    assert (
        cashier.post("/lists/sales.quotations/table", data={"id": document.id, "as": "csv"}).status_code
        == 404
    )
    assert cashier.get("/lists/sales.quotations/matching").status_code == 404


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"id": "x"},
        {"id": "-1"},
        {"id": "99999999999999"},
        {"id": "²"},
        {"criteria": "f=&after=%00"},
    ],
)
def test_what_is_no_selection_is_told(client: FlaskClient, form: dict[str, str]) -> None:
    assert client.post("/lists/sales.quotations/print", data=form).status_code == 302
    assert "Select at least one line first." in client.get("/sales/quotations").text
    assert client.post("/lists/sales.quotations/table", data={**form, "as": "exe"}).status_code == 400
    assert client.post("/lists/no.such/table", data={**form, "as": "csv"}).status_code == 404
    assert client.post("/lists/core.partners/print", data=form).status_code == 404


def test_selected_documents_are_one_pdf_with_a_mark_for_each(
    client: FlaskClient, quote: Callable[..., Document]
) -> None:
    ids = [quote().id for _ in range(2)]
    made = client.post("/lists/sales.quotations/print", data={"id": ids, "criteria": "sort=number&dir=asc"})
    assert made.mimetype == "application/pdf"
    reader = PdfReader(io.BytesIO(made.data))
    marks = [mark.title for mark in reader.outline if not isinstance(mark, list)]
    assert marks == ["S00001", "S00002"]
    texts = [page.extract_text() for page in reader.pages]
    assert len(texts) == 2
    assert "S00001" in texts[0]
    assert "S00002" in texts[1]


def test_quotations_are_confirmed_each_by_itself(client: FlaskClient, quote: Callable[..., Document]) -> None:
    good, empty, again = quote(), quote(lines=[]), quote()
    orders.confirm(db.session.get_one(Order, again.id))
    client.post("/sales/quotations/confirm", data={"id": [good.id, empty.id, again.id]})
    page = client.get("/sales/quotations").text
    assert "1 quotation was confirmed." in page
    assert "S00002: Add a line first: there is nothing to order." in page
    assert db.session.get_one(Order, good.id).state is OrderState.ORDER
    assert db.session.get_one(Order, empty.id).state is OrderState.QUOTATION


def test_drafts_are_posted_so_that_numbers_follow_dates(
    client: FlaskClient, draft: Callable[..., Invoice]
) -> None:
    today = clock.day_in("UTC")
    undated, later, first = draft(), draft(today), draft(today - dt.timedelta(days=1))
    empty = draft(lines=[])
    ids = [row.document_id for row in (undated, later, first, empty)]
    client.post("/sales/invoices/post", data={"id": ids, "list": "sales.invoices"})
    page = client.get("/sales/invoices").text
    assert "3 documents were issued." in page
    assert "Draft: Add a line first" in page
    numbers = [db.session.get_one(Document, number).number[-5:] for number in ids]
    assert numbers == ["00003", "00002", "00001", ""]
    assert db.session.get_one(Invoice, ids[3]).state is InvoiceState.DRAFT


def test_a_page_of_a_list_offers_a_check_box_for_each_row_and_the_actions(
    client: FlaskClient, quote: Callable[..., Document]
) -> None:
    document = quote()
    page = client.get("/sales/quotations").text
    assert f'value="{document.id}"' in page
    assert 'formaction="/lists/sales.quotations/print"' in page
    assert 'formaction="/sales/quotations/confirm"' in page


def test_an_export_costs_as_many_statements_however_many_rows_a_chunk_has(
    client: FlaskClient, quote: Callable[..., Document]
) -> None:
    def count() -> int:
        with statements() as asked:
            client.post("/lists/sales.quotations/table", data={"all": "1", "as": "csv"})
        return len(asked)

    quote()
    count()
    few = count()
    for _ in range(12):
        quote()
    assert count() == few
    assert db.session.scalars(select(Document.id)).all()
