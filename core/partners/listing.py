"""What the list of customers and contacts can be searched, filtered and sorted by; the export asks it as well."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from flask_babel import get_locale
from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import aliased

from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.i18n import N_, countries, language_name
from core.matching import folded, matching
from core.partners.labels import LabelKind, PartnerLabel, labels_of
from core.partners.models import MailConsent, Partner, partner_label
from core.partners.titles import CONSENT_TITLES
from core.web.criteria import Choice, Facet, Filter, ListSpec, SortKey


def _found(text: str) -> ColumnElement[bool]:
    return and_(
        true(), *matching(text, Partner.name, Partner.email, Partner.city, Partner.number, Partner.vat)
    )


def _labels(kind: LabelKind) -> Sequence[Choice]:
    return [Choice(str(label.id), label.title) for label in labels_of(kind)]


def _number(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else None


def _label_title(value: str) -> str:
    number = _number(value)
    label = db.session.get(PartnerLabel, number) if number is not None else None
    return label.title if label is not None else value


def _of_family(value: str) -> ColumnElement[bool] | None:
    number = _number(value)
    return None if number is None else Partner.family_id == number


def _labeled(value: str, *, or_contact: bool = False) -> ColumnElement[bool] | None:
    number = _number(value)
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


PARTNERS = ListSpec(
    identity=Partner.id,
    sorts=(
        SortKey("name", N_("Name"), Partner.name, lambda row: row.name),
        SortKey("number", N_("Customer number"), Partner.number, lambda row: row.number),
        SortKey("city", N_("City"), Partner.city, lambda row: row.city),
        SortKey("email", N_("Email"), Partner.email, lambda row: row.email),
    ),
    filters=(
        Filter("customers", N_("Customers"), Partner.parent_id.is_(None), "type"),
        Filter("contacts", N_("Contacts"), Partner.parent_id.is_not(None), "type"),
        Filter("no-address", N_("Without address"), Partner.email == ""),
        Filter("opted-out", N_("Wants no emails"), Partner.consent == MailConsent.NONE),
        Filter("archived", N_("Archived"), Partner.active == false()),
    ),
    search=_found,
    facets=(
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
    ),
)
"""The list of customers; a statement over `Partner` goes with it, which `core.partners.reach` keeps in bounds."""
