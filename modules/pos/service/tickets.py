"""Ringing up a sale, and taking goods back."""

from __future__ import annotations

import datetime as dt
import logging
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError

from core import clock
from core.auth.models import User
from core.companies.issuer import issuer_now, to_text
from core.companies.service import next_number
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import create_document, touch
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address, parse_addresses
from core.partners.models import Partner
from core.partners.service import contacts_of, customer_of
from core.products.models import Product
from core.signals import document_mail_wanted
from core.totals import (
    HUNDRED,
    AmountTooLargeError,
    TaxedAmount,
    Totals,
    compute_gross,
    line_subtotal,
    round_money,
)
from modules.pos.models import Payment, PaymentMethod, Register, Session, Ticket, TicketLine, TillSettings
from modules.pos.service.registers import (
    SessionOpenError,
    last_count,
    open_session,
    open_session_of,
    paper_of,
    settings_of,
)
from modules.pos.states import TICKET, PaymentKind, ReceiptFormat

logger = logging.getLogger(__name__)

MAX_LINES = 500  # of a ticket; the PDF of more would be longer than paper
LONGEST_AGE = dt.timedelta(days=60)
"""A sale is no older when the server learns of it; a clock that says more is wrong."""


@dataclass(frozen=True, slots=True)
class SaleLine:
    """A line as it was rung up.

    Attributes:
        description: What the receipt says.
        quantity: Negative where goods are taken back.
        unit_price: With tax.
        discount: In percent.
        tax_name: As printed.
        tax_rate: In percent, or None where no tax applies.
        product_id: The product, which may be gone by now, or None.
        refunds_id: The line of another ticket that it takes back, or None.
    """

    description: str
    quantity: Decimal
    unit_price: Decimal
    discount: Decimal = Decimal(0)
    tax_name: str = ""
    tax_rate: Decimal | None = None
    product_id: int | None = None
    refunds_id: int | None = None


