"""Ringing up a sale, and taking goods back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core import clock
from core.auth.models import User
from core.companies.issuer import issuer_now, to_text
from core.companies.service import next_number
from core.db import db, transaction
from core.documents.service import create_document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner
from core.partners.reach import partner_for
from core.products.models import Product
from core.products.service import line_words, of_company
from core.signals import document_issued
from modules.pos.models import Payment, PaymentMethod, Register, Session, Ticket
from modules.pos.service.receipts import mail_receipt
from modules.pos.service.registers import (
    SessionOpenError,
    last_count,
    open_session,
    open_session_of,
    paper_of,
    settings_of,
    used_by,
)
from modules.pos.service.returns import amounts_for, original_of, quantities_back
from modules.pos.service.sale import Sale, SaleLine, SalePayment, count_sale
from modules.pos.service.ticket_totals import taxes_of_refund
from modules.pos.states import TICKET, ReceiptFormat


def ring_up(register: Register, sale: Sale, cashier: User | None, *, signed_in: User | None = None) -> Ticket:
    """Write the ticket of a sale, and the mail with its receipt where one is wanted; once, however often it is posted.

    A sale that was made is never refused for what has changed since: a product that is gone stays in the line by its
    name, and where the session was closed meanwhile the ticket goes into the one that is open now, or into one that
    is opened for it.

    Args:
        register: Where it was rung up.
        sale: What the till says.
        cashier: Who sold.
        signed_in: Whose sign-in the till had, None for the cashier's. The mails are theirs: whoever takes over by a
            PIN stands at this browser, and it is there that a refused receipt is read and sent again.

    Raises:
        UserError: The sale makes no sense: no lines, too little was paid, more was taken back than sold.
    """
    with transaction() as session:
        twin = _posted(sale.client_id, register)
        if twin is not None:
            return twin
        try:
            with session.begin_nested():
                ticket = _write(register, sale, cashier, signed_in or cashier)
        except IntegrityError:
            # Two tabs at the same moment: the other was faster.
            twin = _posted(sale.client_id, register)
            if twin is None:
                raise
            return twin
        if sale.address is not None or sale.address_wrong or sale.mail:
            mail_receipt(ticket, sale, signed_in or cashier)
    return ticket


def _posted(client_id: str, register: Register) -> Ticket | None:
    """Return the ticket that a sale has become, or None.

    Raises:
        UserError: It is another company's: a till never makes such a name twice, and nothing is told of it.
    """
    ticket = db.session.scalar(select(Ticket).where(Ticket.client_id == client_id))
    if ticket is not None and ticket.document.company_id != register.company_id:
        raise UserError(_l("This sale was recorded elsewhere. Reload the till and ring it up again."))
    return ticket


def _customer(sale: Sale, original: Ticket | None, company_id: int, seller: User | None) -> Partner | None:
    """Return the customer of a sale; None for a walk-in, and for one who is gone, or not the seller's to know."""
    if sale.partner_id is None:
        return None
    if original is not None and original.document.partner_id == sale.partner_id:
        return original.document.partner
    return partner_for(seller, sale.partner_id, company_id=company_id)


def _write(register: Register, sale: Sale, cashier: User | None, seller: User | None) -> Ticket:
    """Write the ticket of a sale with its number, lines and payments; raises `UserError`."""
    with transaction() as session:
        company = register.company
        original = original_of(register, sale)
        partner = _customer(sale, original, company.id, seller)
        session_row = _session_for(register, sale, cashier)
        currency = session_row.currency
        if original is not None and original.document.currency != currency:
            raise UserError(
                _l(
                    "This receipt was paid in %(former)s, and the till counts in %(currency)s: it cannot be "
                    "refunded here.",
                    former=original.document.currency,
                    currency=currency,
                )
            )
        amounts_back = amounts_for(original, quantities_back(sale)) if original is not None else {}
        # Everything that can refuse the sale comes before the number: a rollback gives it back, but holds others
        # up.
        counted = count_sale(sale, currency, amounts_back)
        now = clock.now()
        rung_at = sale.sold_at(now)
        if session_row.id == sale.session_id:
            rung_at = max(rung_at, session_row.opened_at)  # it was open then, whatever the till's clock says
        # The date on a receipt is that of the shop: at 00:30 in Paris UTC still has yesterday.
        sequence = next_number(company.id, f"pos.ticket/{register.id}")
        document = create_document(
            TICKET,
            company_id=company.id,
            partner_id=partner.id if partner is not None else None,
            owner=cashier,
            language=partner.language if partner is not None else company.language,
            currency=currency,
            date=company.day_of(rung_at),
            number=f"{register.code}-{sequence:06d}",
        )
        document.total = counted.total
        # Gone since the till last loaded its products; the line keeps the name, the report loses the link.
        wanted = {line.product_id for line in counted.lines} - {None}
        theirs = select(Product).where(Product.id.in_(wanted), of_company(Product, company.id))
        products = {row.id: row for row in session.scalars(theirs)}
        sold = {row.id: row for row in (original.lines if original is not None else [])}
        for line in counted.lines:
            line.document_id = document.id
            product = products.get(line.product_id) if line.product_id is not None else None
            if product is None:
                line.product_id = None
            tax = product.tax if product is not None else None
            # A till may still have the tax that the product had this morning.
            same_tax = tax if tax is not None and tax.name == line.tax_name else None
            line.translations = (
                sold[line.refunds_id].translations
                if line.refunds_id in sold
                else line_words(product, same_tax, line.description, "").translations
            )
        methods = _those_there([payment.method_id for payment in sale.payments], company.id)
        session.add_all(counted.lines)
        session.add_all(
            Payment(
                document_id=document.id,
                position=position,
                method_id=payment.method_id if payment.method_id in methods else None,
                name=payment.name.strip()[:60],
                kind=payment.kind,
                amount=payment.amount,
            )
            for position, payment in enumerate(sale.payments, 1)
        )
        session.flush()
        # Last: once there is a ticket, the database lets nobody add to it or change it.
        ticket = Ticket(
            document=document,
            register=register,
            session=session_row,
            sequence=sequence,
            client_id=sale.client_id,
            rung_at=rung_at,
            posted_at=now,
            receipt_format=sale.receipt_format or paper_of(register),
            refund_of_id=original.document_id if original is not None else None,
            change=counted.change,
            issuer=to_text(issuer_now(company)),
            footer=settings_of(company.id).footer,
            customer_name=partner.name if partner is not None else "",
            cashier_name=cashier.name if cashier is not None else "",
            timezone=company.timezone,
            part_taxes=taxes_of_refund(original, counted.lines) if original is not None else {},
        )
        session.add(ticket)
        session.flush()
        document_issued.send(document, by=cashier)
    return ticket


