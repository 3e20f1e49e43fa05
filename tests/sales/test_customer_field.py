"""The customer of a document: found by the server, and what becomes of the former one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert

from core.auth.models import User
from core.db import db
from core.documents.following import add_follower
from core.documents.models import Document
from core.followers.models import FollowReason
from core.followers.service import followers_of, unfollow
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from modules.sales.models import Invoice, Order

MakeOrder = Callable[..., Order]
MakeInvoice = Callable[..., Invoice]
SignIn = Callable[[User], FlaskClient]
QUESTION = 'id="former-customer"'


@pytest.fixture
def client(salesperson: User, sign_in: SignIn) -> FlaskClient:
    return sign_in(salesperson)


@pytest.fixture
def other(customer: Partner) -> Partner:
    assert customer.id
    return save_partner(None, {"name": "Kestrel Ltd", "email": "office@kestrel.example.com"})


def _form(html: str, partner: object, **changes: Any) -> dict[str, Any]:
    """Return the form as a browser would post it whose script shows the question when it is asked."""
    revision = re.search(r'name="revision"[^>]*value="(\d+)"', html)
    return {
        "partner_id": str(partner),
        "date": "2026-03-12",
        "language": "",
        "revision": revision[1] if revision else "",
        "line.description": "Lamp",
        "line.quantity": "1",
        "line.unit_price": "10.00",
        **changes,
    }


def _followers(document: Document) -> list[tuple[str, FollowReason, bool]]:
    db.session.rollback()
    return [(row.name, row.reason, row.by_mail) for row in followers_of(document.id) if row.partner_id]


def test_the_page_holds_only_the_chosen_customer(
    client: FlaskClient, make_quotation: MakeOrder, customer: Partner
) -> None:
    db.session.execute(insert(Partner), [{"name": f"Customer {n}"} for n in range(300)])
    db.session.commit()
    order = make_quotation()
    field = client.get(f"/sales/orders/{order.document_id}/edit").text.split('name="partner_id"')[1]
    field = field.split("</select>")[0]
    assert field.count("<option") == 2, "the empty choice and the customer"
    assert "Dupont &amp; Fils" in field
    new = client.get(f"/sales/quotations/new?partner_id={customer.id}").text
    assert 'data-people="/people?only=customers&amp;company_id=' in new
    assert f'<option selected value="{customer.id}">' in new


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"active": False}, "Kestrel Ltd is archived. Choose another customer."),
        ({"name": "Kestrel Ltd", "parent": True}, "Kestrel Ltd is a contact. Choose a customer."),
    ],
)
def test_a_customer_that_cannot_be_taken_stays_typed(
    client: FlaskClient, customer: Partner, other: Partner, change: dict[str, Any], sentence: str
) -> None:
    if change.pop("parent", False):
        change["parent_id"] = customer.id
    save_partner(other, change)
    answer = client.post("/sales/quotations/new", data=_form("", other.id))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert f'<option selected value="{other.id}">' in answer.text


@pytest.mark.parametrize("typed", ["999999", "x", "-1", "99999999999999999999", "1²"])
def test_a_customer_that_does_not_exist_is_said(client: FlaskClient, customer: Partner, typed: str) -> None:
    assert customer.id
    answer = client.post("/sales/quotations/new", data=_form("", typed))
    assert answer.status_code == 422
    assert "This customer does not exist any more." in answer.text


@pytest.mark.parametrize(
    ("kind", "address"), [("order", "/sales/orders/{}/edit"), ("invoice", "/sales/invoices/{}/edit")]
)
@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ({"former_customer": "stops", "former_contacts": "stops"}, []),
        (
            {"former_customer": "by_mail", "former_contacts": "in_application"},
            [("Dupont & Fils", FollowReason.ADDED, True), ("Claire", FollowReason.ADDED, False)],
        ),
        (
            {"former_customer": "in_application", "former_contacts": "by_mail"},
            [("Dupont & Fils", FollowReason.ADDED, False), ("Claire", FollowReason.ADDED, True)],
        ),
    ],
)
def test_another_customer_asks_what_becomes_of_the_former_one(
    client: FlaskClient,
    make_quotation: MakeOrder,
    make_invoice: MakeInvoice,
    customer: Partner,
    other: Partner,
    salesperson: User,
    kind: str,
    address: str,
    answers: dict[str, str],
    kept: list[tuple[str, FollowReason, bool]],
) -> None:
    document = make_quotation().document if kind == "order" else make_invoice(posted=False).document
    claire = save_contact(customer, "Claire", "claire@dupont.example.com")
    add_follower(document, partner_id=claire.id, by=salesperson)
    url = address.format(document.id)
    html = client.get(url).text
    before = html.split(QUESTION)[1].split(">")[0]
    assert "hidden disabled" in before, "not asked before another one is chosen"

    # Without script nothing was asked yet: it is asked now, and nothing is lost.
    answer = client.post(url, data=_form(html, other.id, note="Kept"))
    assert answer.status_code == 422
    assert "hidden disabled" not in answer.text.split(QUESTION)[1].split(">")[0]
    assert "Say what becomes of the former customer." in answer.text
    assert "Say what becomes of the contacts of the former customer." in answer.text
    assert "Claire" in answer.text
    assert "Kept</textarea>" in answer.text
    assert f'<option selected value="{other.id}">' in answer.text

    answer = client.post(url, data=_form(answer.text, other.id, **answers))
    assert answer.status_code == 302
    first, *rest = _followers(document)
    assert first == ("Kestrel Ltd", FollowReason.CUSTOMER, True)
    assert rest == kept


def test_nothing_is_asked_where_nobody_follows_or_nothing_changes(
    client: FlaskClient, make_quotation: MakeOrder, customer: Partner, other: Partner
) -> None:
    order = make_quotation()
    url = f"/sales/orders/{order.document_id}/edit"
    assert client.post(url, data=_form(client.get(url).text, customer.id)).status_code == 302
    unfollow(followers_of(order.document_id)[0])
    html = client.get(url).text
    assert QUESTION not in html
    assert client.post(url, data=_form(html, other.id)).status_code == 302
    assert _followers(order.document) == [("Kestrel Ltd", FollowReason.CUSTOMER, True)]


def test_an_answer_that_is_none_is_refused(
    client: FlaskClient, make_quotation: MakeOrder, other: Partner
) -> None:
    order = make_quotation()
    url = f"/sales/orders/{order.document_id}/edit"
    answer = client.post(url, data=_form(client.get(url).text, other.id, former_customer="perhaps"))
    assert answer.status_code == 422
    assert _followers(order.document)[0][0] == "Dupont & Fils"


def test_a_customer_is_made_from_the_form_of_a_document(
    client: FlaskClient, other: Partner, salesperson: User
) -> None:
    page = client.get("/sales/quotations/new").text
    address = re.search(r'hx-get="(/partners/quick\?company_id=\d+)"', page)
    assert address is not None
    assert 'name="name"' in client.get(address[1]).text
    assert client.post(address[1], data={"name": "  "}).status_code == 422
    values = {
        "name": " Ateliers  Réunis ",
        "email": "Contact@Ateliers.example.com",
        "country": "FR",
        "language": "fr",
    }
    answer = client.post(address[1], data=values)
    assert answer.status_code == 204
    told = json.loads(answer.headers["HX-Trigger"])["customer-made"]
    made = db.session.get_one(Partner, int(told["value"]))
    assert (made.name, told["text"], made.language) == ("Ateliers Réunis", "Ateliers Réunis", "fr")
    # It is at once one that the document can have.
    client.post("/sales/quotations/new", data=_form(page, made.id))
    assert "Ateliers Réunis" in client.get("/sales/quotations").text
    # The same name again is asked about, and made when it is meant.
    again = {**values, "name": "ateliers réunis"}
    html = client.post(address[1], data=again)
    assert html.status_code == 422
    assert "There is a customer of this name already" in html.text
    assert client.post(address[1], data={**again, "known_as": "ateliers réunis"}).status_code == 204
    assert client.get("/partners/quick?company_id=4711").status_code == 404
