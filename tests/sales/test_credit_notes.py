"""A credit note takes back what was invoiced, at the rates at which it was: no rate gives back more than it took."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

import pytest

from core.auth.models import User
from core.companies.models import Company
from core.errors import UserError
from core.partners.models import Partner
from core.products.models import Tax
from core.products.service import save_tax
from modules.sales.models import Invoice
from modules.sales.service import invoices
from modules.sales.service.lines import LineValues, totals_of
from modules.sales.states import InvoiceState

Credit = Callable[..., Invoice]
LineAt = Callable[..., LineValues]


@pytest.fixture
def at(vat: Tax, company: Company) -> LineAt:
    """A line at a rate of 20 or 5.5 %, or without tax."""
    reduced = save_tax(None, {"name": "TVA 5,5 %", "rate": Decimal("5.5"), "company_id": company.id})
    ids = {"20": vat.id, "5.5": reduced.id, "": None}

    def make(rate: str, price: str, quantity: str = "1") -> LineValues:
        return LineValues("Thing", Decimal(quantity), Decimal(price), tax_id=ids[rate])

    return make


@pytest.fixture
def invoiced(company: Company, customer: Partner, salesperson: User) -> Callable[..., Invoice]:
    def make(*lines: LineValues) -> Invoice:
        values = invoices.InvoiceValues(partner_id=customer.id, lines=lines)
        invoice = invoices.create_invoice(company, values, salesperson)
        invoices.post(invoice)
        return invoice

    return make


@pytest.fixture
def credit(salesperson: User) -> Credit:
    """The draft credit note of an invoice, over other lines than it begins with."""

    def make(invoice: Invoice, *lines: LineValues) -> Invoice:
        note = invoices.create_credit_note(invoice, salesperson)
        values = invoices.InvoiceValues(partner_id=note.document.partner_id or 0, lines=lines)
        invoices.change_invoice(note, values, salesperson)
        return note

    return make


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([("20", "185")], "at 20%: €100.00"),  # within the total of 225.50, beyond its rate
        ([("5.5", "100.01")], "at 5.5%: €100.00"),
        ([("", "1")], "without tax: €0.00"),  # nothing was invoiced without tax
        (
            [("20", "-50"), ("5.5", "100")],
            "at 20%: €100.00",
        ),  # a rate that would be invoiced more, by a credit note
        ([("20", "150"), ("5.5", "50")], "at 20%: €100.00"),
    ],
)
@pytest.mark.both_databases
def test_no_rate_gives_back_more_than_it_took(
    invoiced: Callable[..., Invoice],
    credit: Credit,
    at: LineAt,
    lines: list[tuple[str, str]],
    refused: str,
) -> None:
    invoice = invoiced(at("20", "100"), at("5.5", "100"))
    note = credit(invoice, *(at(*line) for line in lines))
    with pytest.raises(UserError, match=re.escape(refused)):
        invoices.post(note)
    assert (note.state, note.document.number) == (InvoiceState.DRAFT, "")


def test_what_is_left_counts_the_credit_notes_before(
    invoiced: Callable[..., Invoice], credit: Credit, at: LineAt
) -> None:
    invoice = invoiced(at("20", "100"), at("5.5", "100"))
    invoices.post(credit(invoice, at("20", "60")))
    with pytest.raises(UserError, match=r"at 20%: €40\.00"):
        invoices.post(credit(invoice, at("20", "40.01")))
    invoices.post(credit(invoice, at("20", "40"), at("5.5", "100")))
    with pytest.raises(UserError, match=r"at 20%: €0\.00"):
        invoices.post(credit(invoice, at("20", "0.01")))


def test_the_whole_of_an_invoice_with_a_reduction_in_it_can_be_taken_back(
    invoiced: Callable[..., Invoice], at: LineAt, salesperson: User
) -> None:
    invoice = invoiced(at("20", "-10"), at("5.5", "100"), at("", "7"))
    note = invoices.create_credit_note(invoice, salesperson)
    invoices.post(note)
    assert note.document.total == invoice.document.total


@pytest.mark.parametrize(
    "prices",
    [
        [
            "68.33",
            "68.33",
            "57.50",
            "85.00",
        ],  # each by itself takes back 0.01 more than the tax of the invoice
        ["0.12", "0.12", "0.12"],  # and 0.01 less
        ["0.03"] * 10,
        ["99.99", "0.01"],
    ],
)
def test_the_parts_of_an_invoice_take_back_to_the_cent_what_it_was(
    invoiced: Callable[..., Invoice], credit: Credit, at: LineAt, prices: list[str]
) -> None:
    invoice = invoiced(*(at("20", price) for price in prices), at("5.5", "1.11"), at("", "7"))
    notes = [credit(invoice, at("20", price)) for price in prices]
    notes.append(credit(invoice, at("5.5", "1.11"), at("", "7")))
    for note in notes:
        invoices.post(note)
    assert sum(note.document.total for note in notes) == invoice.document.total
    for note in notes:
        totals = totals_of(note.document, note.lines)
        assert totals.total == totals.untaxed + totals.tax == note.document.total
    with pytest.raises(UserError, match=r"at 20%: €0\.00"):
        invoices.post(credit(invoice, at("20", "0.01")))


def test_a_draft_shows_what_it_would_take_back_now(
    invoiced: Callable[..., Invoice], credit: Credit, at: LineAt
) -> None:
    invoice = invoiced(at("20", "0.12"), at("20", "0.12"), at("20", "0.12"))
    invoices.post(credit(invoice, at("20", "0.12")))
    second, third = credit(invoice, at("20", "0.12")), credit(invoice, at("20", "0.12"))
    assert second.document.total == third.document.total == Decimal("0.15")
    invoices.post(second)
    invoices.post(third)
    assert third.document.total == Decimal("0.14")
