from __future__ import annotations

from decimal import Decimal

import pytest
from flask import Flask

from core.web.formats import money, price


@pytest.mark.parametrize(
    ("amount", "shown"), [("0.125", "€0.13"), ("0.135", "€0.14"), ("-0.125", "-€0.13"), ("0.1249", "€0.12")]
)
def test_amounts_are_shown_as_they_are_rounded(app: Flask, amount: str, shown: str) -> None:
    assert money(Decimal(amount), "EUR") == shown


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("0.0049", "EUR", "€0.0049"),
        ("50.0000", "EUR", "€50.00"),
        ("1234.5000", "EUR", "€1,234.50"),
        ("0.5", "JPY", "¥0.5"),
    ],
)
def test_prices_are_shown_with_the_decimals_they_have(
    app: Flask, amount: str, currency: str, shown: str
) -> None:
    assert price(Decimal(amount), currency) == shown
