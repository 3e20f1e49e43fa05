"""Fields of older systems: found where they are meant, left alone where they are not, never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from flask import Flask
from flask_babel import force_locale
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.registry import current_registry
from core.testing.fixtures import running_app, test_settings
from modules.mail_config.from_mail.legacy_fields import MAX_TEXT, convert, find
from modules.mail_config.from_mail.legacy_formula import FormulaUnreadableError, is_formula, read_formula
from modules.mail_config.template_language.fields import plain_catalogue
from modules.mail_config.template_language.linter import find_problems

INVOICE = "sales.invoice"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The application without a database: what is tried here reads the catalogue and nothing else."""
    yield from running_app(test_settings(tmp_path_factory.mktemp("data")))


@pytest.mark.parametrize(
    ("text", "converted"),
    [
        ("Facture NUMFACT du DATEFACT", "Facture {{ document.number }} du {{ document.date }}"),
        ("<p>Cher NOMCLIENT,</p>", "<p>Cher {{ customer.name }},</p>"),
        ("TYPEDOC n°NUMDOC", "{{ document.title }} n°{{ document.number }}"),
        ("<NUMFACT> / <NOMSOC>", "{{ document.number }} / {{ company.name }}"),
        ("&lt;NUMFACT&gt; du &lt;DATEFACT&gt;", "{{ document.number }} du {{ document.date }}"),
        ("[NUMFACT] %NUMFACT% $NUMFACT$ #NUMFACT# {NUMFACT}", " ".join(["{{ document.number }}"] * 5)),
        ("MTTTC dont MTTVA (MTHT)", "{{ document.total }} dont {{ document.tax }} ({{ document.untaxed }})"),
        ("DATEECH, TELSOC, MAILSOC", "{{ document.due_date }}, {{ company.phone }}, {{ company.email }}"),
        ("Votre commande NUMCDE", "Votre commande {{ document.order_number }}"),
        ("NUM_FACT", "{{ document.number }}"),
        ("<strong>NOMVENDEUR</strong>", "<strong>{{ owner.name }}</strong>"),
        ("Suivi par INTERLOCUTEUR", "Suivi par {{ contact.name }}"),
        ("[N° FACTURE]", "{{ document.number }}"),
        (
            "[NOM SOCIÉTÉ] [NOM&nbsp;CLIENT] {DATE FACT}",
            "{{ company.name }} {{ customer.name }} {{ document.date }}",
        ),
        ("[DATE] [TOTAL] DATE TOTAL", "{{ document.date }} {{ document.total }} DATE TOTAL"),
    ],
)
def test_known_words_become_fields(app: Flask, text: str, converted: str) -> None:
    assert convert(INVOICE, text) == converted


@pytest.mark.parametrize(
    ("text", "converted"),
    [
        ("M. [NOM CAISSIER]", "M. {{ cashier.name }}"),
        ("[DATE TICKET], [N° TICKET]", "{{ document.date }}, {{ document.number }}"),
        ("[NOM\u00a0CAISSE] [CAISSE]", "{{ register.name }} {{ register.name }}"),
        ("[CODE POSTAL DU MAGASIN]", "[CODE POSTAL DU MAGASIN]"),
        ("[CAISSE", "[CAISSE"),
        ("LA CAISSE N° 4", "LA CAISSE N° 4"),
    ],
)
def test_codes_of_several_words_are_one_field(app: Flask, text: str, converted: str) -> None:
    assert convert("pos.ticket", text) == converted


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("sales.quotation", "document.number"),
        ("sales.order", "document.number"),
        ("sales.invoice", "document.order_number"),
    ],
)
def test_the_number_of_the_order_depends_on_the_kind(app: Flask, kind: str, field: str) -> None:
    assert convert(kind, "NUMCDE") == f"{{{{ {field} }}}}"


