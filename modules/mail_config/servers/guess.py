"""What to fill in for a server of which only an address or a host is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from core.errors import UserError
from core.mail.addresses import normalize
from modules.mail_config.models import Encryption
from modules.mail_config.servers.providers import Provider, provider_by_mx, provider_of
from modules.mail_config.transports.autoconfig import OutgoingServer, look_up
from modules.mail_config.transports.name_service import NameServiceError, name_service

MX_SECONDS = 3.0  # somebody waits before the page

_ENCRYPTION = {"SSL": Encryption.TLS, "STARTTLS": Encryption.STARTTLS, "plain": Encryption.NONE}


@dataclass(frozen=True, slots=True)
class Guess:
    """What is known of a server.

    Attributes:
        values: Column values to fill in; none where nothing is known.
        provider: The provider, or None.
        by_domain: True where the domain itself says so, in Thunderbird's format.
        by_mx: True where the DNS says that the provider takes the mail of the domain.
    """

    values: dict[str, Any] = field(default_factory=dict)
    provider: Provider | None = None
    by_domain: bool = False
    by_mx: bool = False


def guess(text: str, *, ask: bool = True) -> Guess:
    """Return what is known of the server of an address, or of a host.

    Args:
        text: As somebody types it.
        ask: True to ask about an address that no provider is known for: its domain, where
            `ENVOI_MAIL_CONFIG_AUTOCONFIG` names places, and the DNS, which says who takes its mail. Takes seconds at
            most.
    """
    text = text.strip()
    try:
        address = normalize(text) if "@" in text else ""
    except UserError:
        return Guess()
    provider = provider_of(address or text)
    if provider is not None:
        return Guess(_values_of(provider, address, host="" if address else text.lower()), provider)
    if not address or not ask:
        return Guess()
    places = str(current_app.config["MAIL_CONFIG_AUTOCONFIG"]).split()
    allow_local = bool(current_app.config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"])
    found = look_up(address, places, allow_local=allow_local)
    if found is not None:
        return Guess(_values_from(found, address), provider_of(found.host), by_domain=True)
    provider = _where_its_mailboxes_are(address)
    return Guess(_values_of(provider, address, host=""), provider, by_mx=True) if provider else Guess()


def _where_its_mailboxes_are(address: str) -> Provider | None:
    domain = address.rpartition("@")[2].encode("idna").decode()
    try:
        return provider_by_mx(name_service(MX_SECONDS).exchangers(domain))
    except NameServiceError:
        return None


def _values_of(provider: Provider, address: str, host: str) -> dict[str, Any]:
    # A host that was typed in whole stays: some providers have one for each customer or region.
    whole = host if "." in host and host not in provider.domains and host not in provider.hosts[1:] else ""
    return {
        "name": provider.name,
        "host": whole or provider.host or host,
        "port": provider.port,
        "encryption": provider.encryption,
        "username": provider.user_of(address),
        "rate_per_minute": provider.per_minute,
        "rate_per_hour": provider.per_hour,
        "rate_per_day": provider.per_day,
        "size_limit_mb": provider.size_mb,
        "own_address": address,
        "from_filter": address,
    }


def _values_from(found: OutgoingServer, address: str) -> dict[str, Any]:
    return {
        "name": address.rpartition("@")[2],
        "host": found.host,
        "port": found.port,
        "encryption": _ENCRYPTION[found.socket_type],
        "username": found.username,
        "own_address": address,
        "from_filter": address,
    }
