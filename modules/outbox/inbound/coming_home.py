"""Where answers go: to a mailbox that is read, so that they are shown with their emails, or past it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from core.companies.models import Company
from core.db import db
from core.mail.addresses import Address
from core.mail.draft import Purpose
from modules.mail_config.models import CompanySender
from modules.outbox.models import Mailbox


@dataclass(frozen=True, slots=True)
class Answers:
    """Where answers to what people of a company write go, unless they write from an address of their own.

    Attributes:
        company: The company.
        address: That is set for it; "" for the one of whoever sends.
        read: True where a mailbox of that address is read here.
    """

    company: Company
    address: str
    read: bool


def address_of(mailbox: Mailbox) -> str:
    """Return the address whose mail lies in a mailbox, or "" where nothing says it."""
    if mailbox.address or mailbox.account is not None:
        return mailbox.address or (mailbox.account.address if mailbox.account is not None else "")
    return mailbox.username if "@" in mailbox.username else ""


def addresses_read(mailboxes: Sequence[Mailbox]) -> list[str]:
    """Return the addresses of the mailboxes that are read."""
    return list(dict.fromkeys(filter(None, (address_of(row) for row in mailboxes if row.active))))


def answers_of_companies(mailboxes: Sequence[Mailbox]) -> list[Answers]:
    """Return where the answers of each active company go."""
    read = {Address(address).key for address in addresses_read(mailboxes)}
    rows = db.session.execute(
        select(Company, CompanySender.reply_to)
        .outerjoin(
            CompanySender,
            (CompanySender.company_id == Company.id) & (CompanySender.purpose == Purpose.SINGLE),
        )
        .where(Company.active)
        .order_by(Company.name)
    )
    return [Answers(company, to or "", bool(to) and Address(to).key in read) for company, to in rows]
