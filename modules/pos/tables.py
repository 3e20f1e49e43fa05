"""The list of tickets as a table: whose rows can be selected, and what they say in a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.auth.models import User
from core.documents.models import Document
from core.i18n import gettext
from core.selection import ListSource
from core.spreadsheets import Cell, Column, Format
from modules.pos import queries


def tickets(user: User) -> ListSource[Document]:
    """Return the list of tickets."""
    return ListSource(
        queries.tickets_for(user),
        queries.ticket_spec(user),
        [
            Column(gettext("Number"), width=24),
            Column(gettext("Time"), Format.MOMENT),
            Column(gettext("Customer"), width=32),
            Column(gettext("Cashier")),
            Column(gettext("Total"), Format.MONEY, 14),
            Column(gettext("Currency"), width=10),
        ],
        _cells,
    )


def _cells(documents: Sequence[Document]) -> Iterator[Sequence[Cell]]:
    rows = queries.rows_of(list(documents))
    for document in documents:
        row = rows[document.id]
        yield [
            document.number,
            row.rung_at,
            row.customer_name or gettext("Walk-in"),
            row.cashier_name,
            document.total,
            document.currency,
        ]
