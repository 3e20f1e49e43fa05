"""How money, numbers and times are shown, by locale."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, localcontext

from babel import Locale
from babel.dates import format_skeleton, format_time, format_timedelta, get_timezone_name
from babel.numbers import format_currency, format_decimal, format_percent
from flask import Flask
from flask_babel import get_locale, gettext, to_user_timezone
from markupsafe import Markup, escape

from core import clock
from core.i18n import format_date, format_datetime, number_locale
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


def _locale() -> str:
    return str(get_locale() or "en")


def _numbers() -> str:
    return number_locale(get_locale())


def money(amount: Decimal, currency: str) -> str:
    """Return an amount with its currency, by locale, with the currency's own decimals, a half rounded up."""
    return _spaced(format_currency(round_money(Decimal(amount), currency), currency, locale=_numbers()))


def price(amount: Decimal, currency: str) -> str:
    """Return a unit price with its currency, by locale, with more decimals than the currency's where it has them."""
    return _spaced(format_currency(amount + 0, currency, locale=_numbers(), decimal_quantization=False))


def _spaced(amount: str) -> str:
    """Return an amount with a space between the letters of a currency and its digits, as CLDR has it and Babel not."""
    return _LETTERS_BESIDE_DIGITS.sub("\N{NO-BREAK SPACE}", amount)


def number(value: Decimal | int) -> str:
    """Return a number by locale, without trailing zeros."""
    with localcontext(prec=60):
        shown = round(Decimal(value), _DECIMALS) + 0
    return str(format_decimal(shown, format="#,##0.####", locale=_numbers()))


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
    local = value.astimezone(zone) if zone is not None else to_user_timezone(value)
    locale = Locale.parse(_locale())
    # CLDR's short date has two digits of the year in many countries; the one with four is among its skeletons.
    words = str(
        locale.datetime_formats["short"]
        .replace("{1}", format_skeleton("yMd", local, locale=locale))
        .replace("{0}", format_time(local, "short", locale=locale))
    )
    return f"{words} ({get_timezone_name(local, locale=locale)})" if comes_twice(local) else words


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
        words = format_timedelta(delta, granularity="minute", add_direction=True, locale=_locale())
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), escape(format_datetime(value, "long")), words
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
