from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.models import Product, Tax
from core.products.service import save_product
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues, lines_of
from modules.sales.states import InvoiceState, OrderState

MakeOrder = Callable[..., Order]
MakeInvoice = Callable[..., Invoice]
MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]


@pytest.fixture
def client(salesperson: User, sign_in: SignIn) -> FlaskClient:
    return sign_in(salesperson)


def _form(customer: Partner, vat: Tax, **changes: Any) -> dict[str, Any]:
    return {
        "partner_id": str(customer.id),
        "date": "2026-03-12",
        "validity_date": "2026-04-11",
        "language": "",
        "payment_terms": "30 days",
        "note": "",
        "line.product_id": ["", ""],
        "line.description": ["First\nwith more", "Second"],
        "line.quantity": ["2", "1.5"],
        "line.unit": ["pc", ""],
        "line.unit_price": ["10.00", "4"],
        "line.discount": ["", "50"],
        "line.tax_id": [str(vat.id), ""],
        **changes,
    }


def _revision(html: str) -> str:
    found = re.search(r'name="revision"[^>]*value="(\d+)"', html)
    assert found, html
    return found[1]


# ------------------------------------------------------------------------------------------------ permissions

PAGES = [
    "/sales/quotations",
    "/sales/orders",
    "/sales/invoices",
    "/sales/credit-notes",
    "/sales/quotations/new",
]


@pytest.mark.parametrize("address", PAGES)
def test_a_visitor_is_sent_to_the_sign_in(app: Flask, address: str) -> None:
    response = app.test_client().get(address)
    assert (response.status_code, response.location.split("?")[0]) == (302, "/sign-in")


@pytest.mark.parametrize("address", [*PAGES, "/products"])
def test_a_cashier_is_refused(make_user: MakeUser, sign_in: SignIn, address: str) -> None:
    assert sign_in(make_user("cashier")).get(address).status_code == 403


def test_support_reads_and_does_not_write(
    make_user: MakeUser, sign_in: SignIn, make_quotation: MakeOrder
) -> None:
    order = make_quotation()
    client = sign_in(make_user("support", company_ids=[]))
    html = client.get(f"/sales/orders/{order.document_id}").text
    assert "S00001" in html
    assert "/confirm" not in html
    assert client.post(f"/sales/orders/{order.document_id}/confirm").status_code == 403
    assert client.get(f"/sales/orders/{order.document_id}/edit").status_code == 403


def test_a_document_of_another_company_is_not_found(client: FlaskClient, make_quotation: MakeOrder) -> None:
    other = save_company(None, {"name": "Other Ltd"})
    order = make_quotation(company=other, lines=())
    for address in (f"/sales/orders/{order.document_id}", f"/sales/orders/{order.document_id}/edit"):
        assert client.get(address).status_code == 404
    for verb in ("confirm", "cancel", "reopen", "duplicate", "invoice"):
        assert client.post(f"/sales/orders/{order.document_id}/{verb}").status_code == 404
    assert order.state is OrderState.QUOTATION


def test_an_order_is_no_invoice(client: FlaskClient, make_quotation: MakeOrder) -> None:
    assert client.get(f"/sales/invoices/{make_quotation().document_id}").status_code == 404


@pytest.mark.parametrize("verb", ["confirm", "cancel", "reopen", "duplicate", "invoice"])
def test_nothing_is_changed_by_get(client: FlaskClient, make_quotation: MakeOrder, verb: str) -> None:
    path = f"/sales/orders/{make_quotation().document_id}"
    answer = client.get(f"{path}/{verb}")  # as a reload does of a page that was shown after a button
    assert answer.status_code == 405
    assert f'href="{path}">Open the page</a>' in answer.text


def test_without_a_token_nothing_happens(app: Flask, client: FlaskClient, make_quotation: MakeOrder) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    order = make_quotation()
    assert client.post(f"/sales/orders/{order.document_id}/confirm").status_code == 400
    assert order.state is OrderState.QUOTATION
    page = client.get(f"/sales/orders/{order.document_id}/edit").text
    token = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert token
    client.post(f"/sales/orders/{order.document_id}/confirm", data={"csrf_token": token[1]})
    assert order.state is OrderState.ORDER


