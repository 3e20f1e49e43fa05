"""The behavior of tickets: their receipt, the fields and texts of their mails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.db import db
from core.documents.behavior import FieldSpec, FieldType, FieldValue, ShippedTemplate
from core.documents.company_fields import COMPANY_FIELDS, company_values
from core.documents.models import Document
from core.documents.service import kind_title
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from modules.pos.models import Ticket
from modules.pos.pdf import receipt_html
from modules.pos.service.registers import receipt_name, settings_of
from modules.pos.service.ticket_totals import totals_of

CATALOGUE: Sequence[FieldSpec] = (
    FieldSpec("document.title", N_("Kind of document"), sample=N_("Receipt")),
    FieldSpec("document.number", N_("Number"), sample="C1-000004"),
    FieldSpec("document.date", N_("Date"), FieldType.DATE),
    FieldSpec("document.currency", N_("Currency"), sample="EUR"),
    FieldSpec("document.untaxed", N_("Total without tax"), FieldType.MONEY, "10.42"),
    FieldSpec("document.tax", N_("Tax"), FieldType.MONEY, "2.08"),
    FieldSpec("document.total", N_("Total"), FieldType.MONEY, "12.50"),
    FieldSpec("document.line_count", N_("Number of lines"), FieldType.NUMBER),
    FieldSpec("document.file_name", N_("File name by the till's pattern"), sample="C1-000004-BRICO.pdf"),
    FieldSpec("register.code", N_("Code of the till"), sample="C1"),
    FieldSpec("register.name", N_("Name of the till"), sample=N_("Main till")),
    FieldSpec("cashier.name", N_("Name of the cashier"), sample="Camille Petit"),
    FieldSpec("customer.name", N_("Name of the customer"), sample="Dupont & Fils"),
    FieldSpec("customer.email", N_("Email address of the customer"), sample="contact@dupont.example.com"),
    FieldSpec("customer.city", N_("City of the customer"), sample="Paris"),
    *COMPANY_FIELDS,
)

# As it is called in databases that were set up before: there it stays, and goes on being translated.
FORMER_NAME = N_("Ticket: receipt")
TEMPLATES = (
    ShippedTemplate(
        name=N_("Receipt: sending"),
        attachment_name="{{ document.file_name }}",
        texts={
            "en": (
                "{{ company.name }}: your receipt {{ document.number }}",
                (
                    "<p>Hello,</p><p>Thank you for your purchase on {{ document.date }}. Your receipt "
                    "<strong>{{ document.number }}</strong> for <strong>{{ document.total }}</strong> is attached.</p>"
                    "<p>See you soon,</p><p>{{ company.name }}"
                    "{% if company.phone %}<br>{{ company.phone }}{% endif %}</p>"
                ),
            ),
            "fr": (
                "{{ company.name }}\u00a0: votre ticket {{ document.number }}",
                (
                    "<p>Bonjour,</p><p>Merci de votre achat du {{ document.date }}. Votre ticket "
                    "<strong>{{ document.number }}</strong> de <strong>{{ document.total }}</strong> est joint.</p>"
                    "<p>À bientôt,</p><p>{{ company.name }}"
                    "{% if company.phone %}<br>{{ company.phone }}{% endif %}</p>"
                ),
            ),
        },
    ),
)


def ticket_of(document: Document) -> Ticket:
    """Return the module's row of a ticket.

    Raises:
        UserError: It is gone.
    """
    row = db.session.get(Ticket, document.id)
    if row is None:
        raise UserError(_l("This receipt no longer exists."))
    return row


class TicketBehavior:
    """A ticket; see `core.documents.behavior.DocumentBehavior`."""

    catalogue = CATALOGUE
    templates = TEMPLATES

    def pdf_html(self, document: Document) -> str:
        """Return the receipt as HTML for the PDF engine."""
        return receipt_html(document, ticket_of(document))

    def fields(self, document: Document) -> Mapping[str, FieldValue]:
        """Return a plain value for each name of the catalogue."""
        row = ticket_of(document)
        lines = row.lines
        totals = totals_of(row)
        partner = document.partner
        return {
            "document.title": kind_title(document.kind),
            "document.number": document.number,
            "document.date": document.date,
            "document.currency": document.currency,
            "document.untaxed": totals.untaxed,
            "document.tax": totals.tax,
            "document.total": totals.total,
            "document.line_count": len(lines),
            "document.file_name": self.file_name(document),
            "register.code": row.register.code,
            "register.name": row.register.name,
            "cashier.name": row.cashier_name,
            "customer.name": row.customer_name,
            "customer.email": partner.email if partner is not None else "",
            "customer.city": partner.city if partner is not None else "",
            **company_values(document.company, row.issuer),
        }

    def why_not_sendable(self, document: Document) -> object | None:  # noqa: ARG002 (every ticket can be sent)
        """Return None: a ticket is final."""
        return None

    def keeps_addresses_private(self, document: Document) -> bool:
        """Return True for a walk-in's ticket: nobody has agreed that the address be kept."""
        return document.partner_id is None

    def file_name(self, document: Document) -> str:
        """Return what the PDF is called by the pattern of the register."""
        return receipt_name(ticket_of(document), document.company.name)

    def preferred_template(self, document: Document) -> int | None:
        """Return the mail template that the company's settings name for receipts, or None."""
        return settings_of(document.company_id).template_id


ticket = TicketBehavior()
