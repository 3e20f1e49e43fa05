"""Paragraphs of a mail, and the paragraphs of the template that they came from.

Editors write paragraphs in their own ways: as `<p>`, as `<div>`, as lines of one `<div>` with two `<br>` between.
Here they are the same.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from modules.mail_config.template_language.tags import TagKind, tags_of

_TOKEN = re.compile(r"<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>|[^<]+|<")
_NAME = re.compile(r"</?\s*([a-zA-Z][a-zA-Z0-9]*)")
_HREF = re.compile(r"\bhref=(?:\"([^\"]*)\"|'([^']*)')")
_TEXT_BLOCKS = {"p", "div"}
_BLOCKS = _TEXT_BLOCKS | {"blockquote", "h1", "h2", "h3", "hr", "li", "ol", "pre", "table", "ul"}
_VOID = {"br", "hr", "img", "wbr"}
_SAME = {"b": "strong", "i": "em"}
_TELLING = {"strong", "em", "a"}
"""Markup by which paragraphs differ that have the same words."""

_MAX_DEPTH = 20
"""Of boxes in boxes that are opened; nobody writes more."""

# Characters of the private use area stand for a formula while the markup around it is read.
_MARK = re.compile("\ue000([0-9]+)\ue001")


def tokens(markup: str) -> Iterator[str]:
    """Return tags and runs of text in their order."""
    for found in _TOKEN.finditer(markup):
        yield found[0]


def name_of(token: str) -> str:
    """Return the name of a tag, in lower case; "" for a run of text."""
    found = _NAME.match(token) if token.startswith("<") else None
    return found[1].lower() if found else ""


def is_end(token: str) -> bool:
    """Return True for the closing tag of an element."""
    return token.startswith("</")


def href_of(token: str) -> str:
    """Return where a link leads, "" for other tags."""
    found = _HREF.search(token)
    return html.unescape(found[1] or found[2] or "") if found else ""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or another block such as a list.

    Attributes:
        markup: Its HTML, complete.
        key: What two paragraphs share that say the same.
    """

    markup: str
    key: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """Markup at the top: an element (`name`) or what stands between elements ("")."""

    markup: str
    name: str = ""
    inner: str = ""


def blocks_of(markup: str) -> list[Block]:
    """Return the paragraphs of clean HTML; empty ones are left out."""
    return [Block(text, key) for text in _paragraphs(markup) if (key := key_of(text))]


def key_of(markup: str) -> str:
    """Return what two paragraphs share that say the same: words, emphasis and links."""
    parts: list[str] = []
    for token in tokens(markup):
        name = name_of(token)
        name = _SAME.get(name, name)
        if not name:
            parts.append(html.unescape(token))
        elif name in _TELLING:
            parts.append(f"\x00{'/' if is_end(token) else ''}{name}:{href_of(token)}\x00")
        elif name in _BLOCKS or name == "br":
            parts.append(" ")
    return " ".join("".join(parts).split())


_BLANK_LINE = re.compile(r"<br\s*/?>\s*<br\s*/?>\s*$", re.IGNORECASE)


def _paragraphs(markup: str, depth: int = 0) -> Iterator[str]:
    lines: list[str] = []  # of `<div>`s that follow each other: an editor's lines
    for piece in _pieces(markup):
        if piece.name == "div" and not _has_blocks(piece.inner):
            *ended, lines = _runs(lines, _split_lines(piece.inner))
            yield from map(_lines_as_paragraph, ended)
            if _BLANK_LINE.search(piece.inner) and lines:
                yield _lines_as_paragraph(lines)  # the editor ends a paragraph with a blank line inside
                lines = []
            continue
        if lines and piece.markup.strip():
            yield _lines_as_paragraph(lines)
            lines = []
        if piece.name == "p" or not piece.name:
            inner = piece.inner if piece.name else piece.markup
            yield from (f"<p>{paragraph}</p>" for paragraph in _split_lines(inner))
        elif piece.name == "div" and depth < _MAX_DEPTH:
            yield from _paragraphs(piece.inner, depth + 1)
        else:
            yield piece.markup
    if lines:
        yield _lines_as_paragraph(lines)


def _lines_as_paragraph(lines: list[str]) -> str:
    return f"<p>{'<br>'.join(lines)}</p>"


def _runs(lines: list[str], paragraphs: list[str]) -> list[list[str]]:
    """Return the runs of lines that an element goes on with or begins; the last one may go on in the next element."""
    runs = [lines]
    for number, paragraph in enumerate(paragraphs):
        if (number or not key_of(paragraph)) and runs[-1]:
            runs.append([])
        if key_of(paragraph):
            runs[-1].append(paragraph)
    return runs


