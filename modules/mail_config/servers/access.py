"""Access to a mail server: its address with the decrypted secret, and a connection."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Protocol

from flask import current_app

from core.vault import decrypt
from modules.mail_config.accounts.tokens import access_token
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


def access_to(
    server: Reachable, *, timeout: float = 60.0, ca_certificate: str = "", only_public: bool = False
) -> ServerAccess:
    """Return what is needed to reach a server.

    Args:
        server: How it is reached.
        timeout: Seconds for each answer.
        ca_certificate: Of an authority of the house, in PEM, or "".
        only_public: True for what somebody without the say over this installation has set up.

    Raises:
        UserError: The saved password cannot be read.
    """
    config = current_app.config
    # The mailbox of the demonstration, if it is there: it takes every mail and hands on none.
    playground = config.get("PLAYGROUND_SMTP_PORT")
    is_playground = playground is not None and (server.host, server.port) == ("127.0.0.1", int(playground))
    return ServerAccess(
        host=server.host,
        port=server.port,
        encryption=server.encryption,
        username=server.username,
        password=decrypt(server.secret) if server.secret else "",
        ca_file=current_app.config.get("MAIL_CONFIG_CA_FILE") or None,
        ca_certificate=ca_certificate,
        allow_local=is_playground or bool(config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"]),
        only_public=only_public,
        timeout=timeout,
    )


def open_transport(server: MailServer, *, timeout: float = 60.0) -> SmtpConnection:
    """Return a transport to a server; it connects with its first mail.

    Raises:
        UserError: The saved password cannot be read.
    """
    access = access_to(
        server,
        timeout=timeout,
        ca_certificate=server.ca_certificate,
        only_public=server.owner_id is not None,
    )
    if server.account is not None:
        access = replace(access, token=partial(access_token, server.id))
    return SmtpConnection(access)
