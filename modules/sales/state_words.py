"""What the states of documents are called, and how they look in a list.

The words agree with the kind: an invoice and an order are feminine in French, a quotation and a credit note are not.
"""

from __future__ import annotations

from typing import NamedTuple

from core.i18n import gettext, pgettext
from modules.sales.models import Invoice, Order
from modules.sales.states import INVOICE, ORDER, InvoiceState, OrderState


class Badge(NamedTuple):
    """A state as a list shows it: its word, its tone, and its icon or None for that of the tone."""

    word: str
    tone: str
    icon: str | None


def issued(kind: str) -> str:
    """Return what an invoice or a credit note is called that has its number."""
    return str(pgettext("invoice", "Issued") if kind == INVOICE else gettext("Issued"))


def canceled(kind: str) -> str:
    """Return what a document of a kind is called that was canceled."""
    if kind == INVOICE:
        return str(pgettext("invoice", "Canceled"))
    return str(pgettext("order", "Canceled") if kind == ORDER else gettext("Canceled"))


def badges(row: Order | Invoice, invoiced: bool = False) -> list[Badge]:
    """Return how the state of a document is shown, the state itself first.

    Args:
        row: The document.
        invoiced: Of an order, whether it has an invoice.
    """
    kind = row.document.kind
    match row.state:
        case OrderState.QUOTATION if isinstance(row, Order) and row.expired:
            found = Badge(gettext("Expired"), "warning", "hourglass-bottom")
        case OrderState.QUOTATION:
            found = Badge(gettext("Quotation"), "neutral", "pencil")
        case OrderState.ORDER if invoiced:
            found = Badge(gettext("Invoiced"), "success", None)
        case OrderState.ORDER:
            found = Badge(gettext("To invoice"), "info", "bag-check")
        case InvoiceState.DRAFT:
            found = Badge(gettext("Draft"), "neutral", "pencil")
        case InvoiceState.POSTED:
            found = Badge(issued(kind), "success", "lock-fill")
        case _:
            found = Badge(canceled(kind), "neutral", "x-circle")
    if isinstance(row, Invoice) and row.credited:
        return [found, Badge(gettext("Credited"), "neutral", "arrow-counterclockwise")]
    return [found]
