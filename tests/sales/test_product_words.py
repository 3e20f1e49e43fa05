"""Products and taxes in other languages, on their pages and on those of documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.products.models import Product, Tax
from core.products.service import save_product
from modules.sales.models import Order
from modules.sales.service.lines import LineValues

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
