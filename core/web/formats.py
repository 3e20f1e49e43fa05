"""How money, numbers and times are shown, by locale."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, localcontext
from functools import cache, lru_cache

from babel import Locale
from babel.dates import (
    DateTimePattern,
    format_datetime,
    format_timedelta,
    get_time_format,
    get_timezone_name,
    match_skeleton,
    parse_pattern,
)
from babel.numbers import format_currency, format_decimal, format_percent
from flask import Flask
from flask_babel import get_timezone, gettext
from markupsafe import Markup, escape

from core import clock
from core.i18n import first_of_month, format_date, locale_here, number_locale
from core.mail.addresses import one_line
from core.mail.exceptions import said_by_server
from core.mail.explanations import FOUND_HERE
from core.mail.outcomes import printable
from core.totals import round_money

CITY_FIRST = frozenset((
    "AE", "AU", "BD", "BM", "BN", "CA", "EG", "GB", "GG", "GI", "HK", "ID", "IE", "IM", "IN", "JE", "JO", "JP", "KE",
    "KH", "KR", "LK", "LV", "MM", "MT", "MV", "MY", "NG", "NP", "NZ", "PK", "PR", "SA", "SG", "TH", "TW", "US", "VN",
    "ZA",
))  # fmt: skip
"""Countries where the postal code stands behind the city (Universal Postal Union, addressing of each country, S42)."""

_DECIMALS = 4  # what a quantity or a rate is kept with

# UTS 35, currency spacing: a symbol that is no sign of a currency, as "$" is, but letters.
_LETTERS_BESIDE_DIGITS = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=[^\W\d_]\.)(?=\d)|(?<=\d)(?=[^\W\d_])")


def _numbers() -> str:
    return number_locale(locale_here())


def money(amount: Decimal, currency: str) -> str:
    """Return an amount with its currency, by locale, with the currency's own decimals, a half rounded up."""
    return _currency(str(round_money(Decimal(amount), currency)), currency, _numbers(), exact=False)


def price(amount: Decimal, currency: str) -> str:
    """Return a unit price with its currency, by locale, with more decimals than the currency's where it has them."""
    return _currency(str(amount + 0), currency, _numbers(), exact=True)


# Writing an amount or a moment takes Babel 0.1 ms, for each row of a list again and again. Amounts are known by their
# digits: what is equal as a number, 0 and -0, may be written differently.
@lru_cache(maxsize=4096)
def _currency(digits: str, currency: str, locale: str, *, exact: bool) -> str:
    return _spaced(format_currency(Decimal(digits), currency, locale=locale, decimal_quantization=not exact))


def _spaced(amount: str) -> str:
    """Return an amount with a space between the letters of a currency and its digits, as CLDR has it and Babel not."""
    return _LETTERS_BESIDE_DIGITS.sub("\N{NO-BREAK SPACE}", amount)


def number(value: Decimal | int) -> str:
    """Return a number by locale, without trailing zeros."""
    with localcontext(prec=60):
        shown = round(Decimal(value), _DECIMALS) + 0
    return _decimal(str(shown), _numbers())


@lru_cache(maxsize=4096)
def _decimal(digits: str, locale: str) -> str:
    return str(format_decimal(Decimal(digits), format="#,##0.####", locale=locale))


def percent(value: Decimal | int) -> str:
    """Return a number of percent by locale, as it is: 20 %, 5.5%."""
    return str(format_percent((Decimal(value) + 0) / 100, locale=_numbers(), decimal_quantization=False))


def unbroken(name: str) -> str:
    """Return the name of a tax in which no line ends between a number and its sign: TVA 20 %."""
    return re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", name)


def city_line(zip_code: str, city: str, country: str) -> str:
    """Return postal code and city in the order of a country: 69005 Lyon, Manchester M12 6JH."""
    parts = (city, zip_code) if country in CITY_FIRST else (zip_code, city)
    return " ".join(part for part in parts if part)


def day(value: dt.date | None) -> str:
    """Return a date by locale, "" for none."""
    return str(format_date(value, "medium")) if value else ""


