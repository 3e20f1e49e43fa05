"""Dates and numbers on the application's own pages: by language and country, the user's own or the company's."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale

from core import clock
from core.auth.models import User
from core.auth.service import set_preferences
from core.companies.models import Company
from core.companies.service import locale_of_user, save_company
from core.db import db
from core.numbers import read_decimal
from core.web.formats import day, long_day, moment, money, number, percent, price
from modules.outbox.typed_times import typed_moment
from tests.forms import filled_in, form_of

DAY = dt.date(2026, 11, 29)
MOMENT = dt.datetime(2026, 11, 29, 21, 40, tzinfo=dt.UTC)
NNBSP = "\u202f"


@pytest.mark.parametrize(
    ("language", "country", "company_country", "locale"),
    [
        ("en", "GB", "FR", "en_GB"),
        ("en", "US", "FR", "en_US"),
        ("en", "CH", "FR", "en_CH"),
        ("fr", "CH", "FR", "fr_CH"),
        ("fr", "", "CH", "fr_CH"),
        ("en", "", "GB", "en_GB"),
        ("en", "", "FR", "en_001"),
        ("fr", "", "FR", "fr_FR"),
        ("fr", "US", "FR", "fr_FR"),
    ],
)
def test_the_country_is_the_users_own_or_the_companys(
    app: Flask, company: Company, make_user: Callable[..., User], language, country, company_country, locale
) -> None:
    user = make_user()
    save_company(company, {"country": company_country})
    set_preferences(user, language=language, country=country)
    assert locale_of_user(user) == locale


@pytest.mark.parametrize(
    ("locale", "words", "moment_", "number_", "money_", "percent_"),
    [
        ("en_GB", "29 November 2026", "29/11/2026, 21:40", "1,234.5", "€1,234.50", "5.5%"),
        ("en_US", "November 29, 2026", "11/29/2026, 9:40\u202fPM", "1,234.5", "€1,234.50", "5.5%"),
        ("en_CH", "29 November 2026", "29.11.2026, 21:40", "1’234.5", "€ 1’234.50", "5.5%"),
        ("fr_CH", "29 novembre 2026", "29.11.2026 21:40", "1’234.5", "EUR 1’234.50", "5.5%"),
        ("fr_FR", "29 novembre 2026", "29/11/2026 21:40", f"1{NNBSP}234,5", f"1{NNBSP}234,50 €", "5,5 %"),
    ],
)
def test_each_country_has_its_way(app: Flask, locale, words, moment_, number_, money_, percent_) -> None:
    with app.test_request_context(), force_locale(locale):
        assert long_day(DAY) == words
        assert plain(moment(MOMENT)) == plain(moment_)
        assert number(Decimal("1234.5")) == number_
        assert plain(money(Decimal("1234.5"), "EUR")) == plain(money_)
        assert plain(percent(Decimal("5.5"))) == plain(percent_)
        assert str(DAY.year) in day(DAY)
        # What is shown can be typed.
        assert read_decimal(number(Decimal("1234.5"))) == Decimal("1234.5")
        assert read_decimal("1'234.5") == Decimal("1234.5")


def test_the_hour_that_comes_twice_in_autumn_says_which_of_both_it_is(app: Flask) -> None:
    paris = zoneinfo.ZoneInfo("Europe/Paris")
    first = dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)
    hours = [first + dt.timedelta(hours=number) for number in range(-1, 3)]
    with app.test_request_context(), force_locale("en_GB"):
        assert [moment(hour, paris) for hour in hours] == [
            "25/10/2026, 01:30",
            "25/10/2026, 02:30 (Central European Summer Time)",
            "25/10/2026, 02:30 (Central European Standard Time)",
            "25/10/2026, 03:30",
        ]
    reader = User(timezone="Europe/Paris")
    assert typed_moment("2026-10-25T02:30", reader) == first


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def test_a_user_chooses_on_a_page_of_their_own(
    app: Flask,
    company: Company,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "now", lambda: MOMENT)
    user = make_user()
    client = sign_in(user)
    page = client.get("/region").text
    assert 'href="/region"' in page
    form = filled_in(form_of(page, "country"), country="CH", timezone="Europe/Zurich", language="fr")
    answer = client.post("/region", data=form, follow_redirects=True)
    assert "Enregistré" in answer.text
    assert '<html lang="fr-CH" data-numbers="de-CH">' in answer.text
    assert "29.11.2026 22:40" in plain(answer.text)
    assert "1’234.50" in answer.text
    form = filled_in(form_of(client.get("/region").text, "country"), country="GB", language="en")
    page = client.post("/region", data=form, follow_redirects=True).text
    assert "29 November 2026, 29/11/2026, 22:40" in page
    db.session.expire_all()
    assert (user.country, user.timezone, user.language) == ("GB", "Europe/Zurich", "en")
    assert client.post("/region", data={**form, "country": "XX"}).status_code != 302


def test_an_administrator_chooses_for_others(
    company: Company, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    user = make_user(login="other@maison.example.com")
    client = sign_in(make_user("administrator", login="boss@maison.example.com"))
    form = filled_in(form_of(client.get(f"/users/{user.id}").text, "country"), country="US")
    assert client.post(f"/users/{user.id}", data=form).status_code == 302
    db.session.expire_all()
    assert user.country == "US"


def test_the_country_of_the_company_is_known_at_once(
    app: Flask, company: Company, make_user: Callable[..., User]
) -> None:
    user = make_user()
    for country in ("GB", "US", "GB"):
        save_company(company, {"country": country})
        assert locale_of_user(user) == f"en_{country}"


def test_what_comes_to_nothing_is_shown_without_a_sign(app: Flask) -> None:
    with app.test_request_context():
        assert money(Decimal("-0.004"), "EUR") == "€0.00"
        assert price(Decimal("-0.00"), "EUR") == "€0.00"
        assert number(Decimal("-0.00004")) == "0"
        assert percent(Decimal("-0")) == "0%"
