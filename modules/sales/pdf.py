"""A sales document as HTML for the PDF engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import current_app
from flask_babel import get_locale, gettext

from core.companies.issuer import Issuer, from_text, issuer_now
from core.db import db
from core.documents.columns import MM, Columns, breakable, fitted, paragraphs, printed
from core.documents.logo import logo_of
from core.documents.models import Document
from core.documents.pdf import FONT
from core.documents.service import kind_title
from core.totals import Totals
from core.web.formats import day, money, number, percent, price
from modules.sales.models import Invoice, Line, Order
from modules.sales.service.credit import credit_notes_of
from modules.sales.service.customers import address_lines
from modules.sales.service.lines import lines_of, totals_of
from modules.sales.state_words import canceled
from modules.sales.states import INVOICE, INVOICE_KINDS, InvoiceState, OrderState

DEFAULT_ACCENT = "#1f5f8b"  # where the company's color cannot be read
_HEX_COLOR = re.compile(r"#[0-9a-fA-F]{6}")  # anything else could break out of the style it is put into


def document_html(document: Document) -> str:
    """Return a document as one HTML page for xhtml2pdf; the locale is already the document's.

    Everything that people have typed is escaped, so that markup in a name is printed, not obeyed.
    """
    invoice = db.session.get(Invoice, document.id) if document.kind in INVOICE_KINDS else None
    order = None if invoice else db.session.get(Order, document.id)
    lines = lines_of(document.id)
    locale = get_locale()
    language = locale.language if locale is not None else document.language
    customer_name, customer_address, customer_vat = _customer(document, invoice)
    logo, logo_height = logo_of(document.company)
    issuer = from_text(invoice.issuer) if invoice and invoice.issuer else issuer_now(document.company)
    totals = totals_of(document, lines, language)
    context = {
        "document": document,
        "kind": document.kind,
        "issuer": issuer,
        "title": kind_title(document.kind),
        "draft": _draft(document, order, invoice),
        "customer_name": customer_name,
        "customer_address": customer_address,
        "customer_vat": customer_vat,
        "facts": _facts(document, order, invoice),
        "lines": lines,
        "totals": totals,
        "language": language,
        "remarks": _remarks(document, order, invoice, issuer, language),
        "logo": logo,
        "logo_height": logo_height,
        "accent": issuer.accent if _HEX_COLOR.fullmatch(issuer.accent) else DEFAULT_ACCENT,
        "has_discount": any(line.discount for line in lines),
    }
    return printed(
        _usual_columns(lines),
        lambda usual: _fitted_columns(usual, document, lines, totals),
        partial(_rendered, context),
    )


@dataclass(frozen=True, slots=True)
class _Tables:
    """The columns of the lines, with their heads, and those of the sums."""

    heads: tuple[str, ...]
    lines: Columns
    sums: Columns


_WIDTH_MM = 174.0
_GAP = 12.0  # the padding of two cells, and a little
_PADDING = 10.0  # points: of a cell, on both sides
_NAME_SIZE, _MORE_SIZE = 9.0, 8.0  # points: of what a line sells, and of what is said about it
_LINES_A_ROW = 10
"""The engine moves a row that does not fit to the next page as a whole, and none may be longer than a page."""


def _usual_columns(lines: Sequence[Line]) -> _Tables:
    heads = [
        gettext("Description"),
        gettext("Quantity"),
        gettext("Unit price"),
        gettext("Tax"),
        gettext("Net amount"),
    ]
    shares = [43.0, 13.0, 16.0, 10.0, 18.0]
    if any(line.discount for line in lines):
        heads.insert(3, gettext("Disc."))
        shares.insert(3, 8.0)
        shares[0] -= 8.0
    return _Tables(tuple(heads), Columns(tuple(shares), 9.0), Columns((52.0, 30.0, 18.0), 11.0))


def _fitted_columns(usual: _Tables, document: Document, lines: Sequence[Line], totals: Totals) -> _Tables:
    currency = document.currency
    figures = [
        [number(line.quantity) for line in lines],
        [price(line.unit_price, currency) for line in lines],
        [percent(line.tax_rate) for line in lines if line.tax_rate is not None],
        [money(line.subtotal, currency) for line in lines],
    ]
    if len(usual.heads) > len(figures) + 1:
        figures.insert(2, [percent(line.discount) for line in lines if line.discount])
    sums = [[], [money(totals.total, currency), *(money(tax.amount, currency) for tax in totals.taxes)]]
    fit = partial(fitted, millimeters=_WIDTH_MM, gap=_GAP)
    return _Tables(usual.heads, fit(usual.lines, figures, least=26.0), fit(usual.sums, sums, least=10.0))


def _rendered(context: dict[str, Any], tables: _Tables) -> str:
    # Not render_template(): the shell's menu and companies are no part of a PDF.
    return current_app.jinja_env.get_template("sales/pdf/document.html").render(
        **context,
        heads=tables.heads,
        columns=tables.lines,
        sums=tables.sums,
        rows_of=partial(_rows_of, points=_points(tables.lines.shares[0]), language=context["language"]),
        breakable=lambda text, share, size: breakable(text, _points(share), size),
        font=FONT,
    )


def _points(share: float) -> float:
    """Return how wide the text of a column is, whose share is in percent."""
    return share / 100 * _WIDTH_MM * MM - _PADDING


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table for a part of a line: of a long one there are several, between which a page may end."""

    name: tuple[str, ...]
    more: tuple[str, ...]
    first: bool
    last: bool


