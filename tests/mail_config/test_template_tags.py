"""Where formulas stand in a text, and what an editor's HTML does not do to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.mail_config.template_language.tags import TagKind, normalize, place_of, stray_delimiters, tags_of


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("{% if a.b &gt; 1 %}x{% endif %}", "{% if a.b > 1 %}x{% endif %}"),
        ("{% if&nbsp;a.b&nbsp;&lt;&nbsp;1&nbsp;%}", "{% if a.b < 1 %}"),
        ("{% if a.b <br>and c.d<br/> %}", "{% if a.b and c.d %}"),
        ("{{ a.b |\u00a0date(“short”) }}", '{{ a.b | date("short") }}'),
        ("{{ a.b | default(«\u202fx\u202f») }}", '{{ a.b | default(" x ") }}'),
        ("{{ a.b | replace(‘x’, ’y’) }}", "{{ a.b | replace('x', 'y') }}"),
        ("{{ a.b\u200b }}", "{{ a.b }}"),
        ("{{\n  a.b\n}}", "{{ a.b }}"),
        ("{{ <strong>a.b</strong> }}", "<strong>{{ a.b }}</strong>"),
        ("<strong>{{ a</strong>.b }}", "<strong>{{ a .b }}</strong>"),
        ('{{ <span style="color: red">a.b</span> }}', '<span style="color: red">{{ a.b }}</span>'),
        ("{<b>{ a.b }</b>}", "<b>{{ a.b }}</b>"),
        ("{<strong>% if a.b %</strong>}", "<strong>{% if a.b %}</strong>"),
        ('{{ "a &amp; b" }}', '{{ "a & b" }}'),
    ],
)
def test_an_editors_html_stays_out_of_formulas(typed: str, meant: str) -> None:
    found = normalize(typed, is_html=True)
    assert " ".join(found.replace("{{ ", "{{").replace(" }}", "}}").split()) == " ".join(
        meant.replace("{{ ", "{{").replace(" }}", "}}").split()
    )


@pytest.mark.parametrize(
    "text",
    [
        "a &gt; b&nbsp;<br>“c”",
        "{% if a.b < 3 and c.d > 2 %}x{% endif %}",
        "{{ 'it“s' }}",
        "{# a <b>note</b> &amp; more #}",
        "{{ a.b <b>",
        "{x} { {x} } {",
        "",
    ],
)
def test_everything_else_is_left_as_it_is(text: str) -> None:
    assert normalize(text, is_html=True) == text


def test_plain_texts_have_no_markup_to_remove() -> None:
    assert normalize("{{ a.b &gt; <b>“x”\u00a0 }}", is_html=False) == '{{ a.b &gt; <b>"x" }}'


@settings(max_examples=300)
@given(st.text(alphabet="{}%#<>br/&gt;nsp \n\"'“”\\a.b|\u00a0-"))
def test_normalizing_twice_changes_nothing_more(text: str) -> None:
    once = normalize(text, is_html=False)
    assert normalize(once, is_html=False) == once


@settings(max_examples=300)
@given(st.text(alphabet="{}%# raw end\n\"'\\a|-", max_size=60))
def test_formulas_and_the_text_between_are_the_whole_text(text: str) -> None:
    position = 0
    for tag in tags_of(text):
        assert position <= tag.start < tag.end <= len(text)
        assert tag.text == text[tag.start : tag.end]
        position = tag.end
    assert all(0 <= place < len(text) for place in stray_delimiters(text))


def test_what_stands_where() -> None:
    source = "a {{ b.c }}\n{%- if '%}' == x -%}{# {{ no }} #}{% raw %}{{ no }}{% endraw %}{{ open"
    tags = list(tags_of(source))
    assert [(tag.kind, tag.word, tag.inner, tag.closed) for tag in tags] == [
        (TagKind.OUTPUT, "", "b.c", True),
        (TagKind.STATEMENT, "if", "if '%}' == x", True),
        (TagKind.COMMENT, "", "{{ no }}", True),
        (TagKind.STATEMENT, "raw", "raw", True),
        (TagKind.STATEMENT, "endraw", "endraw", True),
        (TagKind.OUTPUT, "", "open", False),
    ]
    assert (place_of(source, tags[1].start).line, place_of(source, tags[1].start).column) == (2, 1)
