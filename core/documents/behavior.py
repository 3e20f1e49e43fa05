"""What a module says about a kind of document beyond its declaration."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from core.documents.models import Document

FieldValue = str | Decimal | dt.date | int


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A field that mail templates may use.

    Attributes:
        name: As written in a template, dotted for a link: `customer.name`.
        title: English, marked with `N_`.
    """

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class ShippedTemplate:
    """A mail template that comes with a module.

    Attributes:
        name: English name of the template.
        attachment_name: Pattern of the PDF's file name, with fields.
        texts: Subject and HTML body by language.
    """

    name: str
    attachment_name: str
    texts: Mapping[str, tuple[str, str]]


class DocumentBehavior(Protocol):
    """What `DocumentKind.behavior` names."""

    catalogue: Sequence[FieldSpec]
    templates: Sequence[ShippedTemplate]

    def pdf_html(self, document: Document) -> str:
        """Return the document as HTML for the PDF engine; the locale is already the document's."""

    def fields(self, document: Document) -> Mapping[str, FieldValue]:
        """Return a plain value for each name of the catalogue."""

    def why_not_sendable(self, document: Document) -> object | None:
        """Return a sentence when the document cannot be sent in its present state."""
