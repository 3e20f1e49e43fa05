"""What the list of customers and contacts can be searched, filtered and sorted by; the export asks it as well."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, false, select, true
from sqlalchemy.orm import aliased

from core.i18n import N_
from core.partners.facets import FACETS
from core.partners.lists.service import LIST_FACET
from core.partners.models import MailConsent, Partner, PartnerType
from core.partners.search_index import matching_partners
from core.web.criteria import Filter, ListSpec, SortKey


def _found(text: str) -> ColumnElement[bool]:
    places = (Partner.name, Partner.email, Partner.city, Partner.number, Partner.vat)
    return and_(true(), *matching_partners(text, *places))


_contact = aliased(Partner)


def _without(kind: PartnerType) -> ColumnElement[bool]:
    """Return the condition that a customer has no contact of a kind with an address."""
    there = select(_contact.id).where(
        _contact.parent_id == Partner.id, _contact.type == kind, _contact.email != "", _contact.active
    )
    return and_(Partner.parent_id.is_(None), ~there.exists())


def _archived() -> Select[int]:
    there = aliased(Partner)
    return select(there.id).where(there.active == false())


PARTNERS = ListSpec(
    identity=Partner.id,
    sorts=(
        SortKey("name", N_("Name"), Partner.name, lambda row: row.name),
        SortKey("number", N_("Customer number"), Partner.number, lambda row: row.number),
        SortKey("city", N_("City"), Partner.city, lambda row: row.city),
        SortKey("email", N_("Email"), Partner.email, lambda row: row.email),
    ),
    filters=(
        Filter("customers", N_("Customers"), Partner.parent_id.is_(None), "type"),
        Filter("contacts", N_("Contacts"), Partner.parent_id.is_not(None), "type"),
        Filter("no-address", N_("Without address"), Partner.email == "", "lacks"),
        Filter("no-billing", N_("Without billing address"), _without(PartnerType.BILLING), "lacks"),
        Filter("no-delivery", N_("Without delivery address"), _without(PartnerType.DELIVERY), "lacks"),
        Filter("no-contact", N_("Without contact address"), _without(PartnerType.CONTACT), "lacks"),
        Filter("opted-out", N_("Opted out of emails"), Partner.consent == MailConsent.NONE),
        Filter("archived", N_("Archived"), Partner.active == false(), among=_archived),
    ),
    search=_found,
    facets=(*FACETS, LIST_FACET),
)
"""The list of customers; a statement over `Partner` goes with it, which `core.partners.reach` keeps in bounds."""
