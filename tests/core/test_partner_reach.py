"""Whose a customer is, and the history of its addresses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.contract import Scope
from core.db import db, transaction
from core.documents.service import create_document
from core.partners.history import PartnerChange, forget_address, last_changes
from core.partners.models import Partner
from core.partners.reach import EDIT, partner_for
from core.partners.service import save_contact, save_partner

MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]

FORM = {
    "name": "Kestrel Ltd",
    "email": "office@kestrel.example.com",
    "language": "en",
    "country": "GB",
    "active": "y",
}


@pytest.fixture
def kestrel(company: Company) -> Partner:
    return save_partner(None, {key: FORM[key] for key in ("name", "email", "language", "country")})


@pytest.fixture
def elsewhere(company: Company) -> Company:
    return save_company(None, {"name": "Elsewhere Ltd", "currency": "EUR", "language": "en"})


@pytest.fixture
def sophie(make_user: MakeUser) -> User:
    return make_user("salesperson", name="Sophie Bernard")


@pytest.fixture
def client(sophie: User, sign_in: SignIn) -> FlaskClient:
    return sign_in(sophie)


def changes_of(customer: Partner) -> list[tuple[str, str, str, str]]:
    return [
        (change.partner.name, change.before, change.after, change.by_user.name if change.by_user else "")
        for change in last_changes(customer)
    ]


# ---------------------------------------------------------------------------------------------------- whose it is


@pytest.mark.both_databases
def test_contacts_are_whose_the_customer_is(kestrel: Partner, company: Company, sophie: User) -> None:
    anna = save_contact(kestrel, "Anna", "anna@kestrel.example.com")
    save_partner(kestrel, {"company_id": company.id})
    db.session.expire_all()
    assert (anna.company_id, anna.owner_id) == (company.id, None)
    assert save_contact(kestrel, "Ben", "").company_id == company.id
    save_partner(kestrel, {"company_id": None, "owner_id": sophie.id})
    db.session.expire_all()
    assert (anna.company_id, anna.owner_id) == (None, sophie.id)
    save_partner(anna, {"city": "Leeds", "owner_id": None})
    assert anna.owner_id == sophie.id, "a contact cannot be shared without its customer"


@pytest.mark.both_databases
def test_the_database_refuses_a_contact_of_others_and_two_keepers(
    kestrel: Partner, company: Company, sophie: User
) -> None:
    anna = save_contact(kestrel, "Anna", "")
    for number, values in (
        (anna.id, {"company_id": company.id}),
        (anna.id, {"owner_id": sophie.id}),
        (kestrel.id, {"company_id": company.id, "owner_id": sophie.id}),
    ):
        with pytest.raises(IntegrityError), transaction():
            db.session.execute(update(Partner).where(Partner.id == number).values(values))


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("scope", "reached"),
    [
        (None, []),
        (Scope.COMPANY, ["All", "Company", "Own"]),
        (Scope.ALL, ["All", "Colleague", "Company", "Own", "Elsewhere"]),
    ],
)
def test_a_permission_reaches_what_it_says(
    company: Company, elsewhere: Company, make_user: MakeUser, scope: Scope | None, reached: list[str]
) -> None:
    user, colleague = make_user("salesperson"), make_user("support")
    for role in user.roles:
        role.grants = [grant for grant in role.grants if grant.permission != EDIT or scope is not None]
        for grant in role.grants:
            if grant.permission == EDIT and scope is not None:
                grant.scope = scope
    db.session.commit()
    rows = {
        "All": save_partner(None, {"name": "All"}),
        "Company": save_partner(None, {"name": "Company", "company_id": company.id}),
        "Elsewhere": save_partner(None, {"name": "Elsewhere", "company_id": elsewhere.id}),
        "Own": save_partner(None, {"name": "Own", "owner_id": user.id}),
        "Colleague": save_partner(None, {"name": "Colleague", "owner_id": colleague.id}),
    }
    found = {name for name, row in rows.items() if partner_for(user, row.id, EDIT) is not None}
    assert found == set(reached)


@pytest.mark.parametrize(
    ("reach", "stored"), [("all", (False, False)), ("company", (True, False)), ("user", (False, True))]
)
def test_the_form_of_a_customer_says_whose_it_is(
    client: FlaskClient, company: Company, sophie: User, reach: str, stored: tuple[bool, bool]
) -> None:
    chosen = {"all": "all", "company": f"company-{company.id}", "user": f"user-{sophie.id}"}[reach]
    answer = client.post("/partners/new", data={**FORM, "reach": chosen})
    assert answer.status_code == 302
    row = db.session.scalars(select(Partner)).one()
    assert (row.company_id is not None, row.owner_id is not None) == stored
    words = {"all": "All companies", "company": company.name, "user": "Only Sophie Bernard"}[reach]
    page = " ".join(client.get(answer.location).text.split())
    assert f"<dt>Visible to</dt> <dd> {words} </dd>" in page
    assert f'<option selected value="{chosen}">' in client.get(f"/partners/{row.id}/edit").text


def test_nobody_gives_a_customer_to_a_company_or_person_that_is_not_theirs(
    client: FlaskClient, kestrel: Partner, elsewhere: Company, make_user: MakeUser
) -> None:
    other = make_user("support")
    for forged in (f"company-{elsewhere.id}", f"user-{other.id}", "company-", "user-x", "everybody"):
        for path in ("/partners/new", f"/partners/{kestrel.id}/edit"):
            assert client.post(path, data={**FORM, "reach": forged}).status_code == 200, (forged, path)
    db.session.expire_all()
    assert (kestrel.company_id, kestrel.owner_id) == (None, None)
    assert len(db.session.scalars(select(Partner)).all()) == 1


def test_the_installation_says_whose_a_new_customer_is(
    app: Flask, client: FlaskClient, company: Company, sophie: User
) -> None:
    page = client.get("/partners/new").text
    assert '<option selected value="all">' in page
    for reach, chosen in ((Scope.COMPANY, f"company-{company.id}"), (Scope.OWN, f"user-{sophie.id}")):
        app.extensions["envoi_settings"] = dataclasses.replace(
            app.extensions["envoi_settings"], customer_reach=reach
        )
        assert f'<option selected value="{chosen}">' in client.get("/partners/new").text


def test_a_customer_is_not_taken_from_those_who_have_documents_for_it(
    client: FlaskClient, kestrel: Partner, company: Company, elsewhere: Company, sophie: User
) -> None:
    anna = save_contact(kestrel, "Anna", "")
    create_document(
        "sales.order", company_id=elsewhere.id, partner_id=anna.id, owner=None, language="en", currency="EUR"
    )
    for reach in (f"company-{company.id}", f"user-{sophie.id}"):
        answer = client.post(f"/partners/{kestrel.id}/edit", data={**FORM, "reach": reach})
        assert answer.status_code == 200
        assert "Others have documents for this customer" in answer.text
    assert client.post(f"/partners/{kestrel.id}/edit", data={**FORM, "reach": "all"}).status_code == 302


def test_a_document_keeps_a_customer_that_is_not_within_reach_any_more(
    client: FlaskClient, kestrel: Partner, make_user: MakeUser, company: Company, sophie: User
) -> None:
    order = client.post(
        "/sales/quotations/new",
        data={
            "partner_id": kestrel.id, "date": "2026-11-30", "language": "", "line.product_id": "",
            "line.description": "Lamp", "line.quantity": "1", "line.unit": "", "line.unit_price": "10",
            "line.discount": "", "line.tax_id": "",
        },
    ).location  # fmt: skip
    save_partner(kestrel, {"owner_id": make_user("support").id})
    page = client.get(order).text
    assert "Kestrel Ltd" in page, "the document says to whom it is made out"
    assert f"/partners/{kestrel.id}" not in page, "but nothing leads to what is not there"
    edit = client.get(f"{order}/edit").text
    assert f'<option selected value="{kestrel.id}">' in edit


# ------------------------------------------------------------------------------------------------------- history


@pytest.mark.both_databases
def test_who_changes_an_address_is_written_down(
    client: FlaskClient, kestrel: Partner, sophie: User, app: Flask
) -> None:
    assert changes_of(kestrel) == [], "what the installation itself makes is no change by a person"
    client.post(
        f"/partners/{kestrel.id}/edit",
        data={
            **FORM,
            "reach": "all",
            "email": "new@kestrel.example.com",
            "street": "1 Mill Lane",
            "city": "Leeds",
        },
    )
    answer = client.post(
        f"/partners/{kestrel.id}/contacts/new",
        data={**FORM, "name": "Anna", "email": "anna@kestrel.example.com", "type": "billing"},
    )
    assert answer.status_code == 302
    assert changes_of(kestrel) == [
        ("Anna", "", "anna@kestrel.example.com", "Sophie Bernard"),
        ("Kestrel Ltd", "", "1 Mill Lane, Leeds, GB", "Sophie Bernard"),
        ("Kestrel Ltd", "office@kestrel.example.com", "new@kestrel.example.com", "Sophie Bernard"),
    ]
    page = client.get(f"/partners/{kestrel.id}").text
    assert "History" in page
    assert "office@kestrel.example.com" in page
    save_partner(kestrel, {"email": "third@kestrel.example.com", "phone": "1"})
    assert changes_of(kestrel)[0] == (
        "Kestrel Ltd",
        "new@kestrel.example.com",
        "third@kestrel.example.com",
        "",
    )
    save_partner(kestrel, {"phone": "2", "email": "third@kestrel.example.com"})
    assert len(changes_of(kestrel)) == 4, "what stays is no change"


def test_a_change_by_any_way_is_written_down(kestrel: Partner) -> None:
    number = kestrel.id
    db.session.expire_all()
    with transaction() as session:
        session.get_one(Partner, number).email = "direct@kestrel.example.com"
    assert changes_of(kestrel) == [
        ("Kestrel Ltd", "office@kestrel.example.com", "direct@kestrel.example.com", "")
    ]


def test_an_address_that_is_forgotten_leaves_the_history(kestrel: Partner) -> None:
    for email in ("Unique@kestrel.example.com", "last@kestrel.example.com"):
        save_partner(kestrel, {"email": email})
    with transaction():
        forget_address("UNIQUE@kestrel.example.com")
        forget_address("last@kestrel.example.com")
    assert changes_of(kestrel) == []
    assert db.session.scalars(select(PartnerChange)).all() == []
