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

    QUOTATION = "quotation"  # offered; lines may change
    ORDER = "order"  # confirmed by the customer, and can be invoiced
    CANCELED = "canceled"  # nothing follows from it, unless it is reopened


class InvoiceState(StrEnum):
    """A draft is posted, and is final from then on, or canceled; only drafts change."""

    DRAFT = "draft"  # without a number; it may change or go
    POSTED = "posted"  # numbered and final: the law wants it never to change
    CANCELED = "canceled"  # a draft that was not wanted; it never had a number
