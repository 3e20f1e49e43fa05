"""Mails that advertise, to customers who have opted in."""

from __future__ import annotations

from core.companies.models import Company
from core.mail.addresses import Address
from core.mail.draft import DraftRecipient
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.outbox import service
from modules.outbox.models import OutgoingMail
from modules.outbox.unsubscribe_links import unsubscribe_link
from tests.outbox.conftest import draft

WILLING = {"consent": "promotional", "consent_source": "fair", "language": "fr"}


def willing(name: str = "Dupont", email: str = "dupont@example.com", **values: object) -> Partner:
    return save_partner(None, {"name": name, "email": email, **WILLING, **values})


def promotion(company: Company, *partners: Partner, **changes: object) -> OutgoingMail:
    people = [
        DraftRecipient(Address(partner.email, partner.name), partner_id=partner.id) for partner in partners
    ]
    made = draft(company, promotional=True, **changes)
    made.recipients = people
    return service.submit(made, None)


def path_of(mail: OutgoingMail) -> str:
    """Return the path of the link by which the recipient opts out."""
    return "/" + unsubscribe_link(mail.recipients[0].id).split("/", 3)[3]
