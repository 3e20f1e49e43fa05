"""What templates of emails that carry several documents of one customer are about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from flask_babel import gettext, ngettext

from core.documents.behavior import FieldSpec, FieldType, FieldValue, ShippedTemplate
from core.documents.checked import fields_of
from core.documents.models import Document
from core.documents.service import kind_title
from core.i18n import N_
from core.web.formats import day, money
from modules.mail_config.template_language.customer_mail import (
    CATALOGUE,
    CustomerMail,
    customer_mail_values,
)
from modules.mail_config.template_language.values import Amount, Rows

DOCUMENTS = "core.documents"
"""The kind of templates that are about several documents."""
TITLE = N_("Several documents in one email")
MOST_NAMED = 8
"""Numbers that a line names; a subject with more of them is read by nobody."""

FIELDS = (
    FieldSpec("documents.count", N_("Number of documents"), FieldType.NUMBER),
    FieldSpec("documents.numbers", N_("Numbers of the documents"), sample="INV-2026-00042, INV-2026-00043"),
    FieldSpec("documents.total", N_("Total of the documents"), FieldType.MONEY, "2469.00"),
    FieldSpec("documents.due_date", N_("First due date"), FieldType.DATE, "2026-04-30"),
    FieldSpec(
        "documents.table",
        N_("Table of the documents"),
        sample=N_("INV-2026-00042 · 31 March 2026 · €1,234.50 · 30 April 2026"),
    ),
)

_SIGNATURE = (
    "<p>{{ sender.name | default(company.name) }}<br>{{ company.name }}"
    "{% if company.phone %}<br>{{ company.phone }}{% endif %}</p>"
)
TEMPLATES = (
    ShippedTemplate(
        name=N_("Several documents: send"),
        attachment_name="",
        texts={
            "en": (
                "{{ company.name }}: documents {{ documents.numbers }}",
                "<p>Dear {{ customer.name }},</p>"
                "<p>Please find attached the following {{ documents.count }} documents"
                "{% if documents.total %}, amounting to <strong>{{ documents.total }}</strong> in total "
                "including VAT{% endif %}:</p>"
                "<div>{{ documents.table }}</div>"
                "{% if documents.due_date %}<p>Please pay each by its due date"
                "{% if company.bank_line %} to: {{ company.bank_line }}{% endif %}, quoting its number.</p>{% endif %}"
                "<p>Kind regards,</p>" + _SIGNATURE,
            ),
            "fr": (
                "{{ company.name }}\u00a0: documents {{ documents.numbers }}",
                "<p>Bonjour,</p>"
                "<p>Veuillez trouver ci-joint les {{ documents.count }} documents suivants"
                "{% if documents.total %}, d’un montant total de <strong>{{ documents.total }}</strong> TTC"
                "{% endif %}&nbsp;:</p>"
                "<div>{{ documents.table }}</div>"
                "{% if documents.due_date %}<p>Merci de régler chaque document au plus tard à son échéance, "
                "en rappelant son numéro"
                "{% if company.bank_line %}, par virement sur le compte&nbsp;: {{ company.bank_line }}{% endif %}."
                "</p>{% endif %}"
                "<p>Bien cordialement,</p>" + _SIGNATURE,
            ),
        },
    ),
)
"""The template that comes with the application."""


@dataclass(frozen=True, slots=True)
class DocumentsMail(CustomerMail):
    """An email that carries several documents of one customer; it answers templates as a document does.

    Attributes:
        documents: The documents, in the order of the email; of one company and customer.
    """

    documents: Sequence[Document] = ()

    @property
    def kind(self) -> str:
        """The kind of its templates."""
        return DOCUMENTS

    @property
    def currency(self) -> str:
        """Of the documents."""
        return self.documents[0].currency if self.documents else self.company.currency

    @property
    def language(self) -> str:
        """That of the documents."""
        return self.documents[0].language if self.documents else self.company.language


def documents_catalogue() -> list[FieldSpec]:
    """Return the fields that such templates may use."""
    return [*FIELDS, *CATALOGUE]


def documents_mail_values(about: DocumentsMail) -> dict[str, FieldValue]:
    """Return a value for each of `documents_catalogue`, in the current locale; "" where there is none."""
    dues = {document.id: _due_date(fields_of(document)) for document in about.documents}
    due = min((date for date in dues.values() if date is not None), default=None)
    return {
        **customer_mail_values(about),
        "documents.count": len(about.documents),
        "documents.numbers": named([_name(document) for document in about.documents]),
        "documents.total": _total(about.documents),
        "documents.due_date": due or "",
        "documents.table": Rows(list(_lines(about.documents, dues))) if about.documents else "",
    }


def named(numbers: Sequence[str]) -> str:
    """Return numbers as a line names them: the first ones, and how many others there are."""
    more = len(numbers) - MOST_NAMED
    if more <= 1:
        return ", ".join(numbers)
    others = ngettext("and %(num)d other", "and %(num)d others", more)
    return f"{', '.join(numbers[:MOST_NAMED])} {others}"


def _name(document: Document) -> str:
    return document.number or kind_title(document.kind)


def _due_date(values: Mapping[str, FieldValue]) -> dt.date | None:
    value = values.get("document.due_date")
    return value if isinstance(value, dt.date) else None


def _total(documents: Sequence[Document]) -> FieldValue:
    """Return what they amount to; "" where that says nothing: an invoice and a credit note, or two currencies."""
    if len({(document.kind, document.currency) for document in documents}) != 1:
        return ""
    return Amount(sum((document.total for document in documents), Decimal(0)), documents[0].currency)


def _lines(documents: Sequence[Document], dues: Mapping[int, dt.date | None]) -> Iterator[list[str]]:
    """Return the lines of the table, its head first; a column in which nothing stands is left out."""
    several, payable = len({document.kind for document in documents}) > 1, any(dues.values())
    head = [gettext("Number"), gettext("Date"), gettext("Amount")]
    yield [*([gettext("Document")] if several else []), *head, *([gettext("Due date")] if payable else [])]
    for document in documents:
        line = [document.number, day(document.date), money(document.total, document.currency)]
        due = dues[document.id]
        yield [
            *([kind_title(document.kind)] if several else []),
            *line,
            *([day(due) if due else ""] if payable else []),
        ]
