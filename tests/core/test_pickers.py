"""Fields that find customers, products and colleagues, as a form of a module by others uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_login import login_user
from flask_wtf import FlaskForm

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import transaction
from core.i18n import gettext
from core.partners.models import Partner
from core.partners.service import save_partner
from core.pickers import PartnerField, ProductField, UserField
from core.products.models import Product
from core.products.service import save_product
from core.web.forms import required

SignIn = Callable[[User], FlaskClient]


class Form(FlaskForm):  # type: ignore[misc]
    partner_id = PartnerField("Customer", required())
    contact_id = PartnerField("Contact", contacts=True)
    product_id = ProductField("Product")
    user_id = UserField("Colleague")


@pytest.fixture
def seller(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def elsewhere(company: Company) -> Company:
    assert company.id
    values = {"name": "Elsewhere", "email": "a@elsewhere.example.com", "currency": "EUR", "language": "en"}
    return save_company(None, values)


@pytest.fixture
def customer(company: Company) -> Partner:
    assert company.id
    return save_partner(None, {"name": "Dupont & Fils", "email": "a@dupont.example.com"})


@pytest.fixture
def contact(customer: Partner) -> Partner:
    return save_partner(None, {"name": "Claire", "parent_id": customer.id})


def product(company: Company | None, name: str = "Lamp", **values: Any) -> Product:
    company_id = company.id if company else None
    return save_product(None, {"name": name, "unit_price": Decimal(5), "company_id": company_id, **values})


@contextmanager
def posting(app: Flask, user: User, **data: object) -> Iterator[None]:
    posted = {name: str(value) for name, value in data.items()}
    with app.test_request_context("/", method="POST", data=posted):
        login_user(user)
        yield


def errors(form: FlaskForm) -> dict[str, list[str]]:
    form.validate()
    return {name: [str(sentence) for sentence in said] for name, said in form.errors.items()}


def test_what_is_chosen_is_read_shown_and_searchable(
    app: Flask, seller: User, company: Company, customer: Partner, contact: Partner
) -> None:
    lamp = product(company, code="L1")
    chosen = {
        "partner_id": customer.id,
        "contact_id": contact.id,
        "product_id": lamp.id,
        "user_id": seller.id,
    }
    with posting(app, seller, **chosen):
        form = Form()
        assert errors(form) == {}
        assert {name: field.data for name, field in form._fields.items() if name in chosen} == chosen
        rows = [form.partner_id.row, form.contact_id.row, form.product_id.row, form.user_id.row]
        assert rows == [customer, contact, lamp, seller]
        html = str(form.partner_id())
        assert html.count("<option") == 2
        assert f'<option selected value="{customer.id}">Dupont &amp; Fils</option>' in html
        assert 'data-people="/people?only=customers&amp;company_id=1"' in html
        assert 'data-people="/people?only=partners&amp;company_id=1"' in str(form.contact_id())
        assert f'data-people="/pick/{company.id}/products"' in str(form.product_id())
        assert f'data-people="/pick/{company.id}/users"' in str(form.user_id())
        assert "L1" in str(form.product_id())


@pytest.mark.parametrize("forged", ["999999", "x", "-1", "1²", "99999999999999999999", "1 OR 1=1"])
def test_a_forged_id_is_refused_beside_the_field(app: Flask, seller: User, forged: str) -> None:
    with posting(app, seller, partner_id=forged, contact_id=forged, product_id=forged, user_id=forged):
        form = Form()
        assert errors(form) == {
            "partner_id": [gettext("This customer does not exist any more.")],
            "contact_id": [gettext("This customer does not exist any more.")],
            "product_id": [gettext("This product does not exist any more. Choose another.")],
            "user_id": [gettext("This colleague does not work for the company any more. Choose another.")],
        }
        assert str(form.product_id()).count("<option") == 1


def test_rows_of_another_company_are_not_there(
    app: Flask, seller: User, customer: Partner, elsewhere: Company, make_user: Callable[..., User]
) -> None:
    theirs = product(elsewhere, "Secret lamp")
    stranger = make_user("cashier", company_ids=[elsewhere.id], name="Secret person")
    with posting(app, seller, partner_id=customer.id, product_id=theirs.id, user_id=stranger.id):
        form = Form()
        assert set(errors(form)) == {"product_id", "user_id"}
        assert "Secret" not in f"{form.product_id()}{form.user_id()}"
        form.product_id.company_id = (
            elsewhere.id
        )  # a view may not widen it beyond the user's companies either
        assert "product_id" in errors(form)
    everybodys = product(None, "Shared lamp")
    with posting(app, seller, partner_id=customer.id, product_id=everybodys.id):
        assert errors(Form()) == {}


def test_what_cannot_be_chosen_stays_where_it_was(
    app: Flask, seller: User, customer: Partner, contact: Partner
) -> None:
    with posting(app, seller, partner_id=contact.id):
        assert errors(Form()) == {"partner_id": ["Claire is a contact. Choose a customer."]}
    save_partner(customer, {"active": False})
    with posting(app, seller, partner_id=customer.id):
        form = Form()
        assert errors(form) == {"partner_id": ["Dupont & Fils is archived. Choose another customer."]}
        assert f'<option selected value="{customer.id}">' in str(form.partner_id()), "it stays shown"
        assert errors(Form(partner_id=customer.id)) == {}, "the form was opened with it"


def test_archived_products_and_deactivated_colleagues_cannot_be_chosen_newly(
    app: Flask, seller: User, customer: Partner, company: Company, make_user: Callable[..., User]
) -> None:
    lamp, gone = product(company), make_user("support", name="Sam")
    with transaction():
        lamp.active = gone.active = False
    with posting(app, seller, partner_id=customer.id, product_id=lamp.id, user_id=gone.id):
        assert errors(Form()) == {
            "product_id": ["Lamp is archived. Choose another product."],
            "user_id": ["Sam is deactivated. Choose another colleague."],
        }


def test_nothing_chosen_is_none_or_asked_for(app: Flask, seller: User) -> None:
    with posting(app, seller, partner_id="", product_id=""):
        form = Form()
        assert errors(form) == {"partner_id": ["This field is required."]}
        assert (form.product_id.data, form.product_id.row) == (None, None)


def test_the_server_finds_what_is_in_reach_alone(
    seller: User, sign_in: SignIn, company: Company, elsewhere: Company, make_user: Callable[..., User]
) -> None:
    product(company, "Lamp of ours")
    product(elsewhere, "Lamp of theirs")
    make_user("cashier", company_ids=[elsewhere.id], name="Lamprecht")
    make_user("support", name="Lampert")
    browser = sign_in(seller)
    found = browser.get(f"/pick/{company.id}/products?q=lamp").json
    assert [row["text"] for row in found] == ["Lamp of ours"]
    people = browser.get(f"/pick/{company.id}/users?q=lamp").json
    assert [row["text"] for row in people] == ["Lampert"]
    for what in ("products", "users"):
        assert browser.get(f"/pick/{elsewhere.id}/{what}").status_code == 404


def test_contacts_are_found_where_they_are_wanted(
    seller: User, sign_in: SignIn, customer: Partner, contact: Partner
) -> None:
    browser = sign_in(seller)
    found = browser.get("/people?only=partners&q=dupont").json
    assert {row["value"] for row in found} == {str(customer.id), str(contact.id)}
    assert [row["value"] for row in browser.get("/people?only=customers&q=dupont").json] == [str(customer.id)]
