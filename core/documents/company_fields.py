"""The fields `company.*` of mail templates, and their values for a document.

A document that has become final says what the company was then, as its PDF does.
"""

from __future__ import annotations

from collections.abc import Mapping

from babel import Locale
from flask_babel import get_locale

from core.companies.issuer import from_text, issuer_now
from core.companies.models import Company
from core.documents.behavior import FieldSpec, FieldValue
from core.i18n import N_

COMPANY_FIELDS = (
    FieldSpec("company.name", N_("Name of the company"), sample="Maison Lumière"),
    FieldSpec("company.email", N_("Email address of the company"), sample="sales@lumiere.example.com"),
    FieldSpec("company.phone", N_("Phone of the company"), sample="+33 1 99 00 45 67"),
    FieldSpec("company.website", N_("Website of the company"), sample="https://lumiere.example.com"),
    FieldSpec("company.street", N_("Street of the company"), sample="1 rue Neuve"),
    FieldSpec("company.zip_code", N_("Postal code of the company"), sample="69002"),
    FieldSpec("company.city", N_("City of the company"), sample="Lyon"),
    FieldSpec("company.country", N_("Country of the company"), sample="France"),
    FieldSpec("company.vat", N_("VAT number of the company"), sample="FR83404833048"),
    FieldSpec("company.legal_line", N_("Legal details of the company"), sample="SARL, RCS Lyon 404 833 048"),
    FieldSpec(
        "company.bank_line",
        N_("Bank details of the company"),
        sample="IBAN FR76 3000 6000 0112 3456 7890 189",
    ),
)


def company_values(company: Company, kept: str = "") -> Mapping[str, FieldValue]:
    """Return the value of each of `COMPANY_FIELDS`.

    Args:
        company: The company.
        kept: What it was when the document became final (`core.companies.issuer.to_text`), or "" for now.
    """
    issuer = from_text(kept) if kept else issuer_now(company)
    names = (field.name.partition(".")[2] for field in COMPANY_FIELDS)
    values = {f"company.{name}": str(getattr(issuer, name)) for name in names if name != "country"}
    return {**values, "company.country": country_name(company.country)}


def country_name(code: str) -> str:
    """Return the name of a country in the current language."""
    return str(Locale.parse(str(get_locale() or "en")).territories.get(code, code))