def _those_there(ids: Sequence[int | None], company_id: int) -> set[int]:
    """Return the ids of the payment methods among these that a company has."""
    wanted = {number for number in ids if number is not None}
    found = select(PaymentMethod.id).where(PaymentMethod.id.in_(wanted), used_by(company_id))
    return set(db.session.scalars(found)) if wanted else set()


def _session_for(register: Register, sale: Sale, cashier: User | None) -> Session:
    """Return the session that a sale belongs to; a closed one takes nothing any more.

    Raises:
        UserError: There is none, or the sale was made in a former currency of the company.
    """
    present = open_session_of(register.id, for_sale=True)
    if present is None and sale.session_id is None:
        raise UserError(_l("This till is not open. Open it first."))
    _check_currency(register, sale, present)
    if present is not None:
        return present
    try:
        return open_session(register, last_count(register.id) or Decimal(0), cashier, rescue=True)
    except SessionOpenError:
        # Somebody has opened it in this moment.
        present = open_session_of(register.id, for_sale=True)
        if present is None:
            raise
        return present


def _check_currency(register: Register, sale: Sale, present: Session | None) -> None:
    made_in = db.session.scalar(
        select(Session.currency).where(Session.id == sale.session_id, Session.register_id == register.id)
    )
    counted_in = present.currency if present is not None else register.company.currency
    if made_in is not None and made_in != counted_in:
        raise UserError(
            _l(
                "This sale was made in %(former)s, and the till counts in %(currency)s by now. Write it down, and "
                "tell an administrator.",
                former=made_in,
                currency=counted_in,
            )
        )


def refund(
    ticket: Ticket,
    quantities: Mapping[int, Decimal],
    register: Register,
    method: PaymentMethod,
    cashier: User | None,
    client_id: str,
) -> Ticket:
    """Take goods of a ticket back, and pay for them by one method.

    Args:
        ticket: On which they were sold.
        quantities: How much of each line, by its id; those that are 0 are left.
        register: Where they are taken back; it must be open.
        method: How the money goes back.
        cashier: Who takes them back.
        client_id: Names the form, so that pressing twice refunds once.

    Raises:
        UserError: Nothing is taken back, or more than was sold; or the register is not open.
    """
    lines = [
        SaleLine(
            line.description,
            -quantities[line.id],
            line.unit_price,
            line.discount,
            line.tax_name,
            line.tax_rate,
            line.product_id,
            line.id,
        )
        for line in ticket.lines
        if quantities.get(line.id)
    ]
    if not lines:
        raise UserError(_l("Enter the quantity returned for at least one line."))
    total = -sum(amounts_for(ticket, quantities).values(), Decimal(0))
    sale = Sale(
        client_id=client_id,
        lines=lines,
        payments=[SalePayment(method.kind, method.name, total, method.id)] if total else [],
        partner_id=ticket.document.partner_id,
        receipt_format=ticket.receipt_format,
        refund_of_id=ticket.document_id,
    )
    made = ring_up(register, sale, cashier)
    if made.refund_of_id != ticket.document_id:
        raise UserError(_l("This form was used for another receipt. Open it again."))
    return made


def change_format(ticket: Ticket, receipt_format: ReceiptFormat) -> None:
    """Print a ticket on other paper from now on."""
    with transaction():
        if ticket.receipt_format is not receipt_format:
            ticket.receipt_format = receipt_format
