"""The columns of a printed table: each figure on one line, with a gap beside it that is no space between thousands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reportlab.lib.utils import simpleSplit

from core.documents.pdf import FONT, text_width

T = TypeVar("T")

SMALLEST = 5.0
"""Points; below this nobody reads what is printed."""
# The engine's narrow no-break space (French thousands) is as wide as a letter.
_SPACES = str.maketrans({"\u202f": "\u00a0"})
_STEP = 0.5
_WORD = re.compile(r"\S+")
_WIDEST = 1.05  # em; hardly a letter is wider
MM = 72 / 25.4
"""Points."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How wide columns are.

    Attributes:
        shares: Of the width of the table, in percent.
        size: Of the letters, in points.
    """

    shares: tuple[float, ...]
    size: float


def fitted(
    usual: Columns,
    figures: Sequence[Sequence[str]],
    *,
    millimeters: float,
    gap: float,
    least: float,
) -> Columns:
    """Return columns in which no figure runs into its neighbor.

    The first column has words, which break; it gives way to the others, down to a share, and then the letters do.

    Args:
        usual: The columns where everything fits.
        figures: What stands in each of the others, also in their heads.
        millimeters: The width of the table.
        gap: The points that a column has besides its text.
        least: The share of the first column that is left to it.
    """
    size = usual.size
    while True:
        wanted = [
            max(share, 100 * (_widest(texts, size) + gap) / (millimeters * MM))
            for share, texts in zip(usual.shares[1:], figures, strict=True)
        ]
        rest = 100 - sum(wanted)
        if rest >= min(least, usual.shares[0]) or size <= SMALLEST:
            return Columns((max(rest, 1.0), *wanted), size)
        size -= _STEP


def printed(usual: T, fit: Callable[[T], T], render: Callable[[T], str]) -> str:
    """Return a page with columns as wide as its figures.

    Args:
        usual: The columns where everything fits.
        fit: Takes them, and returns those that are needed.
        render: Takes columns, and returns the page.
    """
    return render(fit(usual)).translate(_SPACES)


def breakable(text: str, points: float, size: float) -> str:
    """Return the text with a space inside words that are wider than their place, which the engine would not break.

    Args:
        text: What stands there.
        points: How wide the place is.
        size: Of the letters, in points.
    """
    return _WORD.sub(lambda word: _broken(word[0], points, size), text)


def _broken(word: str, points: float, size: float) -> str:
    if len(word) * size * _WIDEST <= points or text_width(word, size) <= points:
        return word
    parts = [""]
    for letter in word:
        if parts[-1] and text_width(parts[-1] + letter, size) > points:
            parts.append("")
        parts[-1] += letter
    return " ".join(parts)


def paragraphs(text: str, points: float, size: float, most: int) -> list[str]:
    """Return a text in parts of at most so many lines, between which a page may end; arguments as for `breakable`."""
    lines = simpleSplit(breakable(text, points, size), FONT, size, points)
    return [" ".join(lines[start : start + most]) for start in range(0, len(lines), most)] or [""]


def _widest(texts: Sequence[str], size: float) -> float:
    return max((text_width(text, size) for text in texts), default=0.0)
