"""The plain-text twin of clean HTML, for those who read mail without its form (RFC 2046 §5.1.4)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from html.parser import HTMLParser

MAX_DEPTH = 20
"""Whoever nests deeper has no reader in mind; the text stays, its indentation grows no more."""
MAX_TABLE_WIDTH = 100
"""A wider table is written row by row, without columns."""
_BLANKS = re.compile(r"[ \t\n\r\f]+")
_APART = {"p", "h1", "h2", "h3", "ul", "ol", "pre", "hr", "table", "blockquote"}
"""Elements that have an empty line before and after them."""
_BLOCKS = _APART | {"div", "li", "tr", "td", "th", "tbody", "thead"}
_BOXES = {"blockquote", "ul", "ol", "li", "table", "tr", "td", "th"}
_UNDERLINES = {"h1": "=", "h2": "-"}
_RULE = "-" * 40
_SIGNATURE = "-- "
"""The line above a signature, with its blank (RFC 3676 §4.3); HTML loses the blank."""


@dataclass(slots=True)
class _Box:
    """Something that holds lines of its own: a quote, a list, a cell, or the whole."""

    tag: str = ""
    align: str = ""
    number: int = 0
    lines: list[str] = field(default_factory=list)
    apart: bool = False
    """True when an empty line is wanted before the next."""
    rows: list[list[_Box]] = field(default_factory=list)

    def write(self, line: str) -> None:
        if self.apart and self.lines and self.lines[-1]:
            self.lines.append("")
        self.apart = False
        self.lines.append(line)


class _Writer(HTMLParser):
    """Writes down what a reader would see."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = [_Box()]
        self.too_deep: list[str] = []
        self.words: list[str] = []
        self.links: list[tuple[str, int]] = []
        self.pre = 0

    def handle_data(self, data: str) -> None:
        if self.pre:
            *lines, last = data.split("\n")
            for line in lines:
                self.words.append(line)
                self._end_line()
            self.words.append(last)
            return
        text = _BLANKS.sub(" ", data)
        if not self.words or self.words[-1].endswith(" "):
            text = text.removeprefix(" ")
        if text:
            self.words.append(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in _BLOCKS:
            self._end_block(tag)
        if tag in _BOXES:
            self._open(tag, values.get("align", ""))
        elif tag == "br":
            self._end_line()
        elif tag == "hr":
            self.boxes[-1].write(_RULE)
            self.boxes[-1].apart = True
        elif tag == "img" and values.get("alt", "").strip():
            self.handle_data(f"[{values['alt'].strip()}]")
        elif tag == "a":
            self.links.append((values.get("href", ""), len(self.words)))
        elif tag == "pre":
            self.pre += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.links:
            self._end_link(*self.links.pop())
        if tag not in _BLOCKS:
            return
        if tag in _UNDERLINES and (line := _joined(self.words)):
            self._end_line()
            self.boxes[-1].write(_UNDERLINES[tag] * min(_width(line), MAX_TABLE_WIDTH))
        self._end_block(tag)
        if tag == "pre" and self.pre:
            self.pre -= 1
        if tag in _BOXES:
            self._close(tag)

    def text(self) -> str:
        """Return what was written."""
        self.close()
        self._end_block("")
        self.too_deep.clear()
        while len(self.boxes) > 1:
            self._close(self.boxes[-1].tag)
        lines = [line.replace("\u00a0", " ").rstrip() for line in self.boxes[0].lines]
        lines = [_SIGNATURE if line == "--" else line for line in lines]
        return "\n".join(lines).strip("\n") + "\n"

    # -- lines ---------------------------------------------------------------------------------------

    def _end_line(self) -> None:
        """Write the line, also an empty one."""
        line = "".join(self.words) if self.pre else _joined(self.words)
        self.words.clear()
        self.links = [(href, 0) for href, _start in self.links]
        self.boxes[-1].write(line)

    def _end_block(self, tag: str) -> None:
        if _joined(self.words):
            self._end_line()
        self.words.clear()
        self._stand_apart(tag)

    def _stand_apart(self, tag: str) -> None:
        box = self.boxes[-1]
        box.apart = box.apart or (tag in _APART and not (tag in {"ul", "ol"} and box.tag == "li"))

    def _end_link(self, href: str, start: int) -> None:
        shown = _joined(self.words[start:])
        target = href.removeprefix("mailto:").removeprefix("tel:")
        if target and _same_place(target) != _same_place(shown):
            self.handle_data(f" <{target}>" if shown else f"<{target}>")

    # -- boxes ---------------------------------------------------------------------------------------

    def _open(self, tag: str, align: str) -> None:
        if len(self.boxes) > MAX_DEPTH:
            self.too_deep.append(tag)
        else:
            self.boxes.append(_Box(tag, align))

    def _close(self, tag: str) -> None:
        if self.too_deep:
            if self.too_deep[-1] == tag:
                self.too_deep.pop()
            return
        if self.boxes[-1].tag != tag:
            return
        box, parent = self.boxes.pop(), self.boxes[-1]
        if tag in {"td", "th"} and parent.tag == "tr":
            if not parent.rows:
                parent.rows.append([])
            parent.rows[0].append(box)
        elif tag == "tr" and parent.tag == "table":
            parent.rows += box.rows
        elif tag == "table":
            box.lines += _table(box.rows)
            self._take(parent, box, "", "")
        elif tag == "li":
            parent.number += 1
            mark = f"{parent.number}. " if parent.tag == "ol" else "* "
            self._take(parent, box, mark, " " * len(mark))
        elif tag == "blockquote":
            self._take(parent, box, "> ", "> ")
        else:
            self._take(parent, box, "", "")
        self._stand_apart(tag)

    def _take(self, parent: _Box, box: _Box, first: str, others: str) -> None:
        while box.lines and not box.lines[-1]:
            box.lines.pop()
        for number, line in enumerate(box.lines):
            parent.write((others if number else first) + line)


def _joined(words: list[str]) -> str:
    return "".join(words).strip(" ")


def _same_place(target: str) -> str:
    return target.casefold().removeprefix("https://").removeprefix("http://").rstrip("/")


def _width(text: str) -> int:
    """Return how many columns a text takes in a font of one width."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _table(rows: list[list[_Box]]) -> list[str]:
    """Return the lines of a table in columns; where a cell has several lines, or all is too wide, cell by cell."""
    widths: list[int] = []
    for row in rows:
        widths += [0] * (len(row) - len(widths))
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], _width(cell.lines[0]) if cell.lines else 0)
    if any(len(cell.lines) > 1 for row in rows for cell in row):
        return [line for row in rows for cell in row for line in cell.lines]
    wide = sum(widths) + 2 * len(widths) > MAX_TABLE_WIDTH
    lines = []
    for row in rows:
        cells = []
        for cell, width in zip(row, widths, strict=False):
            text = cell.lines[0] if cell.lines else ""
            gap = " " * (0 if wide else width - _width(text))
            cells.append(gap + text if cell.align == "right" else text + gap)
        lines.append("  ".join(cells).rstrip())
    return lines


def plain_text(html: str) -> str:
    """Return the plain-text twin of clean HTML: lists, quotes, tables and links keep their meaning."""
    writer = _Writer()
    writer.feed(html)
    return writer.text()
