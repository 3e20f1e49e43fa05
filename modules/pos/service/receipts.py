"""Where receipts go, and asking for the mails that carry them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError

from core.auth.models import User
from core.db import db
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address, parse_addresses
from core.partners.models import Partner
from core.partners.service import contacts_of, customer_of
from core.signals import document_mail_wanted
from modules.pos.models import Ticket, TillSettings
from modules.pos.service.registers import (
    settings_of,
)
from modules.pos.service.sale import Sale

logger = logging.getLogger(__name__)


class Named(Protocol):
    """Whoever has a name and an address: a customer, or what was asked of one."""

    @property
    def id(self) -> int:
        """Of the customer or contact."""

    @property
    def name(self) -> str:
        """As receipts are addressed."""

    @property
    def email(self) -> str:
        """The address, or ""."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The addresses that get a customer's receipts by the settings of a company; no address twice.

    Attributes:
        people: The customer and its main contact.
        copies: The fixed addresses, each of which gets a mail of its own: none learns of the others.
    """

    people: tuple[Address, ...]
    copies: tuple[Address, ...]


def usual_addresses(company_id: int, partner: Partner | None) -> Usual:
    """Return where the receipts of a customer go; those of a walk-in go to the fixed addresses only."""
    settings = settings_of(company_id)
    if partner is None:
        return _usual(settings, None, None)
    customer = customer_of(partner)
    main = next((contact for contact in contacts_of(customer) if contact.is_main), None)
    return _usual(settings, partner, main)


def usual_of_all(company_id: int, customers: Sequence[Any]) -> dict[int, Usual]:
    """Return the same for many customers, by their ids, with one query.

    Args:
        company_id: The company.
        customers: Their ids, names and addresses.
    """
    settings = settings_of(company_id)
    mains: dict[int | None, Any] = {}
    if settings.to_main_contact:
        asked = select(Partner.parent_id, Partner.id, Partner.name, Partner.email).where(
            Partner.is_main, Partner.active, Partner.parent_id.in_([row.id for row in customers])
        )
        mains = {row.parent_id: row for row in db.session.execute(asked)}
    return {row.id: _usual(settings, row, mains.get(row.id)) for row in customers}


def _usual(settings: TillSettings, partner: Named | None, main: Named | None) -> Usual:
    wanted = [partner if settings.to_customer else None, main if settings.to_main_contact else None]
    people: dict[str, Address] = {}
    for person in wanted:
        for address in parse_addresses(person.email)[0] if person is not None and person.email else []:
            people.setdefault(address.key, Address(address.addr_spec, person.name if person else ""))
    fixed = parse_addresses(settings.fixed_addresses)[0] if settings.fixed_addresses else []
    copies = {address.key: address for address in fixed if address.key not in people}
    return Usual(tuple(people.values()), tuple(copies.values()))


def mail_receipt(ticket: Ticket, sale: Sale, by: User | None) -> None:
    """Ask for the mails with the receipt; a reason why there is none must not cost the sale."""
    document, keep_days = ticket.document, settings_of(ticket.document.company_id).keep_days
    private = document.partner_id is None
    usual = usual_addresses(document.company_id, document.partner)
    problems = [_l("What was typed at the till is no email address.")] if sale.address_wrong else []
    addresses = list(usual.people) if sale.mail and not private else []
    if sale.address is not None and sale.address.key not in {address.key for address in addresses}:
        addresses.insert(0, sale.address)
    written_to = {address.key for address in addresses}
    is_wanted = bool(addresses) or (sale.mail and not private)
    copies = [address for address in usual.copies if is_wanted and address.key not in written_to]
    if addresses:
        problems.append(_ask(document, addresses, by, private=private, keep_days=keep_days))
    # Of a walk-in's receipt nothing is kept longer than the walk-in's own.
    kept = 0 if private else keep_days
    problems += [_ask(document, [copy], by, private=False, keep_days=kept) for copy in copies]
    if not addresses and not copies and not problems:
        problems.append(_l("There was no address to send the receipt to."))
    ticket.mail_problem = " ".join(dict.fromkeys(str(problem) for problem in problems if problem))[:300]


def _ask(
    document: Document,
    addresses: Sequence[Address],
    by: User | None,
    *,
    private: bool,
    keep_days: int | None,
) -> object:
    """Ask for one mail, and return why there is none, or ""."""
    try:
        with db.session.begin_nested():
            answers = document_mail_wanted.send(
                document, addresses=tuple(addresses), by=by, private=private, keep_days=keep_days
            )
    except UserError as error:
        return error.message
    except (OperationalError, InterfaceError):
        raise  # the database itself: the till posts the sale again
    except Exception:
        # A fault in whatever sends mails must not keep the sale from being written, now and each time it is posted.
        logger.exception("The receipt of ticket %s could not be asked for.", document.id)
        return _l("The receipt could not be written. An administrator finds the reason in the log.")
    return (
        ""
        if any(answer is not None for _receiver, answer in answers)
        else _l("No module that sends emails is enabled.")
    )
