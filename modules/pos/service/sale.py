"""A sale as a till posts it, and what it comes to: lines, payments, change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address
from core.totals import (
    HUNDRED,
    AmountTooLargeError,
    TaxedAmount,
    compute_gross,
    line_subtotal,
    round_money,
)
from modules.pos.models import TicketLine
from modules.pos.states import PaymentKind, ReceiptFormat

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

    def sold_at(self, now: dt.datetime) -> dt.datetime:
        """Return when it was made, by the server's clock."""
        return now - min(max(self.age, dt.timedelta()), LONGEST_AGE)


@dataclass(slots=True)
class CountedSale:
    """A sale, computed."""

    lines: list[TicketLine] = field(default_factory=list)
    total: Decimal = Decimal(0)
    change: Decimal = Decimal(0)


def count_sale(sale: Sale, currency: str, amounts_back: Mapping[int, Decimal]) -> CountedSale:
    """Return the lines of a ticket, its total and its change.

    Args:
        sale: What the till says.
        currency: Whose cents are rounded to.
        amounts_back: What is paid back for a line that takes goods back, by the id of the line on which they were sold.

    Raises:
        UserError: The sale makes no sense: no lines, too many, a line that cannot be, or a payment that does not fit.
    """
    if not sale.lines:
        raise UserError(_l("There is nothing on this receipt."))
    if len(sale.lines) > MAX_LINES:
        raise UserError(_l("A receipt has at most %(count)s lines.", count=MAX_LINES))
    counted = CountedSale()
    amounts = []
    try:
        for position, line in enumerate(sale.lines, 1):
            if not _makes_sense(line):
                raise UserError(_l("Line %(number)d: check the quantity and the product.", number=position))
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
            raise UserError(_l("Goods are taken back from the receipt on which they were sold."))
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
        raise UserError(_l("A refund cannot be paid in, nor a sale paid out: check the sign of the amount."))
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
