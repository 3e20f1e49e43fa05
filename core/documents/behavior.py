"""The interface that a module implements for a kind of document: fields, PDF, mail texts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Protocol

from core.documents.models import Document

FieldValue = str | Decimal | dt.date | int


class FieldType(StrEnum):
    """The type of a field's value; a mail shows it accordingly."""

    TEXT = "text"
    """Shown as it is, escaped in HTML."""
    NUMBER = "number"
    """Shown with the separators of the mail's language."""
    MONEY = "money"
    """An amount in the currency of the document."""
    DATE = "date"
    """A day, written as the mail's language does."""


_USUAL_SAMPLES: Mapping[FieldType, str] = {
    FieldType.NUMBER: "3",
    FieldType.MONEY: "1234.50",
    FieldType.DATE: "2026-03-31",
}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A field that mail templates may use.

    Attributes:
        name: As written in a template, dotted for a link: `customer.name`.
        title: English, marked with `N_`.
        type: What its value is; `""` stands for none, whatever the type.
        sample: What it may look like, for previews without a document: a text (English, marked with `N_` where it
            has a translation), a number with a decimal point, or a date as 2026-03-31. None for a usual one.
    """

    name: str
    title: str
    type: FieldType = FieldType.TEXT
    sample: str | None = None

    @property
    def group(self) -> str:
        """The part of the name before the dot: `customer` for `customer.name`."""
        return self.name.partition(".")[0]

    def sample_value(self) -> FieldValue:
        """Return the sample, or a usual one, as a value; a text is not translated yet.

        Raises:
            ValueError: It is not what the type says.
        """
        text = self.sample if self.sample is not None else _USUAL_SAMPLES.get(self.type, self.title)
        if self.type is FieldType.DATE:
            return dt.date.fromisoformat(text)
        if self.type is FieldType.TEXT:
            return text
        try:
            return Decimal(text)
        except InvalidOperation as error:
            raise ValueError(f"{text!r} is no number") from error

    def fits(self, value: object) -> bool:
        """Return True when a value is one of the type, or "" for none."""
        if self.type is FieldType.TEXT:
            return isinstance(value, str)
        if self.type is FieldType.DATE:
            return value == "" or isinstance(value, dt.date)
        return value == "" or (isinstance(value, Decimal | int) and not isinstance(value, bool))


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


class RollHtml(str):
    """HTML of a page that is as long as its contents: a receipt from a roll of paper."""

    __slots__ = ()


class DocumentBehavior(Protocol):
    """The protocol of the object that `DocumentKind.behavior` names."""

    catalogue: Sequence[FieldSpec]
    templates: Sequence[ShippedTemplate]

    def pdf_html(self, document: Document) -> str:
        """Return the document as HTML for the PDF engine; the locale is already the document's.

        A `RollHtml` has one page, cut where its contents end.
        """

    def fields(self, document: Document) -> Mapping[str, FieldValue]:
        """Return a plain value for each name of the catalogue."""

    def why_not_sendable(self, document: Document) -> object | None:
        """Return a sentence when the document cannot be sent in its present state."""

    # A behavior may also have `keeps_addresses_private(document) -> bool`: True where whoever gets a mail about the
    # document has given the address for that alone. It is then encrypted, and erased once the mail is settled.
    #
    # And `file_name(document) -> str`: what its PDF is called, where that is not kind and number.
    #
    # And `warnings(document) -> Sequence[object]`: what is probably wrong in it, a sentence each; it is told
    # before it is sent.
    #
    # And `rows_of(documents) -> Sequence[object]`: its own rows of many documents, read at once. Whoever is about to
    # ask about each of them holds these meanwhile, so that `Session.get` finds them.
    #
    # And `preferred_template(document) -> int | None`: the id of the mail template that settings of the module name.
