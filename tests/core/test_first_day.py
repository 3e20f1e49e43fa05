"""The first day: who may become the first administrator, what the first company brings, and what is still missing."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.auth.service import companies_of
from core.begin import administrator, steps
from core.begin.company import brought_by, found_company
from core.begin.steps import steps_for
from core.cli import main
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.errors import UserError
from core.i18n import countries
from core.products.models import Tax, TaxRule
from tests.at_once import at_once
from tests.playground.isolated import SignIn

PASSWORD = "une bonne fontaine 7"
CLAIRE = {"login": "claire@example.com", "name": "Claire Fontaine", "password": PASSWORD, "language": "fr"}
COMPANY = {
    "name": "Fontaine & Cie",
    "country": "FR",
    "vat": "FR40303265045",
    "email": "bonjour@example.com",
    "currency": "EUR",
    "language": "fr",
    "timezone": "Europe/Paris",
}


@pytest.fixture
def claire(bare_app: Flask) -> FlaskClient:
    """The first administrator, who has begun by the link of the terminal."""
    with bare_app.app_context():
        link = administrator.link()
    client = bare_app.test_client()
    token = link.partition("token=")[2]
    assert client.post("/begin", data={**CLAIRE, "token": token}).location == "/first-steps"
    return client


def titles(page: str) -> dict[str, bool]:
    """Return the steps of the page, and whether each is done."""
    found = re.findall(
        r'class="panel first-step( first-step-done)?".*?<h2[^>]*>\s*(.*?)\s*<', page, re.DOTALL
    )
    return {title: bool(done) for done, title in found}


def test_nobody_becomes_the_first_administrator_without_the_code_of_the_terminal(
    bare_app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = bare_app.test_client()
    assert "envoi begin" in client.get("/sign-in").text
    page = client.get("/begin")
    assert "envoi begin" in page.text
    assert "<form" not in page.text
    for wrong in ("0" * 32, "é" * 32):
        assert client.post("/begin", data={**CLAIRE, "token": wrong}).status_code == 403
        assert client.get("/begin", query_string={"token": wrong}).status_code == 403
    with bare_app.app_context():
        assert administrator.nobody_yet()

    monkeypatch.setattr("core.cli._application", [bare_app])
    main_ends(["begin"])
    link = re.search(r"http://\S+(/begin\?\S+)", capsys.readouterr().out)
    assert link is not None
    page = client.get(link[1])
    assert page.status_code == 200
    token = link[1].partition("token=")[2]
    weak = client.post("/begin", data={**CLAIRE, "token": token, "password": "claire"})
    assert weak.status_code == 422
    assert "Claire Fontaine" in weak.text
    assert client.post("/begin", data={**CLAIRE, "token": token}).location == "/first-steps"
    assert client.get("/").location == "/first-steps"

    # From now on the link is good for nothing.
    stranger = bare_app.test_client()
    assert stranger.get(link[1]).location == "/sign-in"
    assert (
        stranger.post("/begin", data={**CLAIRE, "token": token, "login": "eve@example.com"}).location
        == "/sign-in"
    )
    assert stranger.get("/sign-in").status_code == 200
    with bare_app.app_context():
        assert [user.login for user in db.session.scalars(select(User))] == ["claire@example.com"]
    with pytest.raises(SystemExit):
        main(["begin"])
    assert "There are users already" in capsys.readouterr().err


def main_ends(arguments: list[str]) -> None:
    """Run the command line, which ends with a success."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code


@pytest.mark.both_databases
def test_of_two_who_begin_at_once_one_wins_and_the_other_is_told(app: Flask) -> None:
    token = administrator.token()
    results = at_once(
        app,
        *(
            lambda name=name: (
                administrator.make_administrator(
                    token, login=f"{name}@example.com", name=name, password=PASSWORD, language="en"
                ).login
            )
            for name in ("anna", "bert")
        ),
    )
    winners = [result for result in results if isinstance(result, str)]
    assert [user.login for user in db.session.scalars(select(User))] == winners
    assert len(winners) == 1
    assert [type(result) for result in results if not isinstance(result, str)] == [UserError]

    # And of two who press Save on the form of the company: it is there once, with its taxes.
    user = db.session.scalars(select(User)).one()
    number = user.id

    def found(name: str) -> str:
        return found_company({**COMPANY, "name": name}, db.session.get_one(User, number)).name

    results = at_once(app, lambda: found("Fontaine"), lambda: found("Fontaine & Cie"))
    assert sorted(type(result).__name__ for result in results) == ["UserError", "str"], results
    company = db.session.scalars(select(Company)).one()
    assert companies_of(user) == [company.id]
    assert [tax.name for tax in db.session.scalars(select(Tax).order_by(Tax.rate))] == [
        "TVA 2,1\N{NO-BREAK SPACE}%",
        "TVA 5,5\N{NO-BREAK SPACE}%",
        "TVA 10\N{NO-BREAK SPACE}%",
        "TVA 20\N{NO-BREAK SPACE}%",
    ]
    assert db.session.scalars(select(Tax.translations).where(Tax.rate == 20)).one() == {
        "en": {"name": "VAT 20%"}
    }
    assert len(db.session.scalars(select(TaxRule.id)).all()) == 3
    assert {step.name: step.done for step in steps_for(user)} == {
        "core.company": True,
        "mail_config.server": False,
        "core.users": False,
        "core.customers": False,
        "core.products": False,
    }


