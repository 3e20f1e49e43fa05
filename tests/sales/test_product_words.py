"""Products, taxes and terms of payment in other languages, on their pages and on those of documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.documents.locale import speaking
from core.documents.service import behavior_of
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.models import PaymentTerms, Product, Tax
from core.products.service import save_payment_terms, save_product, save_tax
from modules.sales.models import Order
from modules.sales.pdf import document_html
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues
from tests.forms import filled_in, form_of

FORM = {
    "name": "Lampe",
    "unit_price": "50",
    "unit": "pce",
    "tax_id": "",
    "company_id": "",
    "active": "y",
    "words-0-language": "en",
    "words-0-name": " Lamp ",
    "words-0-description": "",
    "words-0-unit": "pc",
    "words-1-language": "fr",
    "words-1-name": "",
    "words-1-description": "",
    "words-1-unit": "",
}


@pytest.fixture
def client(make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(make_user("administrator", login="boss@maison.example.com"))


def test_words_in_other_languages_are_kept_shown_and_taken_away(client: FlaskClient) -> None:
    assert client.post("/products/new", data=FORM).status_code == 302
    row = db.session.scalars(select(Product)).one()
    assert row.translations == {"en": {"name": "Lamp", "unit": "pc"}}
    page = client.get(f"/products/{row.id}").text
    assert 'name="words-0-name"' in page
    assert 'value="Lamp"' in page
    assert client.post(f"/products/{row.id}", data={**FORM, "words-0-name": ""}).status_code == 302
    db.session.expire_all()
    assert row.translations == {"en": {"unit": "pc"}}


def test_a_form_without_these_fields_changes_none(client: FlaskClient) -> None:
    client.post("/products/new", data=FORM)
    row = db.session.scalars(select(Product)).one()
    short = {name: value for name, value in FORM.items() if not name.startswith("words")}
    assert client.post(f"/products/{row.id}", data={**short, "name": "Lampadaire"}).status_code == 302
    db.session.expire_all()
    assert (row.name, row.translations["en"]["name"]) == ("Lampadaire", "Lamp")


@pytest.mark.parametrize("language", ["xx", "../en", ""])
def test_a_language_that_nobody_offers_is_not_kept(client: FlaskClient, language: str) -> None:
    assert client.post("/products/new", data={**FORM, "words-0-language": language}).status_code == 302
    assert language not in db.session.scalars(select(Product)).one().translations


def test_words_that_are_too_long_are_told_beside_their_field(client: FlaskClient) -> None:
    answer = client.post("/products/new", data={**FORM, "words-0-unit": "x" * 21})
    assert 'id="words-0-unit-errors"' in answer.text
    assert db.session.scalars(select(Product)).all() == []


def test_a_tax_has_a_name_in_other_languages(client: FlaskClient) -> None:
    form = {"name": "TVA 20 %", "rate": "20", "active": "y", "company_id": ""}
    words = {"words-0-language": "en", "words-0-name": "VAT 20%"}
    assert client.post("/taxes/new", data={**form, **words}).status_code == 302
    row = db.session.scalars(select(Tax)).one()
    assert row.translations == {"en": {"name": "VAT 20%"}}
    assert 'value="VAT 20%"' in client.get(f"/taxes/{row.id}").text


def test_the_page_of_a_document_speaks_its_language(
    company: Company, make_quotation: Callable[..., Order], line: LineValues, client: FlaskClient
) -> None:
    lamp = save_product(
        None,
        {
            "name": "Lampe",
            "description": "En laiton",
            "unit_price": Decimal(50),
            "unit": "pce",
            "translations": {"en": {"name": "Lamp", "unit": "pc"}},
        },
    )
    order = make_quotation(lines=[dataclasses.replace(line, product_id=lamp.id)], language="en")
    page = client.get(f"/sales/orders/{order.document_id}").text
    assert '<span class="line-name">Lamp</span>' in page
    assert "2 pc<" in page
    assert "En laiton" in page, "what has no translation stays as it is"


# -- the editor of a document ------------------------------------------------------------------------------


@pytest.fixture
def lamp(company: Company) -> Product:
    tax = save_tax(
        None, {"name": "TVA 20 %", "rate": Decimal(20), "translations": {"en": {"name": "VAT 20%"}}}
    )
    words = {"name": "Lamp", "description": "Made of brass", "unit": "pc"}
    return save_product(
        None,
        {
            "name": "Lampe",
            "description": "En laiton",
            "unit_price": Decimal(50),
            "unit": "pce",
            "tax_id": tax.id,
            "translations": {"en": words},
        },
    )


@pytest.fixture
def english(make_quotation: Callable[..., Order], line: LineValues, lamp: Product) -> Order:
    """A quotation in English over a lamp, as its products are called by the house."""
    wanted = dataclasses.replace(
        line, product_id=lamp.id, description="Lampe\nEn laiton", tax_id=lamp.tax_id, unit="pce"
    )
    return make_quotation(lines=[wanted], language="en")


def test_the_editor_speaks_the_language_of_the_document_and_loses_no_other(
    english: Order, client: FlaskClient
) -> None:
    address = f"/sales/orders/{english.document_id}/edit"
    page = client.get(address).text
    form = form_of(page, "line.description")
    assert form["line.description"] == "Lamp\r\nMade of brass"
    assert form["line.unit"] == "pc"
    assert "selected>VAT 20%" in page
    assert client.post(address, data=filled_in(form, note="Hello")).status_code == 302
    db.session.expire_all()
    (saved,) = english.lines
    assert (saved.description, saved.unit) == ("Lampe\nEn laiton", "pce")
    assert saved.said("description", "en") == "Lamp\nMade of brass"
    assert saved.said("unit", "en") == "pc"
    # In the customer's language the same lines are French again.
    assert client.post(address, data=filled_in(form_of(client.get(address).text, "note"), language="fr"))
    assert form_of(client.get(address).text, "note")["line.description"] == "Lampe\r\nEn laiton"


def test_what_a_line_says_stays_known_when_the_product_changes(
    english: Order, lamp: Product, client: FlaskClient
) -> None:
    save_product(lamp, {"name": "Lampadaire", "translations": {"en": {"name": "Floor lamp"}}})
    address = f"/sales/orders/{english.document_id}/edit"
    form = form_of(client.get(address).text, "note")
    assert client.post(address, data=filled_in(form, note="Hello")).status_code == 302
    db.session.expire_all()
    (saved,) = english.lines
    assert (saved.said("description", "fr"), saved.said("description", "en")) == (
        "Lampe\nEn laiton",
        "Lamp\nMade of brass",
    )


def test_what_a_person_has_typed_is_printed_as_it_is(english: Order, client: FlaskClient) -> None:
    address = f"/sales/orders/{english.document_id}/edit"
    form = filled_in(form_of(client.get(address).text, "note"), **{"line.description": "Lamp, special"})
    assert client.post(address, data=form).status_code == 302
    db.session.expire_all()
    (saved,) = english.lines
    assert saved.said("description", "fr") == saved.said("description", "en") == "Lamp, special"
    assert saved.said("unit", "en") == "pc"


def test_a_chosen_product_fills_in_the_words_of_the_document(
    company: Company, customer: Partner, lamp: Product, client: FlaskClient
) -> None:
    def found(**asked: object) -> dict[str, str]:
        (product,) = client.get(f"/sales/companies/{company.id}/products", query_string=asked).json
        return product

    assert found(language="en")["description"] == "Lamp\nMade of brass"
    assert found(language="en")["unit"] == "pc"
    assert found(language="", partner_id=customer.id)["description"] == "Lampe\nEn laiton"
    save_partner(customer, {"language": "en"})
    assert found(language="", partner_id=customer.id)["unit"] == "pc"
    assert found(language="en", q="lampe")["label"] == "Lampe", "it is searched as the house calls it"


# -- terms of payment ---------------------------------------------------------------------------------------

TERMS = {
    "name": "30 jours net",
    "company_id": "",
    "active": "y",
    "words-0-language": "en",
    "words-0-name": "30 days net",
    "words-1-language": "fr",
    "words-1-name": "",
}


@pytest.fixture
def terms(client: FlaskClient) -> PaymentTerms:
    assert client.post("/payment-terms/new", data=TERMS).status_code == 302
    return db.session.scalars(select(PaymentTerms)).one()


def test_terms_of_payment_are_kept_in_other_languages(terms: PaymentTerms, client: FlaskClient) -> None:
    assert terms.translations == {"en": {"name": "30 days net"}}
    assert "30 jours net" in client.get("/payment-terms").text
    assert (
        client.post(f"/payment-terms/{terms.id}", data={**TERMS, "words-0-name": "Net 30"}).status_code == 302
    )
    db.session.expire_all()
    assert terms.said("name", "en") == "Net 30"


@pytest.mark.parametrize("typed", ["30 jours net", "30 days net"])
def test_terms_of_payment_are_printed_in_the_language_of_the_document(
    terms: PaymentTerms, make_quotation: Callable[..., Order], client: FlaskClient, typed: str
) -> None:
    for language, shown, other in (
        ("en", "30 days net", "30 jours net"),
        ("fr", "30 jours net", "30 days net"),
    ):
        order = make_quotation(payment_terms=typed, language=language)
        document = order.document
        with speaking(document):
            pdf = document_html(document)
            fields = behavior_of(document).fields(document)
        page = client.get(f"/sales/orders/{document.id}").text
        for text in (pdf, page, str(fields["document.payment_terms"])):
            assert shown in text
            assert other not in text
        form = client.get(f"/sales/orders/{document.id}/edit").text
        assert form_of(form, "note")["payment_terms"] == shown
        assert f'<option value="{shown}">' in form


@pytest.mark.both_databases
def test_terms_that_were_agreed_stay_known_in_every_language(
    terms: PaymentTerms, make_quotation: Callable[..., Order], salesperson: User
) -> None:
    order = make_quotation(payment_terms="30 days net", language="fr")
    save_payment_terms(terms, {"name": "60 jours", "translations": {"en": {"name": "60 days"}}})
    copy = orders.duplicate(order, salesperson)
    orders.confirm(order)
    invoice = invoices.invoice_order(order, salesperson)
    for row in (copy, invoice):
        assert row.said("payment_terms", "fr") == "30 jours net"
        assert row.said("payment_terms", "en") == "30 days net"


def test_typed_terms_are_printed_as_they_are(
    terms: PaymentTerms, make_quotation: Callable[..., Order]
) -> None:
    order = make_quotation(payment_terms=" comme convenu ", language="en")
    assert (order.payment_terms, order.translations) == ("comme convenu", {})


def test_another_companys_terms_are_not_offered(
    terms: PaymentTerms, make_quotation: Callable[..., Order], client: FlaskClient
) -> None:
    other = save_company(None, {"name": "Other", "language": "en"})
    save_payment_terms(terms, {"company_id": other.id})
    order = make_quotation(language="en")
    assert "30 days net" not in client.get(f"/sales/orders/{order.document_id}/edit").text
