from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.errors import ConcurrentChangeError, UserError
from core.followers.service import followers_of
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.models import Tax
from core.products.service import save_tax
from modules.sales.models import Order
from modules.sales.service import orders
from modules.sales.service.lines import LineValues, lines_of
from modules.sales.states import ORDER, QUOTATION, OrderState
from tests.sales.conftest import TODAY

Make = Callable[..., Order]


@pytest.mark.both_databases
def test_numbers_have_no_gaps_even_when_something_fails(make_quotation: Make) -> None:
    first = make_quotation()
    with pytest.raises(UserError):
        make_quotation(validity_date=TODAY - dt.timedelta(days=1))
    with pytest.raises(UserError), transaction():
        orders.reopen(make_quotation())  # fails, and takes the new quotation with it
    second = make_quotation()
    assert [first.document.number, second.document.number] == ["S00001", "S00002"]


def test_each_company_counts_for_itself(make_quotation: Make) -> None:
    other = save_company(None, {"name": "Other Ltd", "currency": "GBP", "language": "en"})
    make_quotation()
    theirs = make_quotation(company=other, lines=())
    assert theirs.document.number == "S00001"
    assert theirs.document.currency == "GBP"


def test_the_total_and_the_language_come_from_lines_and_customer(make_quotation: Make) -> None:
    order = make_quotation()
    assert order.document.total == Decimal("120.00")
    assert order.document.language == "fr"
    assert make_quotation(language="en").document.language == "en"


def test_customer_and_owner_follow(make_quotation: Make, customer: Partner, salesperson: User) -> None:
    order = make_quotation()
    assert [(f.name, f.by_mail) for f in followers_of(order.document_id)] == [
        (customer.name, True),
        (salesperson.name, False),
    ]


def test_confirming_keeps_row_number_and_followers(make_quotation: Make) -> None:
    order = make_quotation()
    before = (order.document_id, order.document.number, [f.id for f in followers_of(order.document_id)])
    orders.confirm(order, seen_revision=order.document.revision)
    assert (order.state, order.document.kind) == (OrderState.ORDER, ORDER)
    assert before == (
        order.document_id,
        order.document.number,
        [f.id for f in followers_of(order.document_id)],
    )


def test_an_empty_quotation_is_not_confirmed(make_quotation: Make) -> None:
    order = make_quotation(lines=())
    with pytest.raises(UserError, match="Add a line first"):
        orders.confirm(order)
    assert order.document.kind == QUOTATION


def test_a_confirmed_order_is_not_edited(make_quotation: Make, customer: Partner) -> None:
    order = make_quotation()
    orders.confirm(order)
    with pytest.raises(UserError, match="it is an order now"):
        orders.change_quotation(order, orders.QuotationValues(customer.id, TODAY), None)
    with pytest.raises(UserError, match="it is an order now"):
        orders.confirm(order)
    assert len(lines_of(order.document_id)) == 1


def test_a_canceled_order_comes_back_as_a_quotation_with_its_number(make_quotation: Make) -> None:
    order = make_quotation()
    orders.confirm(order)
    orders.cancel(order)
    assert order.state is OrderState.CANCELED
    with pytest.raises(UserError, match="has been canceled"):
        orders.confirm(order)
    orders.reopen(order)
    assert (order.state, order.document.kind, order.document.number) == (
        OrderState.QUOTATION,
        QUOTATION,
        "S00001",
    )


def test_a_copy_has_its_own_number_date_and_lines(make_quotation: Make, salesperson: User) -> None:
    original = make_quotation(date=TODAY - dt.timedelta(days=90), note="Keep", payment_terms="30 days")
    orders.cancel(original)
    copy = orders.duplicate(original, salesperson)
    assert (copy.document.number, copy.document.date, copy.state) == ("S00002", TODAY, OrderState.QUOTATION)
    assert (copy.note, copy.payment_terms) == ("Keep", "30 days")
    assert copy.document.total == original.document.total
    assert [line.description for line in lines_of(copy.document_id)] == ["Lampe\nEn laiton"]


@pytest.mark.both_databases
def test_a_concurrent_change_is_refused_with_a_sentence(make_quotation: Make, customer: Partner) -> None:
    order = make_quotation()
    seen = order.document.revision
    values = orders.QuotationValues(customer.id, TODAY, note="first")
    orders.change_quotation(order, values, None, seen_revision=seen)
    with pytest.raises(ConcurrentChangeError, match="Somebody else"):
        orders.change_quotation(order, dataclasses.replace(values, note="second"), None, seen_revision=seen)
    assert order.note == "first"


def test_the_new_customer_follows_instead_of_the_former(make_quotation: Make, salesperson: User) -> None:
    order = make_quotation()
    other = save_partner(None, {"name": "Kestrel", "language": "en"})
    orders.change_quotation(order, orders.QuotationValues(other.id, TODAY), salesperson)
    assert followers_of(order.document_id)[0].name == "Kestrel"
    assert order.document.partner is other
    assert order.document.language == "en"


def test_lines_keep_the_tax_they_were_written_with(make_quotation: Make, vat: Tax) -> None:
    order = make_quotation()
    save_tax(vat, {"name": "TVA 21 %", "rate": Decimal(21)})
    (line,) = lines_of(order.document_id)
    assert (line.tax_name, line.tax_rate) == ("TVA 20 %", Decimal(20))


def test_a_tax_of_another_company_is_refused(make_quotation: Make, line: LineValues) -> None:
    other = save_company(None, {"name": "Other Ltd"})
    foreign = save_tax(None, {"name": "VAT", "rate": Decimal(20), "company_id": other.id})
    with pytest.raises(UserError, match="tax"):
        make_quotation(lines=[dataclasses.replace(line, tax_id=foreign.id)])


def test_amounts_too_large_are_refused_and_nothing_is_kept(make_quotation: Make, line: LineValues) -> None:
    huge = dataclasses.replace(line, quantity=Decimal(10) ** 8, unit_price=Decimal(10) ** 8)
    with pytest.raises(UserError, match="Line 2"):
        make_quotation(lines=[line, huge])
    assert db.session.scalar(select(Document.id)) is None


def test_five_hundred_lines_in_their_order(make_quotation: Make, line: LineValues, company: Company) -> None:
    many = [dataclasses.replace(line, description=f"Line {n}") for n in range(500)]
    order = make_quotation(lines=many)
    assert [line.description for line in lines_of(order.document_id)] == [f"Line {n}" for n in range(500)]
    assert order.document.total == Decimal(60000)
    assert order.document.company is company


def test_a_copy_keeps_the_currency_of_its_prices(
    make_quotation: Make, company: Company, salesperson: User
) -> None:
    order = make_quotation()
    save_company(company, {"currency": "USD"})
    copy = orders.duplicate(order, salesperson)
    assert (copy.document.currency, copy.document.total) == ("EUR", Decimal("120.00"))
    assert make_quotation().document.currency == "USD"
