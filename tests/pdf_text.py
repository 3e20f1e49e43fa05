"""Where the letters of a PDF stand."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pypdfium2


def gaps(pdf: bytes) -> list[tuple[float, str]]:
    """Return the blanks between letters of each line of text, in points, with what stands before and behind."""
    found = []
    for page in pypdfium2.PdfDocument(pdf):
        text = page.get_textpage()
        lines: dict[int, list[tuple[float, float, str]]] = defaultdict(list)
        for index in range(text.count_chars()):
            left, bottom, right, _top = text.get_charbox(index, loose=True)
            if (letter := text.get_text_range(index, 1)).strip():
                lines[round(bottom / 2)].append((left, right, letter))
        for letters in lines.values():
            letters.sort()
            for (_, end, one), (start, _, other) in pairwise(letters):
                found.append((start - end, one + other))
    return found
