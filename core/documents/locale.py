"""The locale of a document: its language, as it is written where its customer, or its company, is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import cast

from flask_babel import force_locale

from core.documents.models import Document
from core.i18n import locale_of


def locale_of_document(document: Document, language: str | None = None) -> str:
    """Return the locale of a document.

    Args:
        document: The document.
        language: The language of its mail, where it is not the document's.
    """
    customer = document.partner.country if document.partner is not None else ""
    return locale_of(language or document.language, customer, document.company.country)


def speaking(document: Document, language: str | None = None) -> AbstractContextManager[None]:
    """Let everything inside a block speak to whoever gets a document; arguments as for `locale_of_document`."""
    return cast("AbstractContextManager[None]", force_locale(locale_of_document(document, language)))
