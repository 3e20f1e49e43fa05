"""The terms of payment of a document: chosen from those of its company, or typed."""

from __future__ import annotations

from core.products.service import payment_terms_of
from core.products.words import OWN, recognize, translations_of
from modules.sales.models import Invoice, Order


def write_terms(row: Order | Invoice, terms: str) -> None:
    """Give a document terms of payment, known by their words in whatever language, inside the running transaction.

    Args:
        row: The order or invoice.
        terms: As they stand in the form.
    """
    offered = [one.wording("name") for one in payment_terms_of(row.document.company_id)]
    # What the document says already stays known, also when the company has changed its terms.
    wording = recognize(terms.strip(), [*offered, row.wording("payment_terms")])
    row.payment_terms = wording[OWN]
    row.translations = translations_of({"payment_terms": wording})


def copy_terms(source: Order | Invoice, row: Order | Invoice) -> None:
    """Give a document the terms of payment of another one, in every language, as they were agreed."""
    row.payment_terms, row.translations = source.payment_terms, source.translations
