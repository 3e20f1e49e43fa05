"""Numbers as people type them; that the till reads them alike is tried in a browser (tests/journeys/test_till.py)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from flask import Flask
from flask_babel import force_locale
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict

from core.numbers import read_decimal
from core.web.forms import MoneyField, WholeNumberField
from tests.typed_numbers import CASES


@pytest.mark.parametrize(("locale", "text", "number"), CASES)
def test_a_typed_number_is_read_by_the_language_or_refused(app: Flask, locale, text, number) -> None:
    with app.test_request_context(), force_locale(locale):
        if number is None:
            with pytest.raises(ValueError, match=r"number|decimals|nombre|décimales"):
                read_decimal(text)
        else:
            found = read_decimal(text)
            assert (found, found.is_signed()) == (Decimal(number), number.startswith("-"))


def test_a_refusal_says_how_numbers_are_written_here(app: Flask) -> None:
    for locale, example in (("en_GB", "-1,234.5"), ("fr_FR", "-1\u202f234,5"), ("de_CH", "-1’234.5")):
        with app.test_request_context(), force_locale(locale):
            with pytest.raises(ValueError, match=f": {example}$"):
                read_decimal("1e5")
            assert read_decimal(example) == Decimal("-1234.5")


class Counted(FlaskForm):  # type: ignore[misc]
    cash = MoneyField()
    number = WholeNumberField()


@pytest.mark.parametrize(
    ("currency", "text", "amount"),
    [
        ("JPY", "100.5", None),
        ("JPY", "1,000", 1000),
        ("KWD", "1.234", Decimal("1.234")),
        ("EUR", "1.234", None),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(app: Flask, currency, text, amount) -> None:
    with app.test_request_context(method="POST"):
        form = Counted(MultiDict({"cash": text}), meta={"csrf": False, "currency": currency})
        assert (form.validate(), form.cash.data if form.validate() else None) == (amount is not None, amount)


@pytest.mark.parametrize(
    ("text", "number"), [("10 000", 10000), ("1_000", None), ("1.5", None), ("1e3", None), ("", None)]
)
def test_a_whole_number_is_read_like_any_other(app: Flask, text, number) -> None:
    with app.test_request_context(method="POST"):
        form = Counted(MultiDict({"number": text}), meta={"csrf": False, "currency": "EUR"})
        assert (form.validate(), form.number.data) == (number is not None or not text, number)
