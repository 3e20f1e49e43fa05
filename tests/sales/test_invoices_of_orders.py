"""An invoice of an order says what was ordered, whatever becomes of order and draft, and whoever is at it at once."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask

from core.auth.models import User
from core.db import db
from core.documents.service import get_readable
from core.errors import UserError
from core.partners.service import save_partner
from modules.sales.models import Invoice, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues
from modules.sales.states import InvoiceState, OrderState
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


def _at_once(app: Flask, *verbs: Callable[[], object]) -> list[BaseException]:
    """Do several things at once; return what was raised."""
    start = threading.Barrier(len(verbs))
    raised: list[BaseException] = []

    def run(verb: Callable[[], object]) -> None:
        with app.app_context():
            try:
                start.wait()
                verb()
            except BaseException as error:  # noqa: BLE001 (shown by the test)
                raised.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@both
def test_reopening_a_draft_and_invoicing_the_order_at_once_leaves_one(
    app: Flask, make_invoice: MakeInvoice
) -> None:
    for _ in range(5):
        draft = make_invoice(posted=False)
        order_id, draft_id = _order(draft).document_id, draft.document_id
        invoices.cancel(draft)
        db.session.commit()
        raised = _at_once(
            app,
            lambda draft_id=draft_id: invoices.reopen(db.session.get_one(Invoice, draft_id)),
            lambda order_id=order_id: invoices.invoice_order(db.session.get_one(Order, order_id), None),
        )
        assert [type(error) for error in raised] == [UserError], raised
        db.session.expire_all()
        live = orders.invoice_of(db.session.get_one(Order, order_id))
        assert live is not None


@both
def test_reopening_a_draft_and_canceling_the_order_at_once_leaves_no_invoice_of_a_canceled_order(
    app: Flask, make_invoice: MakeInvoice
) -> None:
    for _ in range(5):
        draft = make_invoice(posted=False)
        order_id, draft_id = _order(draft).document_id, draft.document_id
        invoices.cancel(draft)
        db.session.commit()
        raised = _at_once(
            app,
            lambda draft_id=draft_id: invoices.reopen(db.session.get_one(Invoice, draft_id)),
            lambda order_id=order_id: orders.cancel(db.session.get_one(Order, order_id)),
        )
        assert [type(error) for error in raised] == [UserError], raised
        db.session.expire_all()
        order, invoice = db.session.get_one(Order, order_id), db.session.get_one(Invoice, draft_id)
        assert (order.state is OrderState.CANCELED) is (invoice.state is InvoiceState.CANCELED)
