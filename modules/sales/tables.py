"""The lists of sales as tables: whose rows can be selected, and what they say in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from core.auth.models import User
from core.documents.models import Document
from core.i18n import gettext
from core.selection import ListSource
from core.spreadsheets import Cell, Column, Format
from modules.sales import queries
from modules.sales.models import Invoice
from modules.sales.state_words import badges
from modules.sales.states import (
    CREDIT_NOTE,
    INVOICE,
    INVOICE_KINDS,
    ORDER,
    QUOTATION,
)


def _columns(kind: str) -> list[Column]:
    dates = {
        QUOTATION: gettext("Valid until"),
        ORDER: gettext("Delivery date"),
        INVOICE: gettext("Due date"),
    }
    return [
        Column(gettext("Number"), width=20),
        Column(gettext("Customer"), width=32),
        Column(gettext("Date"), Format.DATE, 12),
        *([Column(dates[kind], Format.DATE, 12)] if kind in dates else []),
        Column(gettext("Salesperson")),
        Column(gettext("Company"), width=24),
        Column(gettext("Total"), Format.MONEY, 14),
        Column(gettext("Currency"), width=10),
        Column(gettext("State")),
    ]


def _cells(kind: str, documents: Sequence[Document]) -> Iterator[Sequence[Cell]]:
    rows = queries.states_of(kind, documents)
    invoiced = queries.invoiced(documents) if kind == ORDER else set()
    for document in documents:
        row = rows[document.id]
        customer = document.partner.name if document.partner is not None else ""
        if isinstance(row, Invoice):
            customer = row.customer_name or customer
            dates: list[Cell] = [row.due_date] if kind == INVOICE else []
        else:
            dates = [row.validity_date if kind == QUOTATION else row.delivery_date]
        yield [
            document.number,
            customer,
            document.date,
            *dates,
            document.owner.name if document.owner is not None else "",
            document.company.name,
            document.total,
            document.currency,
            badges(row, document.id in invoiced)[0].word,
        ]


def _source(kind: str, user: User) -> ListSource[Document]:
    return ListSource(
        queries.documents(user, kind), queries.list_spec(user, kind), _columns(kind), partial(_cells, kind)
    )


def quotations(user: User) -> ListSource[Document]:
    """Return the list of quotations."""
    return _source(QUOTATION, user)


def orders(user: User) -> ListSource[Document]:
    """Return the list of orders."""
    return _source(ORDER, user)


def invoices(user: User) -> ListSource[Document]:
    """Return the list of invoices."""
    return _source(INVOICE, user)


def credit_notes(user: User) -> ListSource[Document]:
    """Return the list of credit notes."""
    return _source(CREDIT_NOTE, user)


KINDS = {
    "sales.quotations": QUOTATION,
    "sales.orders": ORDER,
    "sales.invoices": INVOICE,
    "sales.credit_notes": CREDIT_NOTE,
}
"""The kind of the documents in each list."""
POSTED_IN = frozenset(name for name, kind in KINDS.items() if kind in INVOICE_KINDS)
"""The lists whose documents are posted."""
