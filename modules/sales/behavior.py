"""What the kinds of documents of sales can do: their PDF, the fields and texts of their mails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.db import db
from core.documents.behavior import FieldSpec, FieldValue, ShippedTemplate
from core.documents.models import Document
from core.documents.service import kind_title
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from modules.sales import mail_texts
from modules.sales.models import Invoice, Order
from modules.sales.pdf import document_html
from modules.sales.service.lines import lines_of, totals_of
from modules.sales.states import InvoiceState, OrderState

CANCELED: object = _l("A canceled document is not sent.")
DRAFT: object = _l("Post it first: a draft has no number yet.")

_SHARED = (
    FieldSpec("document.title", N_("Kind of document")),
    FieldSpec("document.number", N_("Number")),
    FieldSpec("document.date", N_("Date")),
    FieldSpec("document.currency", N_("Currency")),
    FieldSpec("document.untaxed", N_("Total without tax")),
    FieldSpec("document.tax", N_("Tax")),
    FieldSpec("document.total", N_("Total")),
    FieldSpec("document.line_count", N_("Number of lines")),
    FieldSpec("document.payment_terms", N_("Payment terms")),
    FieldSpec("document.note", N_("Note")),
    FieldSpec("customer.name", N_("Name of the customer")),
    FieldSpec("customer.email", N_("Email address of the customer")),
    FieldSpec("customer.phone", N_("Phone of the customer")),
    FieldSpec("customer.street", N_("Street of the customer")),
    FieldSpec("customer.zip_code", N_("Postal code of the customer")),
    FieldSpec("customer.city", N_("City of the customer")),
    FieldSpec("customer.vat", N_("VAT number of the customer")),
    FieldSpec("company.name", N_("Name of the company")),
    FieldSpec("company.email", N_("Email address of the company")),
    FieldSpec("company.phone", N_("Phone of the company")),
    FieldSpec("company.website", N_("Website of the company")),
    FieldSpec("company.city", N_("City of the company")),
    FieldSpec("company.vat", N_("VAT number of the company")),
    FieldSpec("company.bank_line", N_("Bank details of the company")),
    FieldSpec("owner.name", N_("Name of the salesperson")),
    FieldSpec("owner.email", N_("Email address of the salesperson")),
)


def _shared_fields(document: Document) -> dict[str, FieldValue]:
    customer, company, owner = document.partner, document.company, document.owner
    lines = lines_of(document.id)
    totals = totals_of(document, lines)
    fields: dict[str, FieldValue] = {
        "document.title": kind_title(document.kind),
        "document.number": document.number,
        "document.date": document.date,
        "document.currency": document.currency,
        "document.untaxed": totals.untaxed,
        "document.tax": totals.tax,
        "document.total": totals.total,
        "document.line_count": len(lines),
        "owner.name": owner.name if owner else "",
        "owner.email": owner.login if owner else "",
    }
    for name in ("name", "email", "phone", "street", "zip_code", "city", "vat"):
        fields[f"customer.{name}"] = getattr(customer, name) if customer else ""
    for name in ("name", "email", "phone", "website", "city", "vat", "bank_line"):
        fields[f"company.{name}"] = getattr(company, name)
    return fields


class OrderBehavior:
    """A quotation or an order; see `core.documents.behavior.DocumentBehavior`."""

    catalogue: Sequence[FieldSpec] = (
        *_SHARED,
        FieldSpec("document.validity", N_("Valid until")),
        FieldSpec("document.delivery_date", N_("Delivery date")),
    )

    def __init__(self, templates: Sequence[ShippedTemplate]) -> None:
        self.templates = templates

    def pdf_html(self, document: Document) -> str:
        """Return the document as HTML for the PDF engine."""
        return document_html(document)

    def fields(self, document: Document) -> Mapping[str, FieldValue]:
        """Return a plain value for each name of the catalogue."""
        order = db.session.get(Order, document.id)
        return {
            **_shared_fields(document),
            "document.payment_terms": order.payment_terms if order else "",
            "document.note": order.note if order else "",
            "document.validity": (order.validity_date if order else None) or "",
            "document.delivery_date": (order.delivery_date if order else None) or "",
        }

    def why_not_sendable(self, document: Document) -> object | None:
        """Return a sentence when the document has been canceled."""
        order = db.session.get(Order, document.id)
        if order is not None and order.state is OrderState.CANCELED:
            return CANCELED
        return None


class InvoiceBehavior:
    """An invoice or a credit note; see `core.documents.behavior.DocumentBehavior`."""

    catalogue: Sequence[FieldSpec] = (
        *_SHARED,
        FieldSpec("document.due_date", N_("Due date")),
        FieldSpec("document.order_number", N_("Number of the order")),
        FieldSpec("document.reversed_number", N_("Number of the credited invoice")),
    )

    def __init__(self, templates: Sequence[ShippedTemplate]) -> None:
        self.templates = templates

    def pdf_html(self, document: Document) -> str:
        """Return the document as HTML for the PDF engine."""
        return document_html(document)

    def fields(self, document: Document) -> Mapping[str, FieldValue]:
        """Return a plain value for each name of the catalogue."""
        invoice = db.session.get(Invoice, document.id)
        order = invoice.order if invoice else None
        reversed_invoice = invoice.reversed if invoice else None
        return {
            **_shared_fields(document),
            "document.payment_terms": invoice.payment_terms if invoice else "",
            "document.note": invoice.note if invoice else "",
            "document.due_date": (invoice.due_date if invoice else None) or "",
            "document.order_number": order.document.number if order else "",
            "document.reversed_number": reversed_invoice.document.number if reversed_invoice else "",
        }

    def why_not_sendable(self, document: Document) -> object | None:
        """Return a sentence while it is a draft, or when it has been canceled."""
        invoice = db.session.get(Invoice, document.id)
        if invoice is None or invoice.state is InvoiceState.DRAFT:
            return DRAFT
        if invoice.state is InvoiceState.CANCELED:
            return CANCELED
        return None


quotation = OrderBehavior(mail_texts.QUOTATION)
order = OrderBehavior(mail_texts.ORDER)
invoice = InvoiceBehavior(mail_texts.INVOICE)
credit_note = InvoiceBehavior(mail_texts.CREDIT_NOTE)
