"""Customers, their contacts, and finding them."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.errors import UserError
from core.partners.models import Partner, PartnerType
from core.partners.service import (
    ContactExistsError,
    Person,
    contacts_of,
    make_main_contact,
    people_at,
    save_contact,
    save_partner,
    search_people,
)

MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]


@pytest.fixture
def kestrel(company: Company) -> Partner:
    return save_partner(
        None,
        {"name": "Kestrel Ltd", "email": "office@kestrel.example.com", "language": "en", "country": "GB"},
    )


@pytest.fixture
def client(make_user: MakeUser, sign_in: SignIn) -> FlaskClient:
    return sign_in(make_user("salesperson", name="Sophie Bernard"))


def _names(found: list[Person]) -> list[str]:
    return [person.name for person in found]


# --------------------------------------------------------------------------------------------- main contact


@pytest.mark.both_databases
def test_a_customer_has_one_main_contact_at_most(kestrel: Partner) -> None:
    anna = save_contact(kestrel, "Anna", "anna@kestrel.example.com", is_main=True)
    bob = save_contact(kestrel, "Bob", "bob@kestrel.example.com")
    assert [(contact.name, contact.is_main) for contact in contacts_of(kestrel)] == [
        ("Anna", True),
        ("Bob", False),
    ]
    make_main_contact(bob)
    assert [(contact.name, contact.is_main) for contact in contacts_of(kestrel)] == [
        ("Bob", True),
        ("Anna", False),
    ]
    save_partner(bob, {"active": False})
    assert not bob.is_main, "an archived contact is no main contact"
    with pytest.raises(UserError):
        make_main_contact(bob)
    with pytest.raises(UserError):
        make_main_contact(kestrel)
    save_partner(kestrel, {"is_main": True})
    assert not kestrel.is_main, "a customer is no contact of itself"
    assert not anna.is_main


def test_the_main_contacts_of_others_stay(kestrel: Partner) -> None:
    other = save_partner(None, {"name": "Other"})
    save_contact(other, "Zoe", "", is_main=True)
    save_contact(kestrel, "Anna", "", is_main=True)
    assert [contact.is_main for contact in contacts_of(other)] == [True]


# ---------------------------------------------------------------------------------------------- opted out


def test_since_when_somebody_wants_no_mails_is_kept(
    kestrel: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "now", lambda: first)
    save_partner(kestrel, {"consent": "none"})
    monkeypatch.setattr(clock, "now", lambda: first + dt.timedelta(days=9))
    save_partner(kestrel, {"consent": "none", "city": "Leeds"})
    assert kestrel.opted_out_at == first
    save_partner(kestrel, {"city": "York"})
    assert kestrel.opted_out_at == first, "what is not said does not change"
    save_partner(kestrel, {"consent": "necessary"})
    assert kestrel.opted_out_at is None


def test_the_form_and_the_list_show_who_wants_no_mails(client: FlaskClient, kestrel: Partner) -> None:
    page = f"/partners/{kestrel.id}"
    assert "Opted out of emails" not in client.get(page).text
    form = {"name": "Kestrel Ltd", "email": kestrel.email, "language": "en", "active": "y", "country": "GB"}
    assert client.post(f"{page}/edit", data={**form, "consent": "none"}).status_code == 302
    db.session.expire_all()
    assert kestrel.opted_out_at is not None
    assert "Opted out of emails since" in client.get(page).text
    assert '<option selected value="none">' in client.get(f"{page}/edit").text
    assert "Kestrel Ltd" in client.get("/partners?f=opted-out").text
    client.post(f"{page}/edit", data={**form, "consent": "necessary"}, follow_redirects=True)
    assert "Kestrel Ltd" not in client.get("/partners?f=opted-out").text


# --------------------------------------------------------------------------------------------- a new contact


def test_a_new_contact_speaks_the_language_of_its_customer(kestrel: Partner) -> None:
    contact = save_contact(kestrel, "", "Anna.Smith@KESTREL.example.com", PartnerType.BILLING)
    assert (contact.name, contact.email, contact.type, contact.language, contact.country) == (
        "Anna.Smith",
        "Anna.Smith@kestrel.example.com",
        PartnerType.BILLING,
        "en",
        "GB",
    )
    nested = save_contact(contact, "Bob", "")
    assert nested.parent_id == kestrel.id, "a contact of a contact belongs to the customer"


@pytest.mark.both_databases
def test_an_address_is_kept_once_for_a_customer(kestrel: Partner) -> None:
    anna = save_contact(kestrel, "Anna", "anna@kestrel.example.com")
    with pytest.raises(ContactExistsError) as caught:
        save_contact(kestrel, "Anna again", "ANNA@kestrel.example.com")
    assert (caught.value.partner, caught.value.field) == (anna, "email")
    with pytest.raises(ContactExistsError):
        save_contact(kestrel, "The office", kestrel.email)
    other = save_partner(None, {"name": "Other"})
    assert save_contact(other, "Anna", "anna@kestrel.example.com").parent_id == other.id
    save_partner(anna, {"active": False})
    assert save_contact(kestrel, "Anna", "anna@kestrel.example.com").active


@pytest.mark.parametrize(
    ("name", "email", "field"), [("", "", "name"), ("Anna", "anna@", "email"), ("A" * 161, "", "name")]
)
def test_a_contact_that_cannot_be_kept_names_the_field(
    kestrel: Partner, name: str, email: str, field: str
) -> None:
    with pytest.raises(UserError) as caught:
        save_contact(kestrel, name, email)
    assert caught.value.field == field
    assert contacts_of(kestrel) == []


@pytest.mark.both_databases
@pytest.mark.parametrize("values", [{}, {"is_main": True}])
def test_a_contact_that_four_people_add_at_once_is_made_once(
    app: Flask, kestrel: Partner, values: dict[str, bool]
) -> None:
    number = kestrel.id
    db.session.commit()
    said: list[BaseException] = []
    ready = threading.Barrier(4)

    def add() -> None:
        with app.app_context():
            try:
                customer = db.session.get_one(Partner, number)
                ready.wait(timeout=90)
                save_contact(customer, "Anna", "anna@kestrel.example.com", **values)
            except BaseException as error:  # noqa: BLE001 (shown by the test)
                said.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in said] == [ContactExistsError] * 3
    assert [contact.name for contact in contacts_of(kestrel)] == ["Anna"]


# ------------------------------------------------------------------------------------------ who has an address


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("kept", "typed"),
    [
        ("Anna@example.com", "aNNa@EXAMPLE.com"),
        ("Élan@example.com", "élan@example.com"),
        ("élan@example.com", "ÉLAN@example.com"),
        ("e\u0301lan@example.com", "Élan@Example.com"),
        ("straße@example.com", "STRASSE@example.com"),
        ("strasse@example.com", "straße@example.com"),
        ("Straße@example.com", "straße@example.com"),
        ("ΑΝΝΑ_Σ@example.com", "αννα_ς@example.com"),
        ("Info@straße.example.com", "info@straße.example.com"),
        ("a_%b@example.com", "A_%B@example.com"),
    ],
)
def test_an_address_is_found_in_every_spelling(company: Company, kept: str, typed: str) -> None:
    partner = save_partner(None, {"name": "Kept", "email": kept})
    save_partner(None, {"name": "Another", "email": "autre-é@example.com"})
    save_partner(None, {"name": "Elsewhere", "email": f"{partner.email.partition('@')[0]}@other.example.com"})
    assert people_at([typed], None) == {typed.casefold(): [partner]}
    customer = save_contact(partner, "Contact", "")
    with pytest.raises(ContactExistsError):
        save_contact(customer, "", typed)
    save_partner(partner, {"active": False})
    assert people_at([typed], None) == {}
    assert people_at(["", "%@example.com", "a__b@example.com"], None) == {}


# ------------------------------------------------------------------------------------------------ searching


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("lefev", ["Boulangerie Lefèvre"]),
        ("LEFÈVRE", ["Boulangerie Lefèvre"]),
        ("lefèvre boul", ["Boulangerie Lefèvre"]),
        ("zizka", ["Librairie Žižka"]),
        ("παπαδοπουλοι", ["Αφοί Παπαδόπουλοι"]),
        ("ΠΑΠΑΔΌ", ["Αφοί Παπαδόπουλοι"]),
        ("contact@dup", ["Dupont & Fils"]),
        ("[x] 100%_^", ["[x] 100%_^"]),
        ("x] ^", ["[x] 100%_^"]),
        ("%", ["[x] 100%_^"]),
        ("*", []),
        ("(", []),
        ("\\", []),
        ("boulangerie dupont", []),
    ],
)
def test_people_are_found_without_case_and_accents(
    company: Company,
    typed: str,
    found: list[str],
) -> None:
    for name, email in (
        ("Boulangerie Lefèvre", ""),
        ("Librairie Žižka", "info@zizka.test"),
        ("Αφοί Παπαδόπουλοι", ""),
        ("Dupont & Fils", "contact@dupont.example.com"),
        ("[x] 100%_^", ""),
    ):
        save_partner(None, {"name": name, "email": email.replace(".test", ".example.com")})
    assert _names(search_people(typed, None)) == found


@pytest.mark.both_databases
def test_who_begins_with_the_text_comes_first(company: Company) -> None:
    for name in ("A Kestrel fan", "Brickestone", "Kestrel", "Élan Kes"):
        save_partner(None, {"name": name})
    assert _names(search_people("kes", None)) == ["Kestrel", "A Kestrel fan", "Brickestone", "Élan Kes"]
    assert _names(search_people("elan", None)) == ["Élan Kes"]
    assert _names(search_people("kes", None, limit=2)) == ["Kestrel", "A Kestrel fan"]


@pytest.mark.both_databases
def test_contacts_are_found_by_their_customer_and_colleagues_too(
    kestrel: Partner, make_user: MakeUser
) -> None:
    save_contact(kestrel, "Anna Smith", "anna@elsewhere.example.com", PartnerType.BILLING, function="Books")
    colleague = make_user("salesperson", name="Sophie Kestrelle")
    found = search_people("kestrel", None)
    assert _names(found) == ["Sophie Kestrelle", "Kestrel Ltd", "Anna Smith"]
    assert (found[0].user_id, found[0].email, found[0].detail) == (colleague.id, colleague.login, "colleague")
    assert found[2].detail == "billing contact of Kestrel Ltd · Books"
    assert _names(search_people("kestrel anna", None)) == ["Anna Smith"]
    assert _names(search_people("kestrel", None, customers_only=True)) == ["Kestrel Ltd"]


def test_people_of_the_given_customer_come_first(kestrel: Partner, make_user: MakeUser) -> None:
    make_user("salesperson", name="Anna Colleague")
    save_partner(None, {"name": "Anna & Co"})
    save_contact(kestrel, "Anna Smith", "")
    save_contact(kestrel, "Zoe Anna", "", is_main=True)
    found = search_people("anna", None, customer=kestrel)
    assert _names(found) == ["Zoe Anna", "Anna Smith", "Anna Colleague", "Anna & Co"]
    assert [person.kin for person in found] == [True, True, False, False]


def test_nobody_archived_or_deactivated_is_found(kestrel: Partner, make_user: MakeUser) -> None:
    contact = save_contact(kestrel, "Kestrel Anna", "")
    user = make_user("salesperson", name="Kestrel user")
    make_user("administrator")
    for row in (kestrel, contact, user):
        row.active = False
    db.session.commit()
    assert search_people("kestrel", None) == []
    assert search_people("kestrel", None, customer=kestrel) == []


def test_the_endpoint_tells_what_a_searching_field_shows(client: FlaskClient, kestrel: Partner) -> None:
    save_partner(kestrel, {"consent": "none"})
    (found,) = client.get("/people?q=kestrel").get_json()
    assert found == {
        "value": f"p{kestrel.id}",
        "text": "Kestrel Ltd",
        "name": "Kestrel Ltd",
        "email": "office@kestrel.example.com",
        "detail": "customer",
        "partner_id": kestrel.id,
        "user_id": None,
        "opted_out": True,
    }
    assert client.get("/people?q=sophie").get_json()[0]["value"].startswith("u")
    assert client.get("/people?only=customers&q=sophie").get_json() == []
    assert client.get("/people?only=customers&q=kest").get_json()[0]["value"] == str(kestrel.id)
    assert client.get("/people?q=" + "x" * 5000).get_json() == []


def test_the_endpoint_needs_the_permission(app: Flask, make_user: MakeUser, sign_in: SignIn) -> None:
    assert app.test_client().get("/people?q=a").status_code == 302
    user = make_user("salesperson")
    for role in user.roles:
        role.grants = [grant for grant in role.grants if grant.permission != "core.partner.read"]
    db.session.commit()
    assert sign_in(user).get("/people?q=a").status_code == 403


# -------------------------------------------------------------------------------------------- the pages


def test_the_page_of_a_customer_shows_its_addresses_side_by_side(
    client: FlaskClient, kestrel: Partner
) -> None:
    save_contact(
        kestrel,
        "Accounts",
        "accounts@kestrel.example.com",
        PartnerType.BILLING,
        function="Payable",
        is_main=True,
    )
    html = client.get(f"/partners/{kestrel.id}").text
    kinds = html.split('class="address-kinds"')[1].split("<h3")[0]
    assert kinds.index("office@kestrel.example.com") < kinds.index("accounts@kestrel.example.com")
    assert kinds.count("none") == 2, "no delivery contact, no other contact: said, not left out"
    table = html.split("<table>")[1]
    for words in ("Accounts", "Billing contact", "Payable", "Main contact"):
        assert words in table


def test_another_contact_is_made_the_main_one_from_its_page(client: FlaskClient, kestrel: Partner) -> None:
    anna = save_contact(kestrel, "Anna", "", is_main=True)
    bob = save_contact(kestrel, "Bob", "")
    assert "Make main contact" in client.get(f"/partners/{bob.id}").text
    assert "Make main contact" not in client.get(f"/partners/{anna.id}").text
    answer = client.post(f"/partners/{bob.id}/main", follow_redirects=True)
    assert "Bob is the main contact now." in answer.text
    db.session.expire_all()
    assert (anna.is_main, bob.is_main) == (False, True)
    assert client.post("/partners/999999/main").status_code == 404


def test_the_list_finds_without_accents_and_names_the_customer_of_a_contact(
    client: FlaskClient, kestrel: Partner
) -> None:
    save_contact(kestrel, "Zoé", "", PartnerType.DELIVERY)
    html = client.get("/partners?q=zoe").text
    assert "Zoé" in html
    assert "Kestrel Ltd, Delivery contact" in html
