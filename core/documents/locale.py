"""The locale of a document: its language, as it is written where its customer, or its company, is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, cast

from flask_babel import force_locale

from core.companies.models import Company
from core.i18n import locale_of
from core.partners.models import Partner


class Addressed(Protocol):
    """A document, or whatever else is written by a company to a customer."""

    @property
    def company(self) -> Company:
        """Who writes."""

    @property
    def partner(self) -> Partner | None:
        """To whom, or None."""

    @property
    def language(self) -> str:
        """In which language."""


def locale_of_document(document: Addressed, language: str | None = None) -> str:
    """Return the locale of a document.

    Args:
        document: The document.
        language: The language of its mail, where it is not the document's.
    """
    customer = document.partner.country if document.partner is not None else ""
    return locale_of(language or document.language, customer, document.company.country)


def speaking(document: Addressed, language: str | None = None) -> AbstractContextManager[None]:
    """Let everything inside a block speak to whoever gets a document; arguments as for `locale_of_document`."""
    return cast("AbstractContextManager[None]", force_locale(locale_of_document(document, language)))
