"""The arithmetic of documents that sell, in one place and without I/O.

A line's subtotal is quantity × unit price × (1 − discount / 100), rounded to the decimals of the currency.
Tax is computed for each rate on the sum of the rounded subtotals of that rate, and rounded once for each
rate, as EN 16931 asks of European invoices (BR-CO-10, BR-CO-14, BR-CO-17). Totals are sums of those, so
that a reader who adds up the printed figures finds the printed total.

At a till prices include tax (`gross_price`, `compute_gross`): a line is quantity × price with tax × (1 − discount /
100), rounded; the total is the sum of the lines, what the customer pays; the tax that is in it is computed for each
rate on the sum of the lines of that rate, and rounded once.

Rounding is half away from zero (commercial rounding): a credit note is to the cent what its invoice was. What takes
back a part takes the share of the tax up to and with it, less the tax of the parts before (`tax_of_part`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext

from babel.numbers import get_currency_precision

HUNDRED = Decimal(100)
LARGEST_AMOUNT = Decimal(10) ** 12
"""Beyond this nobody sells, and the column that holds the amount would overflow."""

# Factors of 15 digits each must be multiplied exactly before anything is rounded.
_DIGITS = 60


class AmountTooLargeError(ValueError):
    """An amount is beyond `LARGEST_AMOUNT`."""


@dataclass(frozen=True, slots=True)
class TaxedAmount:
    """The subtotal of a line with its tax.

    Attributes:
        subtotal: Rounded; without tax for `compute`, with tax for `compute_gross`.
        tax_rate: In percent, or None where no tax applies.
        tax_name: As printed beside the amount of the tax.
    """

    subtotal: Decimal
    tax_rate: Decimal | None
    tax_name: str = ""


@dataclass(frozen=True, slots=True)
class TaxTotal:
    """The sum and the tax of one tax rate in a document.

    Attributes:
        rate: In percent.
        name: Names of the taxes of this rate.
        base: Sum of the subtotals it applies to.
        amount: The tax, rounded.
    """

    rate: Decimal
    name: str
    base: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Part:
    """What was taxed at one rate, and its tax.

    Attributes:
        amount: Without tax in a document, with tax at a till.
        tax: The tax on it, or in it.
    """

    amount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)

    def __add__(self, other: Part) -> Part:
        return Part(self.amount + other.amount, self.tax + other.tax)


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of a document: without tax, taxes by rate, with tax.

    Attributes:
        untaxed: Sum of the subtotals.
        taxes: One entry for each rate, the highest first.
        total: With tax.
    """

    untaxed: Decimal
    taxes: tuple[TaxTotal, ...]
    total: Decimal

    @property
    def tax(self) -> Decimal:
        """The sum of the taxes."""
        return sum((tax.amount for tax in self.taxes), Decimal(0))


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Return the amount rounded half away from zero to the decimals of the currency (ISO 4217)."""
    with localcontext(prec=_DIGITS):
        # Not half to even, as Python would: tax offices and customers round 0.5 up. Plus zero, since a negative amount
        # that comes to nothing is written "-0,00" else.
        return amount.quantize(Decimal(1).scaleb(-get_currency_precision(currency)), ROUND_HALF_UP) + 0


def line_subtotal(quantity: Decimal, unit_price: Decimal, discount: Decimal, currency: str) -> Decimal:
    """Return the rounded amount of a line, without tax.

    Args:
        quantity: May be negative, for goods that are taken back.
        unit_price: Without tax.
        discount: In percent.
        currency: ISO 4217.

    Raises:
        AmountTooLargeError: It is beyond `LARGEST_AMOUNT`.
    """
    with localcontext(prec=_DIGITS):
        amount = quantity * unit_price * (HUNDRED - discount) / HUNDRED
    if abs(amount) >= LARGEST_AMOUNT:
        raise AmountTooLargeError
    return round_money(amount, currency)


def _by_rate(lines: Iterable[TaxedAmount]) -> tuple[Decimal, list[tuple[Decimal, str, Decimal]]]:
    """Return the sum of all subtotals, and for each rate, the highest first, its names and the sum of its own."""
    total = Decimal(0)
    sums: dict[Decimal, Decimal] = {}
    names: dict[Decimal, dict[str, None]] = {}
    for line in lines:
        total += line.subtotal
        if line.tax_rate is not None:
            sums[line.tax_rate] = sums.get(line.tax_rate, Decimal(0)) + line.subtotal
            # Two taxes of one rate are one line of the totals, with both names.
            names.setdefault(line.tax_rate, {})[line.tax_name] = None
    rates = sorted(sums.items(), reverse=True)
    return total, [(rate, ", ".join(filter(None, names[rate])), amount) for rate, amount in rates]


def tax_of_part(amount: Decimal, whole: Part, before: Part, currency: str) -> Decimal:
    """Return the tax of a part of something that was taxed at one rate.

    Each part rounded by itself, three parts of 0.12 at 20 % take back 0.42 of 0.43, and the last of others too much.

    Args:
        amount: Of the part; like that of the whole, with or without tax.
        whole: What is taken back by and by.
        before: What was taken back of it before.
        currency: ISO 4217.
    """
    if not whole.amount:
        return Decimal(0)
    with localcontext(prec=_DIGITS):
        share = round_money((before.amount + amount) * whole.tax / whole.amount, currency)
    tax = share - before.tax
    # Parts that were rounded by themselves may have taken more than their share; nobody is charged for that.
    return tax if tax * amount * whole.tax * whole.amount > 0 else Decimal(0)


def compute(
    lines: Iterable[TaxedAmount], currency: str, decided: Mapping[Decimal, Decimal] | None = None
) -> Totals:
    """Return the totals of lines in a currency (ISO 4217).

    Args:
        lines: What is sold.
        currency: Whose decimals are rounded to.
        decided: The tax at rates at which it is that of a part; see `tax_of_part`.

    Raises:
        AmountTooLargeError: The total is beyond `LARGEST_AMOUNT`.
    """
    untaxed, rates = _by_rate(lines)
    decided = decided or {}
    taxes = tuple(
        TaxTotal(rate, name, base, decided.get(rate, round_money(base * rate / HUNDRED, currency)))
        for rate, name, base in rates
    )
    total = untaxed + sum((tax.amount for tax in taxes), Decimal(0))
    if max(abs(untaxed), abs(total)) >= LARGEST_AMOUNT:
        raise AmountTooLargeError
    return Totals(round_money(untaxed, currency), taxes, round_money(total, currency))


def gross_price(unit_price: Decimal, rate: Decimal | None, currency: str) -> Decimal:
    """Return a price with tax, rounded to the decimals of the currency.

    Args:
        unit_price: Without tax.
        rate: In percent, or None where no tax applies.
        currency: ISO 4217.
    """
    with localcontext(prec=_DIGITS):
        return round_money(unit_price * (HUNDRED + (rate or 0)) / HUNDRED, currency)


def compute_gross(
    lines: Iterable[TaxedAmount], currency: str, decided: Mapping[Decimal, Decimal] | None = None
) -> Totals:
    """Return the totals of lines whose subtotals include tax; the arguments are those of `compute`.

    Raises:
        AmountTooLargeError: The total is beyond `LARGEST_AMOUNT`.
    """
    total, rates = _by_rate(lines)
    if abs(total) >= LARGEST_AMOUNT:
        raise AmountTooLargeError
    decided = decided or {}
    taxes = []
    for rate, name, gross in rates:
        with localcontext(prec=_DIGITS):
            # The base is rounded and the tax is the rest, so that both together are what was paid, to the cent.
            base = (
                gross - decided[rate]
                if rate in decided
                else round_money(gross * HUNDRED / (HUNDRED + rate), currency)
            )
        taxes.append(TaxTotal(rate, name, base, round_money(gross - base, currency)))
    untaxed = total - sum((tax.amount for tax in taxes), Decimal(0))
    return Totals(round_money(untaxed, currency), tuple(taxes), round_money(total, currency))
