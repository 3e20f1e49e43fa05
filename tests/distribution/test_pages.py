"""The pages of rules and of one document, and the pieces on the pages of others."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.documents.models import Document
from core.partners.models import Partner
from core.signals import check_asked
from modules.distribution.models import Rule
from tests.distribution.conftest import dispatches, states

SignIn = Callable[[User], FlaskClient]
MakeRule = Callable[..., Rule]


def _admin(make_user: Callable[..., User], sign_in: SignIn) -> FlaskClient:
    return sign_in(make_user("administrator"))


def test_a_rule_is_made_changed_and_deleted(
    app: Flask, company: Company, contact: Partner, make_user: Callable[..., User], sign_in: SignIn
) -> None:
    client = _admin(make_user, sign_in)
    filled = {
        "company_id": company.id,
        "kind": "sales.invoice",
        "partner_id": contact.parent_id,
        "label_id": "",
        "function_codes": ["FACT"],
        "automatic": "y",
        "grace_minutes": "5",
        "active": "y",
    }
    assert client.post("/distribution/rules/new", data=filled).status_code == 302
    rule = db.session.query(Rule).one()
    assert (rule.function_codes, rule.grace_minutes, rule.partner_id) == (["FACT"], 5, contact.parent_id)
    again = client.post("/distribution/rules/new", data=filled)
    assert "There is a rule for these documents and customers already." in again.text
    page = client.get(f"/distribution/rules/{rule.id}").text
    assert 'value="FACT" selected' in page or 'selected value="FACT"' in page
    changed = client.post(f"/distribution/rules/{rule.id}", data={**filled, "on_paper": "y"})
    assert changed.status_code == 302
    db.session.rollback()
    assert db.session.query(Rule).one().on_paper
    nothing = {**filled, "function_codes": []}
    assert "Say at least one way" in client.post(f"/distribution/rules/{rule.id}", data=nothing).text
    assert client.post(f"/distribution/rules/{rule.id}/delete").status_code == 302
    assert db.session.query(Rule).count() == 0


def test_which_rule_applies_is_explained(
    app: Flask,
    contact: Partner,
    rule: MakeRule,
    make_user: Callable[..., User],
    sign_in: SignIn,
    seller: User,
) -> None:
    rule(to_main=True)
    rule(partner_id=contact.parent_id, kind="sales.invoice", on_paper=True)
    page = sign_in(seller).get(f"/distribution/rules?customer={contact.parent_id}&kind=sales.invoice").text
    assert "The rule of this customer applies (Invoice)." in page
    assert "It is more particular than 1 other that would apply." in page
    assert "On paper, and not by email unless a person wants it." in page
    customer_page = sign_in(seller).get(f"/partners/{contact.parent_id}").text
    assert "The rule of this customer applies (Invoice)." in customer_page
    assert "The rule for all customers applies" in customer_page


def test_a_code_that_is_gone_is_told_on_the_page_and_by_the_check(
    app: Flask, rule: MakeRule, seller: User, sign_in: SignIn
) -> None:
    rule(function_codes=["GONE"])
    assert "no longer there" in sign_in(seller).get("/distribution/rules").text
    sentences = [one for _receiver, found in check_asked.send(app) for one in found]
    assert "A distribution rule names the function code GONE, which there is not." in sentences


def test_what_waits_is_stopped_from_the_page_of_the_document(
    app: Flask,
    rule: MakeRule,
    posted: Callable[..., Document],
    seller: User,
    sign_in: SignIn,
) -> None:
    rule(to_main=True, automatic=True)
    document = posted()
    client = sign_in(seller)
    (row,) = dispatches()
    assert f"/distribution/dispatches/{row.id}/stop" in client.get(f"/sales/invoices/{document.id}").text
    client.post(f"/distribution/dispatches/{row.id}/stop")
    assert states() == [("mail", "stopped")]
    client.post(f"/distribution/documents/{document.id}/want/paper")
    client.post(f"/distribution/documents/{document.id}/want/paper")  # pressed twice
    assert states() == [("mail", "stopped"), ("paper", "due")]
    page = client.get(f"/distribution/documents/{document.id}").text
    assert "to be printed" in page
    assert client.post(f"/distribution/documents/{document.id}/want/mail").status_code == 404


def test_whoever_does_not_reach_a_document_does_not_distribute_it(
    app: Flask,
    rule: MakeRule,
    posted: Callable[..., Document],
    make_user: Callable[..., User],
    sign_in: SignIn,
) -> None:
    rule(to_main=True, automatic=True)
    document = posted()
    (row,) = dispatches()
    other = save_company(
        None, {"name": "Other", "email": "o@example.com", "currency": "EUR", "language": "en"}
    )
    stranger = sign_in(make_user("salesperson", "else@example.com", company_ids=[other.id]))
    assert stranger.get(f"/distribution/documents/{document.id}").status_code == 404
    assert stranger.post(f"/distribution/dispatches/{row.id}/stop").status_code == 404
    cashier = sign_in(make_user("cashier"))
    assert cashier.get("/distribution/rules").status_code == 403
    assert states() == [("mail", "due")]
