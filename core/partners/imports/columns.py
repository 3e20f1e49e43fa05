"""The columns of a file of customers: how they are headed, what their cells mean, and how they are written."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import String

from core.config import SUPPORTED_LANGUAGES
from core.errors import UserError
from core.i18n import N_, countries, gettext
from core.i18n import lazy_gettext as _l
from core.matching import folded
from core.partners.labels import LabelKind
from core.partners.models import MailConsent, Partner, PartnerType
from core.partners.titles import CONSENT_TITLES, PARTNER_TITLES

Value = Any


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column that a file may have.

    Attributes:
        name: Of the column of a customer, or of what stands for it.
        title: English, marked with `N_`; the head of an export.
        heads: Other heads that mean it, folded.
        write: Returns what an export says of a customer.
        read: Returns the value of a cell that is not empty.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    write: Callable[[Partner], str]
    read: Callable[[str], Value] = str


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _country(text: str) -> str:
    """Return the code of a country that is named by its code, or in one of our languages."""
    code = text.upper()
    if code in countries("en"):
        return code
    found = _countries_by_name().get(folded(_one_line(text)).replace("-", " "))
    if found is None:
        raise UserError(_l("There is no such country."), "country")
    return found


@cache
def _countries_by_name() -> Mapping[str, str]:
    named = {
        folded(name).replace("-", " "): code
        for locale in SUPPORTED_LANGUAGES
        for code, name in countries(locale).items()
    }
    return {**named, "uk": "GB", "great britain": "GB", "england": "GB", "usa": "US", "etats unis": "US"}


def _language(text: str) -> str:
    known = {"en": "en", "english": "en", "anglais": "en", "fr": "fr", "french": "fr", "francais": "fr"}
    found = known.get(folded(text).replace("_", "-").partition("-")[0])
    if found is None:
        raise UserError(_l("Documents cannot be written in this language."), "language")
    return found


_YES = {"1", "yes", "y", "true", "x", "oui", "o", "vrai"}
_NO = {"0", "no", "n", "false", "non", "faux"}


def _active(text: str) -> bool:
    if folded(text) in _YES:
        return True
    if folded(text) in _NO:
        return False
    raise UserError(_l("Write yes or no."), "active")


def _consent(text: str) -> MailConsent:
    """Return a consent by its title in one of our languages; yes opts in, no does not opt out of what is necessary."""
    word = _head(text).replace("’", "'")
    known = {
        **dict.fromkeys(
            (*_YES, "also promotional emails", "aussi les e-mails promotionnels"), MailConsent.PROMOTIONAL
        ),
        **dict.fromkeys(
            (*_NO, "only what concerns their own orders", "uniquement ce qui concerne ses propres commandes"),
            MailConsent.NECESSARY,
        ),
        **dict.fromkeys(("wants no emails", "ne veut pas d'e-mails"), MailConsent.NONE),
        **{consent.value: consent for consent in MailConsent},
    }
    if word not in known:
        raise UserError(
            _l(
                "Write yes or no, or one of: %(words)s.",
                words=", ".join(str(t) for t in CONSENT_TITLES.values()),
            ),
            "consent",
        )
    return known[word]


def _type(text: str) -> PartnerType:
    known = {
        **dict.fromkeys(("customer", "client"), PartnerType.CUSTOMER),
        "contact": PartnerType.CONTACT,
        **dict.fromkeys(
            ("billing contact", "billing", "contact de facturation", "facturation"), PartnerType.BILLING
        ),
        **dict.fromkeys(
            ("delivery contact", "delivery", "contact de livraison", "livraison"), PartnerType.DELIVERY
        ),
    }
    found = known.get(folded(_one_line(text)))
    if found is None:
        words = ", ".join(str(title) for title in PARTNER_TITLES.values())
        raise UserError(_l("Write one of: %(words)s.", words=words), "type")
    return found


_DAY = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})")


def _day(text: str) -> dt.datetime:
    """Return a day, written 2026-03-31 or with the day first, which is how all our countries but the US write it."""
    try:
        found = _DAY.fullmatch(text)
        day = (
            dt.date(int(found[3]), int(found[2]), int(found[1]))
            if found
            else dt.date.fromisoformat(text[:10].strip())
        )
    except ValueError:
        raise UserError(_l("Write the day as 2026-03-31."), "consent_at") from None
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def names_in(text: str) -> list[str]:
    """Return the names in a cell that may have several, between commas, semicolons or lines."""
    return list(dict.fromkeys(name for part in re.split(r"[,;|\n]", text) if (name := _one_line(part))))


def _labels(kind: LabelKind, attribute: str) -> Callable[[Partner], str]:
    return lambda partner: ", ".join(getattr(label, attribute) for label in partner.labeled(kind))


_TYPE_TITLES: Mapping[PartnerType, str] = {
    PartnerType.CUSTOMER: N_("Customer"),
    PartnerType.CONTACT: N_("Contact"),
    PartnerType.BILLING: N_("Billing contact"),
    PartnerType.DELIVERY: N_("Delivery contact"),
}

COLUMNS: tuple[FileColumn, ...] = (
    FileColumn(
        "type",
        N_("Kind"),
        ("type", "genre"),
        lambda p: gettext(_TYPE_TITLES[p.type]),
        _type,
    ),
    FileColumn(
        "number",
        N_("Customer number"),
        ("number", "no", "numero", "n°", "numero client", "code client", "client no", "customer no", "customer code",
         "code", "account", "compte"),
        lambda p: p.number, _one_line,
    ),
    FileColumn(
        "parent",
        N_("Contact of"),
        ("customer", "parent", "company", "client", "societe", "contact de", "rattache a"),
        lambda p: (p.parent.number or p.parent.name) if p.parent is not None else "", _one_line,
    ),
    FileColumn(
        "name",
        N_("Name"),
        ("full name", "company name", "nom", "nom complet", "raison sociale", "denomination", "customer name",
         "nom du client"),
        lambda p: p.name, _one_line,
    ),
    FileColumn(
        "email",
        N_("Email address"),
        ("email", "e-mail", "mail", "e-mail address", "adresse e-mail", "adresse mail", "courriel", "adresse email"),
        lambda p: p.email, _one_line,
    ),
    FileColumn(
        "phone", N_("Phone"), ("telephone", "tel", "tel.", "phone number", "mobile", "portable"),
        lambda p: p.phone, _one_line,
    ),
    FileColumn("function", N_("Function"), ("job", "job title", "fonction", "poste"), lambda p: p.function, _one_line),
    FileColumn("street", N_("Street"), ("address", "adresse", "rue", "address 1", "adresse 1"), lambda p: p.street),
    FileColumn(
        "zip_code", N_("Postal code"),
        ("zip", "zip code", "postcode", "post code", "cp", "code postal"), lambda p: p.zip_code, _one_line,
    ),
    FileColumn("city", N_("City"), ("town", "ville", "localite", "commune"), lambda p: p.city, _one_line),
    FileColumn("country", N_("Country"), ("pays", "country code", "code pays"), lambda p: p.country, _country),
    FileColumn(
        "vat", N_("VAT number"),
        ("vat", "vat no", "vat id", "tva", "n° tva", "numero de tva", "numero tva", "tva intracommunautaire"),
        lambda p: p.vat, _one_line,
    ),
    FileColumn("language", N_("Language"), ("langue", "lang"), lambda p: p.language, _language),
    FileColumn(
        "family", N_("Family"), ("famille", "category", "categorie", "group", "groupe"),
        lambda p: p.family.name if p.family is not None else "", _one_line,
    ),
    FileColumn(
        "tags", N_("Tags"), ("tag", "etiquettes", "etiquette", "labels"), _labels(LabelKind.TAG, "name"), names_in,
    ),
    FileColumn(
        "functions", N_("Function codes"), ("function code", "codes fonction", "code fonction"),
        _labels(LabelKind.FUNCTION, "code"), names_in,
    ),
    FileColumn(
        "consent", N_("Emails wanted"),
        ("e-mails acceptes", "opt-in", "optin", "opt in", "newsletter", "consent", "consentement"),
        lambda p: str(CONSENT_TITLES[p.consent]), _consent,
    ),
    FileColumn(
        "consent_at", N_("Wanted since"), ("opt-in date", "date opt-in", "date du consentement", "consent date"),
        lambda p: p.consent_at.date().isoformat() if p.consent_at is not None else "", _day,
    ),
    FileColumn(
        "consent_source", N_("How it is known"), ("opt-in source", "source", "origine", "source opt-in"),
        lambda p: p.consent_source, _one_line,
    ),
    FileColumn(
        "active", N_("Active"), ("actif",), lambda p: gettext("yes") if p.active else gettext("no"), _active,
    ),
)  # fmt: skip
"""All columns, in the order of an export."""

BY_NAME: Mapping[str, FileColumn] = {column.name: column for column in COLUMNS}
_LENGTHS = {
    column.name: column.type.length
    for column in Partner.__table__.columns
    if isinstance(column.type, String) and column.type.length
}


def guess(header: Sequence[str]) -> list[str]:
    """Return what the columns of a file are by their heads, in English or French; "" where nobody knows.

    Of two that could be one column, the first is.
    """
    heads: dict[str, str] = {}
    for column in COLUMNS:
        for head in (column.title, gettext(column.title), *column.heads):
            heads.setdefault(_head(head), column.name)
        heads.setdefault(_head(column.name), column.name)
    found: list[str] = []
    for head in header:
        name = heads.get(_head(head), "")
        found.append("" if name in found else name)
    return found


def _head(text: str) -> str:
    # Decomposed, a hyphen that does not break is the one that says no more than that it is none of the keyboard.
    return " ".join(re.sub(r"[_*:]+", " ", folded(text)).replace("\N{HYPHEN}", "-").split())


def read_cells(cells: Sequence[str], mapping: Iterable[str]) -> dict[str, Value]:
    """Return the values of a row by the names of their columns; an empty cell is left out.

    Raises:
        UserError: A cell makes no sense, or is too long; `field` is the name of its column.
    """
    values: dict[str, Value] = {}
    for name, cell in zip(mapping, cells, strict=False):
        if not name or not cell:
            continue
        value = BY_NAME[name].read(cell.replace("\0", ""))
        longest = _LENGTHS.get(name)
        if isinstance(value, str) and longest is not None and len(value) > longest:
            raise UserError(_l("At most %(max)d characters.", max=longest), name)
        values[name] = value
    return values