@dataclass(frozen=True, slots=True)
class SalePayment:
    """A payment by one method; negative in a refund.

    Attributes:
        kind: Cash, card or other.
        name: What the method is called.
        amount: In the currency of the company.
        method_id: The method, which may be gone by now, or None.
    """

    kind: PaymentKind
    name: str
    amount: Decimal
    method_id: int | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale as a till posts it.

    Attributes:
        client_id: Made by the till; the same sale posted again leads to the same ticket.
        lines: In their order.
        payments: What was handed over.
        session_id: The session in which it was rung up, or None for the open one.
        age: How long ago, by the till's own clock.
        partner_id: The customer, or None for a walk-in.
        receipt_format: The paper, or None for that of the register or its company.
        refund_of_id: The ticket whose goods it takes back, or None.
        address: Where a walk-in wants the receipt, or None.
        address_wrong: True when what was typed there is no address.
        mail: True to send the receipt to the customer as the settings say.
    """

    client_id: str
    lines: Sequence[SaleLine]
    payments: Sequence[SalePayment]
    session_id: int | None = None
    age: dt.timedelta = dt.timedelta()
    partner_id: int | None = None
    receipt_format: ReceiptFormat | None = None
    refund_of_id: int | None = None
    address: Address | None = None
    address_wrong: bool = False
    mail: bool = False


@dataclass(slots=True)
class _Counted:
    """A sale, computed."""

    lines: list[TicketLine] = field(default_factory=list)
    total: Decimal = Decimal(0)
    change: Decimal = Decimal(0)


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
        twin = _posted(sale.client_id)
        if twin is not None:
            return twin
        try:
            with session.begin_nested():
                ticket = _write(register, sale, cashier)
        except IntegrityError:
            # Two tabs at the same moment: the other was faster.
            twin = _posted(sale.client_id)
            if twin is None:
                raise
            return twin
        if sale.address is not None or sale.address_wrong or sale.mail:
            _mail(ticket, sale, signed_in or cashier)
    return ticket


def _posted(client_id: str) -> Ticket | None:
    return db.session.scalar(select(Ticket).where(Ticket.client_id == client_id))


def _write(register: Register, sale: Sale, cashier: User | None) -> Ticket:
    """Write the ticket of a sale with its number, lines and payments; raises `UserError`."""
    with transaction() as session:
        company = register.company
        partner = session.get(Partner, sale.partner_id) if sale.partner_id is not None else None
        original = _original(register, sale)
        amounts_back = amounts_for(original, _quantities_back(sale)) if original is not None else {}
        # Everything that can refuse the sale comes before the number: a rollback gives it back, but holds others
        # up.
        counted = _count(sale, company.currency, amounts_back)
        now = clock.now()
        session_row = _session_for(register, sale, cashier)
        rung_at = now - min(max(sale.age, dt.timedelta()), LONGEST_AGE)
        if session_row.id == sale.session_id:
            rung_at = max(rung_at, session_row.opened_at)  # it was open then, whatever the till's clock says
        # The date on a receipt is that of the shop: at 00:30 in Paris UTC still has yesterday.
        zone = zoneinfo.ZoneInfo(cashier.timezone) if cashier is not None else dt.UTC
        sequence = next_number(company.id, f"pos.ticket/{register.id}")
        document = create_document(
            TICKET,
            company_id=company.id,
            partner_id=partner.id if partner is not None else None,
            owner=cashier,
            language=partner.language if partner is not None else company.language,
            currency=company.currency,
            date=rung_at.astimezone(zone).date(),
            number=f"{register.code}-{sequence:06d}",
        )
        document.total = counted.total
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
        )
        session.add(ticket)
        session.flush()
        # Gone since the till last loaded its products; the line keeps the name, the report loses the link.
        products = _those_there(Product, [line.product_id for line in counted.lines])
        for line in counted.lines:
            line.document_id = document.id
            if line.product_id not in products:
                line.product_id = None
        methods = _those_there(PaymentMethod, [payment.method_id for payment in sale.payments])
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
    return ticket


def _those_there(model: type[Product | PaymentMethod], ids: Sequence[int | None]) -> set[int]:
    wanted = {number for number in ids if number is not None}
    return set(db.session.scalars(select(model.id).where(model.id.in_(wanted)))) if wanted else set()


def _session_for(register: Register, sale: Sale, cashier: User | None) -> Session:
    """Return the session that a sale belongs to; a closed one takes nothing any more."""
    present = open_session_of(register.id, for_sale=True)
    if present is not None:
        return present
    if sale.session_id is None:
        raise UserError(_l("This register is not open. Open it first."))
    try:
        return open_session(register, last_count(register.id) or Decimal(0), cashier, rescue=True)
    except SessionOpenError:
        # Somebody has opened it in this moment.
        present = open_session_of(register.id, for_sale=True)
        if present is None:
            raise
        return present


def _count(sale: Sale, currency: str, amounts_back: Mapping[int, Decimal]) -> _Counted:
    """Compute lines, total and change of a sale; raises `UserError` for what makes no sense."""
    if not sale.lines:
        raise UserError(_l("There is nothing on this ticket."))
    if len(sale.lines) > MAX_LINES:
        raise UserError(_l("A ticket has at most %(count)s lines.", count=MAX_LINES))
    counted = _Counted()
    amounts = []
    try:
        for position, line in enumerate(sale.lines, 1):
            if not _makes_sense(line):
                raise UserError(_l("Line %(number)d makes no sense.", number=position))
            total = (
                line_subtotal(line.quantity, line.unit_price, line.discount, currency)
                if line.refunds_id is None
                else -amounts_back[line.refunds_id]
            )
            amounts.append(TaxedAmount(total, line.tax_rate, line.tax_name))
            counted.lines.append(
                TicketLine(
                    position=position,
                    product_id=line.product_id,
                    description=line.description.strip()[:200],
                    quantity=line.quantity,
                    unit_price=line.unit_price,
                    discount=line.discount,
                    tax_name=line.tax_name[:60],
                    tax_rate=line.tax_rate,
                    total=total,
                    refunds_id=line.refunds_id,
                )
            )
        counted.total = compute_gross(amounts, currency).total
        if counted.total < 0 and sale.refund_of_id is None:
            raise UserError(_l("Goods are taken back from the ticket on which they were sold."))
    except AmountTooLargeError as error:
        raise UserError(_l("The total is too large.")) from error
    counted.change = _change(sale, counted.total, currency)
    return counted


def _makes_sense(line: SaleLine) -> bool:
    return bool(
        line.quantity
        and 0 <= line.discount <= HUNDRED
        and (line.tax_rate is None or 0 <= line.tax_rate <= HUNDRED)
        and line.description.strip()
    )


def _change(sale: Sale, total: Decimal, currency: str) -> Decimal:
    """Return what is given back in cash.

    Raises:
        UserError: Too little was paid, or more than there is cash to give back from.
    """
    if any(payment.amount != round_money(payment.amount, currency) for payment in sale.payments):
        raise UserError(_l("A payment has more decimals than the currency."))
    if any((payment.amount < 0) is not (total < 0) for payment in sale.payments if payment.amount):
        raise UserError(_l("A payment goes in the wrong direction."))
    paid = sum((payment.amount for payment in sale.payments), Decimal(0))
    if total < 0:
        # To the cent: there is no change from a refund.
        if paid != total:
            raise UserError(_l("What is paid back is not what was taken back."))
        return Decimal(0)
    if paid < total:
        raise UserError(_l("The payment is below the total."))
    cash = sum((p.amount for p in sale.payments if p.kind is PaymentKind.CASH), Decimal(0))
    # Vouchers and cards give no change, so it must come out of what was paid in cash.
    change = paid - total
    if change > cash:
        raise UserError(_l("Change is given in cash only: more was paid by card than is owed."))
    return change


def totals_of(ticket: Ticket) -> Totals:
    """Return what a ticket comes to, and the tax that is in it."""
    lines = (TaxedAmount(line.total, line.tax_rate, line.tax_name) for line in ticket.lines)
    return compute_gross(lines, ticket.document.currency)


# ---------------------------------------------------------------------------------------------------- refunds


def _original(register: Register, sale: Sale) -> Ticket | None:
    """Return the ticket whose goods a sale takes back, once it is sure that it may.

    Raises:
        UserError: It takes back what was not sold there, more than was sold, or at another price.
    """
    back = {line.refunds_id: line for line in sale.lines if line.refunds_id is not None}
    if sale.refund_of_id is None:
        if back or any(line.quantity < 0 for line in sale.lines):
            raise UserError(_l("Goods are taken back from the ticket on which they were sold."))
        return None
    with transaction() as session:
        # Locked: two tills that refund the same goods at once would give the money twice.
        ticket = session.get(Ticket, sale.refund_of_id, with_for_update={"of": Ticket})
        if ticket is None or ticket.document.company_id != register.company_id or ticket.is_refund:
            raise UserError(_l("This ticket cannot be refunded."))
        left = refundable(ticket)
        if len(back) != len(sale.lines) or not sale.lines:
            raise UserError(_l("A refund takes goods of its ticket back, and nothing else."))
        sold = {line.id: line for line in ticket.lines}
        for number, line in back.items():
            if number not in sold or -line.quantity > left[number] or line.quantity >= 0:
                raise UserError(_l("More would be taken back than was sold."))
            # The till sends the price; a page that is out of date, or changed by hand, must not set it.
            if (line.unit_price, line.discount) != (sold[number].unit_price, sold[number].discount):
                raise UserError(_l("Goods are taken back at the price at which they were sold."))
    return ticket


def _quantities_back(sale: Sale) -> dict[int, Decimal]:
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
        raise UserError(_l("Say how much of what is taken back."))
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
        raise UserError(_l("This form was used for another ticket. Open it again."))
    return made


def change_format(ticket: Ticket, receipt_format: ReceiptFormat) -> None:
    """Print a ticket on other paper from now on."""
    with transaction():
        if ticket.receipt_format is not receipt_format:
            touch(ticket.document)
            ticket.receipt_format = receipt_format


# ------------------------------------------------------------------------------------------------ the receipt


@dataclass(frozen=True, slots=True)
class Usual:
    """The addresses that get a customer's receipts by the settings of a company; no address twice.

    Attributes:
        people: The customer and its main contact.
        copies: The fixed addresses, which get a mail of their own: neither learns of the other.
    """

    people: tuple[Address, ...]
    copies: tuple[Address, ...]


def usual_addresses(company_id: int, partner: Partner | None) -> Usual:
    """Return where the receipts of a customer go; those of a walk-in go to the fixed addresses only."""
    settings = settings_of(company_id)
    if partner is None:
        return _usual(settings, None, None)
    customer = customer_of(partner)
    main = next((contact for contact in contacts_of(customer) if contact.is_main), None)
    return _usual(settings, partner, main)


def usual_of_all(company_id: int, customers: Sequence[Partner]) -> dict[int, Usual]:
    """Return the same for many customers, by their ids, with one query."""
    settings = settings_of(company_id)
    mains = {
        contact.parent_id: contact
        for contact in db.session.scalars(select(Partner).where(Partner.is_main, Partner.active))
    }
    return {row.id: _usual(settings, row, mains.get(row.id)) for row in customers}


def _usual(settings: TillSettings, partner: Partner | None, main: Partner | None) -> Usual:
    wanted = [partner if settings.to_customer else None, main if settings.to_main_contact else None]
    people: dict[str, Address] = {}
    for person in wanted:
        for address in parse_addresses(person.email)[0] if person is not None and person.email else []:
            people.setdefault(address.key, Address(address.addr_spec, person.name if person else ""))
    fixed = parse_addresses(settings.fixed_addresses)[0] if settings.fixed_addresses else []
    copies = {address.key: address for address in fixed if address.key not in people}
    return Usual(tuple(people.values()), tuple(copies.values()))


def _mail(ticket: Ticket, sale: Sale, by: User | None) -> None:
    """Ask for the mails with the receipt; a reason why there is none must not cost the sale."""
    document, keep_days = ticket.document, settings_of(ticket.document.company_id).keep_days
    private = document.partner_id is None
    usual = usual_addresses(document.company_id, document.partner)
    problems = [_l("What was typed at the till is no email address.")] if sale.address_wrong else []
    addresses = list(usual.people) if sale.mail and not private else []
    if sale.address is not None and sale.address.key not in {address.key for address in addresses}:
        addresses.insert(0, sale.address)
    written_to = {address.key for address in addresses}
    is_wanted = bool(addresses) or (sale.mail and not private)
    copies = [address for address in usual.copies if is_wanted and address.key not in written_to]
    if addresses:
        problems.append(_ask(document, addresses, by, private=private, keep_days=keep_days))
    if copies:
        # Of a walk-in's receipt nothing is kept longer than the walk-in's own.
        problems.append(_ask(document, copies, by, private=False, keep_days=0 if private else keep_days))
    if not addresses and not copies and not problems:
        problems.append(_l("There was no address to send the receipt to."))
    ticket.mail_problem = " ".join(dict.fromkeys(str(problem) for problem in problems if problem))[:300]


def _ask(
    document: Document,
    addresses: Sequence[Address],
    by: User | None,
    *,
    private: bool,
    keep_days: int | None,
) -> object:
    """Ask for one mail, and return why there is none, or ""."""
    try:
        with db.session.begin_nested():
            answers = document_mail_wanted.send(
                document, addresses=tuple(addresses), by=by, private=private, keep_days=keep_days
            )
    except UserError as error:
        return error.message
    except (OperationalError, InterfaceError):
        raise  # the database itself: the till posts the sale again
    except Exception:
        # A fault in whatever sends mails must not keep the sale from being written, now and each time it is posted.
        logger.exception("The receipt of ticket %s could not be asked for.", document.id)
        return _l("The receipt could not be written. An administrator finds the reason in the log.")
    return (
        ""
        if any(answer is not None for _receiver, answer in answers)
        else _l("No module that sends mails is enabled.")
    )
