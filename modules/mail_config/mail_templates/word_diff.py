"""The differences between two versions of a text, word by word, as people read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import unescape
from typing import Literal

MOST_COMPARED = 4_000_000
"""Above this product of their lengths two texts are shown one after the other: comparing them would take too long."""

_CONTEXT = 16  # words shown before and after a change
_WORDS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\s+|[^\s{]+|\{", re.DOTALL)
_ENDS = re.compile(r"<br\s*/?>|</(?:p|div|li|h1|blockquote|pre)>", re.IGNORECASE)
_TAGS = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n\s*\n\s*")

Kind = Literal["same", "old", "new"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text: in both versions, only in the old one, or only in the new one."""

    kind: Kind
    text: str


def readable(html: str) -> str:
    """Return a text with its paragraphs as lines and without its markup; formulas stay as they are."""
    return _BLANK_LINES.sub("\n", unescape(_TAGS.sub("", _ENDS.sub("\n", html)))).strip()


def compare(before: str, after: str, *, is_html: bool = False) -> list[Piece]:
    """Return the pieces of two versions of a text.

    Args:
        before: The old version.
        after: The new one.
        is_html: True to compare what a reader sees; where that is the same, the source is compared after all.
    """
    if is_html and readable(before) != readable(after):
        before, after = readable(before), readable(after)
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) * len(new) > MOST_COMPARED:
        return _pieces(("old", before), ("new", after))
    pieces: list[tuple[Kind, str]] = []
    out: list[str] = []
    put: list[str] = []
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for step, (kind, old_start, old_end, new_start, new_end) in enumerate(steps):
        same = kind == "equal"
        first, last = step == 0, step == len(steps) - 1
        if same and (first or last or "".join(old[old_start:old_end]).strip()):
            pieces += [("old", "".join(out)), ("new", "".join(put))]
            out, put = [], []
            pieces.append(("same", _shortened(old[old_start:old_end], head=not first, tail=not last)))
        else:  # also a blank between two changes: they read better as one
            out += old[old_start:old_end]
            put += new[new_start:new_end]
    return _pieces(*pieces, ("old", "".join(out)), ("new", "".join(put)))


def _pieces(*found: tuple[Kind, str]) -> list[Piece]:
    return [Piece(kind, text) for kind, text in found if text]


def _shortened(words: Sequence[str], *, head: bool, tail: bool) -> str:
    """Return what has not changed, of a long passage only what stands beside a change."""
    if len(words) <= _CONTEXT * (head + tail) + _CONTEXT:
        return "".join(words)
    beginning = "".join(words[:_CONTEXT]) if head else ""
    end = "".join(words[-_CONTEXT:]) if tail else ""
    return f"{beginning} […] {end}"
