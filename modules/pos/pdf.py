"""The receipt of a ticket as HTML for the PDF engine: a roll as long as needed, or A4."""

from __future__ import annotations

import zoneinfo

from babel.dates import format_time
from flask import current_app
from flask_babel import get_locale

from core.companies.issuer import from_text, issuer_now
from core.documents.behavior import RollHtml
from core.documents.models import Document
from core.documents.pdf import UNICODE_FONT, needs_unicode_font
from modules.pos.models import Ticket
from modules.pos.service.ticket_totals import totals_of
from modules.pos.states import ReceiptFormat

# The engine's narrow no-break space (French thousands) is wide in one font and missing in the other.
_SPACES = str.maketrans({"\u202f": "\u00a0"})
_WIDTHS = {ReceiptFormat.ROLL_80: 80, ReceiptFormat.ROLL_58: 58}
_LONGEST_MM = 5000
"""The longest page that the PDF format allows (200 inches)."""
_LINE_MM = 11  # height of a line of the ticket on the roll
_REST_MM = 160  # of head, sums and foot together


def receipt_html(document: Document, ticket: Ticket) -> str:
    """Return the receipt; the locale is already the document's. Everything typed is escaped."""
    lines, payments = ticket.lines, ticket.payments
    locale = get_locale()
    language = locale.language if locale is not None else document.language
    totals = totals_of(ticket, language)
    width = _WIDTHS.get(ticket.receipt_format)
    zone = zoneinfo.ZoneInfo(ticket.timezone)
    html = (
        current_app.jinja_env.get_template("pos/pdf/receipt.html")
        .render(
            document=document,
            ticket=ticket,
            issuer=from_text(ticket.issuer) if ticket.issuer else issuer_now(document.company),
            lines=lines,
            payments=payments,
            totals=totals,
            language=language,
            width=width,
            height=min(
                _LONGEST_MM, _REST_MM + _LINE_MM * (len(lines) * 2 + len(payments) + len(totals.taxes))
            ),
            time=format_time(ticket.rung_at.astimezone(zone), "short", locale=str(get_locale() or "en")),
            refunds=ticket.refund_of.document.number if ticket.refund_of is not None else "",
            font=UNICODE_FONT,
        )
        .translate(_SPACES)
    )
    if not needs_unicode_font(html):
        html = html.replace(UNICODE_FONT, "Helvetica", 1)
    return RollHtml(html) if width is not None else html
