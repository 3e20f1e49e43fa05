"""How dates, numbers and addresses are written, by language and country."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from flask import Flask, render_template_string
from flask_babel import force_locale, gettext

from core.i18n import format_date, format_datetime, locale_of
from core.web.formats import city_line, day, money, number, percent

DAY = dt.date(2026, 11, 29)


@pytest.mark.parametrize(
    ("language", "countries", "locale"),
    [
        ("en", ("GB", "FR"), "en_GB"),
        ("en", ("FR", "GB"), "en_GB"),
        ("en", ("US", "GB"), "en_US"),
        ("en", ("", "GB"), "en_GB"),
        ("en", ("FR", "FR"), "en_001"),
        ("en", ("gb",), "en_GB"),
        ("en", (), "en"),
        ("en", ("", ""), "en"),
        ("fr", ("GB", "FR"), "fr_FR"),
        ("fr", ("CH", "FR"), "fr_CH"),
        ("fr", ("GB", "GB"), "fr"),
        ("en", ("../../x", "ZZ"), "en_001"),
    ],
)
def test_the_reader_s_country_decides_where_the_language_is_spoken(
    language: str, countries: tuple[str, ...], locale: str
) -> None:
    assert locale_of(language, *countries) == locale


@pytest.mark.parametrize(
    ("locale", "long", "short", "amount", "rate"),
    [
        ("en_GB", "29 November 2026", "29 Nov 2026", "£1,234.50", "5.5%"),
        ("en_US", "November 29, 2026", "Nov 29, 2026", "£1,234.50", "5.5%"),
        ("en_001", "29 November 2026", "29 Nov 2026", "£1,234.50", "5.5%"),
        ("fr_FR", "29 novembre 2026", "29 nov. 2026", "1\u202f234,50\u00a0£", "5,5\u00a0%"),
    ],
)
def test_days_amounts_and_percent_are_written_as_in_the_country(
    app: Flask, locale: str, long: str, short: str, amount: str, rate: str
) -> None:
    with force_locale(locale):
        assert format_date(DAY, "long") == long
        assert day(DAY) == short
        assert money(Decimal("1234.5"), "GBP").replace("£GB", "£") == amount
        assert percent(Decimal("5.5")) == rate
        assert number(Decimal("20.000")) == "20"
        assert percent(Decimal(20)) == rate.replace("5.5", "20").replace("5,5", "20")


def test_a_country_changes_no_words(app: Flask) -> None:
    with force_locale("fr"):
        french = gettext("Postal code")
    with force_locale("fr_CH"):
        assert gettext("Postal code") == french != "Postal code"


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (("M12 6JH", "Manchester", "GB"), "Manchester M12 6JH"),
        (("97201", "Portland, OR", "US"), "Portland, OR 97201"),
        (("69005", "Lyon", "FR"), "69005 Lyon"),
        (("", "Lyon", "FR"), "Lyon"),
        (("M12 6JH", "", "GB"), "M12 6JH"),
        (("8000", "Zürich", ""), "8000 Zürich"),
        (("", "", "GB"), ""),
    ],
)
def test_the_postal_code_stands_where_the_country_writes_it(parts: tuple[str, str, str], line: str) -> None:
    assert city_line(*parts) == line


def test_the_first_of_a_month_is_an_ordinal_in_french(app: Flask) -> None:
    first, eleventh = dt.date(2026, 10, 1), dt.date(2026, 10, 11)
    with app.test_request_context():
        with force_locale("fr_FR"):
            assert format_date(first, "long") == "1er octobre 2026"
            assert day(first) == "1er oct. 2026"
            assert format_date(first, "full") == "jeudi 1er octobre 2026"
            assert format_date(eleventh, "long") == "11 octobre 2026"
            assert format_datetime(dt.datetime(2026, 8, 1, 1, 1, 1, tzinfo=dt.UTC), "long").startswith(
                "1er août"
            )
        with force_locale("en_GB"):
            assert format_date(first, "long") == "1 October 2026"


def test_a_template_speaks_the_language_of_the_moment(app: Flask) -> None:
    word = "{{ _('Cancel') }}"
    with app.test_request_context(headers={"Accept-Language": "fr"}):
        assert render_template_string(word) == "Annuler"
        with force_locale("en"):
            assert render_template_string(word) == "Cancel"
            with force_locale("fr"):
                assert render_template_string(word) == "Annuler"
            assert render_template_string(word) == "Cancel"
        assert render_template_string(word) == "Annuler"


def test_a_template_says_translations_as_jinja_does(app: Flask) -> None:
    page = """{{ _('Postal code') }}|{{ _('%(count)s of 100 %%', count='<b>') }}|{{ _('100 %%') }}
        |{{ ngettext('%(num)d <i>copy</i>', '%(num)d copies of %(name)s', 1, name='<a>') }}
        |{{ ngettext('one', '%(num)d copies of %(name)s', 2, name='<a>') }}
        |{{ pgettext('invoice', 'Issued') }}|{{ gettext('Issued') }}
        |{{ npgettext('nowhere', 'one %(num)s', 'more %(num)s', 3) }}
        |{% trans name='<a>' %}For {{ name }}, 5 %{% endtrans %}"""
    english = "Postal code|&lt;b&gt; of 100 %|100 %|1 <i>copy</i>|2 copies of &lt;a&gt;|Issued|Issued|more 3"
    english += "|For &lt;a&gt;, 5 %"
    for _ in range(2):  # found, and known
        for locale in ("fr", "en"):
            with force_locale(locale):
                said = "|".join(part.strip() for part in render_template_string(page).split("|"))
                if locale == "en":
                    assert said == english
                else:
                    assert said.startswith("Code postal|&lt;b&gt; of")
                    assert "|Validée|Validé|" in said


def test_a_text_that_is_no_html_has_nothing_escaped(app: Flask) -> None:
    text = app.jinja_env.overlay(autoescape=False).from_string(
        "{{ _('Hello %(name)s', name='A & B') }}, {{ _('5 %%') }}"
    )
    with force_locale("en"):
        said = text.render()
    assert said == "Hello A & B, 5 %"
    assert type(said) is str
