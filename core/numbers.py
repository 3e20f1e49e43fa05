"""Numbers as people type them: one reading for the office and, in `static/till/numbers.js`, for the till.

The language decides what a comma and a point mean. What can mean only one thing is read whatever the language, such as
1.234,56 on an English page; what could mean two is read as the language has it, and never guessed at. The tests give
the same texts to this file and to the script.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol
from flask_babel import get_locale, gettext

from core.db.types import DECIMAL_PLACES
from core.i18n import number_locale

LARGEST = Decimal(10) ** 11  # with four places it fits into the column, with room for sums
_LONGEST = 100  # characters; no honest number is longer
_BLANK = " "
# What stands between thousands somewhere, and is never a decimal sign: blanks, and the apostrophes of Switzerland.
_GROUPING = "\t\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f\u3000'’‘ʼ′`´"
_MINUS = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63"
# Marks of direction and of breaks that come along when something is copied.
_UNSEEN = "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_ZEROS = (0x0660, 0x06F0, 0x0966, 0x0E50)  # of the digits of Arabic, Persian, Hindi and Thai
_PLAIN = str.maketrans(
    {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # as wide as a Chinese letter
    | {zero + digit: str(digit) for zero in _ZEROS for digit in range(10)}
    | dict.fromkeys(map(ord, _GROUPING), _BLANK)
    | {ord("\uff07"): _BLANK}
    | dict.fromkeys(map(ord, _MINUS), "-")
    | dict.fromkeys(map(ord, _UNSEEN), "")
)
_SIGNED = re.compile(r"([+-]?) ?([0-9 .,]*)")
_WHOLE = re.compile(r"[0-9]*")
_DIGITS = re.compile(r"[0-9]*")
_GROUPED = {
    # By thousands, or by hundreds above a thousand as in India; nobody writes 0,123 for 123.
    mark: re.compile(rf"[1-9][0-9]{{0,2}}(?:{re.escape(mark)}[0-9]{{2,3}})*{re.escape(mark)}[0-9]{{3}}")
    for mark in (_BLANK, ",", ".")
}
# One mark of thousands that does not stand before three digits: a price, or less than one.
_CANNOT_GROUP = re.compile(r"0*[.,][0-9]+|[0-9]+[.,][0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Marks:
    """What parts the digits of a number.

    Attributes:
        decimal: Before the decimals.
        group: Between thousands; " " for every blank and apostrophe.
    """

    decimal: str
    group: str


def marks_of(locale: object) -> Marks:
    """Return the marks of a locale; None is English."""
    name = number_locale(locale)
    return Marks(get_decimal_symbol(name), get_group_symbol(name).translate(_PLAIN))


def parted(text: str, marks: Marks) -> tuple[str, str, str] | None:
    """Return sign, whole digits and decimals of a number as it is typed; None when it is none, or could be two."""
    if len(text) > _LONGEST:
        return None
    signed = _SIGNED.fullmatch(text.translate(_PLAIN).strip(_BLANK))
    if signed is None:
        return None
    body = signed[2]
    decimal = _decimal_mark(body, marks)
    if decimal is None:
        return None
    whole, _, rest = body.partition(decimal) if decimal else (body, "", "")
    group = next((mark for mark in whole if not mark.isdigit()), "")
    fits = _GROUPED[group] if group else _WHOLE
    if not fits.fullmatch(whole) or not _DIGITS.fullmatch(rest) or not whole + rest:
        return None
    return "-" if signed[1] == "-" else "", whole.replace(group, "") if group else whole, rest


def _decimal_mark(body: str, marks: Marks) -> str | None:
    """Return the decimal sign of a body, "" where there is none, None where nobody can say."""
    used = [mark for mark in (",", ".") if mark in body]
    if len(used) == 2:
        return max(used, key=body.rindex)
    if not used or body.count(used[0]) > 1:
        return ""
    (mark,) = used
    if mark == marks.group:
        if _GROUPED[mark].fullmatch(body):
            return ""
        return mark if _CANNOT_GROUP.fullmatch(body) else None
    # A point is on every keyboard, and groups nothing here.
    return mark


def read_decimal(text: str, places: int = DECIMAL_PLACES, locale: str | None = None) -> Decimal:
    """Return the number that a person has typed.

    Args:
        text: What was typed.
        places: The most decimals that it may have.
        locale: By whose marks it is read; None for that of the page.

    Raises:
        ValueError: It is no number, too large, or has too many decimals; the text is a sentence.
    """
    locale = number_locale(locale or get_locale())
    found = parted(text, marks_of(locale))
    if found is None:
        example = format_decimal(Decimal("-1234.5" if places else "1234"), locale=locale)
        raise ValueError(
            gettext("This is not a number. It is written like this: %(example)s", example=example)
        )
    sign, whole, decimals = found
    whole, decimals = whole.lstrip("0"), decimals.rstrip("0")
    if len(whole) > LARGEST.adjusted():
        raise ValueError(gettext("This number is too large."))
    if len(decimals) > places:
        if not places:
            raise ValueError(gettext("A whole number is needed here, without decimals."))
        raise ValueError(gettext("At most %(places)s decimals.", places=places))
    return Decimal(f"{sign}{whole or 0}.{decimals or 0}") + 0  # nothing has no sign
