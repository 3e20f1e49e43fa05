"""The language of templates: what can be written, what is told, what cannot be reached."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal

import pytest
from flask import Flask
from flask_babel import Babel, force_locale
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.documents.behavior import FieldValue
from modules.mail_config.template_language.linter import find_problems, try_out, used_fields
from modules.mail_config.template_language.render import MAX_OUTPUT, BadTemplateError, render, render_line
from modules.mail_config.template_language.values import Amount

FIELDS: Mapping[str, FieldValue] = {
    "customer.name": "Dupont & Fils <x>",
    "customer.city": "",
    "customer.address": "4 rue du Bac\n75007 Paris",
    "document.number": "S00001",
    "document.total": Amount("1234.5000", "EUR"),
    "document.rate": Decimal("12.5000"),
    "document.count": 3,
    "document.currency": "EUR",
    "document.date": dt.date(2026, 11, 23),
    "document.validity": "",
}
EMPTY: Mapping[str, FieldValue] = {
    name: Amount(0, "EUR")
    if isinstance(value, Amount)
    else Decimal(0)
    if isinstance(value, Decimal | int)
    else ""
    for name, value in FIELDS.items()
}


@pytest.fixture(scope="module")
def app() -> Iterator[Flask]:
    """No more than the language needs: a context with a locale."""
    app = Flask(__name__)
    Babel(app)
    with app.app_context():
        yield app


def shown(source: str, language: str = "en", field: str = "subject") -> str:
    with force_locale(language):
        if field == "body":
            return render("", source, FIELDS, currency="EUR").body_html
        return render_line(source, FIELDS, currency="EUR", field=field)


def told(source: str, field: str = "body_en") -> list[str]:
    with force_locale("en"):
        problems = find_problems(source, FIELDS, field=field)
        if not problems:
            problems = try_out(source, FIELDS, EMPTY, currency="EUR", field=field, language="fr")
        return [problem.sentence for problem in problems]


# -------------------------------------------------------------------------------------------------- what it can


def test_fields_are_filled_in_and_escaped_in_the_body_only(app: Flask) -> None:
    rendered = render("{{ document.number }} {{ customer.name }}", "<p>{{ customer.name }}</p>", FIELDS)
    assert rendered.subject == "S00001 Dupont & Fils <x>"
    assert rendered.body_html == "<p>Dupont &amp; Fils &lt;x&gt;</p>"


@pytest.mark.parametrize(
    ("source", "english", "french"),
    [
        ("{{ document.total }}", "€1,234.50", "1\u202f234,50\xa0€"),
        ("{{ document.total | money }}", "€1,234.50", "1\u202f234,50\xa0€"),
        ("{{ document.total | money('USD') }}", "$1,234.50", "1\u202f234,50\xa0$US"),
        ("{{ 3 | money }}", "€3.00", "3,00\xa0€"),
        ("{{ document.total * 0.3 }}", "€370.35", "370,35\xa0€"),
        ("{{ document.total / 3 }}", "€411.50", "411,50\xa0€"),
        ("{{ document.total - 0.5 + document.total }}", "€2,468.50", "2\u202f468,50\xa0€"),
        ("{% if document.total %}{{ document.total / document.total }}{% endif %}", "1", "1"),
        ("{{ -document.total }} {{ -document.total | abs }}", "-€1,234.50 €1,234.50", None),
        ("{{ (document.total / 7) | round(1) | number }}", "176.4", "176,4"),
        ("{{ document.total | number(2) }}", "1,234.50", "1\u202f234,50"),
        ("{{ (0 - 0.004) | number(2) }}", "0.00", "0,00"),
        ("{{ (0 - 0.00004) | number }}", "0", "0"),
        ("{{ document.rate }} %", "12.5 %", "12,5 %"),
        ("{{ 7 % 4 }} {{ 7 // 2 }} {{ 10 / 4 }} {{ 0.1 + 0.2 }}", "3 3 2.5 0.3", "3 3 2,5 0,3"),
        ("{{ document.date }}", "November 23, 2026", "23 novembre 2026"),
        ("{{ document.date | date('short') }}", "11/23/26", "23/11/2026"),
        ("{{ document.date + 30 }}", "December 23, 2026", "23 décembre 2026"),
        ("{{ document.date - (document.date - 2) }}", "2", "2"),
        ("{{ 'le ' ~ document.date ~ ' : ' ~ document.total }}", "le November 23, 2026 : €1,234.50", None),
        ("{{ document.number | lower }} {{ 'été à Paris' | title }}", "s00001 Été À Paris", None),
        ("{{ ' é ' | trim | upper }}{{ 'abc' | capitalize }}", "ÉAbc", None),
        ("{{ customer.name | replace('Fils', 'Co') }}", "Dupont & Co <x>", None),
        ("{{ customer.city | default('nowhere') }} {{ customer.city | d }}", "nowhere", None),
        ("{{ 0 | default('none', true) }} {{ 0 | default('none') }}", "none 0", None),
        ("{{ 'yes' if document.total > 1000 else 'no' }}{{ 'x' if customer.city }}", "yes", None),
        ("{% if document.currency in ('EUR', 'CHF') %}a{% elif 1 %}b{% else %}c{% endif %}", "a", None),
        ("{% raw %}{{ x }}{% endraw %}{# a note #}", "{{ x }}", None),
    ],
)
def test_values_follow_the_locale(app: Flask, source: str, english: str, french: str | None) -> None:
    assert told(source, "subject_en") == []
    assert shown(source, "en") == english
    if french is not None:
        assert shown(source, "fr") == french


@pytest.mark.parametrize(
    "source",
    [
        "{% if document.validity > document.date %}late{% endif %}",
        "{% if document.validity <= 3 %}late{% endif %}",
        "{% if document.validity %}late{% endif %}",
        "{{ document.validity }}{{ document.validity | date }}{{ document.validity + 30 }}",
        "{{ customer.city | money }}{{ customer.city | number }}{{ customer.city | round }}{{ -customer.city }}",
    ],
)
def test_what_a_document_does_not_have_is_nothing_and_no_error(app: Flask, source: str) -> None:
    assert shown(source) == ""


def test_a_value_of_several_lines_keeps_them_in_the_body(app: Flask) -> None:
    assert shown("{{ customer.address }}", field="body") == "4 rue du Bac<br>75007 Paris"
    assert shown("{{ customer.address }}") == "4 rue du Bac 75007 Paris"


def test_a_newline_cannot_enter_the_subject(app: Flask) -> None:
    fields = {**FIELDS, "customer.name": "x\r\nBcc: evil@example.com"}
    assert render("{{ customer.name }}", "", fields).subject == "x Bcc: evil@example.com"


def test_amounts_in_two_currencies_are_not_added(app: Flask) -> None:
    fields = {"a.x": Amount(1, "EUR"), "a.y": Amount(1, "USD")}
    with pytest.raises(BadTemplateError, match="different currencies"):
        render_line("{{ a.x + a.y }}", fields)


def test_the_fields_that_a_template_uses(app: Flask) -> None:
    source = "{{ a.b.c | default(d.e, true) }}{% if f.g > h.i %}{{ broken( }}{% endif %}"
    assert used_fields(source + "{% raw %}{{ no.no }}{% endraw %}") == {"a.b.c", "d.e", "f.g", "h.i"}


# ---------------------------------------------------------------------------------------------------- what is told


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ customer.nmae }}", "Is “customer.name” meant?"),
        ("{{ nothing }}", "There is no field “nothing”."),
        ("{{ customer }}", "“customer” is a group of fields"),
        ("one\ntwo {{ document.numbr }}", "(line 2, column 8)"),
        ("{% if document.total > %}x{% endif %}", "Something is missing at the end"),
        ("{{ document.total | nofilter }}", "There is no filter “nofilter”."),
        ("{% if document.total is tall %}x{% endif %}", "There is no test “tall”."),
        ("{{ document.total § }}", "“§” may not stand here."),
        ("{{ document.total | mony }}", "Is “money” meant?"),
        ("{{ document.total document.rate }}", "“document” is not expected here."),
        ("{{ }}", "Nothing stands in this formula."),
        ("{{ customer.name", "“}}” is missing"),
        ("{# a note", "“#}” is missing"),
        ("customer.name }}", "“}}” closes nothing"),
        ("{% if document.total %}x", "{% endif %} is missing"),
        ("x{% endif %}", "There is no {% if … %} before this “endif”."),
        ("{% else %}", "There is no {% if … %} before this “else”."),
        ("{% if 1 %}{% else %}{% elif 1 %}{% endif %}", "Nothing but {% endif %} may follow after “else”."),
        ("{% if 1 %}{% else if 2 %}{% endif %}", "Write “elif”"),
        ("{% if 1 %}{% endif x %}", "Nothing may follow “endif”"),
        ("{% raw %}{{", "{% endraw %} is missing"),
        ("{% if 1 %}" * 21 + "{% endif %}" * 21, "nested too deeply"),
        ("{% for x in 'abc' %}{{ x }}{% endfor %}", "“for” may not be used"),
        ("{% include 'x' %}", "“include” may not be used"),
        ("{% extends 'x' %}", "“extends” may not be used"),
        ("{% import 'x' as y %}", "“import” may not be used"),
        ("{% macro m() %}{% endmacro %}", "“macro” may not be used"),
        ("{% set x = 'y' %}", "“set” may not be used"),
        ("{% with x = 1 %}{% endwith %}", "“with” may not be used"),
        ("{% autoescape false %}{% endautoescape %}", "“autoescape” may not be used"),
        ("{% filter upper %}{% endfilter %}", "“filter” may not be used"),
        ("{% trans %}x{% endtrans %}", "“trans” may not be used"),
        ("{% do x %}", "“do” may not be used"),
        ("{{ cycler }}", "There is no field “cycler”."),
        ("{{ ''.__class__.__mro__ }}", "There is no field “….__class__.__mro__”."),
        ("{{ customer.name.upper() }}", "“( )” may not be used"),
        ("{{ customer['name'] }}", "“[ ]” may not be used"),
        ("{{ customer.name[0:3] }}", "may not be used"),
        ("{{ {'a': 1} }}", "“{ }” may not be used"),
        ("{{ [1, 2] }}", "A list can stand only behind “in”."),
        ("{{ document.total > 3 }}", "A comparison belongs into {% if … %}."),
        ("{{ 9 ** (9 ** 9) }}", "“**” may not be used"),
        ("{{ " + "(" * 400 + "1" + ")" * 400 + " }}", "This formula is too long."),
        ("{{ " + "1" * 5000 + " }}", "This formula is too long."),
        ("{{ document.date | date('dd/MM/yyyy') }}", "“date” takes one of short, medium, long, full."),
        ("{{ document.total | money(*'x') }}", "“*” may not be used"),
        ("x" * 60_000, "The text is too long."),
        ("{{ 1 }}" * 501, "too many formulas"),
        # What only a trial can tell:
        ("{{ document.date | money }}", "A number is needed here, not “23 novembre 2026”."),
        ("{{ document.total | date }}", "A date is needed here"),
        ("{{ document.total | money('Euro') }}", "“money” needs a currency such as EUR, not “Euro”."),
        ("{{ document.total | round(99) }}", "The number of decimals is from 0 to 6."),
        ("{% if document.date > 3 %}{% endif %}", "compares or computes what does not go together"),
        ("{{ document.date + 0.5 }}", "whole days only"),
        ("{{ document.number * 2 }}", "“*” cannot be used with “S00001” and “2”."),
        ("{{ 1 / 0 }}", "The formula divides by zero."),
        ("{{ document.total / document.count }}", "When fields are empty: The formula divides by zero."),
        ("{% if 0 %}{{ document.date | money }}{% endif %}", "A number is needed"),
    ],
)
def test_what_is_wrong_is_told_when_saving(app: Flask, source: str, words: str) -> None:
    assert words in "\n".join(told(source))


@pytest.mark.parametrize(
    "source",
    [
        "{% if document.count %}{{ document.total / document.count }}{% endif %}",
        "{% if not document.count %}none{% elif document.count == 1 %}one{% else %}{{ 9 / document.count }}{% endif %}",
        "{{ customer.name | default(document.number, true) }}",
        "{%- if document.total -%} x {%- endif -%}",
        '{{ "}}" }} {{ "{{" }}',
    ],
)
def test_what_is_right_is_left_alone(app: Flask, source: str) -> None:
    assert told(source) == []


def test_every_problem_is_told_at_once_and_in_the_order_of_the_text(app: Flask) -> None:
    source = "{{ x.y }}\n{{ document.total | nofilter }} {{ 1 + }}\n{% if 1 %}"
    with force_locale("en"):
        problems = find_problems(source, FIELDS, field="body_fr")
    assert [(problem.line, problem.column) for problem in problems] == [(1, 4), (2, 21), (2, 33), (3, 1)]
    assert problems[0].excerpt == "{{ x.y }}"
    assert {problem.field for problem in problems} == {"body_fr"}


def test_problems_are_told_in_the_language_of_the_person_not_of_the_mail(app: Flask) -> None:
    with force_locale("fr"):
        (problem,) = try_out(
            "{{ document.date | money }}", FIELDS, EMPTY, currency="EUR", field="body_en", language="en"
        )
    assert "November 23, 2026" in problem.message or "23 novembre 2026" in problem.message


# ------------------------------------------------------------------------------------------------------ attacks


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ customer.__init__.__globals__ }}",
        "{{ customer.items }}",
        "{{ customer.keys() }}",
        "{{ customer }}",
        "{{ document.total.__class__ }}",
        "{{ document.total.real }}",
        "{{ document.total.currency }}",
        "{{ document.date.year }}",
        "{{ customer.missing }}",
        "{{ (currency) }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ loop }}",
        "{{ super }}",
        "{{ caller }}",
        "{{ varargs }}",
        "{{ range(10) }}",
        "{{ lipsum() }}",
        "{{ cycler('a') }}",
        "{{ joiner }}",
        "{{ namespace(a=1) }}",
        "{{ dict(a=1) }}",
        "{{ _ }}",
        "{{ ｃustomer.name }}",
        "{{ customer.name | ｕpper }}",
        "{{ customer | attr('__class__') }}",
        "{{ customer.name | map('upper') }}",
        "{{ customer.name | format }}",
        "{{ customer.name | safe }}",
        "{{ customer.name | center(999999999) }}",
        "{{ customer.name | indent(999999999) }}",
        "{{ customer.name | xmlattr }}",
        "{{ 'x' * 10**9 }}",
        "{{ 'x' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '%s' % customer }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ 9**(9**9) }}",
        "{{ document.total ** 100000000 }}",
        "{{ 1000000000000000 * 1000000000000000 }}",
        "{{ 1e308 * 10 }}",
        "{{ 1e400 | number }}",
        "{{ '1e999999999' | number }}",
        "{{ 'NaN' | number }}",
        "{{ 'Infinity' | money }}",
        "{{ '9' | replace('9', '9' ~ '9' * 99) }}",
        "{{ document.date | date(1) }}",
        "{{ document.date | date('dd/MM/yyyy') }}",
        "{{ document.date + 999999999999 }}",
        "{% for a in 'x' %}{% endfor %}",
        "{% set x = 1 %}{{ x }}",
        "{% set ns.x = 1 %}",
        "{% block x %}{% endblock %}",
        "{% include 'base.html' %}",
        "{% import 'base.html' as x %}",
        "{% from 'base.html' import x %}",
        "{% extends 'base.html' %}",
        "{% call x() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{% with %}{% endwith %}",
        "{% autoescape false %}{{ customer.name }}{% endautoescape %}",
        "{% trans %}x{% endtrans %}",
        "{% do customer.clear() %}",
        "{% debug %}",
        "{% break %}",
        "{{ 1 if }}",
        "{{ not }}",
        "{{ a b }}",
    ],
)
def test_what_slips_through_cannot_reach_anything(app: Flask, source: str) -> None:
    with pytest.raises(BadTemplateError):
        render("", source, FIELDS, currency="EUR")
    assert told(source)


def test_line_statements_are_text(app: Flask) -> None:
    source = "# for x in 'abc'\n## comment\n% set y = 1"
    assert render("", source, FIELDS).body_html == source


HUGE = {
    "many fields": "{{ document.note }}" * 499,
    "a long sum": "{{ " + "+".join("1" * 20_000) + " }}",
    "many joins": "{{ " + "~".join(["document.note"] * 199) + " }}",
    "far too many joins": "{{ " + "~".join(["document.note"] * 3000) + " }}",
    "a chain of filters": "{{ document.note" + "|upper" * 25 + " }}",
    "an endless chain of filters": "{{ document.note" + "|upper" * 8000 + " }}",
    "replacing upon replacing": "{{ 'a'" + "|replace('a','aaaaaaaaaa')" * 25 + " }}",
    "a long replacement": "{{ '" + "a" * 20_000 + "'|replace('a','" + "b" * 20_000 + "') }}",
    "deep conditions": "{% if 1 %}" * 240 + "{% endif %}" * 240,
    "many branches": "{% if 1 %}x" + "{% elif 1 %}y" * 490 + "{% endif %}",
    "deep brackets": "{{ " + "(" * 20_000,
    "deep lists": "{{ " + "[" * 20_000,
    "deep tuples": "{{ " + "(1," * 10_000 + " }}",
    "signs": "{{ " + "-" * 40_000 + "1 }}",
    "negations": "{{ " + "not " * 12_000 + "1 }}",
    "attributes": "{{ a" + ".b" * 20_000 + " }}",
    "comparisons": "{{ 1" + "<1" * 20_000 + " }}",
    "conditions in a line": "{{ 1" + " if 1 else 1" * 4_000 + " }}",
    "digits": "{{ " + "9" * 49_000 + " }}",
    "decimals": "{{ 1." + "9" * 49_000 + " }}",
    "an open string": "{{ '" + "\\'" * 24_000,
    "open strings": "{{ '}}{{ \\'" * 4_500,
    "openings": "{{" * 25_000,
    "braces": "{" * 50_000,
    "comments": "{#" * 25_000,
    "raw upon raw": "{% raw %}" * 5_000,
    "blanks": "{{" + " " * 49_000 + "}}",
    "lines": "{{" + "\n" * 49_000 + "1 }}",
    "megabytes": "x" * 5_000_000,
    "megabytes of formulas": "{{ 1 }}" * 700_000,
    "markup": "{{ " + '<b a="x" ' * 5_000 + " }}",
    "split delimiters": "{<b>" * 12_000,
    "entities": "{{ " + "&amp;" * 9_000 + " }}",
}


@pytest.mark.parametrize("source", HUGE.values(), ids=HUGE.keys())
def test_nothing_is_without_an_end_or_makes_much(app: Flask, source: str) -> None:
    fields = {**FIELDS, "document.note": "x" * MAX_OUTPUT * 2}
    # What grows with the square of the length does not end within pytest's time limit.
    problems = find_problems(source, fields, field="body")
    if not problems:
        try_out(source, fields, EMPTY, currency="EUR", field="body", language="fr")
    with contextlib.suppress(BadTemplateError):
        assert len(render("", source, fields).body_html) <= MAX_OUTPUT


def test_a_text_that_is_too_long_is_refused(app: Flask) -> None:
    fields = {**FIELDS, "customer.name": "x" * 90_000}
    assert len(render("", "{{ customer.name }}", fields).body_html) == 90_000
    with pytest.raises(BadTemplateError, match="too long"):
        render("", "{{ customer.name }}" * 6, fields)


PIECES = st.sampled_from(
    [
        "{{", "}}", "{%", "%}", "{#", "#}", "if", "else", "elif", "endif", "for", "in", "is", "not", "and", "raw",
        "endraw", "customer.name", "document.total", "document.date", "document.validity", "self", "loop", "_", "|",
        "money", "date", "default", "replace", "round", "(", ")", "[", "]", "{", "}", ",", ".", ":", "'", '"', "\\",
        "+", "-", "*", "/", "//", "%", "**", "~", "<", ">", "==", "1", "0", "9e99", "0x1F", "é", "＿", "\u202e", "\x00",
        "\n", " ", "<b>", "</b>", "&nbsp;", "&gt;", "“", "”", "😀",
    ]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join))
def test_no_text_raises_anything_but_a_template_error(app: Flask, source: str) -> None:
    problems = find_problems(source, FIELDS, field="body")
    if not problems:
        problems = try_out(source, FIELDS, EMPTY, currency="EUR", field="body", language="fr")
    failed = False
    try:
        with force_locale("fr"):
            render("", source, FIELDS, currency="EUR")
    except BadTemplateError:
        failed = True
    # What passes the check works: nobody finds out when a customer waits.
    assert problems or not failed


FORMULAS = st.recursive(
    st.sampled_from([*FIELDS, "1", "2.5", "0", "'x'", "''", "true", "none"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from([*"+-*/%~", "//"]), inner).map(" ".join)
        | inner.map(lambda formula: f"({formula})")
        | inner.map(lambda formula: f"-({formula})")
        | st.tuples(
            inner,
            st.sampled_from(
                [
                    "upper",
                    "money",
                    "date",
                    "number",
                    "round(2)",
                    "abs",
                    "default(1)",
                    "title",
                    "replace('x', 'y')",
                ]
            ),
        ).map(" | ".join)
        | st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} if {parts[1]} > {parts[2]})")
    ),
    max_leaves=8,
)


@settings(max_examples=400)
@given(FORMULAS)
# What is compared as text is another text in another language: checked in French, it is computed in French.
@example("-((customer.city if (2.5 | upper) > document.total | upper))")
def test_a_formula_that_passes_the_check_can_be_computed(app: Flask, formula: str) -> None:
    source = f"{{{{ {formula} }}}}"
    if told(source) == []:
        for fields in (FIELDS, EMPTY):
            with force_locale("fr"):
                assert isinstance(render("", source, fields, currency="EUR").body_html, str)


def test_many_filters_that_are_each_within_bounds_are_bounded_together(app: Flask) -> None:
    grow = "|replace('a','aaaaaaaaaa')" * 4
    formula = "{{ ('aaaaaaaa'" + grow + "|title" * 16 + ")|replace('a','') }}"
    with pytest.raises(BadTemplateError, match="take too long"):
        render("", formula * 20, FIELDS)