def _rows_of(line: Line, *, points: float, language: str) -> list[_Row]:
    name, _, more = line.said("description", language).partition("\n")
    parts = [("name", part) for part in paragraphs(name, points, _NAME_SIZE, _LINES_A_ROW)]
    parts += [
        ("more", part)
        for text in more.splitlines()
        for part in paragraphs(text, points, _MORE_SIZE, _LINES_A_ROW)
    ]
    groups: list[list[tuple[str, str]]] = [[]]
    room = _LINES_A_ROW
    for kind, part in parts:
        taken = len(paragraphs(part, points, _NAME_SIZE, 1))
        if groups[-1] and taken > room:
            groups.append([])
            room = _LINES_A_ROW
        groups[-1].append((kind, part))
        room -= taken
    return [
        _Row(
            tuple(part for kind, part in group if kind == "name"),
            tuple(part for kind, part in group if kind == "more"),
            group is groups[0],
            group is groups[-1],
        )
        for group in groups
    ]


def _customer(document: Document, invoice: Invoice | None) -> tuple[str, list[str], str]:
    """Return name, address and VAT number of the customer: as they were when the invoice was posted."""
    if invoice is not None and invoice.state is InvoiceState.POSTED:
        return invoice.customer_name, invoice.customer_address.splitlines(), invoice.customer_vat
    partner = document.partner
    if partner is None:
        return "", [], ""
    return partner.name, address_lines(partner, document), partner.vat


def _draft(document: Document, order: Order | None, invoice: Invoice | None) -> str:
    """Return the warning of a document that is not valid, or ""."""
    if invoice is not None and invoice.state is InvoiceState.DRAFT:
        return str(gettext("Draft – not valid as an invoice"))
    if (invoice is not None and invoice.state is InvoiceState.CANCELED) or (
        order is not None and order.state is OrderState.CANCELED
    ):
        return canceled(document.kind)
    return ""


def _facts(document: Document, order: Order | None, invoice: Invoice | None) -> list[tuple[str, str]]:
    """Return the dates and references above the lines, those that are there."""
    facts = [(gettext("Date"), day(document.date))]
    if order is not None:
        facts += [
            (gettext("Valid until"), day(order.validity_date) if order.state is OrderState.QUOTATION else ""),
            (gettext("Delivery date"), day(order.delivery_date)),
        ]
    if invoice is not None:
        if document.kind == INVOICE:
            facts.append((gettext("Due date"), day(invoice.due_date)))
        if invoice.order is not None:
            facts.append((gettext("Your order"), invoice.order.document.number))
        if invoice.reversed is not None:
            facts.append((gettext("Credited invoice"), invoice.reversed.document.number))
        if document.kind == INVOICE and (notes := credit_notes_of(invoice)):
            facts.append((gettext("Credited by"), ", ".join(note.number for note in notes)))
    contact = document.owner.name if document.owner else ""
    if invoice is not None and invoice.state is InvoiceState.POSTED:
        contact = invoice.contact_name
    facts.append((gettext("Your contact"), contact))
    return [fact for fact in facts if fact[1]]


def _remarks(
    document: Document, order: Order | None, invoice: Invoice | None, issuer: Issuer, language: str
) -> list[tuple[str, str]]:
    """Return what stands below the totals: note, payment, bank."""
    row = invoice or order
    remarks = [(gettext("Tax"), row.said("tax_mention", language) if row else "")]
    remarks.append((gettext("Note"), row.note if row else ""))
    remarks.append((gettext("Payment terms"), row.said("payment_terms", language) if row else ""))
    if document.kind == INVOICE:
        bank = issuer.bank_line
        if bank and document.number:
            bank += "\n" + gettext("Please quote %(number)s with your payment.", number=document.number)
        remarks.append((gettext("Bank details"), bank))
    return [remark for remark in remarks if remark[1]]
