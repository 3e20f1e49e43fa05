"""Between source and editor: nothing is lost on the way there and back, and nothing hostile comes through."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.app import create_app
from core.registry import current_registry
from core.testing.fixtures import test_settings
from modules.mail_config.editor.from_editor import from_editor
from modules.mail_config.editor.to_editor import chip, obstacles, to_editor
from modules.mail_config.template_language.fields import shipped_templates
from modules.mail_config.template_language.tree import Formula, split_formulas

KIND = "sales.quotation"
SAMPLES = {"customer.name": "Dupont & Fils", "document.number": "S00042"}


def there_and_back(source: str) -> str:
    return from_editor(to_editor(source, KIND, SAMPLES))


def formulas_in(text: str) -> list[str]:
    return [piece.source for piece in split_formulas(text) if isinstance(piece, Formula)]


@pytest.mark.parametrize(
    "source",
    [
        "",
        "<p>Dear {{ customer.name }},</p>",
        "<p>one</p><p>two</p>",
        "<p>one<br>two</p><p><br></p><p>three</p>",
        "{% if document.validity %}<p>Until {{ document.validity | date }}.</p>{% endif %}",
        "<p>a</p>{% if document.note %}<p>b</p><p>c</p>{% endif %}<p>d</p>",
        "{% if document.total > 1000 %}<p>big</p>{% else %}<p>small</p>{% endif %}<p>end</p>",
        "{% if document.note %}{% if document.tax %}<p>x</p>{% endif %}{% endif %}",
        "<p>a{% if document.note %} b{% endif %}</p>",
        "<p>{% if document.note %}a{% else %}b{% endif %}</p>",
        "<p>begins {% if document.note %}here</p><p>ends {% endif %}there</p>",
        "<p>{{ company.name }}{% if company.phone %}<br>{{ company.phone }}{% endif %}</p>",
        "<p><strong>{{ document.number }}</strong> <em>x</em> <del>y</del></p>",
        '<p><a href="https://example.com/?a=1&amp;b=2">link</a> <a href="{{ company.website }}">site</a></p>',
        "<h1>Title</h1><p>text</p><ul><li>one</li><li>two<ol><li>deep</li></ol></li></ul><p>text</p>",
        "<blockquote>said<br>{{ customer.name }}</blockquote>",
        "<pre>a  b\n{{ document.number }}</pre>",
        "{% if document.note %}<ul><li>one</li></ul>{% endif %}",
        "<p>5 &lt; 6 &amp; 7 &gt; 6&nbsp;!</p>",
        "{# for nobody #}<p>text</p>",
        '<p>{{ owner.name | default("<nobody>") }}</p>',
        "<p>{{ '}}' }} {{ \"%}\" }}</p>",
        "<p>مرحبا {{ customer.name }} 🎉</p>",
    ],
)
def test_a_text_survives_the_editor(app, source):
    assert obstacles(source) == []
    assert there_and_back(source) == source


def test_the_texts_that_ship_survive_the_editor(app):
    for kind in current_registry().kinds:
        for template in shipped_templates(kind):
            for language, (_subject, body) in template.texts.items():
                assert obstacles(body) == [], (template.name, language)
                assert from_editor(to_editor(body, kind, {})) == body, (template.name, language)


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("Hello {{ customer.name }}", "<p>Hello {{ customer.name }}</p>"),
        ("<p>{% if document.note %}x{% endif %}</p>", "{% if document.note %}<p>x</p>{% endif %}"),
        ("<div>a</div><div>b</div>", "<p>a</p><p>b</p>"),
        ("<p><b>x</b><i>y</i></p>", "<p><strong>x</strong><em>y</em></p>"),
        ("<p>a<br><br>b</p>", "<p>a</p><p>b</p>"),
        ("<p>{{ unclosed</p>", "<p>{{ unclosed</p>"),
    ],
)
def test_what_the_editor_writes_in_its_own_way_says_the_same(app, source, becomes):
    assert there_and_back(source) == becomes
    assert there_and_back(becomes) == becomes


@pytest.mark.parametrize(
    ("html", "source"),
    [
        ("<div>A<br><br></div><div>B<br><br></div><div><br></div>", "<p>A</p><p>B</p>"),
        ("<h1>T</h1><div>A<br><br></div><ul><li>x</li></ul>", "<h1>T</h1><p>A</p><ul><li>x</li></ul>"),
        ("<div><strong>A<br><br></strong>B</div>", "<p><strong>A</strong></p><p>B</p>"),
        (
            "<div>typed {{ customer.name }} and {% if document.total &gt; 5 %}x{% endif %}</div>",
            "<p>typed {{ customer.name }} and {% if document.total > 5 %}x{% endif %}</p>",
        ),
        ("<div>{{&nbsp;customer.name&nbsp;}}</div>", "<p>{{ customer.name }}</p>"),
        ("<div>Dear&nbsp;{{ customer.name }},&nbsp;you</div>", "<p>Dear {{ customer.name }},&nbsp;you</p>"),
        (
            "<div>Dear&nbsp;<strong>you</strong>&nbsp;! «&nbsp;<em>x</em>&nbsp;»</div>",
            "<p>Dear <strong>you</strong>&nbsp;! «&nbsp;<em>x</em>&nbsp;»</p>",
        ),
        ("<div><br></div>", ""),
    ],
)
def test_what_people_type_and_paste_becomes_paragraphs(app, html, source):
    assert from_editor(html) == source


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        ("<table><tr><td>x</td></tr></table>", "<table>"),
        ('<p style="color:red">x</p>', "style="),
        ("<p>not closed", "<p>"),
        ("<p>closed</b></p>", "</b>"),
        ("<script>alert(1)</script>", "<script>"),
        ("<!-- note --><p>x</p>", "<!-- note -->"),
        ("<ul>{% if document.note %}<li>x</li>{% endif %}</ul>", "<ul>"),
        ("<blockquote><h1>x</h1></blockquote>", "<h1>"),
        ("<strong><p>x</p></strong>", "<p>"),
        ("<img src='x'>", "<img>"),
        ("<b>" * 60 + "x" + "</b>" * 60, "<b>"),
        ("<![CDATA[x]]>", "<![CDATA["),
    ],
)
def test_what_the_editor_would_lose_is_told(app, source, lost):
    assert any(found.startswith(lost) for found in obstacles(source)), obstacles(source)


def test_formulas_are_shown_as_people_read_them(app):
    words = {
        "{{ customer.name }}": "Name of the customer",
        "{{ document.total | money(document.currency) }}": "Total",
        "{{ customer.city | upper }}": "City of the customer | upper",
        "{% if document.validity %}": "if Valid until",
        "{% if document.total > 1000 %}": "if Total &gt; 1000",
        '{% elif customer.name == "customer.name" %}': "otherwise, if Name of the customer == "
        "&#34;customer.name&#34;",
        "{% else %}": "otherwise",
        "{% endif %}": "end of “if”",
        "{# remember #}": "note: remember",
        "{{ <script> }}": "&lt;script&gt;",
    }
    for source, label in words.items():
        assert f">{label}</span>" in chip(KIND, source, SAMPLES)["content"], source
    assert chip(KIND, "{{ customer.name }}", SAMPLES)["sample"] == "Dupont & Fils"
    long = chip(KIND, "{% if " + "document.total + " * 40 + "1 %}", SAMPLES)["content"]
    assert len(long) < 200


def test_a_formula_that_cannot_be_used_says_so(app):
    html = to_editor("<p>{{ customer.nmae }}</p>", KIND, SAMPLES, wrong={"{{ customer.nmae }}"})
    assert "formula-wrong" in html


def attachment(**values: object) -> str:
    quoted = json.dumps(values).replace("&", "&amp;").replace('"', "&quot;")
    return f'<figure data-trix-attachment="{quoted}"><img src=x onerror=alert(1)></figure>'


@pytest.mark.parametrize(
    "html",
    [
        "<div>x<script>alert(1)</script></div>",
        '<div>x<img src="x" onerror="alert(1)"></div>',
        '<div>x<a href="javascript:alert(1)"></a></div>',
        '<div>x<a href=" JAVASCRIPT:alert(1)"></a></div>',
        '<div>x<a href="data:text/html,x"></a></div>',
        "<div>x<iframe src='//evil'></iframe><svg onload=alert(1)></svg></div>",
        f"<div>x{attachment(content='<script>')}</div>",
        f"<div>x{attachment(formula='<script>alert(1)</script>')}</div>",
        f"<div>x{attachment(formula='{{{{ a }}}}<script>')}</div>",
        f"<div>x{attachment(formula=7)}</div>",
        "<div>x<figure data-trix-attachment='[1]'>y</figure></div>",
        "<div>x<figure data-trix-attachment='{broken'>y</figure></div>",
        "<div>x<style>p { color: red }</style></div>",
        "<div>x<!-- y --></div>",
    ],
)
def test_hostile_html_from_the_editor_becomes_harmless(app, html):
    assert from_editor(html) == "<p>x</p>"


class Allowed(HTMLParser):
    """Finds what no text of ours may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        allowed = {"p", "br", "strong", "em", "del", "a", "ul", "ol", "li", "h1", "blockquote", "pre"}
        if tag not in allowed:
            self.found.append(tag)
        self.found += [name for name, _value in attrs if (tag, name) != ("a", "href")]


