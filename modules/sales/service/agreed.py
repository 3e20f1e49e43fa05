"""What a document has agreed beside its lines: terms of payment, and the rule by which its customer is taxed."""

from __future__ import annotations

from core.companies.models import Company
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner
from core.partners.service import customer_of
from core.products.models import TaxRule
from core.products.service import payment_terms_of
from core.products.tax_rules import rule_for, rules_of
from core.products.words import OWN, recognize
from modules.sales.models import Invoice, Order


def write_terms(row: Order | Invoice, terms: str) -> None:
    """Give a document terms of payment, known by their words in whatever language, inside the running transaction.

    Args:
        row: The order or invoice.
        terms: As they stand in the form.
    """
    offered = [one.wording("name") for one in payment_terms_of(row.document.company_id)]
    # What the document says already stays known, also when the company has changed its terms.
    row.say("payment_terms", recognize(terms.strip(), [*offered, row.wording("payment_terms")]))


def rule_of_customer(partner: Partner | None, company: Company) -> TaxRule | None:
    """Return the rule that applies to a customer, or to the customer of a contact, by itself."""
    if partner is None:
        return None
    customer = customer_of(partner)
    return rule_for(customer.country, customer.vat, company)


def write_rule(row: Order | Invoice, rule_id: int | None) -> None:
    """Give a document another tax rule, and the mention that it has now, inside the running transaction.

    The taxes of the lines are not touched: whoever writes has seen them change.

    Raises:
        UserError: There is no such rule.
    """
    if rule_id == row.tax_rule_id:
        return  # what was agreed stays, whatever has become of the rule
    rule = next((one for one in rules_of(row.document.company_id, rule_id) if one.id == rule_id), None)
    if rule_id is not None and rule is None:
        raise UserError(_l("This tax rule does not exist any more. Choose another."), "tax_rule_id")
    row.tax_rule_id = rule_id
    row.say("tax_mention", rule.wording("mention") if rule is not None else {OWN: ""})


def copy_rule(source: Order | Invoice, row: Order | Invoice) -> None:
    """Give a document the tax rule of another one with its mention, in every language."""
    row.tax_rule_id = source.tax_rule_id
    row.say("tax_mention", source.wording("tax_mention"))


def copy_agreed(source: Order | Invoice, row: Order | Invoice) -> None:
    """Give a document what another one has agreed, in every language."""
    row.say("payment_terms", source.wording("payment_terms"))
    copy_rule(source, row)