def long_day(value: dt.date | None) -> str:
    """Return a date in words by locale, "" for none: 29 November 2026."""
    return str(format_date(value, "long")) if value else ""


def moment(value: dt.datetime, zone: dt.tzinfo | None = None) -> str:
    """Return a day and a time in numbers, by locale and the clock of the reader: 29/11/2026, 21:40.

    In the hour that clocks show twice in autumn it says which of both is meant.

    Args:
        value: When it is.
        zone: That of the reader, where no page is asked for.
    """
    return _moment(value, zone if zone is not None else get_timezone(), locale_here())


@lru_cache(maxsize=4096)
def _moment(value: dt.datetime, zone: dt.tzinfo, locale: str) -> str:
    local = value.astimezone(zone)
    words = str(_numeric_pattern(locale).apply(local, locale))
    return f"{words} ({get_timezone_name(local, locale=locale)})" if comes_twice(local) else words


@cache
def _numeric_pattern(locale: str) -> DateTimePattern:
    """Return how a locale writes a day and a time in numbers.

    CLDR's short date has two digits of the year in many countries; the one with four is among its skeletons.
    """
    known = Locale.parse(locale)
    skeletons = known.datetime_skeletons
    date = skeletons["yMd" if "yMd" in skeletons else match_skeleton("yMd", skeletons)]
    both = known.datetime_formats["short"].replace("{1}", date.pattern)
    return parse_pattern(both.replace("{0}", get_time_format("short", known).pattern))


@lru_cache(maxsize=4096)
def _long_moment(value: dt.datetime, zone: dt.tzinfo, locale: str) -> str:
    return first_of_month(format_datetime(value, "long", zone, locale), locale)


def comes_twice(local: dt.datetime) -> bool:
    """Return True for a moment whose clock, set back in autumn, shows the same time an hour earlier or later."""
    shown = local.replace(tzinfo=None, fold=0)
    others = (local.astimezone(dt.UTC) + dt.timedelta(minutes=minutes) for minutes in (-60, -30, 30, 60))
    return any(other.astimezone(local.tzinfo).replace(tzinfo=None, fold=0) == shown for other in others)


def file_size(size: int) -> str:
    """Return a size in bytes, kB or MB (powers of 1000)."""
    if size < 1000:
        return str(gettext("%(count)s bytes", count=size))
    if size < 1_000_000:
        return str(gettext("%(count)s kB", count=format_decimal(round(size / 1000), locale=_numbers())))
    megabytes = format_decimal(round(Decimal(size) / 1_000_000, 1), locale=_numbers())
    return str(gettext("%(count)s MB", count=megabytes))


def ago(value: dt.datetime | None) -> Markup:
    """Return a time relative to now, with the exact time on hover, as a `time` element."""
    if value is None:
        return Markup("")
    delta = value - clock.now()
    if abs(delta) < dt.timedelta(seconds=45):
        words = gettext("just now") if delta <= dt.timedelta(0) else gettext("in a moment")
    elif abs(delta) > dt.timedelta(days=7):
        words = moment(value)
    else:
        words = format_timedelta(delta, granularity="minute", add_direction=True, locale=locale_here())
    exactly = escape(_long_moment(value, get_timezone(), locale_here()))
    return Markup(  # noqa: S704 (escaped)
        f'<time datetime="{value.isoformat(timespec="seconds")}" title="{exactly}">{escape(words)}</time>'
    )


def translated(text: str) -> str:
    """Return a text of the database in the current language where the catalogues know it.

    Unlike `_()` in a template, which takes its argument for HTML of ours, the result is escaped like any other text.
    """
    return str(gettext(text)) if text else ""


def harmless(text: object) -> str:
    """Return a text of others as one line, without control characters and turned directions."""
    return printable(one_line(str(text)))


def register(app: Flask) -> None:
    """Give the templates these formats as filters."""
    formats = (money, price, number, percent, unbroken, city_line, day, long_day, moment, file_size, ago)
    for function in (*formats, translated, harmless):
        app.add_template_filter(function)
    app.add_template_test(said_by_server)
    app.add_template_test(lambda kind: kind in FOUND_HERE, "found_here")
