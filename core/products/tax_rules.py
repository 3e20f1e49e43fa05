"""Which taxes a customer is charged: by the country, and by whether it is a business.

A rule says what is charged instead of the usual taxes, and what the law wants the document to say. It is applied when
a customer is chosen for a document, is shown there, and may be chosen otherwise; nothing happens unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_, select

from core.companies.models import Company
from core.db import db, transaction
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.products.models import CustomerGroup, TaxReplacement, TaxRule
from core.products.service import taxes_of
from core.vat import in_the_union, of_the_union, same_tax_territory

GROUP_TITLES: Mapping[CustomerGroup, str] = {
    CustomerGroup.DOMESTIC: N_("Customers in the country of the company"),
    CustomerGroup.EU_BUSINESS: N_("Businesses elsewhere in the European Union, with a VAT number"),
    CustomerGroup.EU_PRIVATE: N_("Customers elsewhere in the European Union, without a VAT number"),
    CustomerGroup.OUTSIDE: N_("Customers outside the European Union"),
}

# Name, customers, mention in French and in English: what French law asks for, for whoever wants it.
_FRENCH = (
    (
        "UE, entreprise : biens",
        CustomerGroup.EU_BUSINESS,
        "Exonération de TVA, article 262 ter I du CGI",
        "VAT exempt intra-Community supply – Article 138 of Directive 2006/112/EC",
    ),
    (
        "UE, entreprise : services (autoliquidation)",
        CustomerGroup.EU_BUSINESS,
        "Autoliquidation – article 283-2 du CGI",
        "Reverse charge – Article 196 of Directive 2006/112/EC",
    ),
    (
        "Export hors UE",
        CustomerGroup.OUTSIDE,
        "Exonération de TVA, article 262 I du CGI",
        "VAT exempt export – Article 146 of Directive 2006/112/EC",
    ),
)
SHIPPED = {"FR": _FRENCH}
"""By the country of the company."""


def group_of(country: str, vat: str, company: Company) -> CustomerGroup:
    """Return how a company in its country has to look at a customer.

    Args:
        country: Of the customer, ISO 3166.
        vat: Its VAT number, or "".
        company: Who sells.
    """
    if same_tax_territory(country, company.country):
        return CustomerGroup.DOMESTIC
    if not (in_the_union(company.country) and in_the_union(country)):
        return CustomerGroup.OUTSIDE
    return CustomerGroup.EU_BUSINESS if of_the_union(vat) else CustomerGroup.EU_PRIVATE


def rules_of(company_id: int, present_id: int | None = None) -> list[TaxRule]:
    """Return the active rules of a company, in the order in which they were made; the present one is among them."""
    theirs = or_(TaxRule.company_id.is_(None), TaxRule.company_id == company_id)
    offered = or_(TaxRule.active, TaxRule.id == present_id)
    return list(db.session.scalars(select(TaxRule).where(theirs, offered).order_by(TaxRule.id)))


def rule_for(country: str, vat: str, company: Company) -> TaxRule | None:
    """Return the rule that applies to a customer by itself, None where the usual taxes are charged; see `group_of`."""
    group = group_of(country, vat, company)
    return next((rule for rule in rules_of(company.id) if rule.customers is group), None)


def instead(rule: TaxRule | None, tax_id: int | None) -> int | None:
    """Return the id of the tax that is charged in the place of another; None for no tax."""
    if rule is None or tax_id is None:
        return tax_id
    replaced = {row.tax_id: row.instead_id for row in rule.replacements}
    return replaced.get(tax_id, None if rule.untaxed else tax_id)


def changed_tax(
    tax_id: int | None, usual_id: int | None, before: TaxRule | None, rule: TaxRule | None
) -> int | None:
    """Return the tax of a line whose document gets another rule.

    What a person has chosen by hand counts as usual; what the former rule has made of a tax is taken back first.

    Args:
        tax_id: Of the line as it is.
        usual_id: Of its product, or of the company where it has none.
        before: The former rule, or None.
        rule: The new one, or None.
    """
    made = before is not None and (tax_id == instead(before, usual_id) or (tax_id is None and before.untaxed))
    return instead(rule, usual_id if made else tax_id)


def save_tax_rule(rule: TaxRule | None, values: dict[str, Any]) -> TaxRule:
    """Create or change a rule; documents that were written before stay as they are.

    Args:
        rule: The rule to change, or None for a new one.
        values: Column values; and `replacements`, ids of taxes by the ids of those that they replace.

    Raises:
        UserError: A tax is another company's.
    """
    with transaction() as session:
        rule = rule or TaxRule()
        replacements: Mapping[int, int] = values.pop("replacements", {})
        for name, value in values.items():
            setattr(rule, name, value)
        if rule.company_id is not None:
            allowed = {tax.id for tax in taxes_of(rule.company_id)}
            if not allowed.issuperset(replacements.values()):
                raise UserError(_l("This tax belongs to another company."), "company_id")
        session.add(rule)
        session.flush()
        rule.replacements = [
            TaxReplacement(rule_id=rule.id, tax_id=tax_id, instead_id=instead_id)
            for tax_id, instead_id in replacements.items()
        ]
        session.flush()
    return rule


def can_ship(company: Company) -> bool:
    """Return True where there are usual rules for the country of a company, which has none yet."""
    return company.country in SHIPPED and not rules_of(company.id)


def ship(company: Company) -> list[TaxRule]:
    """Make the usual rules of a company's country, unless it has rules already."""
    with transaction():
        if not can_ship(company):
            return []
        return [
            save_tax_rule(
                None,
                {
                    "name": name,
                    "customers": customers,
                    "mention": french,
                    "translations": {"en": {"mention": english}},
                    "company_id": company.id,
                },
            )
            for name, customers, french, english in SHIPPED[company.country]
        ]