def test_no_page_has_inline_scripts_or_styles(
    client: FlaskClient, make_quotation: MakeOrder, make_invoice: MakeInvoice
) -> None:
    order, invoice = make_quotation(), make_invoice()
    for address in (
        "/sales/quotations",
        "/sales/invoices",
        "/sales/quotations/new",
        f"/sales/orders/{order.document_id}",
        f"/sales/orders/{order.document_id}/edit",
        f"/sales/invoices/{invoice.document_id}",
    ):
        html = client.get(address).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", html), address


# ------------------------------------------------------------------------------------------------------ forms


def test_a_quotation_is_written_confirmed_invoiced_posted_and_credited(
    client: FlaskClient, customer: Partner, vat: Tax
) -> None:
    response = client.post("/sales/quotations/new", data=_form(customer, vat), follow_redirects=True)
    assert "S00001" in response.text
    assert "€27.00" in response.text  # 20 + 20 % and 6 × 50 % without tax
    order = db.session.query(Order).one()
    for verb in ("confirm", "invoice"):
        response = client.post(f"/sales/orders/{order.document_id}/{verb}", follow_redirects=True)
        assert response.status_code == 200
    invoice = db.session.query(Invoice).one()
    client.post(f"/sales/invoices/{invoice.document_id}/post")
    assert invoice.document.number == "INV/2026/00001"
    html = client.get(f"/sales/orders/{order.document_id}").text
    assert f"/sales/invoices/{invoice.document_id}" in html
    client.post(f"/sales/invoices/{invoice.document_id}/credit")
    note = db.session.query(Invoice).filter(Invoice.reversed_id == invoice.document_id).one()
    client.post(f"/sales/invoices/{note.document_id}/post")
    assert "RINV/2026/00001" in client.get(f"/sales/invoices/{invoice.document_id}").text


def test_bad_input_keeps_everything_and_says_where(client: FlaskClient, customer: Partner, vat: Tax) -> None:
    form = _form(
        customer,
        vat,
        **{
            "validity_date": "2026-01-01",
            "note": "Typed with <b>care</b>",
            "line.quantity": ["two", "1.5"],
            "line.discount": ["", "150"],
            "line.description": ["<script>alert(1)</script>", ""],
        },
    )
    response = client.post("/sales/quotations/new", data=form)
    assert response.status_code == 422
    for words in ("This is not a number.", "From 0 to 100.", "This field is required."):
        assert words in response.text
    for typed in (
        'value="two"',
        'value="150"',
        "&lt;script&gt;alert(1)",
        "&lt;b&gt;care",
        'value="2026-01-01"',
    ):
        assert typed in response.text
    assert "<script>alert" not in response.text
    assert db.session.query(Order).count() == 0


def test_a_refusal_of_the_service_stands_beside_its_field(
    client: FlaskClient, customer: Partner, vat: Tax
) -> None:
    response = client.post("/sales/quotations/new", data=_form(customer, vat, validity_date="2026-01-01"))
    assert response.status_code == 422
    assert 'id="validity_date-errors"' in response.text
    assert "would expire before its date" in response.text
    assert 'value="10.00"' in response.text


def test_a_missing_customer_is_said(client: FlaskClient, customer: Partner, vat: Tax) -> None:
    for value in ("", "999999", "x"):
        response = client.post("/sales/quotations/new", data=_form(customer, vat, partner_id=value))
        assert response.status_code == 422
        assert 'id="partner_id-errors"' in response.text


@pytest.mark.parametrize("name", ["line.product_id", "line.tax_id"])
def test_a_forged_choice_is_refused(client: FlaskClient, customer: Partner, vat: Tax, name: str) -> None:
    for value in ("abc", "-1", "9" * 30, "999999"):
        response = client.post("/sales/quotations/new", data=_form(customer, vat, **{name: [value, ""]}))
        assert response.status_code == 422, value
        assert "Second" in response.text


def test_a_concurrent_edit_keeps_what_was_typed(
    client: FlaskClient, make_quotation: MakeOrder, customer: Partner, vat: Tax
) -> None:
    order = make_quotation()
    address = f"/sales/orders/{order.document_id}/edit"
    seen = _revision(client.get(address).text)
    assert client.post(address, data=_form(customer, vat, note="first", revision=seen)).status_code == 302
    response = client.post(address, data=_form(customer, vat, note="second", revision=seen))
    assert response.status_code == 422
    assert "have saved this in another window" in response.text
    assert "what you typed is still here" in response.text
    assert "first" in response.text
    assert "second" in response.text
    assert order.note == "first"
    again = _form(customer, vat, note="second", revision=_revision(response.text))
    assert client.post(address, data=again).status_code == 302, "saving once more goes over it"
    assert order.note == "second"


