"""What can be taken back of a ticket, and what is paid back for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select

from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.totals import (
    round_money,
)
from modules.pos.models import Register, Ticket, TicketLine
from modules.pos.service.sale import Sale


def original_of(register: Register, sale: Sale) -> Ticket | None:
    """Return the ticket whose goods a sale takes back, once it is sure that it may.

    Raises:
        UserError: It takes back what was not sold there, more than was sold, or at another price.
    """
    back = {line.refunds_id: line for line in sale.lines if line.refunds_id is not None}
    if sale.refund_of_id is None:
        if back or any(line.quantity < 0 for line in sale.lines):
            raise UserError(_l("Goods are taken back from the receipt on which they were sold."))
        return None
    with transaction() as session:
        # Locked: two tills that refund the same goods at once would give the money twice.
        ticket = session.get(Ticket, sale.refund_of_id, with_for_update={"of": Ticket})
        if ticket is None or ticket.document.company_id != register.company_id or ticket.is_refund:
            raise UserError(_l("This receipt cannot be refunded."))
        left = refundable(ticket)
        if len(back) != len(sale.lines) or not sale.lines:
            raise UserError(_l("A refund takes back what was sold on its receipt, and nothing else."))
        sold = {line.id: line for line in ticket.lines}
        for number, line in back.items():
            if number not in sold or -line.quantity > left[number] or line.quantity >= 0:
                raise UserError(_l("The quantity returned is more than was sold."))
            # The till sends the price; a page that is out of date, or changed by hand, must not set it.
            if (line.unit_price, line.discount) != (sold[number].unit_price, sold[number].discount):
                raise UserError(_l("Goods are taken back at the price at which they were sold."))
    return ticket


def quantities_back(sale: Sale) -> dict[int, Decimal]:
    """Return how much a sale takes back of each line of another ticket, by its id."""
    return {line.refunds_id: -line.quantity for line in sale.lines if line.refunds_id is not None}


@dataclass(frozen=True, slots=True)
class _Taken:
    """Quantity and total of a line that refunds have taken back so far; both are positive."""

    quantity: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)


def _taken(ticket: Ticket) -> dict[int, _Taken]:
    ids = [line.id for line in ticket.lines]
    rows = db.session.execute(
        select(TicketLine.refunds_id, func.sum(TicketLine.quantity), func.sum(TicketLine.total))
        .where(TicketLine.refunds_id.in_(ids))
        .group_by(TicketLine.refunds_id)
    )
    return {number: _Taken(-quantity, -amount) for number, quantity, amount in rows if number is not None}


def refundable(ticket: Ticket) -> dict[int | None, Decimal]:
    """Return how much of each line of a ticket can still be taken back, by the id of the line."""
    taken = _taken(ticket)
    return {
        line.id: max(Decimal(0), line.quantity - taken.get(line.id, _Taken()).quantity)
        for line in ticket.lines
    }


def amounts_for(ticket: Ticket, quantities: Mapping[int, Decimal]) -> dict[int, Decimal]:
    """Return what is paid back for quantities of the lines of a ticket, by the id of the line.

    The share of what was paid, less what was paid back before: however small the parts, together they are to the cent
    what the line came to.
    """
    taken = _taken(ticket)
    amounts = {}
    for line in ticket.lines:
        if quantity := quantities.get(line.id):
            before = taken.get(line.id, _Taken())
            share = line.total * (before.quantity + quantity) / line.quantity
            amounts[line.id] = round_money(share, ticket.document.currency) - before.amount
    return amounts
