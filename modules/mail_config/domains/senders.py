"""What a check knows of the servers that send for a domain, read before the DNS is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from core.companies.models import Company
from core.db import db
from modules.mail_config.models import CompanySender, DomainKey, MailServer, UserSender
from modules.mail_config.servers.envelopes import signs_itself
from modules.mail_config.servers.place import kind_of
from modules.mail_config.servers.providers import Provider, provider_of
from modules.mail_config.servers.return_path import return_path
from modules.mail_config.signing.keys import domain_of
from modules.mail_config.transports.capture import CAPTURE


@dataclass(frozen=True, slots=True)
class SendingServer:
    """A server that sends from a domain.

    Attributes:
        name: For people.
        host: Its name or address; "" for one that is spoken to otherwise than by SMTP.
        provider: Whose it is, where that is known.
        envelope_domain: Of the sender of the envelope, which SPF looks at; "" where that is the provider's.
        signs: True where it signs by itself.
    """

    name: str
    host: str
    provider: Provider | None
    envelope_domain: str
    signs: bool


def servers_for(domain: str) -> list[SendingServer]:
    """Return the servers that are in use and may send from a domain."""
    rows = db.session.scalars(select(MailServer).where(MailServer.active).order_by(MailServer.id))
    return [_known(row, domain) for row in rows if row.transport != CAPTURE and _sends_from(row, domain)]


def _sends_from(server: MailServer, domain: str) -> bool:
    if server.relay:
        return domain_of(server.own_address) == domain
    if domain_of(server.own_address) == domain:
        return True
    entries = [entry.strip() for entry in server.from_filter.split(",") if entry.strip()]
    if not entries and server.owner_id is not None:
        # An own server sends from its owner's address alone.
        sender = db.session.get(UserSender, server.owner_id)
        return sender is not None and domain_of(sender.address) == domain
    return not entries or any(domain_of(entry.lstrip("@")) == domain for entry in entries)


def _known(server: MailServer, domain: str) -> SendingServer:
    by_smtp = "host" in kind_of(server).fields
    provider = provider_of(server.host) if server.host else None
    envelope_from = return_path(server, f"x@{domain}")
    return SendingServer(
        server.name,
        server.host if by_smtp else "",
        provider,
        "" if provider is not None and provider.own_envelope else domain_of(envelope_from) or domain,
        signs_itself(server),
    )


def domains_in_use() -> list[str]:
    """Return the domains that emails are from here, and those that have keys, by name."""
    addresses: Iterable[str] = (
        *db.session.scalars(select(Company.email)),
        *db.session.scalars(select(CompanySender.address)),
        *db.session.scalars(select(UserSender.address)),
        *db.session.scalars(select(MailServer.own_address)),
    )
    typed = {address.rpartition("@")[2].lower() for address in addresses}
    return sorted({*map(domain_of, typed), *db.session.scalars(select(DomainKey.domain))} - {""})
