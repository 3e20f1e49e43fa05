"""Lines without a product are taxed as a company's sales usually are; what a business abroad pays is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.documents.service import warnings_of
from core.errors import UserError
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.models import Tax
from core.products.service import save_product, save_tax, usual_tax
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices
from modules.sales.service.lines import LineValues

both = pytest.mark.both_databases


@pytest.fixture
def client(salesperson: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(salesperson)


@both
def test_the_usual_tax_is_that_of_most_products_or_the_highest(company: Company, vat: Tax) -> None:
    other = save_company(None, {"name": "Other Ltd", "country": "GB"})
    assert usual_tax(other.id) is None
    reduced = save_tax(None, {"name": "TVA 5,5 %", "rate": Decimal("5.5")})
    assert usual_tax(company.id) == vat
    assert usual_tax(other.id) == reduced
    for name, tax, mine, active in (
        ("Book", reduced, True, True), ("Lamp", vat, True, False), ("Map", vat, True, False), ("Pen", vat, False, True),
    ):  # fmt: skip
        owner = company if mine else None
        save_product(
            None,
            {
                "name": name,
                "tax_id": tax.id if tax.company_id in {None, owner and owner.id} else None,
                "company_id": owner.id if owner else None,
                "active": active,
            },
        )
    assert usual_tax(company.id) == reduced


def test_a_new_line_has_the_usual_tax_and_keeps_another_choice(
    client: FlaskClient, customer: Partner, vat: Tax, make_quotation: Callable[..., Order]
) -> None:
    page = client.get(f"/sales/quotations/new?partner_id={customer.id}").text
    chosen = re.findall(r'<option value="(\d*)" selected>TVA 20 %', page)
    assert chosen == [str(vat.id)] * 2, "of the first line, and of those that are added"
    untaxed = make_quotation(lines=[LineValues("Stamp duty", Decimal(1), Decimal(5))])
    page = client.get(f"/sales/orders/{untaxed.document_id}/edit").text
    assert len(re.findall(r"selected>TVA 20 %", page)) == 1, "of those that are added"


def test_domestic_tax_for_a_business_abroad_is_told_before_anything_is_issued(
    client: FlaskClient, company: Company, customer: Partner, make_invoice: Callable[..., Invoice]
) -> None:
    draft = make_invoice(posted=False)
    assert warnings_of(draft.document) == []
    save_partner(customer, {"country": "BE", "vat": "BE0403019261", "city": "Bruxelles"})
    (told,) = warnings_of(draft.document)
    assert "BE0403019261" in told
    assert "TVA 20 %" in told
    assert "BE0403019261" in client.get(f"/sales/invoices/{draft.document_id}").text
    assert "Check whether this sale is without tax" in client.get(f"/sales/invoices/{draft.document_id}").text
    # A person abroad pays it, and Monaco is taxed as France is.
    save_partner(customer, {"vat": ""})
    assert warnings_of(draft.document) == []
    save_partner(customer, {"vat": "FR40303265045", "country": "MC"})
    assert warnings_of(draft.document) == []
    # What was issued is judged by what stands on it, and what takes it back has its taxes.
    save_partner(customer, {"country": "BE"})
    invoices.post(draft)
    save_partner(customer, {"vat": ""})
    assert len(warnings_of(draft.document)) == 1
    assert warnings_of(invoices.create_credit_note(draft, None).document) == []


def test_a_company_has_a_country_and_a_vat_number_that_there_can_be(company: Company) -> None:
    assert save_company(company, {"vat": "FR40 303 265 045"}).vat == "FR40303265045"
    for field, wrong in (("vat", "not a vat"), ("country", "ZZ"), ("country", "Fr")):
        with pytest.raises(UserError) as refused:
            save_company(company, {field: wrong})
        assert refused.value.field == field
