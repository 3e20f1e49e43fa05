"""Finds the formulas in the text of a template, and cleans them of the HTML that an editor puts into them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

MAX_TAGS = 500
"""The most formulas that a text may have."""

CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_OPENING = re.compile(r"\{\{|\{%|\{#")
_STRAY = re.compile(r"\}\}|%\}|#\}")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_WORD = re.compile(r"[{%+\-\s]*([A-Za-z_]\w*)?")
_CONTROL = re.compile(r"\A[-+]|[-+]\Z")
_EXCERPT = 80


class TagKind(StrEnum):
    """The kind of a formula, by its first delimiter."""

    OUTPUT = "{{"  # shows a value
    STATEMENT = "{%"  # a condition, or a part of one
    COMMENT = "{#"


@dataclass(frozen=True, slots=True)
class Tag:
    """A formula with its delimiters.

    Attributes:
        start: Where it begins in the source.
        end: Where it ends; for one that is never closed, the end of the source.
        kind: Its delimiters.
        text: As it stands in the source, delimiters included.
        closed: False when its second delimiter is missing.
    """

    start: int
    end: int
    kind: TagKind
    text: str
    closed: bool = True

    @property
    def inner(self) -> str:
        """What stands between the delimiters."""
        inner = self.text[2:-2] if self.closed else self.text[2:]
        # A sign right beside a delimiter controls the blanks around it and is no part of the formula.
        return _CONTROL.sub("", inner).strip()

    @property
    def word(self) -> str:
        """The first word of a statement: `if`, `else`, …; "" for other tags."""
        if self.kind is not TagKind.STATEMENT:
            return ""
        found = _WORD.match(self.text)
        return (found[1] or "") if found else ""

    @property
    def excerpt(self) -> str:
        """Its beginning on one line, for messages."""
        return brief(self.text)


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column of something in a source, counted from 1."""

    line: int
    column: int


def brief(text: str) -> str:
    """Return the beginning of a text on one line."""
    text = " ".join(text.split())
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"


def place_of(source: str, position: int) -> Place:
    """Return line and column of a position."""
    before = source[:position]
    return Place(before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


def tags_of(source: str) -> Iterator[Tag]:
    """Return the formulas of a template in their order; what `{% raw %}` encloses is text.

    Both statements of a raw block are returned, nothing between them.
    """
    position = 0
    while (opening := _OPENING.search(source, position)) is not None:
        tag = _tag_at(source, opening.start())
        yield tag
        position = tag.end
        if tag.word == "raw":
            end = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}").search(source, position)
            position = end.start() if end else len(source)


def _tag_at(source: str, start: int) -> Tag:
    opening = source[start : start + 2]
    closing, position = CLOSING[opening], start + 2
    quotes = "" if opening == "{#" else "'\""
    while position < len(source):
        if source.startswith(closing, position):
            end = position + 2
            return Tag(start, end, TagKind(opening), source[start:end])
        string = _STRING.match(source, position) if source[position] in quotes else None
        if string is None:
            # A string that has no end is looked for once: looking at every quote would take for ever.
            quotes = quotes.replace(source[position], "")
        elif closing not in string[0] or _is_inside(source, string, closing):
            position = string.end()
            continue
        position += 1
    return Tag(start, len(source), TagKind(opening), source[start:], closed=False)


def _is_inside(source: str, string: re.Match[str], closing: str) -> bool:
    """Return True when a string that holds a closing delimiter is closed before any other formula begins."""
    return _OPENING.search(string[0]) is None and source.find(closing, string.end()) != -1


def stray_delimiters(source: str) -> Iterator[int]:
    """Return where a closing delimiter stands that closes nothing."""
    position, is_raw = 0, False
    for tag in [*tags_of(source), None]:
        end = tag.start if tag is not None else len(source)
        if not is_raw:
            for found in _STRAY.finditer(source, position, end):
                yield found.start()
        if tag is not None:
            position, is_raw = tag.end, tag.word == "raw"


# ---------------------------------------------------------------------------------------------------- normalize

_MARKUP = re.compile(
    r"<(?P<end>/?)(?:a|abbr|b|bdi|bdo|br|code|del|div|em|font|i|ins|mark|o:p|p|s|small|span|strong|sub|sup|u|wbr)\b"
    r"(?:\s+[\w:-]+=(?:\"[^\"]*\"|'[^']*'))*\s*/?>",
    re.IGNORECASE,
)
_VOID = re.compile(r"<(?:br|wbr)\b", re.IGNORECASE)
_BLANKS = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
_CURLY = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'"})
_SPLIT_DELIMITER = re.compile(
    r"\{(?P<between>(?:</?(?:b|strong|em|i|u|s|del|span|font)\b[^<>]*>|&nbsp;)+)(?=[{%#])"
    r"|(?P<first>[}%#])(?P<inner>(?:</?(?:b|strong|em|i|u|s|del|span|font)\b[^<>]*>|&nbsp;)+)\}",
    re.IGNORECASE,
)


def normalize(source: str, *, is_html: bool) -> str:
    """Return the source with formulas as a person means them who has typed them into a word processor.

    Inside the delimiters, markup goes around the formula, entities become characters, odd blanks plain ones, and
    curly quotes straight ones. Text outside of the delimiters, and strings inside, are left as they are.
    """
    if is_html and "{" in source:
        source = _SPLIT_DELIMITER.sub(_join_delimiter, source)
    parts: list[str] = []
    position = 0
    for tag in islice(tags_of(source), MAX_TAGS):
        if not tag.closed or tag.kind is TagKind.COMMENT:
            continue
        parts += source[position : tag.start], _normalize_tag(tag, is_html=is_html)
        position = tag.end
    return "".join([*parts, source[position:]])


def _join_delimiter(found: re.Match[str]) -> str:
    """Bring the two halves of a delimiter together: `{<b>{` becomes `<b>{{`."""
    if found["between"] is not None:
        return found["between"].replace("&nbsp;", "") + "{"
    return found["first"] + "}" + found["inner"].replace("&nbsp;", "")


def _normalize_tag(tag: Tag, *, is_html: bool) -> str:
    inner, before, after = tag.text[2:-2], "", ""
    if is_html:
        markup = [found for found in _MARKUP.finditer(inner) if not _VOID.match(found[0])]
        before = "".join(found[0] for found in markup if not found["end"])
        after = "".join(found[0] for found in markup if found["end"])
        inner = html.unescape(_MARKUP.sub(" ", inner))
    pieces: list[str] = []
    position = 0
    for string in _STRING.finditer(inner):
        pieces += _plain(inner[position : string.start()]), string[0]
        position = string.end()
    inner = "".join([*pieces, _plain(inner[position:])])
    return f"{before}{tag.text[:2]}{inner}{tag.text[-2:]}{after}"


def _plain(code: str) -> str:
    code = _INVISIBLE.sub("", _BLANKS.sub(" ", code)).translate(_CURLY)
    return re.sub(r"\s+", " ", code)
