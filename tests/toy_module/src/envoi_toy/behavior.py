"""What a voucher can do: its PDF, the fields and texts of its mails."""

from __future__ import annotations

from collections.abc import Mapping

from flask import current_app

from core.db import db
from core.documents.behavior import FieldSpec, FieldType, FieldValue, ShippedTemplate
from core.documents.models import Document
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from envoi_toy.models import Voucher


class VoucherBehavior:
    """See `core.documents.behavior.DocumentBehavior`."""

    catalogue = (
        FieldSpec("voucher.number", N_("Number"), sample="V00007"),
        FieldSpec("voucher.amount", N_("Amount"), FieldType.MONEY, "50.00"),
        FieldSpec("voucher.currency", N_("Currency"), sample="EUR"),
        FieldSpec("voucher.greeting", N_("Greeting")),
        FieldSpec("voucher.expires_on", N_("Valid until"), FieldType.DATE),
        FieldSpec("customer.name", N_("Name of the customer"), sample="Dupont & Fils"),
        FieldSpec("company.name", N_("Name of the company")),
    )
    templates = (
        ShippedTemplate(
            name=N_("Gift voucher: send"),
            attachment_name="{{ voucher.number }}",
            texts={
                "en": (
                    "{{ company.name }}: your gift voucher {{ voucher.number }}",
                    (
                        "<p>Dear {{ customer.name }},</p><p>{{ voucher.greeting }} Please find attached your voucher "
                        "of <strong>{{ voucher.amount }}</strong>, valid until "
                        "{{ voucher.expires_on }}.</p>"
                    ),
                ),
                "fr": (
                    "{{ company.name }} : votre chèque-cadeau {{ voucher.number }}",
                    (
                        "<p>Bonjour {{ customer.name }},</p><p>{{ voucher.greeting }} Vous trouverez ci-joint votre "
                        "chèque-cadeau de <strong>{{ voucher.amount }}</strong>, valable "
                        "jusqu’au {{ voucher.expires_on }}.</p>"
                    ),
                ),
            },
        ),
    )

    def pdf_html(self, document: Document) -> str:
        """Return the voucher as HTML for the PDF engine."""
        template = current_app.jinja_env.get_template("toy/pdf/voucher.html")
        return template.render(document=document, voucher=db.session.get(Voucher, document.id))

    def fields(self, document: Document) -> Mapping[str, FieldValue]:
        """Return a plain value for each name of the catalogue."""
        voucher = db.session.get_one(Voucher, document.id)
        return {
            "voucher.number": document.number,
            "voucher.amount": document.total,
            "voucher.currency": document.currency,
            "voucher.greeting": voucher.greeting,
            "voucher.expires_on": voucher.expires_on,
            "customer.name": document.partner.name if document.partner else "",
            "company.name": document.company.name,
        }

    def why_not_sendable(self, document: Document) -> object | None:
        """Return a sentence when the voucher has expired."""
        voucher = db.session.get(Voucher, document.id)
        return _l("The voucher has expired.") if voucher is None or voucher.expired else None


voucher = VoucherBehavior()
