"""How much of an invoice can still be credited: at each rate, what was invoiced less what was credited."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select

from core.db import transaction
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.web.formats import money, number
from modules.sales.models import Invoice
from modules.sales.service.lines import lines_of, totals_of
from modules.sales.states import InvoiceState


@dataclass(frozen=True, slots=True)
class _Amounts:
    """What documents come to at one rate."""

    base: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)


def check_credit(note: Invoice) -> None:
    """Refuse a credit note by which the credit notes of an invoice would take back more than it took, at any rate.

    Base and tax of each rate are what the tax return corrects (directive 2006/112/EC, art. 90), so the total alone
    says too little: 185 at 20 % are less than 100 at 20 % and 100 at 5.5 %, and were never invoiced.

    Raises:
        UserError: At a rate, the base or the tax would be beyond that of the invoice, or on the other side of zero.
    """
    invoice = note.reversed
    if invoice is None:
        return
    with transaction() as session:
        # Two credit notes of one invoice at once: the second waits here and then counts the first.
        session.refresh(invoice.document, ["revision"], with_for_update=True)
        before = session.scalars(
            select(Invoice).where(
                Invoice.reversed_id == invoice.document_id, Invoice.state == InvoiceState.POSTED
            )
        ).all()
    invoiced = _by_rate([invoice.document])
    former = _by_rate(row.document for row in before)
    credited = _by_rate([*(row.document for row in before), note.document])
    for rate, amounts in credited.items():
        limit = invoiced.get(rate, _Amounts())
        if not _within(amounts.base, limit.base):
            _refuse(invoice.document, rate, limit.base - former.get(rate, _Amounts()).base)
        if not _within(amounts.tax, limit.tax):
            raise UserError(
                _l(
                    "The credit notes of %(number)s would exceed the tax that was invoiced at %(rate)s%%, since each "
                    "rounds it: credit these lines in one credit note.",
                    number=invoice.document.number,
                    rate=number(rate or 0),
                )
            )


def _within(amount: Decimal, limit: Decimal) -> bool:
    """Return whether an amount lies between zero and a limit, which is negative where a reduction was invoiced."""
    return min(limit, Decimal(0)) <= amount <= max(limit, Decimal(0))


def _refuse(invoice: Document, rate: Decimal | None, left: Decimal) -> None:
    amount = money(left, invoice.currency)
    if rate is None:
        raise UserError(
            _l(
                "The credit notes of %(number)s would exceed what was invoiced without tax: %(left)s are left.",
                number=invoice.number,
                left=amount,
            )
        )
    raise UserError(
        _l(
            "The credit notes of %(number)s would exceed what was invoiced at %(rate)s%%: %(left)s before tax are "
            "left.",
            number=invoice.number,
            rate=number(rate),
            left=amount,
        )
    )


def _by_rate(documents: Iterable[Document]) -> dict[Decimal | None, _Amounts]:
    """Return what documents come to at each rate; None is the rate of lines to which no tax applies."""
    found: dict[Decimal | None, _Amounts] = {}
    for document in documents:
        lines = lines_of(document.id)
        totals = totals_of(document, lines)
        parts = {tax.rate: _Amounts(tax.base, tax.amount) for tax in totals.taxes}
        untaxed = sum((line.subtotal for line in lines if line.tax_rate is None), Decimal(0))
        for rate, part in (*parts.items(), (None, _Amounts(untaxed))):
            sums = found.get(rate, _Amounts())
            found[rate] = _Amounts(sums.base + part.base, sums.tax + part.tax)
    return found
