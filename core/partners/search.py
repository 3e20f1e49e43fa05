"""Finding people by what somebody types: customers, contacts, colleagues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import aliased, joinedload

from core.auth.models import User
from core.auth.permissions import colleagues as colleagues_of
from core.db import db
from core.db.aside import one_by_one
from core.i18n import gettext
from core.matching import folded, like, matching, words
from core.partners.models import Partner, PartnerType
from core.partners.reach import partner_for, reachable
from core.partners.search_index import beginning, few_partners

COLLEAGUES_AT_MOST = 6  # they come after customers, and must not push them off the list


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was found.

    Attributes:
        name: As shown.
        email: The address, or "".
        detail: Who that is: "contact of Dupont · Manager", "customer · Paris", "colleague".
        partner_id: The customer or contact, or None for a colleague.
        user_id: The colleague, or None.
        opted_out: True when this person wants no mails.
        kin: True for the customer that was given first place, and its contacts.
    """

    name: str
    email: str
    detail: str
    partner_id: int | None = None
    user_id: int | None = None
    opted_out: bool = False
    kin: bool = False


def search_people(
    text: str,
    user: User | None,
    *,
    limit: int = 20,
    customer: Partner | None = None,
    customers_only: bool = False,
    company_id: int | None = None,
) -> list[Person]:
    """Return active customers, contacts and colleagues whom every word of a text fits, in any case and accents.

    A word fits when it occurs in the name or the address, and for a contact also in the name of its customer.

    Args:
        text: What was typed; "" finds the first by name.
        user: Who looks, and finds only those whom they reach; None for the installation itself.
        limit: How many at most.
        customer: Whose people come first, itself among them.
        customers_only: True for nothing but customers.
        company_id: The company whose document they are for, as in `core.partners.reach.reachable`.
    """
    found: list[Person] = []
    within = reachable(user, company_id=company_id)
    if customer is not None and partner_for(user, customer.id, company_id=company_id) is not None:
        contacts = sorted(customer.contacts, key=lambda contact: not contact.is_main)
        kin = [person for person in (customer, *contacts) if person.active]
        found += [_person(row, kin=True) for row in kin if _fits(text, row)]
    if not customers_only:
        colleagues = select(User).where(User.active, *matching(text, User.name, User.login))
        if user is not None:
            colleagues = colleagues.where(colleagues_of(user))
        found += [
            Person(row.name, row.login, str(gettext("colleague")), user_id=row.id)
            for row in db.session.scalars(colleagues.order_by(User.name, User.id).limit(COLLEAGUES_AT_MOST))
        ]
    known = {person.partner_id for person in found}
    # Who begins with it first: of a hundred thousand, "Kes" means Kestrel before Brickestone.
    for begins in (True, False) if text.strip() else (False,):
        if len(found) >= limit:
            break
        rows = (
            db.session.scalars(_partners(text, begins, customers_only).where(within).limit(limit))
            .unique()
            .all()
        )
        found += [_person(row) for row in rows if row.id not in known]
        known |= {row.id for row in rows}
    return found[:limit]


def _partners(text: str, begins: bool, customers_only: bool) -> Select[Partner]:
    few = beginning(text) if begins else few_partners(text)
    # Of a text that few rows fit, walking the index of names would look at every row of the table in turn.
    name = Partner.name if few is None else func.coalesce(Partner.name, "")
    query = select(Partner).where(Partner.active).order_by(name, Partner.id)
    query = query.options(joinedload(Partner.parent))
    if customers_only:
        query = query.where(Partner.parent_id.is_(None))
    if begins or customers_only:
        if few is not None:
            query = query.where(Partner.id.in_(few))
        return query.where(*matching(text, Partner.name, Partner.email, begins=begins))
    return query.where(*(_fits_row(word) for word in words(text)))


def _fits_row(word: str) -> ColumnElement[bool]:
    """Return the condition that a word occurs in a name or an address, or in the name of a contact's customer."""
    owner = aliased(Partner)
    own = or_(like(Partner.name, word), like(Partner.email, word))
    named = few_partners(word)
    if named is None:
        # Many have it: the first of them are soon found, and only of those before them the customer is asked for.
        asked = select(owner.id).where(owner.id == Partner.parent_id, like(owner.name, word))
        return or_(own, one_by_one(asked.correlate(Partner)))
    owners = select(owner.id).where(owner.id.in_(named), like(owner.name, word))
    return and_(
        or_(Partner.id.in_(named), Partner.parent_id.in_(named)), or_(own, Partner.parent_id.in_(owners))
    )


def _person(row: Partner, *, kin: bool = False) -> Person:
    return Person(
        row.name,
        row.email,
        describe(row, kin=kin),
        partner_id=row.id,
        opted_out=row.opted_out_at is not None,
        kin=kin,
    )


def describe(partner: Partner, *, kin: bool = False) -> str:
    """Return in a few words who a partner is, so that two of one name can be told apart.

    Args:
        partner: The partner.
        kin: True where it is plain whose contact it is.
    """
    if partner.parent is None:
        parts = [gettext("customer"), partner.city]
    elif kin:
        parts = [_kind(partner.type), partner.function]
    else:
        parts = [_kind_of(partner.type, partner.parent.name), partner.function]
    return " · ".join(str(part) for part in parts if part)


def _kind(kind: PartnerType) -> str:
    if kind is PartnerType.BILLING:
        return str(gettext("billing contact"))
    return str(gettext("delivery contact") if kind is PartnerType.DELIVERY else gettext("contact"))


def _kind_of(kind: PartnerType, name: str) -> str:
    if kind is PartnerType.BILLING:
        return str(gettext("billing contact of %(name)s", name=name))
    if kind is PartnerType.DELIVERY:
        return str(gettext("delivery contact of %(name)s", name=name))
    return str(gettext("contact of %(name)s", name=name))


def _fits(text: str, partner: Partner) -> bool:
    owner = partner.parent.name if partner.parent is not None else ""
    places: Iterable[str] = [folded(place) for place in (partner.name, partner.email, owner)]
    return all(any(word in place for place in places) for word in words(text))
