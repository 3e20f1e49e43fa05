"""The letters of a document that its PDF cannot show; they would be empty boxes, and nobody would say a word."""

from __future__ import annotations

import re
from html import unescape

from flask_babel import gettext

from core.documents.checked import BehaviorError, html_of
from core.documents.locale import speaking
from core.documents.models import Document
from core.documents.pdf import has_glyph

MOST_NAMED = 12
"""Letters that a sentence names."""
_ASIDE = re.compile(r"<style.*?</style>|<[^<>]*>", re.DOTALL)


def missing_letters(text: str) -> str:
    """Return the letters of a text that cannot be printed, each once, in their order."""
    return "".join(dict.fromkeys(letter for letter in text if not letter.isascii() and not has_glyph(letter)))


def unprintable(document: Document, language: str | None = None) -> str:
    """Return a sentence that names the letters which the PDF of a document cannot show, or "".

    Args:
        document: The document.
        language: As for `render_document`.
    """
    try:
        with speaking(document, language):
            letters = missing_letters(unescape(_ASIDE.sub(" ", html_of(document))))
    except BehaviorError:
        return ""  # told where the PDF is made
    if not letters:
        return ""
    shown = " ".join(letters[:MOST_NAMED]) + (" …" if len(letters) > MOST_NAMED else "")
    return str(
        gettext(
            "The PDF cannot show these characters: %(letters)s. Whoever gets it sees empty boxes in their place.",
            letters=shown,
        )
    )
