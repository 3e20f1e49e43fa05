"""The verbs of partners."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import selectinload

from core import clock
from core.auth.models import User
from core.config import SUPPORTED_LANGUAGES
from core.db import db, transaction
from core.errors import UserError
from core.i18n import is_country
from core.i18n import lazy_gettext as _l
from core.mail.addresses import normalize
from core.partners.labels import PartnerLabel
from core.partners.match_key import address_key
from core.partners.models import MailConsent, Partner, PartnerType
from core.partners.reach import reachable
from core.partners.search import Person, search_people
from core.partners.search_index import matching_partners
from core.vat import checked_vat

__all__ = [
    "ContactExistsError",
    "Person",
    "checked_values",
    "contacts_of",
    "contacts_of_each",
    "customer_of",
    "find_partners",
    "make_main_contact",
    "people_at",
    "save_contact",
    "save_partner",
    "search_people",
]

MAX_NAME = 160  # characters, as the column has


class ContactExistsError(UserError):
    """The customer has somebody with this address already; `partner` is who."""

    def __init__(self, partner: Partner) -> None:
        super().__init__(_l("%(name)s has this address already.", name=partner.name), "email")
        self.partner = partner


def save_partner(partner: Partner | None, values: dict[str, Any]) -> Partner:
    """Create or change a partner.

    A contact that becomes the main one takes that from the former main contact; an archived one is none.

    Args:
        partner: The partner to change, or None for a new one.
        values: Column values, and `label_ids`, which stands for all tags and function codes. Address, VAT number,
            country and language are checked where they change, and may be empty but for the language; a consent that
            is said again keeps since when. `company_id` and `owner_id` of a contact are those of its customer, and
            follow it.

    Raises:
        UserError: The name is empty, or a value is none that there can be; `field` says which.
    """
    values = checked_values(partner, values)
    with transaction() as session:
        if partner is not None and partner.parent_id is not None:
            # The customer before the contact, as whoever saves its form does.
            _one_at_a_time(partner.parent_id)
            # Somebody may have taken the mark away since it was read: it must be written again, then.
            session.refresh(partner, ["is_main"])
        partner = partner or Partner()
        parent_id = values.get("parent_id", partner.parent_id)
        if parent_id is not None:
            customer = session.get_one(Partner, parent_id)
            values = {**values, "company_id": customer.company_id, "owner_id": customer.owner_id}
        with session.no_autoflush:
            for name, value in values.items():
                if name == "label_ids":
                    partner.labels = list(
                        session.scalars(select(PartnerLabel).where(PartnerLabel.id.in_(value)))
                    )
                else:
                    setattr(partner, name, value)
            # Before the row itself is written: whoever writes a contact first and then waits for its customer waits
            # in a circle with somebody who does the same to another contact.
            if partner.is_main:
                _keep_one_main(partner)
        session.add(partner)
        session.flush()  # before its contacts: a guard compares each with it
        if parent_id is None:
            session.execute(
                update(Partner)
                .where(Partner.parent_id == partner.id)
                .values(company_id=partner.company_id, owner_id=partner.owner_id)
            )
    return partner


_MAY_BE_NONE = {column.name for column in Partner.__table__.columns if column.nullable}


def checked_values(partner: Partner | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return column values as `save_partner` stores them.

    What a row has already is not asked about again, so that old ones can be saved.

    Args:
        partner: The row that would change, or None for a new one.
        values: As for `save_partner`.

    Raises:
        UserError: As there.
    """
    # None is what a form says of a field that was not posted.
    values = {name: value for name, value in values.items() if value is not None or name in _MAY_BE_NONE}
    if not str(values.get("name", "x")).strip():
        raise UserError(_l("A name is needed."), "name")
    if values.get("email"):
        values["email"] = normalize(values["email"], "email")
    for column, known, sentence in (
        ("country", is_country, _l("There is no such country.")),
        ("language", SUPPORTED_LANGUAGES.__contains__, _l("Documents cannot be written in this language.")),
    ):
        if _changes(partner, values, column) and not known(values[column]):
            raise UserError(sentence, column)
    if _changes(partner, values, "vat"):
        country = values.get("country") or (partner.country if partner is not None else "FR")
        values["vat"] = checked_vat(values["vat"], country)
    return _with_consent(partner, values)


def _changes(partner: Partner | None, values: dict[str, Any], column: str) -> bool:
    return column in values and (partner is None or values[column] != getattr(partner, column))


def stop_promotions(email: str, source: str) -> int:
    """Note that whoever has an email address wants no promotional emails any more; the history keeps what held before.

    Who wants no emails at all goes on wanting none, and who has said once that they want only the necessary ones has
    said so then.

    Args:
        email: The address, in any case.
        source: How it is known.

    Returns:
        How many customers and contacts that concerned.
    """
    with transaction() as session:
        rows = session.scalars(
            select(Partner).where(
                func.lower(Partner.email) == email.lower(),
                or_(
                    Partner.consent == MailConsent.PROMOTIONAL,
                    (Partner.consent == MailConsent.NECESSARY) & Partner.consent_at.is_(None),
                ),
            )
        ).all()
        for row in rows:
            row.consent_source = source
            row.consent, row.consent_at = MailConsent.NECESSARY, clock.now()
    return len(rows)


