"""Whoever posts a text that is twice as long makes the reader work about twice as long, not four times.

Each reader of what people post, paste, import or receive, and texts that made some reader slow or look like it.
CPU time of this thread is compared with itself, the best of several turns; 2 is linear, 4 the square of the length.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from core.errors import EnvoiError
from core.mail.addresses import parse_address, parse_addresses
from core.mail.fields import header_text
from core.mail.html import clean_html, drop_captions, plain_text, replace_pictures
from core.mail.outcomes import Reply, Stage
from core.mail.reader import read_message
from core.mail.replies import explain_reply
from core.matching import folded, words
from core.numbers import read_decimal
from modules.mail_config.editor.from_editor import from_editor
from modules.mail_config.editor.to_editor import obstacles
from modules.mail_config.from_mail import legacy_fields
from modules.mail_config.from_mail.paragraphs import blocks_of, units_of
from modules.mail_config.template_language.linter import find_problems
from modules.mail_config.template_language.tags import normalize, stray_delimiters
from modules.mail_config.template_language.tree import read_source
from modules.outbox.html_body import take_pictures
from modules.outbox.search_index import words_of

pytestmark = pytest.mark.usefixtures("app")

SPENT = 0.2  # seconds; shorter times say nothing, and cost nobody anything
MOST = 60.0  # what a text of this length may never take: a reader that is far off fails without a second turn


@dataclass(frozen=True)
class Reader:
    """A function that reads a text, and how many characters it is given to begin with."""

    read: Callable[[str], object]
    length: int
    units: tuple[str, ...]


def take(html: str) -> object:
    return take_pictures(html, lambda _token: None)


def clean_twin(html: str) -> object:
    return plain_text(clean_html(html, pictures=True))


def explain(text: str) -> object:
    return explain_reply(Reply.parse(550, text), Stage.RCPT)


def read_body(text: str) -> object:
    return read_message(b"To: ann@example.com\r\nContent-Type: text/html\r\n\r\n" + text.encode())


def read_head(text: str) -> object:
    return read_message(b"To: " + text.encode() + b"\r\nSubject: " + text.encode() + b"\r\n\r\nx")


MARKUP = (
    "&", "\u00a0", "&nbsp;", "&#38", "&amp", "x&", "<", "<a", "< ", "<!--", "<p>", "<b>", "</p>", "<td>", "<ul><li>",
    "\n",    "<a href='", "<img src=cid:a alt='", "<p><b>", "<a href=x>&", "<pre>\n", "<br>", "\"", "<svg>", "<style>",
    "<h1>x</h1>",    "<figcaption>", "<table><tr><td>x", "<blockquote>", "<?", "<![CDATA[", "<textarea>", "😀&",
)  # fmt: skip
SOURCE = (
    "{{",
    "}}",
    "{%",
    "{{ a }}",
    "{% if a %}",
    "{#",
    "{{ a | b }}",
    "<p>{{",
    "&",
    "<a",
    "\u00a0",
    "{{ '",
)
LEGACY = ("${", "${object.", "{{ object.", "%(", "[[", "<t t-out=", "{{ ", "$", "${a}", "&lt;", "%")
ADDRESSES = ('"', "<", "(", '\\"@<>(', "a@example.com,", ",", ";", " ", "a@b ", "=?", "@", "'", "[", "\u00a0")
READERS = {
    "cleaner": Reader(lambda html: clean_html(html, pictures=True), 100_000, MARKUP),
    "twin": Reader(clean_twin, 60_000, MARKUP),
    "pictures": Reader(lambda html: replace_pictures(html, lambda _address: None), 100_000, MARKUP),
    "captions": Reader(drop_captions, 200_000, MARKUP),
    "composer": Reader(take, 60_000, (*MARKUP, "<figcaption>&", "<img src='data:image/png;base64,")),
    "editor": Reader(from_editor, 60_000, (*MARKUP, *SOURCE)),
    "template": Reader(lambda text: find_problems(text, ["a"], field="body"), 20_000, (*MARKUP, *SOURCE)),
    "obstacles": Reader(obstacles, 60_000, (*MARKUP, *SOURCE)),
    "tree": Reader(read_source, 60_000, (*MARKUP, *SOURCE)),
    "stray delimiters": Reader(lambda text: list(stray_delimiters(text)), 20_000, SOURCE),
    "normalizer": Reader(lambda text: normalize(text, is_html=True), 20_000, SOURCE),
    "paragraphs": Reader(lambda text: (blocks_of(text), units_of(text)), 60_000, (*MARKUP, *SOURCE)),
    "older fields": Reader(lambda text: legacy_fields.find("sales.order", text), 20_000, (*LEGACY, *MARKUP)),
    "addresses": Reader(parse_addresses, 40_000, ADDRESSES),
    "one address": Reader(parse_address, 40_000, ADDRESSES),
    "head field": Reader(header_text, 100_000, ("é", "x ", "=?", "\u0301", "=?utf-8?q?=C3=A9?= ")),
    "replies": Reader(explain, 40_000, ("not ", "<a@b> ", "550-5.1.1 x\n", '"<"', "5.1.1 ", "x", "(", "http://")),
    "mailbox": Reader(read_body, 100_000, ("cid:", "<a href=x>", "=?utf-8?q?=C3=A9?= ", "&", "--")),
    "heads": Reader(read_head, 40_000, ("=?utf-8?q?=C3=A9?= ", "<", '"', "(", "a@b,", "=?", "\\")),
    "numbers": Reader(read_decimal, 40_000, ("9", "1 ", "1,", "0", "1e", "-", "\u202f1", ".")),
    "words": Reader(lambda text: (words(text), words_of(text), folded(text)), 100_000, ("x ", "é", "\u0301", '"', "%")),
}  # fmt: skip


NUMBERED = (
    "<p><b title={}>", "<p><font color={}>", "<p><a href='x{}'>", "<div><i/id={}>", "<p><code\f{}>",
    "<table><b {}><td>",    "<p><b title='<{}'>",
)  # fmt: skip
"""Elements of which no two are alike: HTML opens those that were not closed anew in each paragraph."""


def spent(work: Callable[[str], object], text: str) -> float:
    begun = time.thread_time()
    with contextlib.suppress(EnvoiError, ValueError):
        work(text)
    return time.thread_time() - begun


def best(work: Callable[[str], object], text: str, turns: int) -> float:
    return min(spent(work, text) for _ in range(turns))


def looks_linear(reader: Reader, unit: str) -> bool:
    """True when texts of a sixteenth to a fourth of the length rule out what `growth` would find, and spare it.

    Where the time is ``a n + b n²``, three times as long for twice the length means that both parts are equal at that
    length. At a share of it, the second part is that share of the first: twice a sixteenth takes 2.1 times as long,
    twice an eighth 2.2 times, twice a fourth 2.4 times. What it takes grows at most by the square of the length.
    """
    once = spent(reader.read, unit * (reader.length // 16 // len(unit)))
    for share in (16, 8, 4):
        twice = spent(reader.read, unit * (reader.length * 2 // share // len(unit)))
        if twice < SPENT / share**2 or twice / once < (2 + 4 / share) / (1 + 1 / share):
            return True
        once = twice
    return False


def growth(reader: Reader, unit: str) -> str:
    """Return what is wrong with the growth, or ""."""
    if looks_linear(reader, unit):
        return ""
    short, long = (unit * (reader.length * times // len(unit)) for times in (1, 2))
    twice = spent(reader.read, long)
    if twice < SPENT:
        return ""
    once = spent(reader.read, short)
    turns = 1
    # Somebody else's work on the machine may fall on one turn, not on all.
    while twice / once > 3 and turns < 4 and twice < MOST:
        turns += 1
        once = min(once, best(reader.read, short, 2))
        twice = min(twice, best(reader.read, long, 2))
    return f"{unit!a}: {once:.3f} s, then {twice:.3f} s" if twice / once > 3 else ""


@pytest.mark.parametrize("name", READERS)
def test_twice_the_text_takes_about_twice_as_long(name):
    reader = READERS[name]
    gc.collect()
    gc.disable()
    try:
        found = [told for unit in dict.fromkeys(reader.units) if (told := growth(reader, unit))]
    finally:
        gc.enable()
    assert not found


@pytest.mark.parametrize(("square", "linear"), [(0, True), (1 / 16, False)])
def test_a_reader_that_goes_by_the_square_in_part_is_not_spared(square, linear, monkeypatch):
    # By what it would take, and not by what it takes here, so that the arithmetic alone is tried.
    taken = {n: (250 * n + square * n**2) / 250 / 10_000 for n in (625, 1_250, 2_500, 5_000)}
    monkeypatch.setattr(sys.modules[__name__], "spent", lambda _read, text: taken[len(text)])
    assert looks_linear(Reader(len, 10_000, ()), "-") is linear


@pytest.mark.parametrize("unit", NUMBERED)
@pytest.mark.parametrize("name", ["cleaner", "pictures", "composer", "editor", "tree", "paragraphs"])
def test_what_is_not_closed_does_not_multiply(name, unit):
    def numbered(count: int) -> str:
        return "".join(unit.format(number) for number in range(count))

    reader = READERS[name]
    once, twice = (best(reader.read, numbered(count), 2) for count in (400, 800))
    assert twice < SPENT or twice / once < 3


@pytest.mark.parametrize("unit", NUMBERED)
def test_a_text_does_not_grow_by_being_cleaned(unit):
    html = "".join(unit.format(number) for number in range(800))
    assert len(clean_html(html)) < 10 * len(html)
