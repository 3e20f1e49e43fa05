"""What the pages of quotations and invoices have in common: what they show, what the form shows and what it says."""

from __future__ import annotations

from typing import Any

from flask import request

from core.auth.permissions import signed_in_user
from core.documents.following import follower_panel
from core.documents.service import warnings_of
from modules.sales import queries
from modules.sales.forms import DocumentForm, lines_to_edit
from modules.sales.models import Invoice, Order
from modules.sales.service.lines import LineValues, lines_of, totals_of


def seen_revision() -> int | None:
    """Return the revision of the document that the page showed whose button was pressed."""
    return request.form.get("revision", type=int)


def shown_on_page(row: Order | Invoice) -> dict[str, Any]:
    """Return what the page of a document shows, whatever its kind."""
    document = row.document
    lines = lines_of(document.id)
    return {
        "document": document,
        "lines": lines,
        "totals": totals_of(document, lines),
        "editable": queries.may_edit(signed_in_user(), document),
        "panel": follower_panel(document),
        "warnings": warnings_of(document),
    }


def shown_in_form(row: Order | Invoice) -> dict[str, Any]:
    """Return what the form shows of a document, whatever its kind."""
    document = row.document
    partner = document.partner
    return {
        "partner_id": document.partner_id,
        "language": "" if partner and partner.language == document.language else document.language,
        "payment_terms": row.said("payment_terms", document.language),
        "tax_rule_id": str(row.tax_rule_id or ""),
        "note": row.note,
        "lines": lines_to_edit(lines_of(document.id), document),
        "company_id": document.company_id,
        "revision": document.revision,
    }


def typed_in_form(form: DocumentForm, lines: list[LineValues]) -> dict[str, Any]:
    """Return what was typed for a document, whatever its kind."""
    return {
        "partner_id": form.partner_id.data or 0,
        "date": form.date.data,
        "lines": lines,
        "language": form.language.data,
        "payment_terms": form.payment_terms.data or "",
        "tax_rule_id": form.rule_id,
        "note": form.note.data or "",
        "former_customer": form.former_customer.data,
        "former_contacts": form.former_contacts.data,
    }
