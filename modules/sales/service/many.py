"""Confirming and posting many documents: each by itself, so that one that cannot be holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from core.auth.models import User
from core.errors import UserError
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders

T = TypeVar("T", Order, Invoice)


@dataclass(slots=True)
class Outcome:
    """What became of many documents.

    Attributes:
        done: How many were changed.
        refused: The number of each other, "" for a draft, and why.
    """

    done: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def confirm_each(rows: Sequence[Order], by: User | None = None) -> Outcome:
    """Confirm quotations, each in a transaction of its own."""
    return _each(rows, partial(orders.confirm, by=by))


def post_each(rows: Sequence[Invoice], by: User | None = None) -> Outcome:
    """Post drafts, each in a transaction of its own.

    The oldest dates come first, those that get today's last: numbers follow the dates.
    """
    # A draft without a chosen date is dated when it is posted.
    in_order = sorted(rows, key=lambda row: (not row.date_chosen, row.document.date, row.document_id))
    return _each(in_order, partial(invoices.post, by=by))


def _each(rows: Sequence[T], act: Callable[[T], None]) -> Outcome:
    outcome = Outcome()
    for row in rows:
        number = row.document.number
        try:
            act(row)
        except UserError as error:
            outcome.refused.append((number, str(error.message)))
        else:
            outcome.done += 1
    return outcome
