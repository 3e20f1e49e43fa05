"""Relays by HTTP: where they are spoken to, which a setting says, and their transports."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app

from core.vault import decrypt
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.transports.base import ServerAccess
from modules.mail_config.transports.postmark import Postmark
from modules.mail_config.transports.relay import HttpRelay, Relay
from modules.mail_config.transports.sendgrid import SendGrid

SENDGRID_URL = "MAIL_CONFIG_SENDGRID_BASE_URL"
POSTMARK_URL = "MAIL_CONFIG_POSTMARK_BASE_URL"


def open_sendgrid(server: MailServer, *, timeout: float) -> HttpRelay:
    """Return a transport to SendGrid; a factory of the contract.

    Raises:
        UserError: The saved key cannot be read.
    """
    return _open(SendGrid(), SENDGRID_URL, server, timeout)


def open_postmark(server: MailServer, *, timeout: float) -> HttpRelay:
    """Return a transport to Postmark; a factory of the contract.

    Raises:
        UserError: The saved token cannot be read.
    """
    return _open(Postmark(), POSTMARK_URL, server, timeout)


def _open(relay: Relay, setting: str, server: MailServer, timeout: float) -> HttpRelay:
    config = current_app.config
    url = urlsplit(str(config[setting]))
    is_plain = url.scheme == "http"
    access = ServerAccess(
        host=url.hostname or "",
        port=url.port or (80 if is_plain else 443),
        encryption=Encryption.NONE if is_plain else Encryption.TLS,
        password=decrypt(server.secret) if server.secret else "",
        ca_file=config["MAIL_CONFIG_CA_FILE"] or None,
        allow_local=bool(config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"]),
        only_public=server.owner_id is not None,
        timeout=timeout,
    )
    return HttpRelay(relay, access, url.path.rstrip("/"))