def _with_consent(partner: Partner | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return column values with the moment and the source of a consent that changes."""
    if "consent" not in values:
        return values
    consent = MailConsent(values["consent"])
    at = values.get("consent_at")
    if at is not None and at > clock.now():
        raise UserError(_l("This day has not come yet."), "consent_at")
    if (
        consent is MailConsent.PROMOTIONAL
        and not str(
            values.get("consent_source", partner.consent_source if partner is not None else "")
        ).strip()
    ):
        raise UserError(_l("Say how the consent was given, such as “form on the website”."), "consent_source")
    if at is None:
        # The first moment stays: it is what a person, or the law, may ask about.
        same = partner is not None and partner.consent is consent
        never_said = consent is MailConsent.NECESSARY and (partner is None or same)
        at = partner.consent_at if same and partner is not None else None if never_said else clock.now()
    return {**values, "consent": consent, "consent_at": at}


def make_main_contact(contact: Partner) -> None:
    """Make a contact the main one of its customer.

    Raises:
        UserError: It is no contact, or archived.
    """
    if contact.parent_id is None or not contact.active:
        raise UserError(_l("Only an active contact of a customer can be its main contact."))
    save_partner(contact, {"is_main": True})


def _keep_one_main(contact: Partner) -> None:
    """Take the mark of the main contact from all others of its customer; one that is no active contact loses it."""
    if contact.parent_id is None or contact.active is False:
        contact.is_main = False
        return
    with transaction() as session:
        _one_at_a_time(contact.parent_id)  # two people who choose at once must not leave two
        session.execute(
            update(Partner)
            .where(Partner.parent_id == contact.parent_id, Partner.is_main, Partner.id != contact.id)
            .values(is_main=False)
        )


def _one_at_a_time(customer_id: int) -> None:
    """Let others who change the contacts of a customer wait until the running transaction ends."""
    # Not the strongest lock: rows that name the customer, such as its new documents, need not wait for this.
    with transaction() as session:
        session.execute(select(Partner.id).where(Partner.id == customer_id).with_for_update(key_share=True))


def save_contact(
    customer: Partner,
    name: str,
    email: str,
    type: PartnerType = PartnerType.CONTACT,  # noqa: A002 (the name of the column)
    **values: Any,
) -> Partner:
    """Make a new contact of a customer, which takes over its language and country.

    Args:
        customer: The customer, or one of its contacts, whose customer it is then.
        name: Of the contact; "" for the part of the address before the `@`.
        email: The address, which may be empty where a name is given.
        type: What the contact is for.
        values: Other column values.

    Raises:
        ContactExistsError: The customer, or an active contact of it, has this address.
        UserError: Neither name nor address are given, or the address is invalid.
    """
    name, email = name.strip(), email.strip()
    if len(name) > MAX_NAME:
        raise UserError(_l("At most %(max)d characters.", max=MAX_NAME), "name")
    email = normalize(email, "email") if email else ""
    with transaction():
        customer = customer_of(customer)
        _one_at_a_time(customer.id)  # two people who add the same one at once must not make two
        for partner in people_at([email], None).get(email.casefold(), []) if email else []:
            if customer.id in (partner.id, partner.parent_id):
                raise ContactExistsError(partner)
        return save_partner(
            None,
            {
                "language": customer.language,
                "country": customer.country,
                **values,
                "name": name or email.partition("@")[0],
                "email": email,
                "type": type,
                "parent_id": customer.id,
            },
        )


def find_partners(
    text: str, user: User | None, *, limit: int = 20, company_id: int | None = None
) -> list[Partner]:
    """Return active partners whose name or address has every word of the text, in any case and accents, by name.

    Args:
        text: What was typed.
        user: Who looks, as in `core.partners.reach.reachable`.
        limit: How many at most.
        company_id: The company whose document they are for, as there.
    """
    # Archived ones are left out: they must not be chosen for something new.
    within = reachable(user, company_id=company_id)
    query = select(Partner).where(
        Partner.active, within, *matching_partners(text, Partner.name, Partner.email)
    )
    return list(db.session.scalars(query.order_by(Partner.name, Partner.id).limit(limit)))


def customer_of(partner: Partner) -> Partner:
    """Return the customer that a contact belongs to; a customer itself."""
    return partner.parent if partner.parent is not None else partner


def contacts_of(customer: Partner) -> list[Partner]:
    """Return the active contacts of a customer, the main contact first, then by name."""
    return contacts_of_each([customer.id])[customer.id]


def contacts_of_each(customer_ids: Iterable[int], *, labels: bool = False) -> dict[int, list[Partner]]:
    """Return the active contacts of customers, by the id of the customer, in the order of `contacts_of`.

    Args:
        customer_ids: The customers.
        labels: True where their labels will be asked for.
    """
    found: dict[int, list[Partner]] = {number: [] for number in customer_ids}
    query = (
        select(Partner)
        .where(Partner.parent_id.in_(found), Partner.active)
        .order_by(Partner.is_main.desc(), Partner.name, Partner.id)
    )
    for contact in db.session.scalars(query.options(selectinload(Partner.labels)) if labels else query):
        found[contact.parent_id or 0].append(contact)
    return found


def people_at(addresses: Collection[str], user: User | None) -> dict[str, list[Partner]]:
    """Return the active customers and contacts that have one of the addresses, by the address without case.

    The keys are those of `core.mail.addresses.Address.key`.

    Args:
        addresses: The addresses.
        user: Who asks, as in `core.partners.reach.reachable`.
    """
    wanted = {address_key(address) for address in addresses if address}
    found: dict[str, list[Partner]] = {}
    if wanted:
        query = select(Partner).where(Partner.active, reachable(user), Partner.email_key.in_(wanted))
        for partner in db.session.scalars(query.order_by(Partner.id)):
            found.setdefault(partner.email_key, []).append(partner)
    return found