def test_a_button_of_an_outdated_page_does_nothing(client: FlaskClient, make_quotation: MakeOrder) -> None:
    order = make_quotation()
    seen = order.document.revision
    orders.cancel(order)
    orders.reopen(order)
    address = f"/sales/orders/{order.document_id}"
    response = client.post(
        f"{address}/confirm",
        data={"revision": seen},
        headers={"Referer": f"http://localhost{address}"},
        follow_redirects=True,
    )
    assert "Somebody else has changed this document" in response.text
    assert order.state is OrderState.QUOTATION


def test_a_posted_invoice_cannot_be_altered_by_the_form(
    client: FlaskClient, make_invoice: MakeInvoice, customer: Partner, vat: Tax
) -> None:
    invoice = make_invoice()
    address = f"/sales/invoices/{invoice.document_id}/edit"
    assert client.get(address).status_code == 302
    response = client.post(address, data=_form(customer, vat, note="changed"))
    assert response.status_code == 422
    assert "cannot be changed any more" in response.text
    assert (invoice.note, invoice.document.total) == ("", Decimal("120.00"))
    html = client.get(f"/sales/invoices/{invoice.document_id}").text
    assert f"/{invoice.document_id}/edit" not in html
    assert f"{invoice.document_id}/post" not in html


def test_lines_keep_the_order_of_the_page_and_blank_ones_are_left_out(
    client: FlaskClient, make_quotation: MakeOrder, customer: Partner, vat: Tax
) -> None:
    order = make_quotation()
    form = _form(
        customer,
        vat,
        **{
            "revision": order.document.revision,
            "line.product_id": [""] * 3,
            "line.description": ["B", "", "A"],
            "line.quantity": ["1", "1", "1"],
            "line.unit": [""] * 3,
            "line.unit_price": ["1", "", "2"],
            "line.discount": [""] * 3,
            "line.tax_id": [""] * 3,
        },
    )
    assert client.post(f"/sales/orders/{order.document_id}/edit", data=form).status_code == 302
    assert [line.description for line in lines_of(order.document_id)] == ["B", "A"]


def test_numbers_are_typed_in_the_language_of_the_user(
    make_user: MakeUser, sign_in: SignIn, customer: Partner, vat: Tax
) -> None:
    client = sign_in(make_user("administrator", language="fr"))
    form = _form(customer, vat, **{"line.unit_price": ["1 234,56", "4"], "line.quantity": ["1,5", "1.5"]})
    response = client.post("/sales/quotations/new", data=form, follow_redirects=True)
    order = db.session.query(Order).one()
    assert lines_of(order.document_id)[0].subtotal == Decimal("1851.84")
    assert "1\u202f851,84\u00a0€" in response.text
    assert 'value="1234,56"' in client.get(f"/sales/orders/{order.document_id}/edit").text


def test_five_hundred_lines_are_shown_and_saved(
    client: FlaskClient, make_quotation: MakeOrder, line: LineValues, customer: Partner, vat: Tax
) -> None:
    order = make_quotation(lines=[dataclasses.replace(line, description=f"Line {n}") for n in range(500)])
    address = f"/sales/orders/{order.document_id}/edit"
    html = client.get(address).text
    assert html.count("data-line>") == 501  # and the blank one in the template
    form = _form(
        customer,
        vat,
        **{
            "revision": _revision(html),
            "line.product_id": [""] * 500,
            "line.description": [f"Line {n}" for n in range(500)],
            "line.quantity": ["3"] * 500,
            "line.unit": [""] * 500,
            "line.unit_price": ["1.00"] * 500,
            "line.discount": [""] * 500,
            "line.tax_id": [""] * 500,
        },
    )
    assert client.post(address, data=form).status_code == 302
    assert order.document.total == Decimal(1500)


