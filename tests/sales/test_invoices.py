from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import select

from core.auth.models import User
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import touch
from core.errors import ConcurrentChangeError, UserError
from core.partners.models import Partner
from core.partners.service import save_partner
from core.products.models import Tax
from core.products.service import save_tax
from modules.sales.models import FrozenError, Invoice, Line, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues, lines_of, values_of
from modules.sales.states import InvoiceState
from tests.at_once import at_once
from tests.sales.conftest import TODAY

MakeOrder = Callable[..., Order]
MakeInvoice = Callable[..., Invoice]


def _again(invoice: Invoice, **changes: object) -> invoices.InvoiceValues:
    return invoices.InvoiceValues(
        **{  # type: ignore[arg-type]
            "partner_id": invoice.document.partner_id,
            "lines": [values_of(line) for line in lines_of(invoice.document_id)],
            **changes,
        }
    )


def test_an_order_is_invoiced_once(make_quotation: MakeOrder, salesperson: User) -> None:
    order = make_quotation(payment_terms="30 days")
    with pytest.raises(UserError, match="confirmed order"):
        invoices.invoice_order(order, salesperson)
    orders.confirm(order)
    invoice = invoices.invoice_order(order, salesperson)
    assert (invoice.state, invoice.document.number, invoice.payment_terms) == (
        InvoiceState.DRAFT,
        "",
        "30 days",
    )
    assert invoice.document.total == order.document.total
    assert orders.invoice_of(order) is invoice
    with pytest.raises(UserError, match="already"):
        invoices.invoice_order(order, salesperson)
    with pytest.raises(UserError, match="draft invoice first"):
        orders.cancel(order)


def test_a_canceled_draft_makes_room_for_another(make_invoice: MakeInvoice, salesperson: User) -> None:
    first = make_invoice(posted=False)
    assert first.order is not None
    invoices.cancel(first)
    second = invoices.invoice_order(first.order, salesperson)
    assert second.document_id != first.document_id
    with pytest.raises(UserError, match="another invoice"):
        invoices.reopen(first)
    invoices.cancel(second)
    invoices.reopen(first)
    assert first.state is InvoiceState.DRAFT


@pytest.mark.both_databases
def test_posting_takes_the_next_number_of_the_year_without_gaps(make_invoice: MakeInvoice) -> None:
    first, second = make_invoice(posted=False), make_invoice(posted=False)
    empty = make_invoice(posted=False)
    invoices.change_invoice(empty, _again(empty, lines=()), None)
    invoices.post(second)
    with pytest.raises(UserError, match="nothing to issue"):
        invoices.post(empty)
    with pytest.raises(UserError, match="already"), transaction():  # noqa: PT012
        invoices.post(first)
        invoices.invoice_order(first.order, None)  # fails, and takes the posting with it
    assert (first.state, first.document.number) == (InvoiceState.DRAFT, "")
    invoices.post(first)
    assert [second.document.number, first.document.number] == ["INV/2026/00001", "INV/2026/00002"]
    assert (first.document.date, first.due_date) == (TODAY, TODAY + dt.timedelta(days=30))


def test_numbers_follow_the_dates(make_invoice: MakeInvoice) -> None:
    make_invoice()
    late = make_invoice(posted=False)
    invoices.change_invoice(late, _again(late, date=TODAY - dt.timedelta(days=3)), None)
    with pytest.raises(UserError, match="2026-03-12"):
        invoices.post(late)
    invoices.change_invoice(late, _again(late, date=TODAY + dt.timedelta(days=5)), None)
    with pytest.raises(UserError, match="future"):
        invoices.post(late)
    invoices.change_invoice(late, _again(late), None)
    invoices.post(late)
    assert late.document.number == "INV/2026/00002"


def test_a_new_year_begins_at_one(make_invoice: MakeInvoice) -> None:
    old = make_invoice(posted=False)
    invoices.change_invoice(old, _again(old, date=dt.date(2025, 12, 31)), None)
    invoices.post(old)
    assert [old.document.number, make_invoice().document.number] == ["INV/2025/00001", "INV/2026/00001"]


def test_every_verb_refuses_a_posted_invoice(make_invoice: MakeInvoice) -> None:
    invoice = make_invoice()
    for verb in (
        lambda: invoices.post(invoice),
        lambda: invoices.cancel(invoice),
        lambda: invoices.change_invoice(invoice, _again(invoice, note="changed"), None),
    ):
        with pytest.raises(FrozenError, match="credit note instead"):
            verb()
    with pytest.raises(UserError):
        invoices.reopen(invoice)
    assert (invoice.note, invoice.document.number) == ("", "INV/2026/00001")


def _change_line(invoice: Invoice) -> None:
    lines_of(invoice.document_id)[0].quantity = Decimal(99)


def _add_line(invoice: Invoice) -> None:
    db.session.add(
        Line(
            document_id=invoice.document_id,
            position=9,
            description="x",
            quantity=Decimal(1),
            unit_price=Decimal(1),
            subtotal=Decimal(1),
        )
    )


def _delete_line(invoice: Invoice) -> None:
    db.session.delete(lines_of(invoice.document_id)[0])


def _unpost(invoice: Invoice) -> None:
    invoice.state = InvoiceState.DRAFT


def _unpost_and_change(invoice: Invoice) -> None:
    invoice.state = InvoiceState.DRAFT
    lines_of(invoice.document_id)[0].quantity = Decimal(99)


