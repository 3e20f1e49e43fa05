"""Access to a mail server: its address with the decrypted secret, and a connection."""

from __future__ import annotations

from typing import Protocol

from flask import current_app

from core.vault import decrypt
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.transports.base import ServerAccess
from modules.mail_config.transports.smtp import SmtpConnection


class Reachable(Protocol):
    """A row that says how a server is reached: to send by, or to read a mailbox at."""

    @property
    def host(self) -> str:
        """Name or address."""

    @property
    def port(self) -> int:
        """TCP port."""

    @property
    def encryption(self) -> Encryption:
        """How the connection is encrypted."""

    @property
    def username(self) -> str:
        """For signing in, or ""."""

    @property
    def secret(self) -> bytes | None:
        """The encrypted password, or None."""


def access_to(server: Reachable, *, timeout: float = 60.0) -> ServerAccess:
    """Return what is needed to reach a server.

    Raises:
        UserError: The saved password cannot be read.
    """
    return ServerAccess(
        host=server.host,
        port=server.port,
        encryption=server.encryption,
        username=server.username,
        password=decrypt(server.secret) if server.secret else "",
        ca_file=current_app.config.get("MAIL_CONFIG_CA_FILE") or None,
        timeout=timeout,
    )


def open_transport(server: MailServer, *, timeout: float = 60.0) -> SmtpConnection:
    """Return a transport to a server; it connects with its first mail.

    Raises:
        UserError: The saved password cannot be read.
    """
    return SmtpConnection(access_to(server, timeout=timeout))
