"""The spelling in which hosts, filters, addresses and certificates of servers are kept."""

from __future__ import annotations

import ssl

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import normalize


def clean_host(text: str) -> str:
    """Return the name of a host as it was typed, without blanks around it.

    Raises:
        UserError: It is something else: an address, a link, a name with a port.
    """
    host = text.strip()
    name, colon, port = host.rpartition(":")
    if "://" in host:
        raise UserError(
            _l(
                "Type only the name of the host, without “%(scheme)s://”.",
                scheme=host.partition("://")[0][:20],
            ),
            "host",
        )
    if colon and port.isascii() and port.isdigit() and ":" not in name:
        raise UserError(
            _l(
                "Type the port in its own field: host %(host)s, port %(port)s.", host=name[:80], port=port[:8]
            ),
            "host",
        )
    if "@" in host:
        raise UserError(
            _l(
                "This is an email address. Type the name of its mail server, for example smtp.%(domain)s.",
                domain=host.rpartition("@")[2][:80],
            ),
            "host",
        )
    if not host or any(character.isspace() or ord(character) < 33 for character in host) or "/" in host:
        raise UserError(_l("This is not the name of a host."), "host")
    return host


def clean_own_address(text: str, *, relay: bool) -> str:
    """Return the own address of a server.

    Raises:
        UserError: It is none, or a relay has none.
    """
    address = normalize(text, "own_address") if text.strip() else ""
    if relay and not address:
        raise UserError(_l("A relay needs the address that its emails are from."), "own_address")
    return address


def clean_certificate(text: str) -> str:
    """Return certificates in PEM with plain ends of lines.

    Raises:
        UserError: There is none in the text.
    """
    pem = "\n".join(line.strip() for line in text.splitlines()).strip()
    if not pem:
        return ""
    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise UserError(
            _l("This is no certificate in PEM: it begins with “-----BEGIN CERTIFICATE-----”."),
            "ca_certificate",
        ) from error
    return pem + "\n"


def clean_from_filter(text: str) -> str:
    """Return a From filter in its usual form.

    Raises:
        UserError: An entry is neither an address nor a domain.
    """
    entries = []
    for entry in text.replace(";", ",").replace("\n", ",").split(","):
        entry = entry.strip().lower().lstrip("@")  # noqa: PLW2901 (the cleaned entry takes its place)
        if not entry:
            continue
        try:
            address = normalize(entry if "@" in entry else f"postmaster@{entry}")
        except UserError as error:
            raise UserError(
                _l("“%(entry)s” is neither an address nor a domain.", entry=entry[:80]), "from_filter"
            ) from error
        entries.append(address if "@" in entry else address.partition("@")[2])
    return ", ".join(dict.fromkeys(entries))