@pytest.mark.parametrize(
    "text",
    [
        "XNUMFACT NUMFACTX numfact NumFact DENOMSOC",
        "UN TEXTE EN CAPITALES, SARL, TVA, RIB, OK",
        "{{ NUMFACT }} {% if NUMFACT %} {# NUMFACT #}",
        "{{ {{ NUMFACT }} {{% NUMFACT }} {{ '{%' ~ NUMFACT }}",
        "numfact@example.com NUMFACT@example.com x.NUMFACT@example.com",
        "https://example.com/NUMFACT?a=#1 www.example.com/NUMFACT mailto:NUMFACT@example.com",
        '<a href="https://example.com/#1" title="NUMFACT">x</a>',
        '<p style="color: #123456; background: #fff">x</p>',
        "<!-- NUMFACT #1 -->",
        "<BR> <P> <TABLE> <STRONG>",
        "&#1; &#39; &#x1F; &amp; &nbsp;",
        "#1f5f8b #fff #123456 #333 #1a",
        "page#1 no. 1 1# #abc ##1",
        "[code] [x] [A] <a> < NUM > [1]",
        "C# F#1x",
        "",
    ],
)
def test_everything_else_is_left_alone(app: Flask, text: str) -> None:
    assert [legacy.found for legacy in find(INVOICE, text)] == []
    assert convert(INVOICE, text) == text


@pytest.mark.parametrize(
    "mark", ["#1", "#12", "[CODE]", "&lt;MONTRUC&gt;", "<MONTRUC>", "[REF_2]", "%MONTRUC%"]
)
def test_what_only_the_person_knows_is_found_but_never_guessed(app: Flask, mark: str) -> None:
    text = f"Bonjour {mark}, merci"
    with force_locale("en"):
        (legacy,) = find(INVOICE, text)
    assert (legacy.found, text[legacy.start : legacy.end], legacy.field) == (mark, mark, None)
    assert legacy.meaning == "Only you know what it stood for: choose a field."
    assert convert(INVOICE, text) == text
    assert convert(INVOICE, text, {mark: ""}) == text
    assert convert(INVOICE, text, {mark: "customer.name"}) == "Bonjour {{ customer.name }}, merci"


def test_a_choice_goes_before_what_is_known(app: Flask) -> None:
    text = "NUMFACT, NUMFACT, DATEFACT"
    assert convert(INVOICE, text, {"NUMFACT": "document.order_number", "DATEFACT": ""}) == (
        "{{ document.order_number }}, {{ document.order_number }}, DATEFACT"
    )


def test_a_choice_that_is_no_field_is_refused(app: Flask) -> None:
    with pytest.raises(UserError, match=r"customer\.nmae"):
        convert(INVOICE, "#1", {"#1": "customer.nmae"})


def test_a_word_that_the_kind_has_no_field_for_says_what_it_means(app: Flask) -> None:
    with force_locale("en"):
        found = {legacy.found: legacy for legacy in find("sales.quotation", "DATEECH CODECLIENT NUMBL")}
    assert [legacy.field for legacy in found.values()] == [None, None, None]
    assert found["DATEECH"].meaning == "Due date: this kind of document has no such field."


def test_every_field_that_is_chosen_exists(app: Flask) -> None:
    words = (
        "NUMDOC NUMFACT NUMDEV NUMCDE NUMBL DATEDOC DATEFACT DATEECH DATEVAL DATELIV MTTTC MTHT MTTVA DEVISE MODEREGL "
        "TYPEDOC NOMCLIENT CODECLIENT ADRCLIENT CPCLIENT VILLECLIENT MAILCLIENT TELCLIENT TVACLIENT NOMCONTACT NOMSOC "
        "ADRSOC CPSOC VILLESOC TELSOC MAILSOC SITESOC TVASOC RIBSOC NOMVENDEUR MAILVENDEUR NOMCAISSIER"
    )
    for kind in current_registry().kinds:
        found = find(kind, words)
        assert [legacy.found for legacy in found] == words.split()
        known = [spec.name for spec in plain_catalogue(kind)]
        assert {legacy.field for legacy in found} - {None} <= set(known)
        assert not find_problems(convert(kind, words), known, field="subject")


