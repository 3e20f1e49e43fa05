"""An invoice of an order says what was ordered, whatever becomes of order and draft."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal

import pytest

from core.auth.models import User
from core.documents.service import get_readable
from core.errors import UserError
from core.partners.service import save_partner
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues
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
