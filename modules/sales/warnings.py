"""What is probably wrong in a document of sales; whoever issues or sends it is told."""

from __future__ import annotations

from collections.abc import Iterator

from babel import Locale
from flask_babel import get_locale

from core.db import db
from core.documents.models import Document
from core.i18n import format_date
from core.i18n import lazy_gettext as _l
from core.partners.service import customer_of
from core.vat import same_tax_territory
from modules.sales.models import Invoice, Order
from modules.sales.service.lines import lines_of
from modules.sales.states import CREDIT_NOTE, ORDER, QUOTATION, InvoiceState, OrderState


def warnings(document: Document) -> list[object]:
    """Return a sentence for each thing that is probably wrong in a document."""
    return [*_about_a_quotation(document), *_about_taxes(document)]


def _about_a_quotation(document: Document) -> Iterator[object]:
    """What nobody can accept: a quotation that has expired, or offers nothing."""
    order = db.session.get(Order, document.id) if document.kind in {QUOTATION, ORDER} else None
    if order is not None and order.expired:
        yield _l(
            "This quotation was valid until %(day)s only. Give it a later date before the customer gets it.",
            day=format_date(order.validity_date, "medium"),
        )
    if order is not None and order.state is not OrderState.CANCELED and not lines_of(document.id):
        yield _l("There are no lines in it: the customer would get an empty document.")


def _about_taxes(document: Document) -> Iterator[object]:
    """A business abroad usually owes the tax of its own country itself: reverse charge, or an export."""
    partner = document.partner
    # What takes an invoice back has the taxes of that invoice, right or wrong.
    if partner is None or document.kind == CREDIT_NOTE:
        return
    customer = customer_of(partner)
    invoice = db.session.get(Invoice, document.id)
    posted = invoice is not None and invoice.state is InvoiceState.POSTED
    vat = invoice.customer_vat if invoice is not None and posted else customer.vat
    if not vat or same_tax_territory(customer.country, document.company.country):
        return
    taxed = {line.said("tax_name", document.language) for line in lines_of(document.id) if line.tax_rate}
    if taxed:
        yield _l(
            "%(name)s is a business in another country (%(country)s, VAT number %(vat)s), and the tax of yours is "
            "charged: %(taxes)s. Check whether this sale is without tax.",
            name=customer.name,
            country=Locale.parse(str(get_locale() or "en")).territories.get(
                customer.country, customer.country
            ),
            vat=vat,
            taxes=", ".join(sorted(taxed)),
        )
