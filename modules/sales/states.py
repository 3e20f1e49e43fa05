"""The kinds and states of the documents of sales."""

from __future__ import annotations

from enum import StrEnum

QUOTATION = "sales.quotation"
ORDER = "sales.order"
INVOICE = "sales.invoice"
CREDIT_NOTE = "sales.credit_note"

INVOICE_KINDS = (INVOICE, CREDIT_NOTE)


class OrderState(StrEnum):
    """A quotation is confirmed to an order; either can be canceled, and reopened as a quotation."""

    QUOTATION = "quotation"
    ORDER = "order"
    CANCELED = "canceled"


class InvoiceState(StrEnum):
    """A draft is posted, and is final from then on, or canceled; only drafts change."""

    DRAFT = "draft"
    POSTED = "posted"
    CANCELED = "canceled"
