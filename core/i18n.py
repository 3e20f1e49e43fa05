"""How strings are marked for translation, for files on every floor."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache, cached_property, lru_cache
from typing import Any

import flask_babel
from babel import Locale, dates
from babel.languages import get_official_languages
from babel.localedata import exists
from babel.support import Translations
from flask import Flask, g, has_app_context
from flask_babel import gettext, lazy_gettext, lazy_pgettext, ngettext, pgettext
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

__all__ = [
    "N_",
    "TranslatedPages",
    "countries",
    "format_date",
    "format_datetime",
    "gettext",
    "is_country",
    "language_name",
    "lazy_gettext",
    "lazy_pgettext",
    "locale_here",
    "locale_of",
    "locale_of_reader",
    "ngettext",
    "number_locale",
    "pgettext",
    "quoted",
]

# CLDR lists groups of countries, and codes for tests, beside the countries of ISO 3166.
_NO_COUNTRIES = {"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"}


# CLDR has "1 octobre", which nobody writes or says in French.
_FIRST = re.compile(r"(?<!\d)1(?=[ \u00a0\u202f](?:janv|févr|mars|avr|mai|juin|juil|août|sept|oct|nov|déc))")


def format_date(date: Any = None, format: str | None = None, **kwargs: Any) -> str:  # noqa: A002 (Flask-Babel's names)
    """Return a day in words, as the language of the reader writes it; arguments as for Flask-Babel."""
    if type(date) is dt.date and format and not kwargs:
        return _day_in_words(date, format, locale_here())
    return first_of_month(str(flask_babel.format_date(date, format, **kwargs)))


def format_datetime(datetime: Any = None, format: str | None = None, **kwargs: Any) -> str:  # noqa: A002
    """Return a moment in words, likewise."""
    return first_of_month(str(flask_babel.format_datetime(datetime, format, **kwargs)))


def first_of_month(text: str, locale: str | None = None) -> str:
    """Return a day in words with the ordinal that French wants for the first of a month."""
    language = (locale or locale_here()).partition("_")[0]
    return _FIRST.sub("1er", text) if language == "fr" else text


# Writing a day takes Babel longer than drawing the cell that shows it, and the rows of a list share their days.
@lru_cache(maxsize=4096)
def _day_in_words(date: dt.date, style: str, locale: str) -> str:
    return first_of_month(str(dates.format_date(date, style, locale)), locale)


class _Language:
    """What is said in a language.

    Attributes:
        code: Of the locale, such as `fr_CH`.
        translations: Its catalogues, those of all modules together.
        markup: The strings that templates have asked for and that have nothing to fill in.
    """

    __slots__ = ("code", "markup", "translations")

    def __init__(self, code: str, translations: Translations) -> None:
        self.code = code
        self.translations = translations
        self.markup: dict[str, Markup] = {}


class _Domain(flask_babel.Domain):  # type: ignore[misc]
    """Flask-Babel's translations, found by one look at the request where it would take ten for each string.

    A list has 400 strings; that was a seventh of what the page cost.
    """

    def __init__(self) -> None:
        super().__init__()
        self._languages: dict[str, _Language] = {}

    def get_translations(self) -> Translations:
        """Return the catalogues of the language that is spoken here."""
        return _language().translations

    def language_of(self, code: str) -> _Language:
        """Return what is said in the locale that is chosen."""
        if code not in self._languages:
            self._languages[code] = _Language(code, super().get_translations())
        return self._languages[code]


class TranslatedPages(flask_babel.Babel):  # type: ignore[misc]
    """Flask-Babel with translations, in templates and in Python, that cost little."""

    @cached_property
    def domain_instance(self) -> _Domain:
        """Where translations are looked up."""
        return _Domain()

    def init_app(self, app: Flask, *args: Any, **kwargs: Any) -> None:
        """Give an application the languages of its people."""
        super().init_app(app, *args, **kwargs)
        app.jinja_env.newstyle_gettext = True  # type: ignore[attr-defined]
        app.jinja_env.globals.update(
            _=_translated,
            gettext=_translated,
            ngettext=_counted,
            pgettext=_meant,
            npgettext=_counted_and_meant,
        )


def _language() -> _Language:
    """Return the language that is spoken here, within an application."""
    # Where Flask-Babel keeps the language of a request, and `force_locale` another one meanwhile.
    here = g._get_current_object()  # Werkzeug's own way past its proxy
    kept: tuple[Locale, _Language] | None = here.get("_envoi_language")
    if kept is None or getattr(here.get("_flask_babel"), "babel_locale", None) is not kept[0]:
        locale = flask_babel.get_locale()
        domain = flask_babel.get_babel().instance.domain_instance
        if isinstance(domain, _Domain):
            language = domain.language_of(str(locale))
        else:  # an application that has Flask-Babel as it is
            language = _Language(str(locale), domain.get_translations())
        kept = here._envoi_language = locale, language
    return kept[1]


def locale_here() -> str:
    """Return the locale of who reads, or of those for whom something is written; English outside of an application."""
    return _language().code if has_app_context() else "en"


def _filled(context: EvalContext, text: str, variables: dict[str, Any]) -> str:
    """Return a translation with its variables in it, which are escaped where a template is HTML."""
    return Markup(text) % variables if context.autoescape else text % variables  # noqa: S704 (a text of ours)


@pass_eval_context
def _translated(context: EvalContext, text: str, /, **variables: Any) -> str:
    language = _language()
    if variables or not context.autoescape:
        return _filled(context, language.translations.ugettext(text), variables)
    found = language.markup.get(text)
    if found is None:
        # Filled as well: a percent sign is written twice, whether or not there is something to fill in.
        found = language.markup[text] = Markup(language.translations.ugettext(text)) % {}  # noqa: S704
    return found


@pass_eval_context
def _counted(context: EvalContext, one: str, more: str, num: int, /, **variables: Any) -> str:
    return _filled(context, _language().translations.ungettext(one, more, num), {"num": num} | variables)


@pass_eval_context
def _meant(context: EvalContext, meaning: str, text: str, /, **variables: Any) -> str:
    return _filled(
        context, _language().translations.upgettext(meaning, text), {"context": meaning} | variables
    )


@pass_eval_context
def _counted_and_meant(
    context: EvalContext, meaning: str, one: str, more: str, num: int, /, **variables: Any
) -> str:
    text = _language().translations.unpgettext(meaning, one, more, num)
    return _filled(context, text, {"context": meaning, "num": num} | variables)


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
