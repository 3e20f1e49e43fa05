"""What a ticket comes to, and the tax that is in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from sqlalchemy import select

from core.db import db
from core.totals import Part, TaxedAmount, Totals, compute_gross, tax_of_part
from modules.pos.models import Ticket, TicketLine


def totals_of(ticket: Ticket, language: str = "") -> Totals:
    """Return what a ticket comes to, and the tax that is in it, named in a language; "" for the document's."""
    lines, language = ticket.lines, language or ticket.document.language
    return compute_gross(_taxed(lines, language), ticket.document.currency, ticket.part_taxes)


def taxes_of_refund(original: Ticket, lines: Sequence[TicketLine]) -> dict[Decimal, Decimal]:
    """Return the tax at each rate of the lines of a refund: as a part of that of its ticket, which is locked.

    Args:
        original: The ticket whose goods are taken back.
        lines: Of the refund; none is stored yet.
    """
    currency = original.document.currency
    refunds = db.session.scalars(select(Ticket).where(Ticket.refund_of_id == original.document_id)).all()
    whole, back = _by_rate([original]), _by_rate(refunds)
    parts = _parts(compute_gross(_taxed(lines, ""), currency))
    return {
        rate: tax_of_part(part.amount, _negative(whole[rate]), back.get(rate, Part()), currency)
        for rate, part in parts.items()
        if rate in whole
    }


def _negative(part: Part) -> Part:
    """Return what a refund of everything comes to."""
    return Part(-part.amount, -part.tax)


def _taxed(lines: Sequence[TicketLine], language: str) -> Iterable[TaxedAmount]:
    return (TaxedAmount(line.total, line.tax_rate, line.said("tax_name", language)) for line in lines)


def _parts(totals: Totals) -> dict[Decimal, Part]:
    return {tax.rate: Part(tax.base + tax.amount, tax.amount) for tax in totals.taxes}


def _by_rate(tickets: Sequence[Ticket]) -> dict[Decimal, Part]:
    found: dict[Decimal, Part] = {}
    for ticket in tickets:
        for rate, part in _parts(totals_of(ticket)).items():
            found[rate] = found.get(rate, Part()) + part
    return found
