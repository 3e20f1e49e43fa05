"""Documents whose customer is taxed by a rule: applied with the customer, seen, changed, printed, handed on."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader

from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.documents.pdf import render_document
from core.documents.service import warnings_of
from core.errors import UserError
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.models import CustomerGroup, Tax, TaxRule
from core.products.service import save_product, save_tax
from core.products.tax_rules import save_tax_rule
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.service.agreed import write_rule
from modules.sales.service.lines import LineValues
from tests.forms import filled_in, form_of

MENTION = "Autoliquidation – article 283-2 du CGI"

both = pytest.mark.both_databases


@pytest.fixture
def client(salesperson: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(salesperson)


@pytest.fixture
def reverse(company: Company) -> TaxRule:
    return save_tax_rule(
        None,
        {
            "name": "UE",
            "customers": CustomerGroup.EU_BUSINESS,
            "mention": MENTION,
            "translations": {"en": {"mention": "Reverse charge – Article 196"}},
            "company_id": company.id,
        },
    )


@pytest.fixture
def belgian(company: Company) -> Partner:
    return save_partner(
        None, {"name": "Delhaize SA", "country": "BE", "vat": "BE0403019261", "language": "fr"}
    )


def text_of(document: Document, language: str | None = None) -> str:
    reader = PdfReader(io.BytesIO(render_document(document, language=language)))
    return " ".join(" ".join(page.extract_text().split()) for page in reader.pages)


def test_a_new_quotation_for_a_business_abroad_begins_without_tax(
    client: FlaskClient, belgian: Partner, reverse: TaxRule, vat: Tax
) -> None:
    page = client.get(f"/sales/quotations/new?partner_id={belgian.id}").text
    form = form_of(page, "tax_rule_id")
    assert (form["tax_rule_id"], form["line.tax_id"]) == (str(reverse.id), "")
    assert MENTION in page
    posted = filled_in(form, **{"line.description": "Lampe", "line.unit_price": "100"})
    assert client.post("/sales/quotations/new", data=posted).status_code == 302
    order = db.session.query(Order).one()
    assert (order.tax_rule_id, order.tax_mention, order.document.total) == (
        reverse.id, MENTION, Decimal(100),
    )  # fmt: skip
    assert warnings_of(order.document) == []
    shown = client.get(f"/sales/orders/{order.document_id}").text
    assert MENTION in shown


def test_the_lines_follow_the_customer_and_the_rule_and_a_choice_by_hand_stays(
    client: FlaskClient, company: Company, customer: Partner, belgian: Partner, reverse: TaxRule, vat: Tax
) -> None:
    reduced = save_tax(None, {"name": "TVA 5,5 %", "rate": Decimal("5.5"), "company_id": company.id})
    book = save_product(None, {"name": "Livre", "tax_id": reduced.id, "company_id": company.id})
    for name in ("Lampe", "Applique"):  # so that the usual tax is theirs
        save_product(None, {"name": name, "tax_id": vat.id, "company_id": company.id})
    products = ["", str(book.id), ""]
    taxes = [str(vat.id), str(reduced.id), ""]

    def asked(
        partner: Partner, rule: str, before: str, taxes: list[str], *, of_customer: bool
    ) -> tuple[str, list[str]]:
        url = f"/sales/companies/{company.id}/taxes?before={before}" + ("&customer=1" if of_customer else "")
        data = {
            "partner_id": str(partner.id),
            "tax_rule_id": rule,
            "line.product_id": products,
            "line.description": ["Lampe", "Livre", "Timbre"],
            "line.quantity": ["1"] * 3,
            "line.unit_price": ["1"] * 3,
            "line.tax_id": taxes,
        }
        answer = client.post(url, data=data).get_json()
        return answer["rule"], answer["taxes"]

    ue = str(reverse.id)
    assert asked(belgian, "", "", taxes, of_customer=True) == (ue, ["", "", ""])
    # Overridden, and back again with the customer.
    assert asked(belgian, "", ue, ["", "", ""], of_customer=False) == (
        "", [str(vat.id), str(reduced.id), str(vat.id)],
    )  # fmt: skip
    by_hand = [str(reduced.id), "", ""]
    assert asked(customer, ue, ue, by_hand, of_customer=True) == (
        "", [str(reduced.id), str(reduced.id), str(vat.id)],
    )  # fmt: skip
    # What is chosen afterwards has the tax of the rule as well.
    found = client.get(f"/sales/companies/{company.id}/products?q=livre&tax_rule_id={ue}").get_json()
    assert found[0]["tax_id"] == ""


@both
def test_what_the_law_wants_is_printed_handed_on_and_stays(
    make_quotation: Callable[..., Order], salesperson: User, belgian: Partner, reverse: TaxRule
) -> None:
    line = LineValues("Lampe", Decimal(1), Decimal(100))
    order = make_quotation(partner_id=belgian.id, lines=[line], tax_rule_id=reverse.id)
    assert MENTION in text_of(order.document)
    assert "Reverse charge – Article 196" in text_of(order.document, "en")
    copy = orders.duplicate(order, salesperson)
    assert (copy.tax_rule_id, copy.tax_mention) == (reverse.id, MENTION)
    orders.confirm(order)
    invoice = invoices.invoice_order(order, salesperson)
    invoices.post(invoice)
    note = invoices.create_credit_note(invoice, salesperson)
    # The rule changes, and what was agreed does not.
    save_tax_rule(reverse, {"mention": "Autre", "active": False})
    for row in (order, invoice, note):
        assert MENTION in text_of(row.document)
    # It goes: the posted invoice keeps what it says.
    db.session.delete(db.session.get_one(TaxRule, reverse.id))
    db.session.commit()
    db.session.expire_all()
    assert (db.session.get_one(Invoice, invoice.document_id).tax_rule_id, invoice.tax_mention) == (
        None,
        MENTION,
    )


def test_a_rule_of_another_company_or_one_that_is_gone_is_refused(
    make_quotation: Callable[..., Order], customer: Partner, reverse: TaxRule
) -> None:
    order = make_quotation()
    with pytest.raises(UserError, match="does not exist any more"):
        write_rule(order, reverse.id + 99)
    write_rule(order, reverse.id)
    write_rule(order, None)
    assert (order.tax_rule_id, order.tax_mention, order.translations.get("en")) == (None, "", None)
