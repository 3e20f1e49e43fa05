"""The columns of a file of customers: how they are headed, what their cells mean, and how they are written."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from sqlalchemy import String

from core.config import SUPPORTED_LANGUAGES
from core.errors import UserError
from core.i18n import N_, countries, gettext
from core.i18n import lazy_gettext as _l
from core.imports.subject import NO, YES, FileColumn, folded_head, one_line, yes_or_no
from core.matching import folded
from core.partners.labels import LabelKind
from core.partners.models import MailConsent, Partner, PartnerType
from core.partners.titles import CONSENT_TITLES, PARTNER_TITLES


def _country(text: str) -> str:
    """Return the code of a country that is named by its code, or in one of our languages."""
    code = text.upper()
    if code in countries("en"):
        return code
    found = _countries_by_name().get(folded(one_line(text)).replace("-", " "))
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


def _active(text: str) -> bool:
    return yes_or_no(text, "active")


def _consent(text: str) -> MailConsent:
    """Return a consent by its title in one of our languages; yes opts in, no does not opt out of what is necessary."""
    word = folded_head(text).replace("’", "'")
    known = {
        **dict.fromkeys(
            (*YES, "also promotional emails", "aussi les e-mails promotionnels"), MailConsent.PROMOTIONAL
        ),
        **dict.fromkeys(
            (*NO, "only what concerns their own orders", "uniquement ce qui concerne ses propres commandes"),
            MailConsent.NECESSARY,
        ),
        **dict.fromkeys(
            ("opted out of emails", "désinscrit", "wants no emails", "ne veut pas d'e-mails"),
            MailConsent.NONE,
        ),
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
    found = known.get(folded(one_line(text)))
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
    return list(dict.fromkeys(name for part in re.split(r"[,;|\n]", text) if (name := one_line(part))))


def _labels(kind: LabelKind, attribute: str) -> Callable[[Partner], str]:
    return lambda partner: ", ".join(getattr(label, attribute) for label in partner.labeled(kind))


_TYPE_TITLES: Mapping[PartnerType, str] = {
    PartnerType.CUSTOMER: N_("Customer"),
    PartnerType.CONTACT: N_("Contact"),
    PartnerType.BILLING: N_("Billing contact"),
    PartnerType.DELIVERY: N_("Delivery contact"),
}

_COLUMNS: tuple[FileColumn, ...] = (
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
        lambda p: p.number, one_line,
    ),
    FileColumn(
        "parent",
        N_("Contact of"),
        ("customer", "parent", "company", "client", "societe", "contact de", "rattache a"),
        lambda p: (p.parent.number or p.parent.name) if p.parent is not None else "", one_line,
    ),
    FileColumn(
        "name",
        N_("Name"),
        ("full name", "company name", "nom", "nom complet", "raison sociale", "denomination", "customer name",
         "nom du client"),
        lambda p: p.name, one_line,
    ),
    FileColumn(
        "email",
        N_("Email address"),
        ("email", "e-mail", "mail", "e-mail address", "adresse e-mail", "adresse mail", "courriel", "adresse email"),
        lambda p: p.email, one_line,
    ),
    FileColumn(
        "phone", N_("Phone"), ("telephone", "tel", "tel.", "phone number", "mobile", "portable"),
        lambda p: p.phone, one_line,
    ),
    FileColumn("function", N_("Function"), ("job", "job title", "fonction", "poste"), lambda p: p.function, one_line),
    FileColumn("street", N_("Street"), ("address", "adresse", "rue", "address 1", "adresse 1"), lambda p: p.street),
    FileColumn(
        "zip_code", N_("Postal code"),
        ("zip", "zip code", "postcode", "post code", "cp", "code postal"), lambda p: p.zip_code, one_line,
    ),
    FileColumn("city", N_("City"), ("town", "ville", "localite", "commune"), lambda p: p.city, one_line),
    FileColumn("country", N_("Country"), ("pays", "country code", "code pays"), lambda p: p.country, _country),
    FileColumn(
        "vat", N_("VAT number"),
        ("vat", "vat no", "vat id", "tva", "n° tva", "numero de tva", "numero tva", "tva intracommunautaire"),
        lambda p: p.vat, one_line,
    ),
    FileColumn("language", N_("Language"), ("langue", "lang"), lambda p: p.language, _language),
    FileColumn(
        "family", N_("Family"), ("famille", "category", "categorie", "group", "groupe"),
        lambda p: p.family.name if p.family is not None else "", one_line,
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
        lambda p: p.consent_source, one_line,
    ),
    FileColumn(
        "active", N_("Active"), ("actif",), lambda p: gettext("yes") if p.active else gettext("no"), _active,
    ),
)  # fmt: skip

_LENGTHS = {
    column.name: column.type.length
    for column in Partner.__table__.columns
    if isinstance(column.type, String) and column.type.length
}
COLUMNS = tuple(replace(column, longest=_LENGTHS.get(column.name)) for column in _COLUMNS)
"""All columns, in the order of an export."""