TEXTS = st.lists(
    st.sampled_from(
        [
            "NUMFACT", "<NUMFACT>", "&lt;NOMSOC&gt;", "#1", "[CODE]", "{{ document.number }}", "{{", "}}", "{%", "<p>",
            "</p>", '<a href="NUMFACT">', "https://x.example/", "a@b.example", "&amp;", "&#1;", "#1f5f8b", "<", ">",
            "[", "]", "#", "%", "$", "x", "é", " ", "\n", "NOMCLIENT", "TVA", "{", "}",
        ]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@settings(max_examples=300)
@given(TEXTS)
def test_what_is_found_is_where_it_is_said_to_be_and_nothing_else_changes(app: Flask, text: str) -> None:
    found = find(INVOICE, text)
    assert all(text[legacy.start : legacy.end] == legacy.found for legacy in found)
    assert all(one.end <= next_one.start for one, next_one in pairwise(found))
    rest, position = [], 0
    for legacy in found:
        rest.append(text[position : legacy.start])
        rest.append(f"{{{{ {legacy.field} }}}}" if legacy.field else legacy.found)
        position = legacy.end
    assert convert(INVOICE, text) == "".join([*rest, text[position:]])


@settings(max_examples=200)
@given(TEXTS)
def test_converting_twice_changes_nothing_more(app: Flask, text: str) -> None:
    once = convert(INVOICE, text)
    if "{{" not in text and "{%" not in text:
        assert convert(INVOICE, once) == once


@pytest.mark.parametrize(
    "text",
    ["{{" * 50_000, "a" * 100_000, "<" * 100_000, "<!--" * 25_000, "A" * 100_000, "a@" * 50_000, "[A" * 50_000,
     "&lt;A" * 20_000, "http:" * 20_000, "<a " * 30_000, "{%" * 50_000, "{#" * 50_000, "{{a " * 20_000,
     "{{{%{#" * 10_000, "a.b-" * 25_000 + "@", "NUMFACT " * 12_000],
)  # fmt: skip
def test_no_text_is_without_an_end(app: Flask, text: str) -> None:
    # What grows with the square of the length does not end within pytest's time limit.
    found = find(INVOICE, text)
    assert len(found) == text[:MAX_TEXT].count("NUMFACT")


# -------------------------------------------------------------------------------------------------- formule=


@pytest.mark.parametrize(
    ("formula", "made"),
    [
        (
            'formule="Facture "+[NUMFACT]+" du "+[DATEFACT]',
            "Facture {{ document.number }} du {{ document.date }}",
        ),
        ("FORMULE : 'L''avoir ' & NUMFACT", "L'avoir {{ document.number }}"),
        ("formule=[NUMFACT]", "{{ document.number }}"),
        ('formule= MAJUSCULE([NOM CLIENT]) + " !"', "{{ customer.name | upper }} !"),
        ("formule=[TOTALTTC] - [TOTALHT] * 2", "{{ document.total - (document.untaxed * 2) }}"),
        ("formule=ARRONDI([TOTALTTC]*0,3;2)", "{{ (document.total * 0.3) | round(2) }}"),
        (
            'formule=SI([TOTALTTC]>1000 ET [NOMCLIENT]<>"";"Grand "+[NOMCLIENT];"Petit")',
            "{{ ('Grand ' ~ customer.name) if (document.total > 1000) and (customer.name != '') else 'Petit' }}",
        ),
    ],
)
@pytest.mark.usefixtures("app")
def test_a_formula_of_an_older_system_is_read_into_ours(formula: str, made: str) -> None:
    assert is_formula(formula)
    assert read_formula(INVOICE, formula, is_html=False) == made
    assert find_problems(made, [spec.name for spec in plain_catalogue(INVOICE)], field="subject_fr") == []


@pytest.mark.usefixtures("app")
def test_a_formula_in_a_body_keeps_its_lines_and_is_no_markup() -> None:
    body = '<div>formule="Bonjour &lt;b&gt;<br>"&amp;[NOMCLIENT]</div>'
    assert read_formula(INVOICE, body, is_html=True) == "<p>Bonjour &lt;b&gt;<br>{{ customer.name }}</p>"
    for no_formula in ("La formule= est belle", "formules: deux", "", "<p>Bonjour formule=1</p>"):
        assert not is_formula(no_formula)


@pytest.mark.parametrize(
    ("formula", "position", "said"),
    [
        ("formule=", 0, "Nothing stands in this formula."),
        ('formule="a"+[INCONNU]', 4, "Only you know what it stood for"),
        ("formule=[NUMFACT]+", 10, "Something is missing at the end"),
        ("formule=LOOKUP([NUMFACT])", 0, "There is no function “LOOKUP” here."),
        ("formule=[NUMFACT] [DATEFACT]", 10, "is not expected here"),
        ("formule=SI([NUMFACT]", 12, "Something is missing at the end"),
        ('formule="a"+{{ x }}', 4, "“{” may not stand here."),
        ("formule=" + "(" * 400 + "1" + ")" * 400, 31, "too long"),
    ],
)
@pytest.mark.usefixtures("app")
def test_what_cannot_be_read_of_it_is_told_with_its_place(formula: str, position: int, said: str) -> None:
    with force_locale("en"), pytest.raises(FormulaUnreadableError) as refused:
        read_formula(INVOICE, formula, is_html=False)
    assert said in str(refused.value)
    assert refused.value.position == position