@pytest.mark.parametrize(
    ("count", "description", "sentence"),
    [
        (501, "Line", "at most 500 lines"),
        (26, "W" * 2000, "at most 50000 characters; these have 52000."),
    ],
)
def test_a_document_too_long_for_a_pdf_is_refused_and_nothing_typed_is_lost(
    client: FlaskClient, company: Company, customer: Partner, vat: Tax, count: int, description: str,
    sentence: str,
) -> None:  # fmt: skip
    columns = {
        "product_id": "", "description": description, "quantity": "3", "unit": "", "unit_price": "1.23",
        "discount": "", "tax_id": "",
    }  # fmt: skip
    form = _form(customer, vat, **{f"line.{name}": [value] * count for name, value in columns.items()})
    response = client.post("/sales/quotations/new", data=form)
    assert response.status_code == 422
    totals = response.text.split('id="totals"')[1]
    assert sentence in totals.split("</form>")[0]
    assert response.text.count(f"\n{description}</textarea>") == count
    assert response.text.count('value="1.23"') == count
    assert db.session.query(Order).count() == 0
    assert sentence in client.post(f"/sales/companies/{company.id}/preview", data=form).text
    fewer = _form(customer, vat, **{f"line.{name}": [value] * (count - 1) for name, value in columns.items()})
    assert client.post("/sales/quotations/new", data=fewer).status_code == 302


def test_an_archived_customer_stays_on_the_quotation_that_has_it(
    client: FlaskClient, make_quotation: MakeOrder, customer: Partner, vat: Tax
) -> None:
    order = make_quotation()
    save_partner(customer, {"active": False})
    address = f"/sales/orders/{order.document_id}/edit"
    html = client.get(address).text
    assert f'<option selected value="{customer.id}">' in html
    form = _form(customer, vat, note="changed", revision=_revision(html))
    assert client.post(address, data=form).status_code == 302
    assert (order.document.partner_id, order.note) == (customer.id, "changed")
    response = client.post("/sales/quotations/new", data=_form(customer, vat))
    assert 'id="partner_id-errors"' in response.text


def test_a_quotation_is_written_for_the_last_of_many_customers(
    client: FlaskClient, customer: Partner, vat: Tax
) -> None:
    save_partner(customer, {"name": "Zoé"})
    db.session.execute(insert(Partner), [{"name": f"Customer {n}"} for n in range(1000)])
    db.session.commit()
    assert client.post("/sales/quotations/new", data=_form(customer, vat)).status_code == 302


# ---------------------------------------------------------------------------------------------- totals, search


def test_totals_are_shown_while_typing_and_nothing_is_kept(
    client: FlaskClient, company: Company, customer: Partner, vat: Tax
) -> None:
    response = client.post(f"/sales/companies/{company.id}/preview", data=_form(customer, vat))
    assert re.findall(r"<li>\s*(.*?)\s*</li>", response.text) == ["€20.00", "€3.00"]
    assert "€27.00" in response.text
    form = _form(customer, vat, **{"line.quantity": ["zwei", "1.5"]})
    response = client.post(f"/sales/companies/{company.id}/preview", data=form)
    assert re.findall(r"<li>\s*(.*?)\s*</li>", response.text) == ["", "€3.00"]
    assert "left out" in response.text
    form = _form(
        customer, vat, **{"line.quantity": ["99999999999", "1"], "line.unit_price": ["99999999999", "4"]}
    )
    assert client.post(f"/sales/companies/{company.id}/preview", data=form).status_code == 200
    assert db.session.query(Order).count() == 0


def test_products_are_found_by_name_and_code(client: FlaskClient, company: Company, vat: Tax) -> None:
    other = save_company(None, {"name": "Other Ltd"})
    save_product(
        None,
        {
            "name": "Lampe Galet",
            "code": "LUM-210",
            "description": "Céramique",
            "unit": "pce",
            "unit_price": Decimal(96),
            "tax_id": vat.id,
            "company_id": company.id,
        },
    )
    save_product(None, {"name": "Lampe d'ailleurs", "company_id": other.id})
    save_product(None, {"name": "Lampe ancienne", "active": False})
    for query in ("lampe", "lum-2", ""):
        (found,) = client.get(f"/sales/companies/{company.id}/products?q={query}").get_json()
        assert found["label"] == "[LUM-210] Lampe Galet"
        assert found["description"] == "Lampe Galet\nCéramique"
        assert (found["unit_price"], found["tax_id"], found["price"]) == ("96.00", str(vat.id), "€96.00")


