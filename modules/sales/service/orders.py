"""Quotations and orders: one row, one number, before and after the confirmation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import next_number
from core.db import db, transaction
from core.documents.service import change_customer, create_document, lock
from core.errors import UserError
from core.followers.service import FormerFollows
from core.i18n import lazy_gettext as _l
from core.signals import document_issued
from modules.sales.models import Invoice, Order
from modules.sales.service.agreed import copy_agreed, write_rule, write_terms
from modules.sales.service.customers import customer
from modules.sales.service.lines import LineValues, copy_lines, lines_of, replace_lines
from modules.sales.states import ORDER, QUOTATION, InvoiceState, OrderState

VALID_FOR = dt.timedelta(days=30)  # of a new quotation; a person may choose otherwise


@dataclass(frozen=True, slots=True)
class QuotationValues:
    """The input of the form of a quotation.

    Attributes:
        partner_id: The customer.
        date: Of the quotation.
        lines: In their order.
        language: Of the document; "" for the customer's.
        currency: Of the prices; "" for the company's. A document keeps the one that it begins with.
        validity_date: The last day on which it may be accepted, or None.
        delivery_date: When it will be delivered, or None.
        payment_terms: Printed, and handed on to the invoice.
        tax_rule_id: By which the customer is taxed, or None; the lines have their taxes already.
        note: Printed below the lines.
        former_customer: Whether the former customer goes on following, where the customer changes.
        former_contacts: The same for its contacts who follow.
    """

    partner_id: int
    date: dt.date
    lines: Sequence[LineValues] = ()
    language: str = ""
    currency: str = ""
    validity_date: dt.date | None = None
    delivery_date: dt.date | None = None
    payment_terms: str = ""
    tax_rule_id: int | None = None
    note: str = ""
    former_customer: FormerFollows = FormerFollows.STOPS
    former_contacts: FormerFollows = FormerFollows.STOPS


def _write(order: Order, values: QuotationValues) -> None:
    if values.validity_date is not None and values.validity_date < values.date:
        raise UserError(_l("The quotation would expire before its date."), "validity_date")
    if values.delivery_date is not None and values.delivery_date < values.date:
        raise UserError(_l("The delivery would be before the date."), "delivery_date")
    order.document.date = values.date
    order.validity_date, order.delivery_date = values.validity_date, values.delivery_date
    write_terms(order, values.payment_terms)
    write_rule(order, values.tax_rule_id)
    order.note = values.note.strip()
    replace_lines(order.document, values.lines)


def create_quotation(company: Company, values: QuotationValues, by: User | None) -> Order:
    """Make a quotation, which takes the company's next number (`S00001`).

    The number is taken in the transaction that makes the row: when that fails, the number was never used.

    Args:
        company: Who offers.
        values: What was filled in.
        by: Becomes the owner.

    Raises:
        UserError: Something in the values is not possible; its field is named.
    """
    with transaction() as session:
        partner = customer(values.partner_id, company_id=company.id, by=by)
        document = create_document(
            QUOTATION,
            company_id=company.id,
            partner_id=partner.id,
            owner=by,
            language=values.language or partner.language,
            currency=values.currency or company.currency,
            date=values.date,
            number=f"S{next_number(company.id, 'sales.order'):05d}",
        )
        order = Order(document=document, state=OrderState.QUOTATION)
        session.add(order)
        session.flush()
        _write(order, values)
    return order


def _locked(order: Order, seen_revision: int | None) -> None:
    """Read the row again once nobody else can change it."""
    with transaction() as session:
        lock(order.document, seen_revision=seen_revision)
        session.flush()  # refreshing would forget what an outer transaction has changed
        session.refresh(order)


def _demand(order: Order, *states: OrderState) -> None:
    if order.state in states:
        return
    raise UserError(
        {
            OrderState.QUOTATION: _l("This quotation is not confirmed yet."),
            OrderState.ORDER: _l("This quotation has been confirmed; it is an order now."),
            OrderState.CANCELED: _l("This document has been canceled."),
        }[order.state]
    )


def change_quotation(
    order: Order, values: QuotationValues, by: User | None, *, seen_revision: int | None = None
) -> None:
    """Change a quotation that is not confirmed yet.

    Args:
        order: The quotation.
        values: What was filled in.
        by: Who changes it.
        seen_revision: The revision that the person has seen.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
        UserError: It is no quotation any more, or something in the values is not possible.
    """
    with transaction():
        _locked(order, seen_revision)
        _demand(order, OrderState.QUOTATION)
        present = order.document
        partner = customer(
            values.partner_id, company_id=present.company_id, by=by, present_id=present.partner_id
        )
        change_customer(
            order.document,
            partner.id,
            by,
            former=values.former_customer,
            former_contacts=values.former_contacts,
        )
        order.document.language = values.language or partner.language
        _write(order, values)


def confirm(order: Order, by: User | None = None, *, seen_revision: int | None = None) -> None:
    """Make an order of a quotation: the same document, with its number, followers and mails.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
        UserError: It is no quotation any more, or has no lines.
    """
    with transaction() as session:
        _locked(order, seen_revision)
        _demand(order, OrderState.QUOTATION)
        if not lines_of(order.document_id):
            raise UserError(_l("Add a line first: there is nothing to order."))
        order.state = OrderState.ORDER
        order.document.kind = ORDER
        session.flush()
        document_issued.send(order.document, by=by)


def cancel(order: Order, *, seen_revision: int | None = None) -> None:
    """Cancel a quotation or an order; its number stays used.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
        UserError: It is canceled already, or has been invoiced.
    """
    with transaction() as session:
        _locked(order, seen_revision)
        _demand(order, OrderState.QUOTATION, OrderState.ORDER)
        invoice = invoice_of(order)
        if invoice is not None:
            raise UserError(
                _l("The order has been invoiced: cancel the draft invoice first.")
                if invoice.state is InvoiceState.DRAFT
                else _l("The order has been invoiced, so it cannot be canceled.")
            )
        order.state = OrderState.CANCELED
        # Its canceled drafts say what was agreed before; should the order come back, it is invoiced from its lines.
        drafts = (Invoice.order_id == order.document_id, Invoice.state == InvoiceState.CANCELED)
        session.execute(update(Invoice).where(*drafts).values(superseded=True))


def reopen(order: Order, *, seen_revision: int | None = None) -> None:
    """Make a quotation again of a canceled quotation or order.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
        UserError: It is not canceled.
    """
    with transaction():
        _locked(order, seen_revision)
        _demand(order, OrderState.CANCELED)
        order.state = OrderState.QUOTATION
        order.document.kind = QUOTATION


def duplicate(order: Order, by: User | None) -> Order:
    """Make a new quotation with the same customer and lines, dated today, with a number of its own."""
    with transaction():
        original = order.document
        today = original.company.today
        copy = create_quotation(
            original.company,
            QuotationValues(
                partner_id=original.partner_id or 0,
                date=today,
                language=original.language,
                currency=original.currency,
                validity_date=today + VALID_FOR,
                note=order.note,
            ),
            by,
        )
        copy_agreed(order, copy)
        copy_lines(lines_of(original.id), copy.document)
    return copy


def invoice_of(order: Order) -> Invoice | None:
    """Return the invoice of an order, draft or posted, or None; one that was credited in full is none any more."""
    return db.session.scalar(select(Invoice).where(Invoice.of_order(order.document_id)))
