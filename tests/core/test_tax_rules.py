"""Which taxes a customer is charged, and what becomes of those of a line."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.errors import UserError
from core.products.models import CustomerGroup, Tax, TaxRule
from core.products.service import save_tax
from core.products.tax_rules import (
    can_ship,
    changed_tax,
    group_of,
    instead,
    rule_for,
    rules_of,
    save_tax_rule,
    ship,
)
from tests.forms import filled_in, form_of

both = pytest.mark.both_databases


@pytest.mark.parametrize(
    ("home", "country", "vat", "expected"),
    [
        ("FR", "FR", "FR40303265045", CustomerGroup.DOMESTIC),
        ("FR", "MC", "", CustomerGroup.DOMESTIC),
        ("FR", "DE", "DE136695976", CustomerGroup.EU_BUSINESS),
        ("FR", "GR", "EL094259216", CustomerGroup.EU_BUSINESS),
        ("FR", "DE", "", CustomerGroup.EU_PRIVATE),
        ("FR", "DE", "GB980780684", CustomerGroup.EU_PRIVATE),
        ("FR", "GB", "GB980780684", CustomerGroup.OUTSIDE),
        ("FR", "CH", "", CustomerGroup.OUTSIDE),
        ("FR", "RE", "", CustomerGroup.OUTSIDE),
        ("GB", "FR", "FR40303265045", CustomerGroup.OUTSIDE),
        ("GB", "IM", "", CustomerGroup.DOMESTIC),
    ],
)
def test_customers_are_told_apart_by_country_and_vat_number(
    home: str, country: str, vat: str, expected: CustomerGroup
) -> None:
    assert group_of(country, vat, Company(country=home)) is expected


@both
def test_the_usual_rules_of_a_country_are_made_once_and_applied_in_their_order(company: Company) -> None:
    assert can_ship(company)
    assert rule_for("DE", "DE136695976", company) is None, "none is forced"
    goods, services, export = ship(company)
    assert ship(company) == []
    assert rule_for("DE", "DE136695976", company) == goods
    assert rule_for("CH", "", company) == export
    assert rule_for("DE", "", company) is None
    assert services.mention == "Autoliquidation – article 283-2 du CGI"
    assert services.said("mention", "en") == "Reverse charge – Article 196 of Directive 2006/112/EC"
    save_tax_rule(goods, {"active": False})
    assert rule_for("DE", "DE136695976", company) == services
    assert goods not in rules_of(company.id)
    assert goods in rules_of(company.id, goods.id)
    assert not can_ship(save_company(None, {"name": "Other Ltd", "country": "GB"}))


@both
def test_a_rule_replaces_taxes_leaves_them_or_charges_none(company: Company) -> None:
    full, half, none = (
        save_tax(None, {"name": name, "rate": Decimal(rate), "company_id": company.id})
        for name, rate in (("20", 20), ("10", 10), ("0", 0))
    )
    values = {"name": "Export", "customers": CustomerGroup.OUTSIDE, "company_id": company.id}
    rule = save_tax_rule(None, {**values, "untaxed": False, "replacements": {full.id: none.id}})
    assert [instead(rule, tax) for tax in (full.id, half.id, None)] == [none.id, half.id, None]
    save_tax_rule(rule, {"untaxed": True, "replacements": {full.id: half.id}})
    assert [instead(rule, tax) for tax in (full.id, half.id)] == [half.id, None]
    assert instead(None, full.id) == full.id
    # Another rule begins from the usual tax, not from what the former one has made of it; a choice by hand stays.
    assert changed_tax(half.id, full.id, rule, None) == full.id
    assert changed_tax(None, full.id, rule, None) == full.id
    assert changed_tax(none.id, full.id, rule, None) == none.id
    assert changed_tax(None, full.id, None, rule) is None
    other = save_tax(
        None, {"name": "O", "rate": Decimal(5), "company_id": save_company(None, {"name": "Other"}).id}
    )
    with pytest.raises(UserError, match="another company"):
        save_tax_rule(rule, {"replacements": {full.id: other.id}})


def test_rules_are_added_listed_and_changed_on_their_pages(
    company: Company, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    tax = save_tax(None, {"name": "TVA 20 %", "rate": Decimal(20), "company_id": company.id})
    zero = save_tax(None, {"name": "Exonéré", "rate": Decimal(0), "company_id": company.id})
    client = sign_in(make_user("administrator"))
    page = client.get("/tax-rules")
    assert "Add the usual rules" in page.text
    client.post("/tax-rules/usual", data=form_of(page.text, "csrf_token"))
    page = client.get("/tax-rules").text
    assert "article 262 I du CGI" in page
    assert "Customers outside the European Union" in page
    assert "Add the usual rules" not in page
    rule = db.session.scalars(select(TaxRule).where(TaxRule.customers == CustomerGroup.OUTSIDE)).one()
    page = client.get(f"/tax-rules/{rule.id}").text
    posted = filled_in(
        form_of(page, "mention"), **{"replacements-0-instead_id": str(zero.id), "name": "Hors UE"}
    )
    assert posted["replacements-0-tax_id"] == str(tax.id)
    assert client.post(f"/tax-rules/{rule.id}", data=posted).status_code == 302
    db.session.expire_all()
    assert (rule.name, instead(rule, tax.id), instead(rule, zero.id)) == ("Hors UE", zero.id, None)
    # A tax that goes takes its replacement with it.
    db.session.delete(db.session.get_one(Tax, zero.id))
    db.session.commit()
    db.session.expire_all()
    assert instead(rule, tax.id) is None
