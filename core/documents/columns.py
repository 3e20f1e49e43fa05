"""The columns of a printed table: each figure on one line, with a gap beside it that is no space between thousands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.documents.pdf import UNICODE_FONT, needs_unicode_font, text_width

T = TypeVar("T")

SMALLEST = 5.0
"""Points; below this nobody reads what is printed."""
_BUILT_IN_FONT = "Helvetica"  # draws faster, and needs no embedding
# The engine's narrow no-break space (French thousands) is wide in one font and missing in the other.
_SPACES = str.maketrans({"\u202f": "\u00a0"})
_STEP = 0.5
_MM = 72 / 25.4


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
    family: str,
) -> Columns:
    """Return columns in which no figure runs into its neighbor.

    The first column has words, which break; it gives way to the others, down to a share, and then the letters do.

    Args:
        usual: The columns where everything fits.
        figures: What stands in each of the others, also in their heads.
        millimeters: The width of the table.
        gap: The points that a column has besides its text.
        least: The share of the first column that is left to it.
        family: The font.
    """
    size = usual.size
    while True:
        wanted = [
            max(share, 100 * (_widest(texts, family, size) + gap) / (millimeters * _MM))
            for share, texts in zip(usual.shares[1:], figures, strict=True)
        ]
        rest = 100 - sum(wanted)
        if rest >= min(least, usual.shares[0]) or size <= SMALLEST:
            return Columns((max(rest, 1.0), *wanted), size)
        size -= _STEP


def printed(usual: T, fit: Callable[[T, str], T], render: Callable[[T, str], str]) -> str:
    """Return a page in the font that its letters need, with columns as wide as its figures.

    It is rendered twice where something has to give way: which letters there are says which font, and that says how
    wide they are.

    Args:
        usual: The columns where everything fits.
        fit: Takes them and the font, and returns those that are needed.
        render: Takes columns and font, and returns the page.
    """
    html = render(usual, _BUILT_IN_FONT).translate(_SPACES)
    font = UNICODE_FONT if needs_unicode_font(html) else _BUILT_IN_FONT
    columns = fit(usual, font)
    if columns == usual and font == _BUILT_IN_FONT:
        return html
    return render(columns, font).translate(_SPACES)


def breakable(text: str, longest: int) -> str:
    """Return the text with a space inside words that are longer than a column, which the engine would not break."""
    return re.sub(rf"\S{{{longest}}}(?=\S)", r"\g<0> ", text)


def _widest(texts: Sequence[str], family: str, size: float) -> float:
    return max((text_width(text, family, size) for text in texts), default=0.0)
