"""The envelope of whatever leaves by a server: its sender, and our signature where that is wanted."""

from __future__ import annotations

from core.mail.dkim import Signer
from modules.mail_config.models import MailServer
from modules.mail_config.servers.place import kind_of
from modules.mail_config.servers.providers import provider_of
from modules.mail_config.servers.return_path import return_path
from modules.mail_config.signing.keys import domain_of, signer_of
from modules.mail_config.transports.base import Envelope

CHOICE = "signs_itself"
"""The field of the form by which somebody says who signs; only kinds that have it hand messages over as they are."""


def usually_signs(server: MailServer) -> bool:
    """Tell whether a server usually signs what it sends: those of providers do, one of the house mostly does not."""
    spec = kind_of(server)
    if CHOICE not in spec.fields:
        return True  # it makes a message anew, or hands none on
    provider = provider_of(server.host) if server.host else None
    return provider is not None and provider.signs


def signs_itself(server: MailServer) -> bool:
    """Tell whether a server signs what it sends, so that we do not."""
    if CHOICE not in kind_of(server).fields or server.signs_itself is None:
        return usually_signs(server)
    return server.signs_itself


def signer_for(server: MailServer, header_from: str) -> Signer | None:
    """Return what signs messages from an address that leave by a server, or None."""
    return None if signs_itself(server) else signer_of(domain_of(header_from))


def envelope_for(server: MailServer, header_from: str, recipient: str, token: str = "") -> Envelope:
    """Return the envelope of one message to one recipient.

    Args:
        server: By which it leaves.
        header_from: The addr-spec of its From.
        recipient: Who gets it.
        token: What a bounce is to bring back, or "".
    """
    return Envelope(
        return_path(server, header_from, token), (recipient,), signer=signer_for(server, header_from)
    )