def _has_blocks(markup: str) -> bool:
    return any(name_of(token) in _BLOCKS for token in tokens(markup))


def _pieces(markup: str) -> Iterator[_Piece]:
    """Return the block elements at the top, and the inline markup between them."""
    run: list[str] = []
    element: list[str] = []
    depth = 0
    for token in tokens(markup):
        name = name_of(token)
        if depth == 0 and name not in _BLOCKS:
            run.append(token)
            continue
        if depth == 0 and is_end(token):
            continue  # an end without a beginning
        if depth == 0 and run:
            yield _Piece("".join(run))
            run = []
        element.append(token)
        if name in _BLOCKS and name not in _VOID:
            depth += -1 if is_end(token) else 1
        if depth == 0:
            yield _Piece("".join(element), name_of(element[0]), "".join(element[1:-1]))
            element = []
    if run or element:
        yield _Piece("".join([*element, *run]))


def _split_lines(inner: str) -> list[str]:
    """Return the paragraphs of a run of lines: two breaks, or more, separate them."""
    paragraphs: list[list[str]] = [[]]
    depth = breaks = 0
    for token in tokens(inner):
        name = name_of(token)
        if name == "br" and depth == 0:
            breaks += 1
            continue
        if breaks and (name or token.strip()):
            if breaks > 1:
                paragraphs.append([])
            elif paragraphs[-1]:
                paragraphs[-1].append("<br>")
            breaks = 0
        if name and name not in _VOID:
            depth += -1 if is_end(token) else 1
        paragraphs[-1].append(token)
    return ["".join(paragraph).strip() for paragraph in paragraphs]


def without_ending(markup: str, ending: str) -> str:
    """Return markup without the lines that it ends with, where they are those of another text, such as a signature.

    What is left may have elements that are not closed.
    """
    lines, wanted = list(_lines(markup)), [key for key, _ in _lines(ending)]
    if not wanted or [key for key, _ in lines[-len(wanted) :]] != wanted:
        return markup
    return markup[: lines[-len(wanted)][1]]


def _lines(markup: str) -> Iterator[tuple[str, int]]:
    """Return the words of each line that has any, and where it begins."""
    words: list[str] = []
    position = start = 0
    for token in [*tokens(markup), "<br>"]:
        name = name_of(token)
        if name in _BLOCKS or name == "br":
            line = " ".join(html.unescape("".join(words)).split())
            if line:
                yield line, start
            words, start = [], position + len(token)
        elif not name:
            words.append(token)
        position += len(token)


def units_of(source: str) -> list[str]:
    """Return the body of a template in pieces that each stand alone: a paragraph, or a condition with what is in it."""
    tags = [tag for tag in tags_of(source) if tag.closed]
    masked: list[str] = []
    position = 0
    for number, tag in enumerate(tags):
        masked += source[position : tag.start], f"\ue000{number}\ue001"
        position = tag.end
    text = "".join([*masked, source[position:]])

    def depth_of(part: str) -> int:
        """Return by how many conditions a part opens more than it closes."""
        words = [tags[int(found[1])] for found in _MARK.finditer(part)]
        opened = sum(tag.word == "if" for tag in words if tag.kind is TagKind.STATEMENT)
        return opened - sum(tag.word == "endif" for tag in words if tag.kind is TagKind.STATEMENT)

    def unmasked(part: str) -> str:
        return _MARK.sub(lambda found: tags[int(found[1])].text, part)

    units: list[str] = []
    waiting, depth = "", 0
    for part in _parts(text):
        waiting += part
        depth += depth_of(part)
        if depth == 0:
            units.append(waiting)
            waiting = ""
    return [unmasked(unit) for unit in [*units, waiting] if unit.strip()]


def _parts(text: str) -> Iterator[str]:
    """Return the masked source in parts; between two of them a unit may end."""
    for piece in _pieces(text):
        if not piece.name:
            # Between paragraphs, the beginning and the end of a condition each are a part of their own.
            yield from (
                (part for part in re.split("(\ue000[0-9]+\ue001)", piece.markup) if part)
                if not (_MARK.sub("", piece.markup).strip())
                else [piece.markup]
            )
        elif piece.name in _TEXT_BLOCKS and not _has_blocks(piece.inner):
            paragraphs = [paragraph for paragraph in _split_lines(piece.inner) if paragraph]
            if len(paragraphs) > 1:
                yield from (f"<p>{paragraph}</p>" for paragraph in paragraphs)
            else:
                yield piece.markup
        else:
            yield piece.markup
