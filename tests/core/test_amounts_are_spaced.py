"""Between the letters of a currency and the digits of an amount stands a space, whichever comes first."""

from __future__ import annotations

from decimal import Decimal

import pytest
from flask_babel import force_locale

from core.web.formats import money, price


@pytest.mark.parametrize(
    ("locale", "currency", "shown"),
    [
        ("en", "CHF", "CHF 1,234.50"),
        ("en", "XOF", "F CFA 1,235"),
        ("en", "EUR", "€1,234.50"),
        ("en", "USD", "$1,234.50"),
        ("en_GB", "USD", "US$1,234.50"),
        ("de_CH", "CHF", "CHF 1’234.50"),
        ("fr", "CHF", "1 234,50 CHF"),
        ("da", "DKK", "1.234,50 kr."),
        ("en", "KWD", "KWD 1,234.500"),
    ],
)
def test_letters_are_apart_from_digits(app, locale, currency, shown):
    with app.test_request_context(), force_locale(locale):
        written = money(Decimal("1234.50"), currency)
        assert " " not in written, "a line never ends inside an amount"
        assert written.replace("\u202f", " ").replace("\u00a0", " ") == shown
        assert money(Decimal("-1234.50"), currency).count("\u00a0") <= written.count("\u00a0")


def test_prices_are_written_likewise(app):
    with app.test_request_context(), force_locale("en"):
        assert price(Decimal("12.3456"), "CHF") == "CHF\u00a012.3456"