def _redate(invoice: Invoice) -> None:
    invoice.document.date = TODAY - dt.timedelta(days=1)


def _retotal(invoice: Invoice) -> None:
    invoice.document.total = Decimal(1)


def _rekind(invoice: Invoice) -> None:
    invoice.document.kind = "sales.order"


def _delete(invoice: Invoice) -> None:
    db.session.delete(invoice)


def _delete_document(invoice: Invoice) -> None:
    db.session.delete(invoice.document)


@pytest.mark.parametrize(
    "change",
    [
        _change_line,
        _add_line,
        _delete_line,
        _unpost,
        _unpost_and_change,
        _redate,
        _retotal,
        _rekind,
        _delete,
        _delete_document,
    ],
)
def test_a_posted_invoice_is_frozen_even_for_code_that_asks_no_service(
    make_invoice: MakeInvoice, change: Callable[[Invoice], None]
) -> None:
    invoice = make_invoice()
    with pytest.raises(FrozenError), transaction():
        change(invoice)
    assert invoice.state is InvoiceState.POSTED
    assert [line.quantity for line in lines_of(invoice.document_id)] == [Decimal(2)]


def test_what_does_not_stand_on_it_may_change(
    make_invoice: MakeInvoice, make_user: Callable[..., User]
) -> None:
    invoice = make_invoice()
    with transaction():
        invoice.document.owner_id = make_user("administrator").id
        touch(invoice.document)
    assert invoice.document.owner is not None
    assert invoice.document.owner.name == "Administrator"


def test_a_posted_invoice_keeps_customer_and_tax_as_they_were(
    make_invoice: MakeInvoice, customer: Partner, vat: Tax
) -> None:
    invoice = make_invoice()
    save_partner(customer, {"name": "Dupont SARL", "street": "1 rue Neuve", "vat": ""})
    save_tax(vat, {"rate": Decimal(25)})
    assert (invoice.customer_name, invoice.customer_vat) == ("Dupont & Fils", "FR40303265045")
    assert invoice.customer_address == "4 rue du Bac\n75007 Paris"
    assert lines_of(invoice.document_id)[0].tax_rate == Decimal(20)


def test_a_credit_note_takes_back_the_same_lines_and_tax(
    make_invoice: MakeInvoice, salesperson: User, vat: Tax
) -> None:
    invoice = make_invoice()
    save_tax(vat, {"rate": Decimal(25)})
    note = invoices.create_credit_note(invoice, salesperson)
    assert (note.document.kind, note.document.number, note.reversed) == ("sales.credit_note", "", invoice)
    assert note.document.total == invoice.document.total
    invoices.post(note)
    assert note.document.number == "RINV/2026/00001"
    with pytest.raises(UserError, match="issued invoice"):
        invoices.create_credit_note(note, salesperson)


def test_only_a_posted_invoice_can_be_credited_and_not_beyond_its_total(
    make_invoice: MakeInvoice, salesperson: User
) -> None:
    draft = make_invoice(posted=False)
    with pytest.raises(UserError, match="issued invoice"):
        invoices.create_credit_note(draft, salesperson)
    invoices.post(draft)
    first = invoices.create_credit_note(draft, salesperson)
    second = invoices.create_credit_note(draft, salesperson)
    invoices.post(first)
    with pytest.raises(UserError, match="INV/2026/00001 would exceed"):
        invoices.post(second)
    assert (second.state, second.document.number) == (InvoiceState.DRAFT, "")


def test_a_credit_note_keeps_its_customer(make_invoice: MakeInvoice, salesperson: User) -> None:
    note = invoices.create_credit_note(make_invoice(), salesperson)
    other = save_partner(None, {"name": "Kestrel"})
    with pytest.raises(UserError, match="customer of its invoice"):
        invoices.change_invoice(note, _again(note, partner_id=other.id), salesperson)


def test_a_negative_total_is_not_posted(make_invoice: MakeInvoice, line: LineValues) -> None:
    invoice = make_invoice(posted=False)
    back = LineValues("Back", Decimal(-5), Decimal(50), tax_id=line.tax_id)
    invoices.change_invoice(invoice, _again(invoice, lines=[line, back]), None)
    with pytest.raises(UserError, match="negative"):
        invoices.post(invoice)


def test_posting_an_outdated_page_is_refused(make_invoice: MakeInvoice) -> None:
    invoice = make_invoice(posted=False)
    seen = invoice.document.revision
    invoices.change_invoice(invoice, _again(invoice, note="later"), None, seen_revision=seen)
    with pytest.raises(ConcurrentChangeError):
        invoices.post(invoice, seen_revision=seen)
    assert invoice.state is InvoiceState.DRAFT


@pytest.mark.both_databases
def test_many_post_at_once_and_each_number_is_taken_once(app: Flask, make_invoice: MakeInvoice) -> None:
    ids = [make_invoice(posted=False).document_id for _ in range(6)]
    db.session.commit()

    def post(document_id: int) -> None:
        invoice = db.session.get(Invoice, document_id)
        assert invoice is not None
        invoices.post(invoice)

    assert at_once(app, *(partial(post, document_id) for document_id in ids)) == [None] * 6
    numbers = db.session.scalars(select(Document.number).where(Document.kind == "sales.invoice")).all()
    assert sorted(numbers) == [f"INV/2026/{n:05d}" for n in range(1, 7)]
