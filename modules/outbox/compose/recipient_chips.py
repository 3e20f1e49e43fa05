"""Recipients as the composer shows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User
from core.db import db
from core.mail.draft import DraftRecipient, Reason
from core.partners.models import Partner
from core.partners.reach import reachable
from core.partners.service import people_at
from modules.outbox.compose.recipients import REASON_ICONS, reason_text
from modules.outbox.dead_addresses import dead_among


@dataclass(frozen=True, slots=True)
class Chip:
    """A recipient on the page.

    Attributes:
        text: `Name <address>`, as the form posts it.
        name: Name to show; the address where there is no name.
        addr_spec: The address.
        reason: In words, why it is there.
        icon: Name of the icon of the reason.
        partner_id: The customer or contact whose page the user may open, or None.
        problem: A sentence that warns, or "".
        offer_contact: True when nobody has this address yet and the user may keep it as a contact.
        typed: True when the person has typed it; anybody else was offered, and is left out instead of removed.
    """

    text: str
    name: str
    addr_spec: str
    reason: str
    icon: str
    partner_id: int | None
    problem: str
    typed: bool
    offer_contact: bool


def chips_of(recipients: Sequence[DraftRecipient], user: User, *, of_customer: bool) -> list[Chip]:
    """Return recipients as they are shown.

    Args:
        recipients: The recipients.
        user: Who looks.
        of_customer: True when there is a customer whose contact a typed address can become.
    """
    opted_out = opted_out_among(recipients, user)
    within = _reached(recipients, user)
    dead = dead_among(recipient.address.addr_spec for recipient in recipients)
    may_keep = of_customer and user.can("core.partner.edit")
    return [
        Chip(
            text=str(recipient.address),
            name=recipient.address.display_name or recipient.address.addr_spec,
            addr_spec=recipient.address.addr_spec,
            reason=reason_text(recipient.reason, recipient.reason_detail),
            icon=REASON_ICONS[recipient.reason],
            partner_id=recipient.partner_id if recipient.partner_id in within else None,
            problem=_problem(recipient, opted_out, dead),
            typed=recipient.reason is Reason.TYPED,
            offer_contact=may_keep and recipient.reason is Reason.TYPED,
        )
        for recipient in recipients
    ]


def _problem(recipient: DraftRecipient, opted_out: Mapping[str, Partner], dead: Collection[str]) -> str:
    if recipient.address.addr_spec in dead:
        return str(gettext("address unknown"))
    return str(gettext("opted out of emails")) if recipient.address.key in opted_out else ""


def _reached(recipients: Sequence[DraftRecipient], user: User) -> set[int]:
    ids = {recipient.partner_id for recipient in recipients} - {None}
    query = select(Partner.id).where(Partner.id.in_(ids), reachable(user))
    return set(db.session.scalars(query)) if ids else set()


def opted_out_among(recipients: Sequence[DraftRecipient], user: User | None) -> dict[str, Partner]:
    """Return who of the recipients wants no mails, by the key of the address.

    An address counts as opted out when its own partner has opted out, or everybody who has it whom the user
    reaches.

    Args:
        recipients: The recipients.
        user: Who writes, or None for the installation itself.
    """
    ids = [recipient.partner_id for recipient in recipients if recipient.partner_id is not None]
    partners = {}
    if ids:
        query = select(Partner).where(Partner.id.in_(ids), Partner.opted_out_at.is_not(None))
        partners = {partner.id: partner for partner in db.session.scalars(query)}
    strangers = people_at([r.address.addr_spec for r in recipients if r.partner_id is None], user)
    found: dict[str, Partner] = {}
    for recipient in recipients:
        key = recipient.address.key
        if recipient.partner_id in partners:
            found[key] = partners[recipient.partner_id]
        elif recipient.partner_id is None:
            people = strangers.get(key, [])
            if people and all(person.opted_out_at is not None for person in people):
                found[key] = people[0]
    return found
