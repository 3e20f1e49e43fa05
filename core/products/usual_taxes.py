"""The usual taxes on sales of a country, for a company that has none yet; its accountant has the last word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.companies.models import Company
from core.db import transaction
from core.products.models import Tax
from core.products.service import save_tax


@dataclass(frozen=True, slots=True)
class UsualTax:
    """A tax as documents of its country print it.

    Attributes:
        name: In the language of the country, as far as it is one of ours.
        rate: In percent.
        other: The other language of ours.
        other_name: And what it is called there.
    """

    name: str
    rate: Decimal
    other: str
    other_name: str


def _french(*rates: str) -> tuple[UsualTax, ...]:
    # As it is written in each: a blank that does not break, and a comma.
    return tuple(
        UsualTax(f"TVA {rate.replace('.', ',')}\N{NO-BREAK SPACE}%", Decimal(rate), "en", f"VAT {rate}%")
        for rate in rates
    )


def _english(*rates: str) -> tuple[UsualTax, ...]:
    return tuple(
        UsualTax(f"VAT {rate}%", Decimal(rate), "fr", f"TVA {rate.replace('.', ',')}\N{NO-BREAK SPACE}%")
        for rate in rates
    )


USUAL_TAXES: Mapping[str, tuple[UsualTax, ...]] = {
    "AT": _english("20", "13", "10"),
    "BE": _french("21", "12", "6"),
    "CH": _french("8.1", "3.8", "2.6"),
    "DE": _english("19", "7"),
    "DK": _english("25"),
    "ES": _english("21", "10", "4"),
    "FR": _french("20", "10", "5.5", "2.1"),
    "GB": _english("20", "5", "0"),
    "GP": _french("8.5", "2.1"),
    "IE": _english("23", "13.5", "9", "0"),
    "IT": _english("22", "10", "5", "4"),
    "LU": _french("17", "14", "8", "3"),
    "MC": _french("20", "10", "5.5", "2.1"),
    "MQ": _french("8.5", "2.1"),
    "NL": _english("21", "9"),
    "PL": _english("23", "8", "5"),
    "PT": _english("23", "13", "6"),
    "RE": _french("8.5", "2.1"),
    "SE": _english("25", "12", "6"),
}
"""By the country of the company, the standard rate first; of countries that are not here nothing is known."""


def make_usual_taxes(company: Company) -> list[Tax]:
    """Make the usual taxes of a company's country; none where nothing is known of it."""
    with transaction():
        return [
            save_tax(
                None,
                {
                    "name": tax.name,
                    "rate": tax.rate,
                    "translations": {tax.other: {"name": tax.other_name}},
                    "company_id": company.id,
                },
            )
            for tax in USUAL_TAXES.get(company.country, ())
        ]
