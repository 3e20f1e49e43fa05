"""The company as a document prints it: as it is, or as it was when the document became final."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from core.companies.models import Company


@dataclass(frozen=True, slots=True)
class Issuer:
    """The company's details as a document prints them, copied when it is issued; named as the columns of `Company`.

    The logo is not among it: it says nothing, and would be kept anew for every invoice.
    """

    name: str = ""
    street: str = ""
    zip_code: str = ""
    city: str = ""
    country: str = ""
    email: str = ""
    phone: str = ""
    website: str = ""
    vat: str = ""
    legal_line: str = ""
    late_payment_line: str = ""
    bank_line: str = ""
    accent: str = ""


def issuer_now(company: Company) -> Issuer:
    """Return the issuer as the company is now."""
    return Issuer(**{field.name: getattr(company, field.name) for field in fields(Issuer)})


def to_text(issuer: Issuer) -> str:
    """Return the text that keeps an issuer in its column."""
    return json.dumps(asdict(issuer), ensure_ascii=False)


def from_text(text: str) -> Issuer:
    """Return the issuer that `to_text` has kept, perhaps in a version that knew other fields."""
    kept = json.loads(text)
    return Issuer(**{field.name: kept.get(field.name, "") for field in fields(Issuer)})