def test_products_and_taxes_of_a_company_out_of_reach_are_not_found(
    client: FlaskClient, make_user: MakeUser, sign_in: SignIn, company: Company, customer: Partner, vat: Tax
) -> None:
    other = save_company(None, {"name": "Other Ltd"})
    save_product(None, {"name": "Secret", "company_id": other.id})
    for theirs in (other.id, 999999):
        assert client.get(f"/sales/companies/{theirs}/products?q=").status_code == 404
        response = client.post(f"/sales/companies/{theirs}/preview", data=_form(customer, vat))
        assert response.status_code == 404
    assert client.get(f"/sales/companies/{company.id}/products?q=").status_code == 200
    everywhere = sign_in(make_user("administrator", company_ids=[company.id]))
    assert everywhere.get(f"/sales/companies/{other.id}/products?q=").get_json()[0]["label"] == "Secret"


def test_prices_keep_their_decimals_on_the_pages(
    client: FlaskClient, company: Company, make_quotation: MakeOrder, line: LineValues
) -> None:
    order = make_quotation(lines=[dataclasses.replace(line, unit_price=Decimal("0.0049"))])
    html = client.get(f"/sales/orders/{order.document_id}").text
    assert "€0.0049" in html
    assert "€0.01" in html  # the amount of both
    save_product(None, {"name": "Vis", "unit_price": Decimal("0.0049"), "company_id": company.id})
    (found,) = client.get(f"/sales/companies/{company.id}/products?q=Vis").get_json()
    assert found["price"] == "€0.0049"


# ------------------------------------------------------------------------------------------ products and taxes


def test_an_administrator_manages_products_and_taxes(
    make_user: MakeUser, sign_in: SignIn, company: Company, vat: Tax
) -> None:
    client = sign_in(make_user("administrator"))
    form = {
        "name": "Lampe",
        "code": "L1",
        "unit_price": "12.50",
        "unit": "pc",
        "tax_id": str(vat.id),
        "company_id": str(company.id),
        "description": "",
        "active": "y",
    }
    assert client.post("/products/new", data=form).status_code == 302
    product = db.session.query(Product).one()
    assert (product.unit_price, product.tax_id, product.company_id) == (Decimal("12.50"), vat.id, company.id)
    response = client.post("/products/new", data={**form, "name": "Other"})
    assert "Another product has this code." in response.text
    response = client.post(f"/products/{product.id}", data={**form, "unit_price": "dear"})
    assert 'value="dear"' in response.text
    client.post(f"/products/{product.id}", data={**form, "active": ""})
    assert not product.active
    client.get("/products")  # shows that it was saved
    assert "Lampe" not in client.get("/products").text
    assert "Archived" in client.get("/products?f=archived").text
    assert (
        client.post(
            "/taxes/new", data={"name": "TVA 10 %", "rate": "10", "active": "y", "company_id": ""}
        ).status_code
        == 302
    )
    assert "TVA 10 %" in client.get("/taxes").text
    response = client.post(
        f"/taxes/{vat.id}", data={"name": "TVA", "rate": "-1", "active": "y", "company_id": ""}
    )
    assert "must not be below 0" in response.text


def test_drafts_are_canceled_and_reopened(client: FlaskClient, make_invoice: MakeInvoice) -> None:
    invoice = make_invoice(posted=False)
    client.post(f"/sales/invoices/{invoice.document_id}/cancel")
    assert invoice.state is InvoiceState.CANCELED
    assert "Back to draft" in client.get(f"/sales/invoices/{invoice.document_id}").text
    client.post(f"/sales/invoices/{invoice.document_id}/reopen")
    assert invoice.state is InvoiceState.DRAFT


def test_an_invoice_without_an_order(client: FlaskClient, customer: Partner, vat: Tax) -> None:
    form = _form(customer, vat, date="", due_date="")
    assert client.post("/sales/invoices/new", data=form).status_code == 302
    invoice = db.session.query(Invoice).one()
    html = client.get(f"/sales/invoices/{invoice.document_id}").text
    assert "the day of issue" in html
    invoices.post(invoice)
    assert invoice.document.number == "INV/2026/00001"


def test_the_pages_speak_french(make_user: MakeUser, sign_in: SignIn, make_quotation: MakeOrder) -> None:
    order = make_quotation()
    client = sign_in(make_user("administrator", language="fr"))
    assert "Nouveau devis" in client.get("/sales/quotations").text
    html = client.get(f"/sales/orders/{order.document_id}").text
    for words in ("Confirmer", "Total HT", "Total TTC", "Valable" if order.validity_date else "Devis"):
        assert words in html
