"""The customer of a document, and the address printed on it."""

from __future__ import annotations

from babel import Locale

from core.auth.models import User
from core.db import db
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.partners.models import Partner
from core.partners.reach import partner_for
from core.web.formats import city_line


def customer(partner_id: int, *, company_id: int, by: User | None, present_id: int | None = None) -> Partner:
    """Return the customer of a document.

    Args:
        partner_id: Its id.
        company_id: The company of the document.
        by: Who writes the document, to a customer whom they reach; None for the command line.
        present_id: The customer that the document, or the one it is copied from, has already; it may stay.

    Raises:
        UserError: There is none.
    """
    partner = (
        db.session.get(Partner, partner_id)
        if partner_id == present_id
        else partner_for(by, partner_id, company_id=company_id)
    )
    if partner is None:
        raise UserError(_l("This customer does not exist any more."), "partner_id")
    return partner


def address_lines(partner: Partner, document: Document) -> list[str]:
    """Return the postal address of a customer, without the name.

    The country stands there when it is another than that of the company, in the document's language.
    """
    lines = [*partner.street.splitlines(), city_line(partner.zip_code, partner.city, partner.country)]
    if partner.country != document.company.country:
        lines.append(Locale.parse(document.language).territories.get(partner.country, partner.country))
    return [line for line in lines if line]
