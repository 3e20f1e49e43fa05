"""An invoice of an order says what was ordered, whatever becomes of order and draft."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from core.auth.models import User
from core.documents.service import get_readable, warnings_of
from core.errors import UserError
from core.partners.service import save_partner
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues, lines_of
from modules.sales.states import InvoiceState
from tests.sales.conftest import TODAY

MakeOrder = Callable[..., Order]
MakeInvoice = Callable[..., Invoice]

both = pytest.mark.both_databases


def _order(draft: Invoice) -> Order:
    assert draft.order is not None
    return draft.order


@both
def test_the_draft_of_a_canceled_order_stays_canceled(make_invoice: MakeInvoice) -> None:
    draft = make_invoice(posted=False)
    invoices.cancel(draft)
    orders.cancel(_order(draft))
    with pytest.raises(UserError, match="invoice the order again"):
        invoices.reopen(draft)
    assert draft.state is InvoiceState.CANCELED


@both
def test_the_draft_of_an_order_that_was_confirmed_anew_stays_canceled(
    make_invoice: MakeInvoice, salesperson: User, line: LineValues
) -> None:
    draft = make_invoice(posted=False)
    order = _order(draft)
    invoices.cancel(draft)
    orders.cancel(order)
    orders.reopen(order)
    with pytest.raises(UserError, match="invoice the order again"):
        invoices.reopen(draft)
    other = save_partner(None, {"name": "Kestrel"})
    more = dataclasses.replace(line, quantity=Decimal(99))
    values = orders.QuotationValues(partner_id=other.id, date=TODAY, lines=[more])
    orders.change_quotation(order, values, salesperson)
    orders.confirm(order)
    with pytest.raises(UserError, match="invoice the order again"):
        invoices.reopen(draft)
    anew = invoices.invoice_order(order, salesperson)
    invoices.post(anew)
    assert (anew.customer_name, anew.document.total) == ("Kestrel", order.document.total)


def test_the_page_offers_no_way_back_for_a_draft_of_a_former_order(
    make_invoice: MakeInvoice, sign_in: Callable[[User], object], salesperson: User
) -> None:
    draft = make_invoice(posted=False)
    invoices.cancel(draft)
    client = sign_in(salesperson)
    address = f"/sales/invoices/{draft.document_id}"
    assert "Back to draft" in client.get(address).text  # type: ignore[attr-defined]
    orders.cancel(_order(draft))
    assert get_readable(salesperson, draft.document_id) is not None
    page = client.get(address).text  # type: ignore[attr-defined]
    assert "Back to draft" not in page
    assert "The order has been canceled since." in page


@both
def test_an_order_is_invoiced_again_once_its_invoice_is_credited_in_full(
    make_invoice: MakeInvoice, salesperson: User, sign_in: Callable[[User], FlaskClient]
) -> None:
    first = make_invoice()
    order = _order(first)
    revision = first.document.revision
    half = invoices.create_credit_note(first, salesperson)
    (line,) = lines_of(half.document_id)
    part = LineValues(line.description, Decimal(1), line.unit_price, tax_id=line.tax_id)
    invoices.change_invoice(half, invoices.InvoiceValues(first.document.partner_id or 0, lines=[part]), None)
    invoices.post(half)
    assert not first.credited
    with pytest.raises(UserError, match="invoiced already"):
        invoices.invoice_order(order, salesperson)
    rest = invoices.create_credit_note(first, salesperson)
    invoices.change_invoice(rest, invoices.InvoiceValues(first.document.partner_id or 0, lines=[part]), None)
    invoices.post(rest)
    assert first.credited
    # What it says is what it said: an email about it that waits is not outdated by that.
    assert first.document.revision == revision

    client = sign_in(salesperson)
    assert "Its order can be invoiced again" in client.get(f"/sales/invoices/{first.document_id}").text
    assert "Create invoice" in client.get(f"/sales/orders/{order.document_id}").text
    assert order.document.number in client.get("/sales/orders?f=to-invoice").text
    second = invoices.invoice_order(order, salesperson)
    invoices.post(second)
    assert second.document.number in client.get(f"/sales/invoices/{first.document_id}").text
    assert first.document.number not in client.get("/sales/orders?f=to-invoice").text
    with pytest.raises(UserError, match="invoiced already"):
        invoices.invoice_order(order, salesperson)


@both
def test_an_order_whose_invoice_was_credited_in_full_can_be_canceled(
    make_invoice: MakeInvoice, salesperson: User
) -> None:
    invoice = make_invoice()
    invoices.post(invoices.create_credit_note(invoice, salesperson))
    orders.cancel(_order(invoice))
    assert invoice.state is InvoiceState.POSTED
    assert not invoice.superseded


def test_what_nobody_can_accept_is_told_before_it_is_sent(
    make_quotation: MakeOrder, salesperson: User, sign_in: Callable[[User], FlaskClient]
) -> None:
    expired = make_quotation(validity_date=TODAY - dt.timedelta(days=1), date=TODAY - dt.timedelta(days=9))
    empty = make_quotation(lines=())
    assert ["valid until Mar 11, 2026 only" in words for words in warnings_of(expired.document)] == [True]
    assert ["no lines" in words for words in warnings_of(empty.document)] == [True]
    assert warnings_of(make_quotation(validity_date=TODAY).document) == []
    # The composer asks by the same sentences.
    assert "was valid until" in sign_in(salesperson).get(f"/sales/orders/{expired.document_id}").text
