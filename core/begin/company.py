"""The first company: what its country brings, and who works for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from babel.core import get_global
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies
from sqlalchemy import select

from core.auth.models import User, user_company
from core.companies.models import Company
from core.companies.service import companies_for, save_company
from core.config import SUPPORTED_LANGUAGES
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.products.service import taxes_of
from core.products.tax_rules import SHIPPED, ship
from core.products.usual_taxes import USUAL_TAXES, make_usual_taxes

# Where a country has several times, that of most of its people.
_TIMEZONES = {
    "AR": "America/Argentina/Buenos_Aires", "AU": "Australia/Sydney", "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa", "CL": "America/Santiago", "CN": "Asia/Shanghai", "CY": "Asia/Nicosia",
    "DE": "Europe/Berlin", "EC": "America/Guayaquil", "ES": "Europe/Madrid", "ID": "Asia/Jakarta",
    "KZ": "Asia/Almaty", "MN": "Asia/Ulaanbaatar", "MX": "America/Mexico_City", "MY": "Asia/Kuala_Lumpur",
    "NZ": "Pacific/Auckland", "PF": "Pacific/Tahiti", "PT": "Europe/Lisbon", "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv", "US": "America/New_York", "UZ": "Asia/Tashkent", "VN": "Asia/Ho_Chi_Minh",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Brought:
    """What a country brings.

    Attributes:
        currency: ISO 4217.
        language: Of documents where the customer has none.
        timezone: IANA name.
        taxes: The names of its usual taxes, or none where they are to be made by hand.
        rules: Whether there are usual tax rules.
    """

    currency: str
    language: str
    timezone: str
    taxes: tuple[str, ...]
    rules: bool


def brought_by(country: str, language: str) -> Brought:
    """Return what a country brings.

    Args:
        country: ISO 3166-1 alpha-2.
        language: Of whoever asks: taken where it is spoken there, or where none of ours is.
    """
    spoken = set(get_official_languages(country, regional=True, de_facto=True))
    ours = [code for code in (language, *SUPPORTED_LANGUAGES) if code in spoken]
    zones = get_global("territory_zones").get(country) or ["UTC"]
    return Brought(
        currency=next(iter(get_territory_currencies(country)), "EUR"),
        language=ours[0] if ours else language,
        timezone=_TIMEZONES.get(country, str(zones[0])),
        taxes=tuple(tax.name for tax in USUAL_TAXES.get(country, ())),
        rules=country in SHIPPED,
    )


def found_company(values: dict[str, Any], by: User) -> Company:
    """Make the first company of a user, who works for it from now on, with the usual taxes of its country.

    Args:
        values: Column values.
        by: Who makes it; their times are the company's from now on.

    Raises:
        UserError: As `save_company`; or the user has a company by now, since the button was pressed twice.
    """
    with transaction() as session:
        session.refresh(by, ["company_id"], with_for_update={"of": User, "key_share": True})
        if companies := companies_for(by):
            raise UserError(_l("You work for %(name)s already.", name=companies[0].name))
        company = save_company(None, values)
        session.flush()
        _work_for(by, company)
        by.timezone = company.timezone
        if not taxes_of(company.id):
            make_usual_taxes(company)
        ship(company)
    return company


def companies_to_join() -> list[Company]:
    """Return the active companies, by name."""
    return list(db.session.scalars(select(Company).where(Company.active).order_by(Company.name)))


def join_company(company_id: int, by: User) -> Company:
    """Let whoever manages companies work for one that is there.

    Raises:
        UserError: It is not active, or not there any more.
    """
    with transaction() as session:
        session.refresh(by, ["company_id"], with_for_update={"of": User, "key_share": True})
        company = session.get(Company, company_id)
        if company is None or not company.active:
            raise UserError(_l("There is no such company any more."))
        _work_for(by, company)
    return company


def _work_for(user: User, company: Company) -> None:
    pair = {"user_id": user.id, "company_id": company.id}
    with transaction() as session:
        there = select(user_company.c.user_id).filter_by(**pair)
        if session.scalar(there) is None:
            session.execute(user_company.insert(), [pair])
        user.company_id = company.id
