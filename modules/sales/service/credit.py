"""How much of an invoice can still be credited: at each rate, what was invoiced less what was credited."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from sqlalchemy import select

from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.totals import Part, tax_of_part
from core.web.formats import money, number
from modules.sales.models import Invoice
from modules.sales.service.lines import lines_of, totals_of
from modules.sales.states import InvoiceState


def share_taxes(note: Invoice) -> None:
    """Give the draft of a credit note the share of the tax of its invoice that the credit notes before have left."""
    invoice = note.reversed
    if invoice is None:
        return
    with transaction() as session:
        whole, before = _by_rate([invoice.document]), _by_rate(_before(note))
        lines = lines_of(note.document_id)
        bases = {tax.rate: tax.base for tax in totals_of(note.document, lines).taxes}
        note.part_taxes = {
            rate: tax_of_part(base, whole[rate], before.get(rate, Part()), note.document.currency)
            for rate, base in bases.items()
            if rate in whole
        }
        note.document.total = totals_of(note.document, lines).total
        session.flush()


def check_credit(note: Invoice) -> None:
    """Refuse a credit note by which the credit notes of an invoice would take back more than it took, at any rate.

    Base and tax of each rate are what the tax return corrects (directive 2006/112/EC, art. 90), so the total alone
    says too little: 185 at 20 % are less than 100 at 20 % and 100 at 5.5 %, and were never invoiced. The tax follows
    from the base, whose share it is.

    Raises:
        UserError: At a rate, the base would be beyond that of the invoice, or on the other side of zero.
    """
    invoice = note.reversed
    if invoice is None:
        return
    with transaction() as session:
        # Two credit notes of one invoice at once: the second waits here and then counts the first.
        session.refresh(invoice.document, ["revision"], with_for_update=True)
        share_taxes(note)
    invoiced = _by_rate([invoice.document])
    former = _by_rate(_before(note))
    for rate, part in _by_rate([note.document]).items():
        limit, before = invoiced.get(rate, Part()).amount, former.get(rate, Part()).amount
        if not _within(before + part.amount, limit):
            _refuse(invoice.document, rate, limit - before)


def note_credited(note: Invoice) -> None:
    """Note on the invoice of a credit note that was just posted, when nothing of it is left at any rate."""
    invoice = note.reversed
    if invoice is None:
        return
    credited = _by_rate(_before(note))
    left = (
        part.amount - credited.get(rate, Part()).amount for rate, part in _by_rate([invoice.document]).items()
    )
    invoice.credited = not any(left)


def credit_notes_of(invoice: Invoice) -> list[Document]:
    """Return the posted credit notes of an invoice, in their order."""
    query = select(Document).join(Invoice, Invoice.document_id == Document.id)
    return list(
        db.session.scalars(
            query.where(
                Invoice.reversed_id == invoice.document_id, Invoice.state == InvoiceState.POSTED
            ).order_by(Document.id)
        )
    )


def _before(note: Invoice) -> list[Document]:
    """Return the credit notes that have been posted of the invoice of another one."""
    posted = select(Invoice).where(
        Invoice.reversed_id == note.reversed_id, Invoice.state == InvoiceState.POSTED
    )
    return [row.document for row in db.session.scalars(posted)]


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


def _by_rate(documents: Iterable[Document]) -> dict[Decimal | None, Part]:
    """Return what documents come to at each rate; None is the rate of lines to which no tax applies."""
    found: dict[Decimal | None, Part] = {}
    for document in documents:
        lines = lines_of(document.id)
        parts = {tax.rate: Part(tax.base, tax.amount) for tax in totals_of(document, lines).taxes}
        untaxed = sum((line.subtotal for line in lines if line.tax_rate is None), Decimal(0))
        for rate, part in (*parts.items(), (None, Part(untaxed))):
            found[rate] = found.get(rate, Part()) + part
    return found
