"""A text about one document becomes a text for all: fields for values, formulas kept, nobody's name stored unseen."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from flask_babel import force_locale
from hypothesis import given, settings
from hypothesis import strategies as st

from core.db import transaction
from core.documents.models import Document
from core.errors import UserError
from core.partners.models import Partner, PartnerType
from core.partners.service import save_partner
from modules.mail_config.from_mail.generalize import General, generalize
from modules.mail_config.from_mail.paragraphs import blocks_of, units_of
from modules.mail_config.mail_templates.service import catalogue, render_for, save_template
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.fields import values_of
from modules.mail_config.template_language.linter import find_problems
from modules.mail_config.template_language.tags import tags_of
from modules.sales.models import Order

SUBJECT = "{{ company.name }} : devis {{ document.number }}"
BODY = (
    "<p>Bonjour {{ contact.name | default(customer.name, true) }},</p>"
    "<p>Voici notre devis <strong>{{ document.number }}</strong> du {{ document.date }}, de {{ document.total }}.</p>"
    "{% if document.validity %}<p>Il est valable jusqu’au {{ document.validity }}.</p>{% endif %}"
    "{% if document.total > 500 %}<p>Merci de votre confiance.</p>{% else %}<p>Merci.</p>{% endif %}"
    "<p>Cordialement,</p><p>{{ owner.name }}<br>{{ company.name }}</p>"
)


@pytest.fixture
def template(make_template: Callable[..., MailTemplate]) -> MailTemplate:
    return make_template(texts={"fr": (SUBJECT, BODY)})


@pytest.fixture
def contact(customer: Partner) -> Partner:
    return save_partner(
        None,
        {
            "name": "Claire Martin", "type": PartnerType.CONTACT, "parent_id": customer.id, "function": "Acheteuse",
            "email": "claire@dupont.example.com", "phone": "01 98 76 54 32", "language": "fr",
        },
    )  # fmt: skip


def general(
    document: Document, body: str, template: MailTemplate | None = None, subject: str = "x"
) -> General:
    made = generalize(document, template, "fr", subject, body)
    known = [spec.name for spec in catalogue(document.kind)]
    assert find_problems(made.body, known, field="body") == []
    assert find_problems(made.subject, known, field="subject") == []
    return made


def as_editor(body: str) -> str:
    """The HTML of the editor: lines of one `<div>`."""
    paragraphs = re.findall(r"<p>(.*?)</p>", body)
    return f"<div>{'<br><br>'.join(paragraphs)}</div>"


def as_trix(body: str) -> str:
    """The HTML of the editor once it has read paragraphs: each a `<div>` that ends with a blank line."""
    return "".join(f"<div>{paragraph}<br><br></div>" for paragraph in re.findall(r"<p>(.*?)</p>", body))


# -------------------------------------------------------------------------------------------- paragraphs are kept


@pytest.mark.parametrize("editor", [str, as_editor, as_trix], ids=["paragraphs", "lines", "blank-lines"])
def test_an_unchanged_text_is_the_template_itself(
    document: Document, template: MailTemplate, editor: Callable[[str], str]
) -> None:
    rendered = render_for(template, document)
    made = general(document, editor(rendered.body_html), template, rendered.subject)
    assert (made.subject, made.body) == (SUBJECT, BODY)
    assert (made.kept_blocks, made.replaced, made.left) == (5, [], [])


@pytest.mark.parametrize("editor", [str, as_editor, as_trix], ids=["paragraphs", "lines", "blank-lines"])
def test_only_the_changed_paragraph_is_generalized(
    document: Document, template: MailTemplate, editor: Callable[[str], str]
) -> None:
    rendered = render_for(template, document)
    body = editor(rendered.body_html.replace("Merci de votre confiance.", "À bientôt, Dupont &amp; Fils !"))
    made = general(document, body, template, "Pour Dupont & Fils : " + document.number)
    assert made.subject == "Pour {{ customer.name }} : {{ document.number }}"
    assert "<p>À bientôt, {{ customer.name }} !</p>" in made.body
    assert "confiance" not in made.body
    assert "{% if document.validity %}<p>Il est valable" in made.body
    assert made.body.startswith("<p>Bonjour {{ contact.name | default(customer.name, true) }},</p><p>Voici")
    assert made.kept_blocks == 4
    assert made.replaced == [("Dupont & Fils", "customer.name"), (document.number, "document.number")]


def test_a_paragraph_that_was_taken_away_stays_away(document: Document, template: MailTemplate) -> None:
    rendered = render_for(template, document)
    made = general(document, rendered.body_html.replace("<p>Cordialement,</p>", ""), template)
    assert made.body == BODY.replace("<p>Cordialement,</p>", "")


def test_an_emphasis_is_a_change(document: Document, template: MailTemplate) -> None:
    body = render_for(template, document).body_html.replace("Cordialement", "<strong>Cordialement</strong>")
    assert "<p><strong>Cordialement</strong>,</p>" in general(document, body, template).body


def test_without_a_template_or_with_one_in_another_language_everything_is_generalized(
    document: Document, template: MailTemplate, make_template: Callable[..., MailTemplate]
) -> None:
    body = render_for(template, document).body_html
    english = make_template(texts={"en": ("x", "<p>Cordialement,</p>")})
    for other in (None, english):
        made = general(document, body, other)
        assert made.kept_blocks == 0
        assert (
            "<strong>{{ document.number }}</strong> du {{ document.date }}, de {{ document.total }}."
            in made.body
        )
        assert "<p>{{ owner.name }}<br>{{ company.name }}</p>" in made.body


def test_a_broken_template_keeps_nobody_from_saving(document: Document, template: MailTemplate) -> None:
    body = render_for(template, document).body_html
    with transaction():
        template.texts[0].body = "<p>{{ broken.field }}</p>" + BODY
        template.texts[0].subject = "{{ broken"
    made = general(document, body, template, "Bonjour")
    assert (made.subject, made.body) == ("Bonjour", BODY)


SIGNATURE = "<div>--&nbsp;</div><p><strong>Sophie Bernard</strong><br>Maison Test</p><p>01 02</p>"


@pytest.mark.parametrize(
    "written",
    [
        SIGNATURE,
        "<div>--&nbsp;<br><strong>Sophie Bernard</strong><br>Maison Test<br><br>01 02</div>",
        "<div><br><br>--<br>Sophie Bernard<br>Maison Test<br>01&nbsp;02<br><br></div>",
    ],
)
def test_the_signature_of_the_person_is_left_out(document: Document, written: str) -> None:
    made = generalize(
        document, None, "fr", "x", f"<div>Bonjour<br><br>Merci</div>{written}", ending=SIGNATURE
    )
    assert made.body == "<p>Bonjour</p><p>Merci</p>"


def test_what_is_no_signature_stays(document: Document) -> None:
    for body in ("<p>Sophie Bernard<br>Maison Test</p><p>01 02</p><p>PS</p>", "<p>01 02</p>"):
        made = generalize(document, None, "fr", "x", body, ending=SIGNATURE)
        assert "01 02" in made.body
    assert generalize(document, None, "fr", "x", "<p>a</p>", ending="").body == "<p>a</p>"


@pytest.mark.parametrize(
    "body",
    [
        "<p>a</p>" * 6000, "<p>b</p><p>a</p>" * 3000, "<figure " * 6000, "<figure>" * 6000, "<img " * 10_000,
        "<div>" * 10_000, "<div>" * 4000 + "a" + "</div>" * 4000, "{{" * 25_000, "Dupont &amp; Fils " * 2500,
        " ".join(f"a{number}@b.example" for number in range(3000)), "1 " * 25_000, "<\"'" * 16_000,
    ],
    ids=lambda body: body[:12],
)  # fmt: skip
def test_no_text_is_without_an_end(
    document: Document, make_template: Callable[..., MailTemplate], body: str
) -> None:
    template = make_template(texts={"fr": ("x", "<p>a</p><p>c</p>" * 3000)})
    # What grows with the square of the length does not end within pytest's time limit.
    assert generalize(document, template, "fr", "x", body).subject == "x"


def test_paragraphs_that_repeat_are_compared_and_stay(
    document: Document, make_template: Callable[..., MailTemplate]
) -> None:
    template = make_template(texts={"fr": ("x", "<p>a</p><p>b</p>" * 100)})
    body = "<p>a</p><p>c</p><p>b</p>" * 66
    assert generalize(document, template, "fr", "x", body).body == body


def test_a_text_that_is_longer_than_a_template_may_be_is_refused(document: Document) -> None:
    with pytest.raises(UserError, match="too long"):
        generalize(document, None, "fr", "x", "a" * 50_001)
    with pytest.raises(UserError, match="too long"):
        generalize(document, None, "fr", "x" * 50_001, "a")
    picture = f'<figure data-trix-attachment="{"x" * 60_000}"><img src="x"></figure>'
    assert generalize(document, None, "fr", "x", f"<p>a</p>{picture}").body == "<p>a</p>"


def test_lists_and_quotes_keep_their_form(document: Document) -> None:
    body = "<ul><li>Dupont &amp; Fils</li></ul><blockquote>Paris</blockquote><div>a<br>b</div><div>c</div>"
    assert general(document, body).body == (
        "<ul><li>{{ customer.name }}</li></ul><blockquote>{{ customer.city }}</blockquote><p>a<br>b<br>c</p>"
    )


# ----------------------------------------------------------------------------------------------- values to fields


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("1\u202f234,50\xa0€", "{{ document.total }}"),
        ("1 234,50 €", "{{ document.total }}"),
        ("1&nbsp;234,50&nbsp;€ TTC", "{{ document.total }} TTC"),
        ("1 028,75 € HT", "{{ document.untaxed }} HT"),
        ("soit 1 234,50 EUR", "soit {{ document.total | number(2) }} EUR"),
        ("le 12 mars 2026", "le {{ document.date }}"),
        ("le 12/03/2026", 'le {{ document.date | date("short") }}'),
        ("jeudi 12 mars 2026", '{{ document.date | date("full") }}'),
        ("DUPONT", "DUPONT"),
        ("Parisien", "Parisien"),
        ("à Paris.", "à {{ customer.city }}."),
        ("75007 Paris", "{{ customer.zip_code }} {{ customer.city }}"),
        ("Dupont  &amp;\nFils", "{{ customer.name }}"),
        ("sales@maison.example.com", "{{ company.email }}"),
        ("2 lignes", "2 lignes"),
        ("Devis", "Devis"),
        ("&lt;b&gt; &amp;amp; 3 &lt; 4", "&lt;b&gt; &amp;amp; 3 &lt; 4"),
        ("{{ customer.name }}", "{{ customer.name }}"),
        ("{{ x }} {% y", '{{ "{{" }} x {{ "}}" }} {{ "{%" }} y'),
    ],
)
def test_values_become_fields(document: Document, text: str, source: str) -> None:
    made = general(document, f"<p>{text}</p>")
    assert made.body == f"<p>{source}</p>"


def test_the_longest_value_goes_first(document: Document, customer: Partner) -> None:
    with transaction():
        customer.name, customer.city = "Paris Lumière", "Paris"
    made = general(document, "<p>Paris Lumière, Paris</p>")
    assert made.body == "<p>{{ customer.name }}, {{ customer.city }}</p>"


def test_of_equal_values_the_customers_is_taken_and_the_other_named(document: Document) -> None:
    assert document.company.city == "Paris"
    made = general(document, "<p>Paris</p>")
    assert made.replaced == [("Paris", "customer.city")]
    assert made.also == {"Paris": ["company.city"]}


def test_of_equal_values_that_of_the_template_is_taken(
    document: Document, make_template: Callable[..., MailTemplate]
) -> None:
    template = make_template(texts={"fr": ("x", "<p>Notre maison à {{ company.city }}</p>")})
    made = general(document, "<p>Venez à Paris</p>", template)
    assert made.replaced == [("Paris", "company.city")]
    assert made.also == {"Paris": ["customer.city"]}


def test_a_contact_becomes_a_field_when_it_is_the_main_one(document: Document, contact: Partner) -> None:
    assert general(document, "<p>Chère Claire Martin</p>").left == ["Claire Martin"]
    with transaction():
        contact.is_main = True
    made = general(document, "<p>Chère Claire Martin</p>")
    assert (made.body, made.left) == ("<p>Chère {{ contact.name }}</p>", [])


# ------------------------------------------------------------------------------------------------ what is personal


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("<p>Cher Monsieur Dupont,</p>", ["Dupont"]),
        ("<p>DUPONT ET FILS</p>", ["DUPONT"]),
        ("<p><b>Dup</b>ont &amp; Fils</p>", ["Dupont & Fils"]),
        ("<p>Dupont<br>&amp; Fils</p>", ["Dupont & Fils"]),
        ("<p>Bonjour Claire,</p>", ["Claire"]),
        ("<p>CONTACT@dupont.example.com</p>", ["CONTACT@dupont.example.com"]),
        ("<p>compta@autre.example.com</p>", ["compta@autre.example.com"]),
        ("<p>Tél. 01.99.00.12.34, 0198765432</p>", ["01.99.00.12.34", "0198765432"]),
        ("<p>1234,50 euros et 1028.75</p>", ["1234,50", "1028.75"]),
        ("<p>1234,50, 1028.75</p>", ["1234,50", "1028.75"]),
        ("<p>12 1234,50,1028.75</p>", ["1234,50", "1028.75"]),
        ("<p>1.234,50 et 1’234.50 et 1 028.75</p>", ["1.234,50", "1’234.50", "1 028.75"]),
        ("<p>DUPONT et dupont</p>", ["DUPONT"]),
        ("<p>DUPONT &amp; FILS et Dupont &amp; fils : dupont</p>", ["DUPONT & FILS"]),
        ("<p>rue du bac</p>", []),
        ("<p>4 RUE DU BAC</p>", ["4 RUE DU BAC"]),
        ("<p>Bonjour, voici le devis pour la société.</p>", []),
        ("<p>sales@maison.example.com, Sophie Bernard</p>", []),
        ('<p><a href="https://dupont.example.com/x">ici</a></p>', ["dupont"]),
        (
            '<p><a href="https://shop.example/?a=compta@autre.example.com">ici</a></p>',
            ["compta@autre.example.com"],
        ),
    ],
)
def test_what_still_looks_personal_is_named(
    document: Document, contact: Partner, body: str, left: list[str]
) -> None:
    assert general(document, body).left == left


def test_what_was_written_for_one_customer_may_name_them_where_it_stays_theirs(
    document: Document, contact: Partner, customer: Partner, make_template: Callable[..., MailTemplate]
) -> None:
    theirs = make_template(
        texts={"fr": ("Dupont", "<p>Chère Claire, de Dupont &amp; Fils</p>")}, partner_id=customer.id
    )
    body = "<p>Chère Claire, de Dupont &amp; Fils</p><p>1234,50, claire@dupont.example.com, x@autre.example.com</p>"
    made = general(document, body, theirs, "Dupont")
    assert (made.kept_blocks, made.for_customer, made.left) == (1, True, ["1234,50", "x@autre.example.com"])
    with transaction():
        theirs.partner_id = save_partner(None, {"name": "Autre", "email": "a@autre.example.com"}).id
    made = general(document, body, theirs, "Dupont")
    assert not made.for_customer
    assert {"Dupont & Fils", "claire@dupont.example.com"} <= set(made.left)


def test_links_to_the_customer_lose_their_address_and_pictures_go(document: Document) -> None:
    made = general(
        document,
        '<p><a href="mailto:contact@dupont.example.com">écrire</a> <a href="https://maison.example/a?b=1&amp;c=2">'
        'nous</a></p><figure><img src="/outbox/compose/file/x"><figcaption>dupont.png</figcaption></figure>'
        '<p><img src="cid:1" alt="Dupont">fin</p>',
    )
    assert made.body == ('<p>écrire <a href="https://maison.example/a?b=1&amp;c=2">nous</a></p><p>fin</p>')
    assert made.left == []


def test_a_link_cannot_carry_a_formula(document: Document) -> None:
    made = general(document, '<p><a href="https://x.example/{{ customer.name }}">a</a></p>')
    assert "{{" not in made.body


PIECES = st.sampled_from(
    [
        "Dupont & Fils", "dupont", "Fils", "Paris", "PARIS", "75007", "4 rue du Bac", "contact@dupont.example.com",
        "+33 1 99 00 12 34", "0199001234", "FR40303265045", "1 234,50 €", "1\u202f234,50\xa0€", "1234.50",
        "12 mars 2026",
        "12/03/2026", "Claire Martin", "Claire", "claire@dupont.example.com", "Sophie Bernard", "Maison Test", "France",
        "français", "bonjour", "<b>", "</b>", "<br>", "<br><br>", "</p><p>", "<div>", "</div>", "{{", "}}", "{%", "&",
        "<",
        '<a href="mailto:contact@dupont.example.com">', "</a>", " ", ",", "x", "{{ customer.name }}", "'", '"',
    ]
)  # fmt: skip


@settings(max_examples=250)
@given(st.lists(PIECES, max_size=12).map("".join) | st.lists(PIECES, max_size=12).map(" ".join))
def test_no_value_of_the_customer_stays_unmentioned(
    document: Document, contact: Partner, template: MailTemplate, text: str
) -> None:
    made = general(document, f"<p>{text}</p>", template, subject=re.sub(r"<[^>]*>", " ", text))
    seen = _visible(made.subject + " " + made.body)
    mentioned = " ".join(made.left).casefold()
    with force_locale("fr"):
        own = [
            str(value)
            for name, value in values_of(document).items()
            if name.startswith(("customer.", "contact.")) and value
        ]
    own += [contact.name, contact.email, contact.phone]
    for value in own:
        if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", seen, re.IGNORECASE):
            assert value.casefold() in mentioned, (value, seen, made)


def _visible(source: str) -> str:
    for tag in reversed(list(tags_of(source))):
        source = f"{source[: tag.start]}\ufffc{source[tag.end :]}"
    source = re.sub(r'<a href="([^"]*)">', r" \1 ", source)
    return html.unescape(
        re.sub(r"</?(?:b|strong|a)\b[^>]*>", "", re.sub(r"<br>|</?p>|</?div>", "\n", source))
    )


PARAGRAPHS = st.sampled_from(
    [
        "<p>a</p>",
        "<p>b {{ document.number }}</p>",
        "{% if document.total %}<p>c</p>{% endif %}",
        "{% if customer.vat == 'x' %}<p>d</p><p>e</p>{% else %}<p>f</p><p>g</p>{% endif %}",
        "<div>h<br><br>i</div>",
        "<p>{% if document.note %}j{% endif %}k</p>",
        "<ul><li>l</li></ul>",
    ]
)


@settings(max_examples=60)
@given(st.lists(PARAGRAPHS, min_size=1, max_size=6))
def test_what_nobody_has_changed_says_the_same_again(
    document: Document, template: MailTemplate, bodies: list[str]
) -> None:
    body = "".join(bodies)
    save_template(template, kind="", values={}, texts={"fr": ("x", body)})
    rendered = render_for(template, document).body_html
    made = general(document, rendered, template)
    save_template(template, kind="", values={}, texts={"fr": ("x", made.body)})
    again = render_for(template, document).body_html
    assert [block.key for block in blocks_of(again)] == [block.key for block in blocks_of(rendered)]
    assert {tag.text for tag in tags_of(made.body)} == {tag.text for tag in tags_of(body)}


# ----------------------------------------------------------------------------------------------------- paragraphs


@pytest.mark.parametrize(
    ("markup", "paragraphs"),
    [
        ("<p>a</p><p>b</p>", ["<p>a</p>", "<p>b</p>"]),
        ("<div>a<br><br>b</div>", ["<p>a</p>", "<p>b</p>"]),
        ("<div>a</div><div><br></div><div>b</div>", ["<p>a</p>", "<p>b</p>"]),
        ("<div>a</div><div>b</div>", ["<p>a<br>b</p>"]),
        ("<div><p>a</p>b<p>c</p></div>", ["<p>a</p>", "<p>b</p>", "<p>c</p>"]),
        ("a<br>b", ["<p>a<br>b</p>"]),
        ("<p><b>a<br><br>b</b></p>", ["<p><b>a<br><br>b</b></p>"]),
        ("<ul><li><p>a</p></li></ul>x", ["<ul><li><p>a</p></li></ul>", "<p>x</p>"]),
        ("<p></p> <p> &nbsp; </p><p><br></p>", []),
        ("</p>a</div>", ["<p>a</p>"]),
    ],
)
def test_paragraphs_are_the_same_in_every_editor(markup: str, paragraphs: list[str]) -> None:
    assert [block.markup for block in blocks_of(markup)] == paragraphs


@pytest.mark.parametrize(
    ("source", "units"),
    [
        (
            "<p>a</p>{% if x.y %}<p>b</p>{% endif %}<p>c</p>",
            ["<p>a</p>", "{% if x.y %}<p>b</p>{% endif %}", "<p>c</p>"],
        ),
        ("<p>{% if x.y %}a</p><p>b{% endif %}</p>", ["<p>{% if x.y %}a</p><p>b{% endif %}</p>"]),
        ("<div>a<br><br>{{ b.c }}</div>", ["<p>a</p>", "<p>{{ b.c }}</p>"]),
        (
            "<div>a<br><br>{% if x.y %}b<br><br>c{% endif %}</div>",
            ["<p>a</p>", "<p>{% if x.y %}b</p><p>c{% endif %}</p>"],
        ),
        ("{{ a.b }} and {{ c.d }}", ["{{ a.b }} and {{ c.d }}"]),
        ("{% if a.b %}<p>x</p>", ["{% if a.b %}<p>x</p>"]),
        ("{% endif %}<p>x</p>", ["{% endif %}<p>x</p>"]),
        (
            "<table><tr><td>a</td></tr>{% if x.y %}<tr><td>b</td></tr>{% endif %}</table>",
            [
                "<table><tbody><tr><td>a</td></tr>{% if x.y %}<tr><td>b</td></tr>{% endif %}</tbody></table>",
            ],
        ),
        ('<p><a href="{{ a.b }}?x=1&amp;y">c</a></p>', ['<p><a href="{{ a.b }}?x=1&amp;y">c</a></p>']),
        ("", []),
    ],
)
def test_a_template_is_taken_apart_where_its_pieces_stand_alone(source: str, units: list[str]) -> None:
    assert units_of(source) == units


def test_a_document_of_no_customer_has_nothing_personal(make_order: Callable[..., Order]) -> None:
    document = make_order().document
    with transaction():
        document.partner_id = None
    assert general(document, "<p>Bonjour</p>").body == "<p>Bonjour</p>"
