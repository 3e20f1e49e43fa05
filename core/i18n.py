"""How strings are marked for translation, for files on every floor."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import flask_babel
from babel import Locale
from babel.languages import get_official_languages
from babel.localedata import exists
from flask import Flask, g
from flask_babel import gettext, lazy_gettext, lazy_pgettext, ngettext, pgettext

__all__ = [
    "N_",
    "countries",
    "format_date",
    "format_datetime",
    "gettext",
    "is_country",
    "language_name",
    "lazy_gettext",
    "lazy_pgettext",
    "locale_of",
    "locale_of_reader",
    "ngettext",
    "number_locale",
    "pgettext",
    "quicken_templates",
    "quoted",
]

# CLDR lists groups of countries, and codes for tests, beside the countries of ISO 3166.
_NO_COUNTRIES = {"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"}


# CLDR has "1 octobre", which nobody writes or says in French.
_FIRST = re.compile(r"(?<!\d)1(?=[ \u00a0\u202f](?:janv|févr|mars|avr|mai|juin|juil|août|sept|oct|nov|déc))")


def format_date(date: Any = None, format: str | None = None, **kwargs: Any) -> str:  # noqa: A002 (Flask-Babel's names)
    """Return a day in words, as the language of the reader writes it; arguments as for Flask-Babel."""
    return first_of_month(str(flask_babel.format_date(date, format, **kwargs)))


def format_datetime(datetime: Any = None, format: str | None = None, **kwargs: Any) -> str:  # noqa: A002
    """Return a moment in words, likewise."""
    return first_of_month(str(flask_babel.format_datetime(datetime, format, **kwargs)))


def first_of_month(text: str) -> str:
    """Return a day in words with the ordinal that French wants for the first of a month."""
    locale = flask_babel.get_locale()
    return _FIRST.sub("1er", text) if locale is not None and locale.language == "fr" else text


def quicken_templates(app: Flask) -> None:
    """Let templates find their translations by one look at the request, not by ten for each of their strings.

    A list has 250 strings; asking Flask-Babel for each of them is a tenth of what the page costs.
    """
    known: dict[Locale, Any] = {}

    def translations() -> Any:
        # Where Flask-Babel keeps the language of a request, and `force_locale` another one meanwhile.
        locale = getattr(g.get("_flask_babel"), "babel_locale", None)
        if locale not in known:
            found = flask_babel.get_translations()  # it chooses the language first
            known[locale or flask_babel.get_locale()] = found
            return found
        return known[locale]

    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=lambda text: translations().ugettext(text),
        ngettext=lambda one, more, count: translations().ungettext(one, more, count),
        newstyle=True,
        pgettext=lambda context, text: translations().upgettext(context, text),
        npgettext=lambda context, one, more, count: translations().unpgettext(context, one, more, count),
    )


@cache
def countries(locale: str) -> dict[str, str]:
    """Return the names of the countries by their codes of ISO 3166, from CLDR."""
    return {
        code: str(name)
        for code, name in Locale.parse(locale).territories.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES
    }


def is_country(code: str) -> bool:
    """Return whether a code is one of ISO 3166-1 alpha-2."""
    return code in countries("en")


def language_name(code: str) -> str:
    """Return the name of a language in that language, such as Français."""
    return str(Locale.parse(code).get_display_name(code) or code).capitalize()


_WORLD = "001"
"""The world (UN M49): how a language is written where it is nobody's first; days stand before months."""


def locale_of(language: str, *countries: str) -> str:
    """Return the locale in which dates, numbers and percent are written for somebody.

    A language alone is not enough: the same day is November 29, 2026 in the United States and 29 November 2026 in
    Britain, and 20 % has a blank in France only.

    Args:
        language: For example `en`.
        countries: ISO 3166 codes, those of the reader first; "" for none. The first where the language is an official
            one decides: what is written in English for France is written for the world.
    """
    named = [country.upper() for country in countries if country]
    for territory in (*named, _WORLD) if named else ():
        locale = f"{language}_{territory}"
        spoken = territory == _WORLD or language in get_official_languages(
            territory, regional=True, de_facto=True
        )
        if spoken and exists(locale):
            return locale
    return language


def locale_of_reader(language: str, country: str, company_country: str) -> str:
    """Return the locale of somebody's own pages.

    Args:
        language: In which the pages speak.
        country: As the reader has chosen it, then nothing else counts: an English page may have the numbers of Germany.
            "" for nothing chosen.
        company_country: That of the company; see `locale_of`.
    """
    chosen = f"{language}_{country.upper()}"
    return chosen if country and exists(chosen) else locale_of(language, country, company_country)


# Babel reads no separators of money, where CLDR tells them for Switzerland: 1’234.50 in whatever language.
_NUMBERS = {"fr_CH": "de_CH"}


def number_locale(locale: object) -> str:
    """Return the locale by which Babel writes and reads the numbers and amounts of a locale; None is English."""
    return _NUMBERS.get(str(locale or "en"), str(locale or "en"))


def quoted(*names: str) -> str:
    """Return names between the quotation marks of the language, one after the other."""
    return ", ".join(gettext("“%(name)s”", name=name) for name in names)


def N_(message: str) -> str:  # noqa: N802 (the customary name of the marker)
    """Mark a string for extraction; whoever shows it calls `gettext` on it."""
    return message
