"""The values in a template: they can be shown by locale, computed with and filtered, nothing else."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, DecimalException, localcontext
from typing import Self

from babel.numbers import format_decimal
from flask_babel import get_locale
from jinja2 import pass_context
from jinja2.runtime import Context, Undefined
from markupsafe import Markup

from core.i18n import format_date, number_locale
from core.i18n import lazy_gettext as _l
from core.web.formats import money as format_money
from core.web.formats import number as format_number

MAX_TEXT = 100_000
"""The longest text that a value may be, or become."""
MAX_WORK = 1_000_000
"""Characters that the filters of one rendering may go through together."""
LARGEST = Decimal(10) ** 15  # beyond any amount; larger results of a formula are errors
DATE_STYLES = ("short", "medium", "long", "full")  # of CLDR, the shortest first
CURRENCY = "(currency)"
"""The name, which no template can write, under which the rendering keeps the currency of the document."""

_DIGITS = 40  # of a computation: a quotient has no end of its own
_MOST_DECIMALS = 6  # that `number` shows
_work: ContextVar[list[int] | None] = ContextVar("template_work", default=None)
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_CODE = re.compile(r"[A-Z]{3}")


class FormulaError(Exception):
    """A formula cannot be computed; the message says why, for a person."""

    def __init__(self, message: object) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return str(self.message)


class Amount(Decimal):
    """An amount of money; it is shown with its currency, and keeps it when it is computed with."""

    __slots__ = ("currency",)
    currency: str

    def __new__(cls, value: Decimal | int | str, currency: str) -> Self:
        """Return the amount in a currency (ISO 4217)."""
        amount = super().__new__(cls, value)
        amount.currency = currency
        return amount


class Rows(str):
    """The value of a field that is a table: HTML in a text, and lines of words wherever else it is used."""

    __slots__ = ("html",)
    html: Markup

    def __new__(cls, lines: Sequence[Sequence[str]]) -> Self:
        """Return a table of lines, the head first."""
        rows = super().__new__(cls, "\n".join(" · ".join(word for word in line if word) for line in lines))
        made = [
            Markup("<tr>{}</tr>").format(
                Markup("").join(
                    Markup('<{0} align="left">{1}</{0}>').format("td" if number else "th", word)
                    for word in line
                )
            )
            for number, line in enumerate(lines)
        ]
        rows.html = Markup("<table><tbody>{}</tbody></table>").format(Markup("").join(made))
        return rows


class Empty(str):
    """The value of a field that the document does not have.

    It is shown as nothing, counts as false, is neither less nor more than anything, and what is computed with it
    is empty as well: a condition on a date that is not there must not fail.
    """

    __slots__ = ()

    def _never(self, _other: object) -> bool:
        return False

    # Equality stays that of "": `== ""` is how people ask whether a field is empty.
    __lt__ = __le__ = __gt__ = __ge__ = _never


EMPTY = Empty()


class LazyGroup:
    """A group of values that are computed where a text uses them: whoever uses none pays for none."""

    __slots__ = ("_value_of",)

    def __init__(self, value_of: Callable[[str], object]) -> None:
        self._value_of = value_of

    def value(self, name: str) -> object:
        """Return the value of a name in the group.

        Raises:
            KeyError: There is none of this name.
            FormulaError: It cannot be computed.
        """
        return self._value_of(name)


def shown(value: object) -> str:
    """Return a value as text, numbers and dates by locale.

    Raises:
        FormulaError: It is no single value.
    """
    if isinstance(value, Amount):
        return format_money(value, value.currency)
    if isinstance(value, float):
        value = number_of(value)
    if isinstance(value, Decimal):
        return format_number(value)
    if isinstance(value, dt.date):
        return str(format_date(value, "long"))
    # Shown as "True" it would reach a customer.
    if isinstance(value, bool) or value is None:
        return ""  # a comparison that is written as if it were a value
    if isinstance(value, dict | list | tuple | LazyGroup):
        raise FormulaError(_l("A group or a list cannot be shown: choose one value."))
    return _bounded(str(value))


def number_of(value: object) -> Decimal:
    """Return a value as a number; an amount keeps its currency.

    Raises:
        FormulaError: It is none, or beyond anything that a document can say.
    """
    # A field of text may hold a number, such as a customer's code; nobody who writes templates knows types.
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = value.strip()
    elif isinstance(value, float):
        # The shortest decimal that means the same: 0.1 is 0.1 here, not 0.1000000000000000055.
        value = repr(value)
    elif isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise FormulaError(_l("A number is needed here, not “%(value)s”.", value=_brief(value)))
    number = value if isinstance(value, Decimal) else Decimal(value)
    if not number.is_finite() or abs(number) > LARGEST:
        raise FormulaError(_l("The number is too large."))
    return number


def _brief(value: object) -> str:
    text = shown(value)
    return f"{text[:40]}…" if len(text) > 40 else text


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


@contextmanager
def bounded_work() -> Iterator[None]:
    """Bound what the filters of one rendering go through together: each is bounded, and there may be many."""
    # A list, so that what is counted deep inside a rendering is seen outside of it.
    token = _work.set([MAX_WORK])
    try:
        yield
    finally:
        _work.reset(token)


def _text(value: object) -> str:
    """Return a value as the text that a filter works on, and count it."""
    text = shown(value)
    left = _work.get()
    if left is not None:
        left[0] -= len(text)
        if left[0] < 0:
            raise FormulaError(_l("The formulas of this text take too long."))
    return text


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise FormulaError(_l("The text becomes too long."))
    return text


# --------------------------------------------------------------------------------------------------- arithmetic


def compute(operator: str, left: object, right: object) -> object:
    """Return what an operator makes of two values: numbers, amounts, dates and days, or texts to be joined.

    Raises:
        FormulaError: It cannot be computed.
    """
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        raise FormulaError(_l("A value is missing in this formula."))
    # Before `Empty`, which is a text as well: joined with a text it adds nothing.
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return _bounded(str(left) + str(right))
    if isinstance(left, Empty) or isinstance(right, Empty):
        return EMPTY
    if isinstance(left, dt.date):
        return _compute_date(operator, left, right)
    if _is_number(left) and _is_number(right):
        return _compute_number(operator, number_of(left), number_of(right))
    raise FormulaError(
        _l(
            "“%(operator)s” cannot be used with “%(left)s” and “%(right)s”.",
            operator=operator,
            left=_brief(left),
            right=_brief(right),
        )
    )


def negate(value: object) -> object:
    """Return the value with the other sign.

    Raises:
        FormulaError: It is no number.
    """
    return value if isinstance(value, Empty) else compute("-", 0, number_of(value))


def _compute_date(operator: str, left: dt.date, right: object) -> object:
    """Compute with a date: less another date in days, or with whole days; raises `FormulaError`."""
    if operator == "-" and isinstance(right, dt.date):
        return Decimal((left - right).days)
    if operator in {"+", "-"} and _is_number(right):
        days = number_of(right)
        if days == days.to_integral_value():
            try:
                return left + dt.timedelta(days=int(days if operator == "+" else -days))
            except OverflowError as error:
                raise FormulaError(_l("The date is too far away.")) from error
    raise FormulaError(_l("A date can be computed with whole days only."))


_OPERATORS: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": lambda left, right: (left / right).to_integral_value(ROUND_FLOOR),
    "%": lambda left, right: left - right * (left / right).to_integral_value(ROUND_FLOOR),
}


def _compute_number(operator: str, left: Decimal, right: Decimal) -> Decimal:
    """Compute with two numbers or amounts; raises `FormulaError` for a zero divisor or a result beyond `LARGEST`."""
    if operator not in _OPERATORS:
        raise FormulaError(_l("“%(operator)s” cannot be used here.", operator=operator))
    if operator in {"/", "//", "%"} and not right:
        raise FormulaError(_l("The formula divides by zero."))
    try:
        with localcontext(prec=_DIGITS):
            result = _OPERATORS[operator](left, right)
    except DecimalException as error:
        raise FormulaError(_l("The number is too large.")) from error
    if abs(result) > LARGEST:
        raise FormulaError(_l("The number is too large."))
    currency = _currency_of(operator, left, right)
    return Amount(result, currency) if currency else result


def _currency_of(operator: str, left: Decimal, right: Decimal) -> str | None:
    """Return the currency of a result: of an amount and a number, or of the sum of two amounts."""
    if isinstance(left, Amount) and isinstance(right, Amount):
        if left.currency != right.currency:
            raise FormulaError(_l("Amounts in different currencies cannot be computed with each other."))
        # Amount by amount is a share, and has no currency.
        return left.currency if operator in {"+", "-", "%"} else None
    if isinstance(left, Amount):
        return left.currency
    return right.currency if isinstance(right, Amount) and operator in {"+", "-", "*"} else None


# ------------------------------------------------------------------------------------------------------ filters


def _like(number: Decimal, result: Decimal) -> Decimal:
    return Amount(result, number.currency) if isinstance(number, Amount) else result


def _digits(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_DECIMALS:
        return value
    raise FormulaError(_l("The number of decimals is from 0 to %(most)s.", most=_MOST_DECIMALS))


@pass_context
def _money(context: Context, value: object, currency: object = "") -> str:
    """Show an amount with its currency; a number has that of the document."""
    if isinstance(value, Empty):
        return ""
    number = number_of(value)
    code = str(currency or getattr(number, "currency", "") or context.get(CURRENCY) or "")
    if not _CODE.fullmatch(code):
        raise FormulaError(_l("“money” needs a currency such as EUR, not “%(code)s”.", code=_brief(code)))
    return format_money(number, code)


def _date(value: object, style: object = "long") -> str:
    """Show a date in one of `DATE_STYLES`; raises `FormulaError` for what is no date."""
    if style not in DATE_STYLES:
        raise FormulaError(
            _l(
                "“date” takes one of %(styles)s, not “%(style)s”.",
                styles=", ".join(DATE_STYLES),
                style=_brief(style),
            )
        )
    if isinstance(value, Empty):
        return ""
    if not isinstance(value, dt.date):
        raise FormulaError(_l("A date is needed here, not “%(value)s”.", value=_brief(value)))
    return str(format_date(value, style))


def _number(value: object, digits: object = None) -> str:
    """Show a number by locale, with so many decimals where they are given."""
    if isinstance(value, Empty):
        return ""
    number = number_of(value)
    if digits is None:
        return format_number(Decimal(number))
    places = _digits(digits)
    shown = Decimal(number)
    if abs(shown) < Decimal("0.5").scaleb(-places):
        shown = Decimal(0)  # what comes to nothing has no sign
    with localcontext(rounding=ROUND_HALF_UP):
        pattern = f"#,##0.{'0' * places}" if places else "#,##0"
        return str(format_decimal(shown, format=pattern, locale=number_locale(get_locale())))


def _round(value: object, digits: object = 0) -> object:
    if isinstance(value, Empty):
        return value
    number = number_of(value)
    with localcontext(prec=_DIGITS):
        return _like(number, number.quantize(Decimal(1).scaleb(-_digits(digits)), ROUND_HALF_UP))


def _abs(value: object) -> object:
    if isinstance(value, Empty):
        return value
    number = number_of(value)
    return _like(number, abs(number))


def _default(value: object, other: object = "", boolean: object = False) -> object:
    """Return another value where there is none; with `boolean`, for 0 as well, as in Jinja."""
    missing = value is None or isinstance(value, Undefined) or value == "" or (boolean and not value)
    return other if missing else value


def _replace(value: object, old: object, new: object) -> str:
    text, searched, instead = _text(value), shown(old), shown(new)
    if not searched:
        raise FormulaError(_l("“replace” needs a text to look for."))
    if len(text) + text.count(searched) * len(instead) > MAX_TEXT:
        raise FormulaError(_l("The text becomes too long."))
    return text.replace(searched, instead)


def _title(value: object) -> str:
    return re.sub(r"[^\W_]+", lambda word: word[0][:1].upper() + word[0][1:].lower(), _text(value))


FILTERS: Mapping[str, Callable[..., object]] = {
    "money": _money,
    "date": _date,
    "number": _number,
    "round": _round,
    "abs": _abs,
    "default": _default,
    "d": _default,
    "replace": _replace,
    "title": _title,
    "upper": lambda value: _text(value).upper(),
    "lower": lambda value: _text(value).lower(),
    "capitalize": lambda value: _text(value).capitalize(),
    "trim": lambda value: _text(value).strip(),
}
"""The filters, by the name that stands behind `|`."""