PIECES = st.sampled_from(
    [
        "<div>",
        "</div>",
        "<br>",
        "<strong>",
        "</strong>",
        "<h1>",
        "</h1>",
        "<ul>",
        "<li>",
        "</li>",
        "</ul>",
        "<a href='x'>",
        "</a>",
        "text",
        " ",
        "&lt;",
        "&amp;",
        "{{ customer.name }}",
        "{% if a &gt; b %}",
        "{% endif %}",
        "{{",
        "}}",
        "{%",
        "<script>",
        "</script>",
        "<img onerror=x>",
        "<table>",
        "'",
        '"',
        "\ue000",
        "\ue0000\ue001",
        "<",
        ">",
        "&",
        "<!--",
        "-->",
        attachment(formula="{{ customer.name }}"),
        attachment(formula="{% if document.note %}"),
        attachment(formula="x"),
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_whatever_the_editor_sends_the_source_holds_nothing_but_text(html):
    source = from_editor(html)
    parser = Allowed()
    parser.feed("".join(piece for piece in split_formulas(source) if isinstance(piece, str)))
    parser.close()
    assert not parser.found
    assert "\ue000" not in source


BLOCKS = st.sampled_from(
    [
        "<p>{x}</p>",
        "<p>{x}<br>{y}</p>",
        "{{% if a %}}<p>{x}</p>{{% endif %}}",
        "{{% if a %}}<p>{x}</p><p>{y}</p>{{% endif %}}",
        "{{% if a %}}<p>{x}</p>{{% else %}}<p>{y}</p>{{% endif %}}",
        "<p>{x}{{% if a %}} {y}{{% endif %}}</p>",
        "<h1>{x}</h1>",
        "{{% if a %}}<h1>{x}</h1>{{% endif %}}",
        "<ul><li>{x}</li><li>{y}</li></ul>",
        "<blockquote>{x}</blockquote>",
        "<p>{{% if a %}}{x}{{% else %}}{y}{{% endif %}}</p>",
        "{{% if a %}}{{% if b %}}<p>{x}</p>{{% endif %}}<p>{y}</p>{{% endif %}}",
    ]
)
WORDS = st.sampled_from(
    ["word", "{{ customer.name }}", "<strong>bold</strong>", "a &amp; b", "<em>{{ b | date }}</em>"]
)


@settings(max_examples=300)
@given(st.lists(st.tuples(BLOCKS, WORDS, WORDS), max_size=8))
def test_any_text_of_paragraphs_and_conditions_survives_the_editor(app_without_data, blocks):
    source = "".join(block.format(x=x, y=y) for block, x, y in blocks)
    assert obstacles(source) == []
    with app_without_data.app_context():
        back = there_and_back(source)
    assert back == source
    assert formulas_in(back) == formulas_in(source)


@pytest.fixture(scope="module")
def app_without_data(tmp_path_factory):
    """An application that reads no database: hypothesis runs many examples in one test."""
    return create_app(test_settings(tmp_path_factory.mktemp("editor")), testing=True)


@pytest.mark.parametrize(
    "text",
    [
        "{{" * 20_000,
        "{{ '" * 12_000,
        "<p>" * 16_000,
        "{% if a %}" * 2_000,
        "<" * 50_000,
        "<a " * 16_000,
        "<!--" * 12_000,
        "</" * 25_000,
        "&" * 50_000,
        "<div>" * 10_000,
    ],
)
def test_a_large_text_comes_to_an_end(app, text):
    # What grows with the square of the length does not end within pytest's time limit.
    obstacles(text)
    assert from_editor(there_and_back(text)) == from_editor(text)


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "<a href='\udfff\x00'>x</a>", "<\x00p>x</\ud800p>"])
def test_characters_that_no_text_has_do_no_harm(app, text):
    for source in (text, f"<p>{text}</p>", f"{{{{ {text} }}}}"):
        obstacles(source)
        assert re.sub(r"\s|</?[a-z]+>", "", from_editor(source))
        assert re.sub(r"\s|</?[a-z]+>", "", to_editor(source, KIND, SAMPLES))


@pytest.mark.parametrize(
    "html",
    ["<b>" * 3000 + "word", "<div>" * 3000 + "word", "x</body></html>word", "<table>word", "<h1><p>word"],
)
def test_no_word_is_lost_however_wrong_the_html_is(app, html):
    assert "word" in from_editor(html)


def test_chips_carry_the_formula(app):
    html = to_editor("<p>{{ customer.name }}</p>", KIND, SAMPLES)
    carried = re.search(r'data-trix-attachment="([^"]*)"', html)
    assert carried is not None
    assert "&quot;formula&quot;: &quot;{{ customer.name }}&quot;" in carried[1]
