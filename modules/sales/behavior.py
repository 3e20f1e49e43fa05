"""The behavior of the kinds of documents of sales: their PDF, the fields and texts of their mails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from core.db import db
from core.documents.behavior import FieldSpec, FieldType, FieldValue, ShippedTemplate
from core.documents.models import Document
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from modules.sales import mail_texts
from modules.sales.mail_fields import SHARED, shared_values
from modules.sales.models import Invoice, Order
from modules.sales.pdf import document_html
from modules.sales.states import InvoiceState, OrderState
from modules.sales.warnings import warnings

CANCELED: object = _l("A canceled document is not sent.")
DRAFT: object = _l("Issue it first: a draft has no number yet.")


class OrderBehavior:
    """A quotation or an order; see `core.documents.behavior.DocumentBehavior`."""

    catalogue: Sequence[FieldSpec] = (
        *SHARED,
        FieldSpec("document.validity", N_("Valid until"), FieldType.DATE, "2026-04-30"),
        FieldSpec("document.delivery_date", N_("Delivery date"), FieldType.DATE, "2026-05-12"),
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
            **shared_values(document, order),
            "document.validity": (order.validity_date if order else None) or "",
            "document.delivery_date": (order.delivery_date if order else None) or "",
        }

    def warnings(self, document: Document) -> Sequence[object]:
        """Return a sentence for each thing that is probably wrong in the document."""
        return warnings(document)

    def rows_of(self, documents: Sequence[Document]) -> Sequence[Order]:
        """Return the rows of many documents."""
        ids = [document.id for document in documents]
        return db.session.scalars(select(Order).where(Order.document_id.in_(ids))).all()

    def why_not_sendable(self, document: Document) -> object | None:
        """Return a sentence when the document has been canceled."""
        order = db.session.get(Order, document.id)
        if order is not None and order.state is OrderState.CANCELED:
            return CANCELED
        return None


class InvoiceBehavior:
    """An invoice or a credit note; see `core.documents.behavior.DocumentBehavior`."""

    catalogue: Sequence[FieldSpec] = (
        *SHARED,
        FieldSpec("document.due_date", N_("Due date"), FieldType.DATE, "2026-04-30"),
        FieldSpec("document.order_number", N_("Number of the order"), sample="S00042"),
        FieldSpec("document.reversed_number", N_("Number of the credited invoice"), sample="INV-2026-00017"),
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
            **shared_values(document, invoice),
            "document.due_date": (invoice.due_date if invoice else None) or "",
            "document.order_number": order.document.number if order else "",
            "document.reversed_number": reversed_invoice.document.number if reversed_invoice else "",
        }

    def warnings(self, document: Document) -> Sequence[object]:
        """Return a sentence for each thing that is probably wrong in the document."""
        return warnings(document)

    def rows_of(self, documents: Sequence[Document]) -> Sequence[Invoice]:
        """Return the rows of many documents."""
        ids = [document.id for document in documents]
        return db.session.scalars(select(Invoice).where(Invoice.document_id.in_(ids))).all()

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
