"""Invoices and credit notes: drafts that change, posted documents that never do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from core.auth.models import User
from core.companies.issuer import issuer_now, to_text
from core.companies.models import Company
from core.companies.service import next_number
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import change_customer, create_document, lock
from core.errors import UserError
from core.followers.service import FormerFollows
from core.i18n import lazy_gettext as _l
from core.signals import document_issued
from modules.sales.models import FrozenError, Invoice, Order
from modules.sales.service.agreed import copy_agreed, copy_rule, write_rule, write_terms
from modules.sales.service.credit import check_credit, note_credited, share_taxes
from modules.sales.service.customers import address_lines, customer
from modules.sales.service.lines import LineValues, copy_lines, lines_of, replace_lines
from modules.sales.service.orders import invoice_of
from modules.sales.states import CREDIT_NOTE, INVOICE, InvoiceState, OrderState

# 30 days: the usual term in France where nothing was agreed (Code de commerce, L441-10).
PAYABLE_WITHIN = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class InvoiceValues:
    """The input of the form of a draft invoice or credit note.

    Attributes:
        partner_id: The customer.
        date: Of the invoice, or None for the day of the posting.
        lines: In their order.
        language: Of the document; "" for the customer's.
        due_date: The last day of payment, or None for 30 days after the date.
        payment_terms: Printed.
        tax_rule_id: By which the customer is taxed, or None; the lines have their taxes already.
        note: Printed below the lines.
        former_customer: Whether the former customer goes on following, where the customer changes.
        former_contacts: The same for its contacts who follow.
    """

    partner_id: int
    date: dt.date | None = None
    lines: Sequence[LineValues] = ()
    language: str = ""
    due_date: dt.date | None = None
    payment_terms: str = ""
    tax_rule_id: int | None = None
    note: str = ""
    former_customer: FormerFollows = FormerFollows.STOPS
    former_contacts: FormerFollows = FormerFollows.STOPS


def _create(
    kind: str, company: Company, *, partner_id: int, language: str, currency: str, by: User | None
) -> Invoice:
    """Make a draft of a kind, without lines."""
    with transaction() as session:
        document = create_document(
            kind,
            company_id=company.id,
            partner_id=partner_id,
            owner=by,
            language=language,
            currency=currency,
        )
        invoice = Invoice(document=document, state=InvoiceState.DRAFT)
        session.add(invoice)
        session.flush()
    return invoice


def _create_like(source: Document, kind: str, by: User | None) -> Invoice:
    return _create(
        kind,
        source.company,
        partner_id=source.partner_id or 0,
        language=source.language,
        currency=source.currency,
        by=by,
    )


def _write(invoice: Invoice, values: InvoiceValues) -> None:
    if values.date and values.due_date and values.due_date < values.date:
        raise UserError(_l("The payment would be due before the date of the invoice."), "due_date")
    # An empty date means the day of the posting, whenever that is.
    invoice.date_chosen = values.date is not None
    invoice.document.date = values.date or invoice.document.company.today
    invoice.due_date = values.due_date
    write_terms(invoice, values.payment_terms)
    write_rule(invoice, values.tax_rule_id)
    invoice.note = values.note.strip()
    replace_lines(invoice.document, values.lines)
    share_taxes(invoice)


def create_invoice(company: Company, values: InvoiceValues, by: User | None) -> Invoice:
    """Make a draft invoice without an order. It takes its number when it is posted.

    Raises:
        UserError: Something in the values is not possible; its field is named.
    """
    with transaction():
        partner = customer(values.partner_id, company_id=company.id, by=by)
        language = values.language or partner.language
        invoice = _create(
            INVOICE, company, partner_id=partner.id, language=language, currency=company.currency, by=by
        )
        _write(invoice, values)
    return invoice


def invoice_order(order: Order, by: User | None, *, seen_revision: int | None = None) -> Invoice:
    """Make the draft invoice of an order, from its lines; an order is invoiced once.

    Where that invoice was credited in full, it is invoiced again.

    Raises:
        ConcurrentChangeError: Somebody else changed the order since.
        UserError: It is no confirmed order, or has been invoiced.
    """
    with transaction() as session:
        lock(order.document, seen_revision=seen_revision)
        session.flush()  # refreshing would forget what an outer transaction has changed
        session.refresh(order)
        if order.state is not OrderState.ORDER:
            raise UserError(_l("Only a confirmed order can be invoiced."))
        if invoice_of(order) is not None:
            raise UserError(_l("This order has been invoiced already."))
        source = order.document
        invoice = _create_like(source, INVOICE, by)
        # The unique index over it is the last word, whatever was asked before.
        invoice.order_id = order.document_id
        copy_agreed(order, invoice)
        invoice.note = order.note
        # Copied, not shared: the order may be reopened, the invoice must stay.
        copy_lines(lines_of(source.id), invoice.document)
    return invoice


def create_credit_note(invoice: Invoice, by: User | None) -> Invoice:
    """Make the draft credit note of a posted invoice, over all of its lines; lines may be taken out of it.

    Raises:
        UserError: It is no posted invoice.
    """
    with transaction() as session:
        session.flush()  # refreshing would forget what an outer transaction has changed
        session.refresh(invoice)
        source = invoice.document
        if source.kind != INVOICE or invoice.state is not InvoiceState.POSTED:
            raise UserError(_l("Only an issued invoice can have a credit note."))
        note = _create_like(source, CREDIT_NOTE, by)
        note.reversed_id = invoice.document_id
        copy_rule(invoice, note)
        copy_lines(lines_of(source.id), note.document)
        share_taxes(note)
    return note


def _locked(invoice: Invoice, seen_revision: int | None) -> None:
    """Read the row again once nobody else can change it."""
    with transaction() as session:
        lock(invoice.document, seen_revision=seen_revision)
        session.flush()  # refreshing would forget what an outer transaction has changed
        session.refresh(invoice)


def _demand_draft(invoice: Invoice) -> None:
    if invoice.state is InvoiceState.POSTED:
        raise FrozenError
    if invoice.state is not InvoiceState.DRAFT:
        raise UserError(_l("This document has been canceled."))


def change_invoice(
    invoice: Invoice, values: InvoiceValues, by: User | None, *, seen_revision: int | None = None
) -> None:
    """Change a draft.

    Args:
        invoice: The draft invoice or credit note.
        values: What was filled in. A credit note keeps the customer of its invoice.
        by: Who changes it.
        seen_revision: The revision that the person has seen.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
        FrozenError: It has been posted.
        UserError: It is canceled, or something in the values is not possible.
    """
    with transaction():
        _locked(invoice, seen_revision)
        _demand_draft(invoice)
        present = invoice.document
        partner = customer(
            values.partner_id, company_id=present.company_id, by=by, present_id=present.partner_id
        )
        # It takes back what somebody owes: another customer owes nothing.
        if invoice.reversed_id is not None and partner.id != invoice.document.partner_id:
            raise UserError(_l("A credit note goes to the customer of its invoice."), "partner_id")
        change_customer(
            invoice.document,
            partner.id,
            by,
            former=values.former_customer,
            former_contacts=values.former_contacts,
        )
        invoice.document.language = values.language or partner.language
        _write(invoice, values)


def post(invoice: Invoice, by: User | None = None, *, seen_revision: int | None = None) -> None:
    """Post a draft: it takes the next number of its company and year, and never changes again.

    Numbers (`INV/2026/00001`, `RINV/2026/00001`) have no gaps and follow the dates, as French law asks
    (CGI, annexe II, art. 242 nonies A): a date before the last posted one is refused. What is
    printed of the customer and of the company is copied.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
        FrozenError: It has been posted already.
        UserError: It is canceled or empty, its dates are not possible, or a credit note takes back more
            than was invoiced at one of the rates.
    """
    with transaction() as session:
        _locked(invoice, seen_revision)
        _demand_draft(invoice)
        document = invoice.document
        if not lines_of(document.id):
            raise UserError(_l("Add a line first: there is nothing to issue."))
        # Numbered by its own sequence, a negative invoice would be a credit note that no tax return expects.
        if document.total < 0:
            raise UserError(
                _l("The total is negative; give money back by a credit note with positive amounts.")
            )
        # Decided here and not in the draft: a draft may lie for weeks.
        date = document.date if invoice.date_chosen else document.company.today
        due_date = invoice.due_date or date + PAYABLE_WITHIN
        # The sequence is locked by its number first; only then is the last date known for good.
        number = next_number(document.company_id, f"{document.kind}/{date.year}")
        _check_dates(invoice, date, due_date)
        if document.kind == CREDIT_NOTE:
            check_credit(invoice)
        prefix = "INV" if document.kind == INVOICE else "RINV"
        document.number = f"{prefix}/{date.year}/{number:05d}"
        document.date = date
        invoice.due_date = due_date
        _copy_customer(invoice)
        invoice.issuer = to_text(issuer_now(document.company))
        session.flush()  # what is written now is frozen by the next line
        invoice.state = InvoiceState.POSTED
        session.flush()
        note_credited(invoice)
        document_issued.send(document, by=by)


def _check_dates(invoice: Invoice, date: dt.date, due_date: dt.date) -> None:
    """Raise `UserError` for a date in the future, before the last posted one, or after the due date."""
    if date > invoice.document.company.today:
        raise UserError(_l("The date is in the future. Issue it on that day, or change the date."))
    last = db.session.scalar(
        select(func.max(Document.date)).where(
            Document.company_id == invoice.document.company_id,
            Document.kind == invoice.document.kind,
            Document.number != "",
        )
    )
    if last is not None and date < last:
        raise UserError(
            _l(
                "Numbers follow the dates, and the last one issued is dated %(date)s. Choose this date or a later one.",
                date=last.isoformat(),
            )
        )
    if due_date < date:
        raise UserError(_l("The payment would be due before the date of the invoice. Change the due date."))


def _copy_customer(invoice: Invoice) -> None:
    partner = invoice.document.partner
    if partner is None:
        raise UserError(_l("Choose the customer first."))
    invoice.customer_name, invoice.customer_vat = partner.name, partner.vat
    owner = invoice.document.owner
    invoice.contact_name = owner.name if owner is not None else ""
    invoice.customer_address = "\n".join(address_lines(partner, invoice.document))


def cancel(invoice: Invoice, *, seen_revision: int | None = None) -> None:
    """Cancel a draft; its order can be invoiced again.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
        FrozenError: It has been posted.
        UserError: It is canceled already.
    """
    with transaction():
        _locked(invoice, seen_revision)
        _demand_draft(invoice)
        invoice.state = InvoiceState.CANCELED


def reopen(invoice: Invoice, *, seen_revision: int | None = None) -> None:
    """Make a draft again of a canceled draft.

    Raises:
        ConcurrentChangeError: Somebody else changed it since.
        UserError: It is not canceled, its order was canceled later, or has another invoice by now.
    """
    with transaction():
        # The order first, as whoever invoices or cancels it does: one of the two comes second and sees the first.
        if invoice.order is not None:
            lock(invoice.order.document)
        _locked(invoice, seen_revision)
        if invoice.state is not InvoiceState.CANCELED:
            raise UserError(_l("This document is not canceled."))
        if invoice.superseded:
            raise UserError(
                _l("The order has been canceled since. Once it is confirmed again, invoice the order again.")
            )
        if invoice.order is not None and invoice_of(invoice.order) is not None:
            raise UserError(_l("The order has another invoice by now."))
        invoice.state = InvoiceState.DRAFT
