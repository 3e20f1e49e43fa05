"""Fields in templates: what is allowed, what is told, what cannot be reached."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from flask_babel import force_locale

from modules.mail_config import templating
from modules.mail_config.templating import BadTemplateError, check, render

KNOWN = ["customer.name", "document.number", "document.total", "document.currency", "document.date"]
FIELDS = {
    "customer.name": "Dupont & Fils <x>",
    "document.number": "S00001",
    "document.total": Decimal("1234.5000"),
    "document.currency": "EUR",
    "document.date": dt.date(2026, 11, 23),
}


def test_fields_are_filled_in_and_escaped_in_the_body_only(app):
    rendered = render("{{ document.number }} {{ customer.name }}", "<p>{{ customer.name }}</p>", FIELDS)
    assert rendered.subject == "S00001 Dupont & Fils <x>"
    assert rendered.body_html == "<p>Dupont &amp; Fils &lt;x&gt;</p>"


@pytest.mark.parametrize(
    ("language", "money", "day"),
    [("en", "€1,234.50", "November 23, 2026"), ("fr", "1\u202f234,50\xa0€", "23 novembre 2026")],
)
def test_money_and_dates_follow_the_locale(app, language, money, day):
    with force_locale(language):
        rendered = render("{{ document.total|money(document.currency) }}", "{{ document.date|date }}", FIELDS)
    assert (rendered.subject, rendered.body_html) == (money, day)


def test_conditions(app):
    rendered = render("{% if document.total > 1000 %}big{% else %}small{% endif %}", "", FIELDS)
    assert rendered.subject == "big"


def test_a_newline_cannot_enter_the_subject(app):
    fields = {**FIELDS, "customer.name": "x\r\nBcc: evil@example.com"}
    assert render("{{ customer.name }}", "", fields).subject == "x Bcc: evil@example.com"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ customer.nmae }}", "customer.nmae"),
        ("{{ nothing }}", "nothing"),
        ("one\n{{ document.numbr }}", "Line 2"),
        ("{% if document.total > %}", "Line 1"),
        ("{{ document.total|nofilter }}", "nofilter"),
        ("{% for x in 'abc' %}{{ x }}{% endfor %}", "for"),
        ("{{ ''.__class__.__mro__ }}", ""),
        ("{{ cycler }}", "cycler"),
        ("{{ customer.name.upper() }}", "call"),
        ("{{ customer['name'] }}", "getitem"),
        ("{% include 'x' %}", "include"),
        ("{% macro m() %}{% endmacro %}", "macro"),
        ("{% set x = 'y' %}{{ x }}", "assign"),
        ("{{ 9**(9**9) }}", "pow"),
        ("{{ " + "(" * 400 + "1" + ")" * 400 + " }}", "nested"),
        ("{{ document.date|date('dd/MM/yyyy') }}", "date"),
        ("x" * 60_000, "too long"),
    ],
)
def test_what_is_wrong_is_told_when_saving(app, source, words):
    with force_locale("en"):
        problems = check(source, KNOWN, field="body")
    assert problems or source.startswith("{{ ''"), source
    assert words in " ".join(problems)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ customer.__init__.__globals__ }}",
        "{{ document.total.__class__ }}",
        "{{ customer.missing }}",
        "{{ 1/0 }}",
        "{{ 'x' * 10**9 }}",
        "{{ 'x' * 1000000000 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ 9**(9**9) }}",
        "{{ document.total ** 100000000 }}",
        "{{ 1000000000000000 * 1000000000000000 }}",
        "{{ document.date|date(1) }}",
        "{{ document.date|date('dd/MM/yyyy') }}",
    ],
)
def test_what_slips_through_cannot_reach_anything(app, source):
    with pytest.raises(BadTemplateError):
        render(source, "", FIELDS)


def test_sensible_arithmetic_works(app):
    assert render("{{ document.total * 2 }} {{ 7 % 4 }}", "", FIELDS).subject == "2,469 3"


def test_a_text_that_is_too_long_is_refused(app):
    fields = {**FIELDS, "customer.name": "x" * (templating.MAX_OUTPUT + 1)}
    with pytest.raises(BadTemplateError):
        render("", "{{ customer.name }}", fields)
