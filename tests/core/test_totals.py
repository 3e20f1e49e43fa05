from __future__ import annotations

import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.totals import (
    LARGEST_AMOUNT,
    AmountTooLargeError,
    TaxedAmount,
    compute,
    compute_gross,
    line_subtotal,
    round_money,
)

D = decimal.Decimal


@pytest.mark.parametrize(
    "nothing",
    [
        line_subtotal(D(-3), D("9.99"), D(100), "EUR"),
        line_subtotal(D(-1), D("0.001"), D(0), "EUR"),
        round_money(D("-0.004"), "EUR"),
        round_money(D("-0.4"), "JPY"),
        compute([TaxedAmount(D("-0.01"), D(20))], "EUR").tax,
        compute_gross([TaxedAmount(D("-0.01"), D(20))], "EUR").tax,
    ],
)
def test_what_comes_to_nothing_has_no_sign(nothing: D) -> None:
    assert str(nothing) in {"0.00", "0"}


@pytest.mark.parametrize(
    ("quantity", "price", "discount", "currency", "expected"),
    [
        ("1", "10", "0", "EUR", "10.00"),
        ("3", "0.335", "0", "EUR", "1.01"),  # 1.005 rounds up, not to even
        ("1", "0.125", "0", "EUR", "0.13"),
        ("-1", "0.125", "0", "EUR", "-0.13"),  # away from zero: a credit is what the sale was
        ("7.5", "58.00", "0", "EUR", "435.00"),
        ("6", "189.00", "10", "EUR", "1020.60"),
        ("1", "99.99", "33.33", "EUR", "66.66"),
        ("2", "50", "100", "EUR", "0.00"),
        ("-2", "19.99", "5", "EUR", "-37.98"),
        ("1", "1234.5", "0", "JPY", "1235"),
        ("3", "333.3333", "0", "JPY", "1000"),
        ("1", "1.0005", "0", "KWD", "1.001"),  # three decimals
        ("0", "19.99", "0", "EUR", "0.00"),
        ("0.0001", "0.0001", "0", "EUR", "0.00"),
        ("999999.9999", "999999.9999", "0.01", "EUR", "999899999800.02"),
    ],
)
def test_a_line_is_rounded_half_away_from_zero(
    quantity: str, price: str, discount: str, currency: str, expected: str
) -> None:
    subtotal = line_subtotal(D(quantity), D(price), D(discount), currency)
    assert subtotal == D(expected)
    assert str(subtotal) == expected


TABLE: list[tuple[list[tuple[str, str | None]], str, str, list[tuple[str, str, str]], str]] = [
    # lines as (subtotal, rate), currency, untaxed, taxes as (rate, base, amount), total
    ([], "EUR", "0", [], "0"),
    ([("100", "20")], "EUR", "100", [("20", "100", "20")], "120"),
    # Rounded once for the rate, not per line: three times 0.01 would be 0.03.
    ([("0.03", "20")] * 3, "EUR", "0.09", [("20", "0.09", "0.02")], "0.11"),
    (
        [("1020.60", "20"), ("498.00", "20"), ("144.78", "20"), ("435.00", "10"), ("73.92", "5.5")],
        "EUR",
        "2172.30",
        [("20", "1663.38", "332.68"), ("10", "435", "43.50"), ("5.5", "73.92", "4.07")],
        "2552.55",
    ),
    # Goods taken back lower the base of their rate.
    (
        [("100", "20"), ("-40", "20"), ("-5", "10")],
        "EUR",
        "55",
        [("20", "60", "12"), ("10", "-5", "-0.5")],
        "66.50",
    ),
    ([("-12.50", "20")], "EUR", "-12.50", [("20", "-12.50", "-2.50")], "-15"),
    # A rate of zero is listed with its base; no tax at all is not.
    ([("10", "0"), ("5", None)], "EUR", "15", [("0", "10", "0")], "15"),
    ([("1235", "10"), ("99", "8")], "JPY", "1334", [("10", "1235", "124"), ("8", "99", "8")], "1466"),
    ([("0.5", "5")], "EUR", "0.5", [("5", "0.5", "0.03")], "0.53"),  # 0.025
]


@pytest.mark.parametrize(("lines", "currency", "untaxed", "taxes", "total"), TABLE)
def test_tax_is_rounded_once_for_each_rate(
    lines: list[tuple[str, str | None]],
    currency: str,
    untaxed: str,
    taxes: list[tuple[str, str, str]],
    total: str,
) -> None:
    totals = compute([TaxedAmount(D(s), D(r) if r is not None else None) for s, r in lines], currency)
    assert totals.untaxed == D(untaxed)
    assert [(t.rate, t.base, t.amount) for t in totals.taxes] == [(D(r), D(b), D(a)) for r, b, a in taxes]
    assert totals.total == D(total)


def test_taxes_of_one_rate_are_one_line_with_all_their_names() -> None:
    totals = compute([TaxedAmount(D(10), D(0), "Export"), TaxedAmount(D(5), D(0), "Exempt")], "EUR")
    assert [(tax.name, tax.base) for tax in totals.taxes] == [("Export, Exempt", D(15))]


def test_an_amount_that_no_column_holds_is_refused() -> None:
    with pytest.raises(AmountTooLargeError):
        line_subtotal(D(10) ** 7, D(10) ** 7, D(0), "EUR")
    half = LARGEST_AMOUNT / 2
    with pytest.raises(AmountTooLargeError):
        compute([TaxedAmount(half, D(0)), TaxedAmount(half, D(0))], "EUR")


_amounts = st.decimals(min_value=-100_000, max_value=100_000, places=2)
_rates = st.sampled_from([None, D(0), D("2.1"), D("5.5"), D(10), D(20)])


@given(st.lists(st.builds(TaxedAmount, _amounts, _rates), max_size=60))
def test_printed_figures_add_up(lines: list[TaxedAmount]) -> None:
    totals = compute(lines, "EUR")
    assert totals.untaxed == sum((line.subtotal for line in lines), D(0))
    assert totals.total == totals.untaxed + totals.tax
    assert (
        sum((t.base for t in totals.taxes), D(0))
        + sum((line.subtotal for line in lines if line.tax_rate is None), D(0))
        == totals.untaxed
    )


@given(st.lists(st.builds(TaxedAmount, _amounts, _rates), max_size=60))
def test_a_credit_note_is_to_the_cent_what_its_invoice_was(lines: list[TaxedAmount]) -> None:
    opposite = [TaxedAmount(-line.subtotal, line.tax_rate) for line in lines]
    assert compute(opposite, "EUR").total == -compute(lines, "EUR").total


@given(_amounts)
def test_rounding_is_stable(amount: D) -> None:
    assert round_money(round_money(amount, "EUR"), "EUR") == amount
