"""The receipt of a ticket as HTML for the PDF engine: a roll as long as needed, or A4."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from functools import partial
from typing import Any

from babel.dates import format_time
from flask import current_app
from flask_babel import get_locale, gettext

from core.companies.issuer import from_text, issuer_now
from core.documents.behavior import RollHtml
from core.documents.columns import MM, Columns, breakable, fitted, printed
from core.documents.logo import logo_of
from core.documents.models import Document
from core.documents.pdf import FONT
from core.totals import Totals
from core.web.formats import money
from modules.pos.models import Ticket
from modules.pos.service.ticket_totals import totals_of
from modules.pos.states import ReceiptFormat

_WIDTHS = {ReceiptFormat.ROLL_80: 80, ReceiptFormat.ROLL_58: 58}
_LONGEST_MM = 5000
"""The longest page that the PDF format allows (200 inches)."""
_LINE_MM = 11  # height of a line of the ticket on the roll
_REST_MM = 160  # of head, sums and foot together

_GAP = 9.0  # points between columns
_BESIDE_A_PRICE = 3.0  # points that a word leaves before the price beside it


@dataclass(frozen=True, slots=True)
class _Tables:
    """The columns of a receipt, on so much paper."""

    millimeters: float
    lines: Columns
    sums: Columns
    taxes: Columns


def _usual(millimeters: float, text: float, large: float, small: float) -> _Tables:
    return _Tables(
        millimeters,
        Columns((68.0, 32.0), text),
        Columns((45.0, 55.0), large),
        Columns((36.0, 32.0, 32.0), small),
    )


_USUAL = {58: _usual(52, 7.5, 11.0, 6.5), 80: _usual(72, 8.5, 13.0, 7.5), None: _usual(100, 10.0, 13.0, 7.5)}
"""By the width of the roll; None is A4."""


def receipt_html(document: Document, ticket: Ticket) -> str:
    """Return the receipt; the locale is already the document's. Everything typed is escaped."""
    lines, payments = ticket.lines, ticket.payments
    locale = get_locale()
    language = locale.language if locale is not None else document.language
    totals = totals_of(ticket, language)
    width = _WIDTHS.get(ticket.receipt_format)
    zone = zoneinfo.ZoneInfo(ticket.timezone)
    logo, logo_height = logo_of(document.company) if width is None else ("", 0)
    context = {
        "document": document,
        "ticket": ticket,
        "issuer": from_text(ticket.issuer) if ticket.issuer else issuer_now(document.company),
        "lines": lines,
        "payments": payments,
        "totals": totals,
        "language": language,
        "width": width,
        "logo": logo,
        "logo_height": logo_height,
        "height": min(
            _LONGEST_MM, _REST_MM + _LINE_MM * (len(lines) * 2 + len(payments) + len(totals.taxes))
        ),
        "time": format_time(ticket.rung_at.astimezone(zone), "short", locale=str(get_locale() or "en")),
        "refunds": ticket.refund_of.document.number if ticket.refund_of is not None else "",
    }
    html = printed(
        _USUAL[width],
        lambda usual: _fitted(usual, ticket, totals),
        partial(_rendered, context),
    )
    return RollHtml(html) if width is not None else html


def _rendered(context: dict[str, Any], tables: _Tables) -> str:
    share = tables.lines.shares[0] / 100
    return current_app.jinja_env.get_template("pos/pdf/receipt.html").render(
        **context,
        columns=tables,
        font=FONT,
        breakable=partial(
            breakable, points=share * tables.millimeters * MM - _BESIDE_A_PRICE, size=tables.lines.size
        ),
        breakable_name=partial(breakable, points=tables.millimeters * MM, size=tables.sums.size),
    )


def _fitted(usual: _Tables, ticket: Ticket, totals: Totals) -> _Tables:
    currency = ticket.document.currency
    sums = [totals.total, *(payment.amount for payment in ticket.payments), ticket.change]
    taxes = [
        [gettext("Without tax"), *(money(tax.base, currency) for tax in totals.taxes)],
        [gettext("Amount"), *(money(tax.amount, currency) for tax in totals.taxes)],
    ]
    fit = partial(fitted, millimeters=usual.millimeters, gap=_GAP)
    return _Tables(
        usual.millimeters,
        fit(usual.lines, [[money(line.total, currency) for line in ticket.lines]], least=40.0),
        fit(usual.sums, [[money(amount, currency) for amount in sums]], least=25.0),
        fit(usual.taxes, taxes, least=20.0),
    )
