"""The choices of select fields: countries, currencies, time zones, languages. Named by locale, from CLDR."""

from __future__ import annotations

import zoneinfo
from functools import cache

from babel.core import get_global
from babel.numbers import get_currency_name, get_territory_currencies
from flask_babel import get_locale, gettext
from wtforms import SelectChoice

from core.config import SUPPORTED_LANGUAGES
from core.i18n import countries, language_name
from core.matching import fold

LANGUAGE_CHOICES = [SelectChoice(code, language_name(code)) for code in SUPPORTED_LANGUAGES]


def _locale() -> str:
    return str(get_locale() or "en")


@cache
def _countries(locale: str) -> list[tuple[str, str]]:
    return sorted(countries(locale).items(), key=lambda pair: fold(pair[1]))


@cache
def _currencies(locale: str) -> list[tuple[str, str]]:
    in_use = {
        str(currency)
        for territory in get_global("territory_currencies")
        for currency in get_territory_currencies(territory)
    }
    return [(code, f"{code} – {get_currency_name(code, locale=locale)}") for code in sorted(in_use)]


@cache
def _timezones() -> list[str]:
    return sorted(
        name
        for name in zoneinfo.available_timezones()
        if "/" in name and not name.startswith(("Etc/", "posix/", "right/", "SystemV/", "US/"))
    )


def country_name(code: str) -> str:
    """Return the name of a country for the reader; a code that is none stays as it is."""
    return countries(_locale()).get(code, code)


def country_choices(present: str = "") -> list[SelectChoice]:
    """Return the countries by name; a present code that is none of them stays choosable."""
    return _with_present(_countries(_locale()), present)


def region_choices(present: str = "") -> list[SelectChoice]:
    """Return the countries whose way of writing dates and numbers a user may choose, the company's first."""
    company = SelectChoice("", gettext("As in the country of the company"))
    return [company, *country_choices(present)]


def currency_choices(present: str = "") -> list[SelectChoice]:
    """Return the currencies in use today by code; a present code that is none of them stays choosable."""
    return _with_present(_currencies(_locale()), present)


def timezone_choices(present: str = "") -> list[SelectChoice]:
    """Return UTC and the time zones of places; a present name that is none of them stays choosable."""
    places = [(name, name.replace("_", " ")) for name in _timezones()]
    return _with_present([("UTC", "UTC"), *places], present)


def _with_present(choices: list[tuple[str, str]], present: str) -> list[SelectChoice]:
    known = not present or any(code == present for code, _name in choices)
    offered = choices if known else [(present, present), *choices]
    return [SelectChoice(code, name) for code, name in offered]
