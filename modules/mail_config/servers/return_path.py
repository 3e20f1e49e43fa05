"""The sender of the envelope: where servers return what they cannot deliver (RFC 5321 §3.6.3, §4.4)."""

from __future__ import annotations

from modules.mail_config.models import MailServer

MAX_LOCAL_PART = 64  # octets, RFC 5321 §4.5.3.1.1


def return_path(server: MailServer, header_from: str, token: str = "") -> str:
    """Return the sender of the envelope of whatever leaves by a server. It is built nowhere else.

    Args:
        server: By which the mail leaves.
        header_from: The addr-spec of the From, which it is where the server names no other.
        token: What a bounce is to bring back, for a server that allows it; left out where no room is left for it.
    """
    base = server.bounce_address or header_from
    if not (server.bounce_tokens and token):
        return base
    return tagged(base, token)


def tagged(address: str, token: str) -> str:
    """Return an address with a token behind a plus (RFC 5233); as it is where no room is left for it."""
    local, _at, domain = address.rpartition("@")
    with_token = f"{local}+{token}"
    return f"{with_token}@{domain}" if len(with_token.encode()) <= MAX_LOCAL_PART else address