def test_who_was_interrupted_goes_on_where_it_stood_and_may_leave_the_rest(
    bare_app: Flask, claire: FlaskClient
) -> None:
    # What needs a company leads there, instead of sending the administrator to an administrator.
    assert claire.get("/tax-rules").location == "/first-steps/company"
    page = claire.get("/first-steps/company")
    assert "TVA 20" in page.text
    brought = claire.get("/first-steps/company/brought", query_string={"country": "GB"})
    assert re.search(r'value="GBP" *selected|selected value="GBP"', brought.text)
    assert "VAT 20%" in brought.text
    assert claire.get("/first-steps/company/brought", query_string={"country": "??"}).status_code == 404

    wrong = claire.post("/first-steps/company", data={**COMPANY, "vat": "FR123"})
    assert wrong.status_code == 422
    assert "bonjour@example.com" in wrong.text
    assert claire.post("/first-steps/company", data=COMPANY).location == "/first-steps"
    assert claire.get("/first-steps/company").location == "/first-steps"
    assert claire.get("/tax-rules").status_code == 200

    # The browser was closed: signing in leads back to what is left.
    claire.post("/sign-out")
    signed_in = claire.post("/sign-in", data={"login": CLAIRE["login"], "password": PASSWORD})
    assert claire.get(signed_in.location).location == "/first-steps"
    assert titles(claire.get("/first-steps").text) == {
        "Votre société": True,
        "Vos collègues": False,
        "Vos clients": False,
        "Vos articles": False,
    }
    assert "Retour aux premiers pas" in claire.get("/users").text
    for name in ("core.users", "core.customers"):
        assert claire.get("/").location == "/first-steps"
        claire.post("/first-steps/later", data={"step": name})
    assert claire.get("/").location == "/first-steps"
    claire.post("/first-steps/later")
    assert claire.get("/").location != "/first-steps"
    assert "Retour aux premiers pas" not in claire.get("/users").text
    # What was put off is still told, in the menu.
    assert claire.get("/first-steps").text.count("reste à faire") == 3


def test_only_who_manages_companies_is_led_to_one(bare_app: Flask, browser: SignIn) -> None:
    with bare_app.app_context():
        company = save_company(None, {"name": "Nord"}).id
    admin = browser("administrator")
    # Made by the command line, before there was a company.
    assert admin.get("/").location == "/first-steps"
    assert "Nord" in admin.get("/first-steps/company").text
    assert admin.post("/first-steps/join", data={"company_id": "999"}).status_code == 409
    assert admin.post("/first-steps/join", data={"company_id": str(company)}).location == "/first-steps"
    with bare_app.app_context():
        user = db.session.scalars(select(User)).one()
        assert (user.company_id, companies_of(user)) == (company, [company])
    assert admin.get("/").location != "/first-steps"  # nobody is led who did not begin here
    seller = browser("salesperson")
    for path in ("/first-steps", "/first-steps/company", "/first-steps/company/brought?country=FR"):
        assert seller.get(path).status_code == 403


def test_many_are_invited_at_once_and_what_cannot_be_stays_in_the_field(
    bare_app: Flask, browser: SignIn
) -> None:
    admin = browser("administrator")
    typed = "Sophie Bernard <Sophie@example.com>; administrator@example.com\nnobody; paul.durand@example.com"
    page = admin.post("/users/invite", data={"addresses": typed, "roles": ["salesperson"], "language": "fr"})
    assert page.status_code == 422
    kept = re.search(r"<textarea[^>]*>\s*(.*?)</textarea>", page.text, re.DOTALL)
    assert kept is not None
    assert kept[1].split() == ["nobody", "administrator@example.com"]
    assert "Another user has this email address." in page.text
    # No module sends emails here, which is told with what to do instead.
    assert "Link to copy" in page.text
    with bare_app.app_context():
        invited = db.session.scalars(select(User).where(User.invited_at.is_not(None)).order_by(User.id)).all()
        assert [(user.login, user.name, user.language) for user in invited] == [
            ("sophie@example.com", "Sophie Bernard", "fr"),
            ("paul.durand@example.com", "Paul Durand", "fr"),
        ]
    many = ", ".join(f"a{number}@example.com" for number in range(51))
    assert "at most 50" in admin.post("/users/invite", data={"addresses": many, "language": "fr"}).text
    assert browser("salesperson").get("/users/invite").status_code == 403


def test_every_country_brings_what_a_company_can_have() -> None:
    for country in countries("en"):
        brought = brought_by(country, "en")
        assert len(brought.currency) == 3, country
        assert brought.language in {"en", "fr"}
    assert brought_by("BE", "en").language == "fr"
    assert brought_by("CA", "en").language == "en"
    assert (brought_by("US", "fr").timezone, brought_by("US", "fr").language) == ("America/New_York", "en")
    assert (brought_by("JP", "fr").currency, brought_by("JP", "fr").language) == ("JPY", "fr")


def test_a_step_that_is_not_known_puts_nothing_off(bare_app: Flask, claire: FlaskClient) -> None:
    claire.post("/first-steps/later", data={"step": "core.nothing"})
    with bare_app.app_context():
        assert "core.users" in steps.led_to()
