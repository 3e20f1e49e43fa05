"""VAT numbers of customers and companies: looked at by the rules of their country, and written in one way."""

from __future__ import annotations

from stdnum import get_cc_module
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidLength, ValidationError

from core.errors import UserError
from core.i18n import lazy_gettext as _l

# Whose numbers begin with other letters than the code of the country: Greece, and territories of others.
_PREFIXES = {"GR": "EL", "MC": "FR", "RE": "FR", "GP": "FR", "MQ": "FR", "IM": "GB"}
_EU = {code.upper() for code in eu_vat.MEMBER_STATES} | {"EL"}
_NO_COUNTRIES = {"EL", "XI"}  # prefixes of numbers: Greece is GR, and Northern Ireland a part of GB
_SAME_TAX = {"MC": "FR", "IM": "GB"}  # Monaco and the Isle of Man are taxed as if they were part of the other
_WRITTEN_WITH_LETTERS = {"GB", "NO"}  # python-stdnum leaves theirs out


def checked_vat(number: str, country: str) -> str:
    """Return a VAT number in capitals without blanks and points, after looking at its form and check digits.

    In the European Union it begins with the letters of its country, which are put there where they are missing. It may
    be one of another country than that of the address. Numbers of countries whose rules python-stdnum does not have are
    taken as they are.

    Args:
        number: As somebody has typed it; "" for none.
        country: ISO 3166 code of the address.

    Raises:
        UserError: It cannot be a VAT number; the sentence says why.
    """
    typed = "".join(letter for letter in number if letter.isalnum()).upper()
    if not number.strip():
        return ""
    try:
        return _validated(typed, _PREFIXES.get(country, country))
    except InvalidLength as error:
        sentence = _l("This VAT number has too few or too many characters.")
        raise UserError(sentence, "vat") from error
    except (InvalidChecksum, InvalidComponent) as error:
        sentence = _l(
            "The check digits of this VAT number do not fit. Please compare it with an invoice of theirs."
        )
        raise UserError(sentence, "vat") from error
    except ValidationError as error:
        raise UserError(_l("This is not a VAT number, such as FR40303265045."), "vat") from error


def same_tax_territory(one: str, other: str) -> bool:
    """Return True where a sale from one country (ISO 3166) to the other is taxed as one inside the country."""
    return _SAME_TAX.get(one, one) == _SAME_TAX.get(other, other)


def in_the_union(country: str) -> bool:
    """Return True for a country (ISO 3166) of the European Union, as far as its value added tax goes."""
    return _SAME_TAX.get(country, country) in _EU - _NO_COUNTRIES


def of_the_union(number: str) -> bool:
    """Return True for a VAT number, as `checked_vat` returns it, of a country of the European Union."""
    return number[:2] in _EU


def _validated(typed: str, own: str) -> str:
    if typed[:2] in _EU:
        return str(eu_vat.validate(typed))
    if own in _EU:
        return str(eu_vat.validate(own + typed))
    prefix = typed[:2] if typed[:2] in _WRITTEN_WITH_LETTERS else own
    module = get_cc_module(prefix, "vat")
    if module is None:
        if not typed.isascii() or not any(letter.isdigit() for letter in typed):
            raise ValidationError
        return typed
    compact = str(module.validate(typed)).upper()
    return prefix + compact if prefix in _WRITTEN_WITH_LETTERS else compact
