"""What templates of emails about no document are about: a company, whoever writes, and perhaps a customer."""

from __future__ import annotations

from dataclasses import dataclass

from babel import Locale
from flask_babel import get_locale

from core.auth.models import User
from core.companies.models import Company
from core.documents.behavior import FieldSpec, FieldValue
from core.documents.company_fields import COMPANY_FIELDS, company_values, country_name
from core.documents.models import Document
from core.i18n import N_
from core.partners.models import Partner
from core.partners.service import customer_of

CUSTOMER = "core.partner"
"""The kind of templates that are about no document."""
TITLE = N_("Email to a customer")

CATALOGUE = (
    FieldSpec("customer.name", N_("Name of the customer"), sample="Dupont & Fils"),
    FieldSpec("customer.number", N_("Number of the customer"), sample="C-0042"),
    FieldSpec("customer.email", N_("Email address of the customer"), sample="contact@dupont.example.com"),
    FieldSpec("customer.phone", N_("Phone of the customer"), sample="+33 1 99 00 12 34"),
    FieldSpec("customer.street", N_("Street of the customer"), sample="4 rue du Bac"),
    FieldSpec("customer.zip_code", N_("Postal code of the customer"), sample="75007"),
    FieldSpec("customer.city", N_("City of the customer"), sample="Paris"),
    FieldSpec("customer.country", N_("Country of the customer"), sample="France"),
    FieldSpec("customer.vat", N_("VAT number of the customer"), sample="FR40303265045"),
    FieldSpec("customer.language", N_("Language of the customer"), sample=N_("English")),
    FieldSpec("customer.family", N_("Family of the customer"), sample=N_("Wholesale")),
    FieldSpec("contact.name", N_("Name of the contact"), sample="Claire Dupont"),
    FieldSpec("contact.function", N_("Function of the contact"), sample=N_("Buyer")),
    FieldSpec("contact.email", N_("Email address of the contact"), sample="claire@dupont.example.com"),
    FieldSpec("contact.phone", N_("Phone of the contact"), sample="+33 1 99 00 12 35"),
    *COMPANY_FIELDS,
    FieldSpec("sender.name", N_("Name of whoever writes"), sample="Sophie Bernard"),
    FieldSpec("sender.email", N_("Email address of whoever writes"), sample="sophie@lumiere.example.com"),
)
"""The fields that such templates may use; named as those of documents, so that a text can go from one to the other."""


@dataclass(frozen=True, slots=True)
class CustomerMail:
    """An email about no document; it answers templates as a document does.

    Attributes:
        company: In whose name it is written.
        user: Who writes it, or None for the installation.
        partner: The customer or contact it is to, or None where nobody is chosen yet.
    """

    company: Company
    user: User | None = None
    partner: Partner | None = None

    @property
    def kind(self) -> str:
        """The kind of its templates."""
        return CUSTOMER

    @property
    def company_id(self) -> int:
        """Of the company."""
        return self.company.id

    @property
    def currency(self) -> str:
        """Of amounts, of which it has none."""
        return self.company.currency

    @property
    def language(self) -> str:
        """That of the customer, else of the company."""
        return self.partner.language if self.partner is not None else self.company.language


Subject = Document | CustomerMail
"""What an email, and so a template, is about."""


def customer_mail_values(about: CustomerMail) -> dict[str, FieldValue]:
    """Return a value for each field of `CATALOGUE`, in the current locale; "" where there is none."""
    partner, user = about.partner, about.user
    customer = customer_of(partner) if partner is not None else None
    contact = partner if partner is not customer else None
    values: dict[str, FieldValue] = {
        f"customer.{name}": getattr(customer, name) if customer is not None else ""
        for name in ("name", "number", "email", "phone", "street", "zip_code", "city", "vat")
    }
    for name in ("name", "function", "email", "phone"):
        values[f"contact.{name}"] = getattr(contact, name) if contact is not None else ""
    languages = Locale.parse(str(get_locale() or "en")).languages
    return {
        **values,
        "customer.country": country_name(customer.country) if customer is not None else "",
        "customer.language": languages.get(customer.language, customer.language)
        if customer is not None
        else "",
        "customer.family": customer.family.name
        if customer is not None and customer.family is not None
        else "",
        **company_values(about.company),
        "sender.name": user.name if user is not None else "",
        "sender.email": user.login if user is not None else "",
    }
