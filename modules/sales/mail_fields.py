"""The fields of mail templates about sales documents, and their values for one document.

A posted invoice does not change, and neither does what mails say of it: company and customer are told as they were
when it was posted, as its PDF tells them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from babel import Locale
from flask_babel import get_locale

from core.documents.behavior import FieldSpec, FieldType, FieldValue
from core.documents.company_fields import COMPANY_FIELDS, company_values, country_name
from core.documents.models import Document
from core.documents.service import kind_title
from core.i18n import N_
from core.partners.models import Partner
from core.partners.service import contacts_of, customer_of
from modules.sales.models import Invoice, Order
from modules.sales.service.customers import address_lines
from modules.sales.service.lines import lines_of, totals_of
from modules.sales.states import InvoiceState

SHARED = (
    FieldSpec("document.title", N_("Kind of document"), sample=N_("Quotation")),
    FieldSpec("document.number", N_("Number"), sample="S00042"),
    FieldSpec("document.date", N_("Date"), FieldType.DATE),
    FieldSpec("document.currency", N_("Currency"), sample="EUR"),
    FieldSpec("document.untaxed", N_("Total without tax"), FieldType.MONEY, "1028.75"),
    FieldSpec("document.tax", N_("Tax"), FieldType.MONEY, "205.75"),
    FieldSpec("document.total", N_("Total"), FieldType.MONEY, "1234.50"),
    FieldSpec("document.line_count", N_("Number of lines"), FieldType.NUMBER),
    FieldSpec("document.payment_terms", N_("Payment terms"), sample=N_("30 days")),
    FieldSpec("document.note", N_("Note"), sample=N_("Please call before you deliver.")),
    FieldSpec("customer.name", N_("Name of the customer"), sample="Dupont & Fils"),
    FieldSpec("customer.email", N_("Email address of the customer"), sample="contact@dupont.example.com"),
    FieldSpec("customer.phone", N_("Phone of the customer"), sample="+33 1 99 00 12 34"),
    FieldSpec("customer.street", N_("Street of the customer"), sample="4 rue du Bac"),
    FieldSpec("customer.zip_code", N_("Postal code of the customer"), sample="75007"),
    FieldSpec("customer.city", N_("City of the customer"), sample="Paris"),
    FieldSpec("customer.country", N_("Country of the customer"), sample="France"),
    FieldSpec("customer.vat", N_("VAT number of the customer"), sample="FR40303265045"),
    FieldSpec("customer.language", N_("Language of the customer"), sample=N_("English")),
    FieldSpec("contact.name", N_("Name of the contact"), sample="Claire Dupont"),
    FieldSpec("contact.function", N_("Function of the contact"), sample=N_("Buyer")),
    FieldSpec("contact.email", N_("Email address of the contact"), sample="claire@dupont.example.com"),
    FieldSpec("contact.phone", N_("Phone of the contact"), sample="+33 1 99 00 12 35"),
    *COMPANY_FIELDS,
    FieldSpec("owner.name", N_("Name of the salesperson"), sample="Sophie Bernard"),
    FieldSpec("owner.email", N_("Email address of the salesperson"), sample="sophie@lumiere.example.com"),
)
"""Fields that every kind of sales has."""


@dataclass(frozen=True, slots=True)
class _Address:
    """The address of the customer, as the document prints it."""

    street: str = ""
    zip_code: str = ""
    city: str = ""
    country: str = ""


def shared_values(document: Document, row: Order | Invoice | None) -> dict[str, FieldValue]:
    """Return a value for each of `SHARED`, in the current locale."""
    owner, lines = document.owner, lines_of(document.id)
    totals = totals_of(document, lines)
    posted = row if isinstance(row, Invoice) and row.state is InvoiceState.POSTED else None
    values: dict[str, FieldValue] = {
        "document.title": kind_title(document.kind),
        "document.number": document.number,
        "document.date": document.date,
        "document.currency": document.currency,
        "document.untaxed": totals.untaxed,
        "document.tax": totals.tax,
        "document.total": totals.total,
        "document.line_count": len(lines),
        "document.payment_terms": row.said("payment_terms", _locale().language) if row else "",
        "document.note": row.note if row else "",
        "owner.name": owner.name if owner else "",
        "owner.email": owner.login if owner else "",
    }
    return {
        **values,
        **_customer_values(document, posted),
        **_contact_values(document.partner),
        **company_values(document.company, posted.issuer if posted else ""),
    }


def _customer_values(document: Document, posted: Invoice | None) -> dict[str, FieldValue]:
    partner = document.partner
    address = _kept_address(document, posted) if posted else _address_now(partner)
    name, vat = (
        (posted.customer_name, posted.customer_vat)
        if posted
        else (partner.name if partner else "", partner.vat if partner else "")
    )
    return {
        "customer.name": name,
        "customer.email": partner.email if partner else "",
        "customer.phone": partner.phone if partner else "",
        "customer.street": address.street,
        "customer.zip_code": address.zip_code,
        "customer.city": address.city,
        "customer.country": address.country,
        "customer.vat": vat,
        "customer.language": _locale().languages.get(partner.language, partner.language) if partner else "",
    }


def _contact_values(partner: Partner | None) -> dict[str, FieldValue]:
    contact = _contact(partner) if partner else None
    return {
        f"contact.{name}": getattr(contact, name) if contact else ""
        for name in ("name", "function", "email", "phone")
    }


def _contact(partner: Partner) -> Partner | None:
    """Return whom the document is about at its customer: the contact it is made out to, or the main contact."""
    if partner.parent_id is not None:
        return partner
    return next((contact for contact in contacts_of(customer_of(partner)) if contact.is_main), None)


def _locale() -> Locale:
    return Locale.parse(str(get_locale() or "en"))


def _address_now(partner: Partner | None) -> _Address:
    if partner is None:
        return _Address()
    return _Address(partner.street, partner.zip_code, partner.city, country_name(partner.country))


def _kept_address(document: Document, posted: Invoice) -> _Address:
    """Return the address that a posted invoice has kept; it was kept in lines, as it is printed."""
    partner = document.partner
    lines = posted.customer_address.splitlines()
    if partner is not None and address_lines(partner, document) == lines:
        return _address_now(partner)
    country = country_name(document.company.country)
    territories = Locale.parse(document.language).territories
    code = next((code for code, name in territories.items() if lines and name == lines[-1]), None)
    if code is not None and len(lines) > 1:
        lines, country = lines[:-1], country_name(code)
    if not lines:
        return _Address()
    words = lines[-1].split(" ")
    # A postal code is what stands before the city, or else behind it, and has a digit in each of its words.
    before = list(takewhile(_has_digit, words))
    behind = [] if before else list(takewhile(_has_digit, reversed(words)))[::-1]
    city = words[len(before) : len(words) - len(behind)]
    return _Address("\n".join(lines[:-1]), " ".join(before or behind), " ".join(city), country)


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))
