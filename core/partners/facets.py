"""The properties of customers and contacts that a list can be narrowed by, and recipients be chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from flask_babel import get_locale
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import aliased

from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.i18n import N_, countries, language_name
from core.matching import folded
from core.partners.labels import LabelKind, PartnerLabel, labels_of
from core.partners.models import MailConsent, Partner, partner_label
from core.partners.titles import CONSENT_TITLES
from core.web.criteria import Choice, Facet


def _labels(kind: LabelKind) -> Sequence[Choice]:
    return [Choice(str(label.id), label.title) for label in labels_of(kind)]


def row_id(value: str) -> int | None:
    """Return the id in a value of an address, or None where it is none."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else None


def _label_title(value: str) -> str:
    number = row_id(value)
    label = db.session.get(PartnerLabel, number) if number is not None else None
    return label.title if label is not None else value


def _of_family(value: str) -> ColumnElement[bool] | None:
    number = row_id(value)
    return None if number is None else Partner.family_id == number


def _labeled(value: str, *, or_contact: bool = False) -> ColumnElement[bool] | None:
    number = row_id(value)
    if number is None:
        return None
    theirs = select(partner_label.c.partner_id).where(partner_label.c.label_id == number)
    if not or_contact:
        return Partner.id.in_(theirs)
    contact = aliased(Partner)
    customers = select(contact.parent_id).where(contact.id.in_(theirs), contact.parent_id.is_not(None))
    return or_(Partner.id.in_(theirs), Partner.id.in_(customers))


def _countries() -> Sequence[Choice]:
    named = countries(str(get_locale() or "en"))
    return [Choice(code, named[code]) for code in sorted(named, key=lambda code: folded(named[code]))]


FACETS = (
    Facet("family", N_("Family"), partial(_labels, LabelKind.FAMILY), _of_family, _label_title),
    Facet("tag", N_("Tag"), partial(_labels, LabelKind.TAG), _labeled, _label_title),
    Facet(
        "function",
        N_("Function code"),
        partial(_labels, LabelKind.FUNCTION),
        # A customer is found by the codes of its contacts.
        partial(_labeled, or_contact=True),
        _label_title,
    ),
    Facet(
        "country",
        N_("Country"),
        _countries,
        lambda value: Partner.country == value if value in countries("en") else None,
    ),
    Facet(
        "language",
        N_("Language"),
        lambda: [Choice(code, language_name(code)) for code in SUPPORTED_LANGUAGES],
        lambda value: Partner.language == value if value in SUPPORTED_LANGUAGES else None,
    ),
    Facet(
        "consent",
        N_("Emails wanted"),
        lambda: [Choice(consent.value, str(title)) for consent, title in CONSENT_TITLES.items()],
        lambda value: Partner.consent == MailConsent(value) if value in list(MailConsent) else None,
    ),
)
"""In the order in which they are shown."""
