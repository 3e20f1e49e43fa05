"""Access to a mail server: its address with the decrypted secret, and a connection."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, cast

from flask import current_app

from core.contract import TransportSpec
from core.db import Sealed
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.installation import service as installation
from core.mail.outcomes import Failure, FailureKind
from core.registry import current_registry, resolve_function
from core.vault import decrypt
from modules.mail_config.accounts.clients import base_url_of
from modules.mail_config.accounts.tokens import TokenOf
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.servers import playground
from modules.mail_config.transports.account_api import AccountApi
from modules.mail_config.transports.base import ServerAccess, Transport
from modules.mail_config.transports.capture import CAPTURE, Capture
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
    def secret(self) -> Sealed | None:
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
    return ServerAccess(
        host=server.host,
        port=server.port,
        encryption=server.encryption,
        username=server.username,
        password=decrypt(server.secret) if server.secret else "",
        ca_file=current_app.config["MAIL_CONFIG_CA_FILE"] or None,
        ca_certificate=ca_certificate,
        allow_local=playground.is_it(server.host, server.port)
        or bool(config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"]),
        only_public=only_public,
        timeout=timeout,
        own_name=str(config["MAIL_CONFIG_EHLO_NAME"]),
    )


class UnusableServerError(UserError):
    """A server that nothing can be handed over to, whoever listens there.

    Attributes:
        failure: What that is for a mail.
    """

    def __init__(self, kind: FailureKind, message: object) -> None:
        super().__init__(message)
        self.failure = Failure(kind, temporary=True, detail=str(message))


def open_transport(server: MailServer, *, timeout: float = 60.0) -> Transport:
    """Return a transport to a server; it connects with its first mail.

    Raises:
        UnusableServerError: Its module is not enabled, the saved password cannot be read, or this installation is a
            copy, which speaks to no server.
    """
    if server.transport != CAPTURE and installation.copy_since() is not None:
        raise UnusableServerError(
            FailureKind.SERVER_MISSING,
            _l("This installation is a copy: it speaks to no mail server, and captures what would leave."),
        )
    spec = current_registry().transports.get(server.transport)
    if spec is None:
        raise UnusableServerError(
            FailureKind.SERVER_MISSING,
            _l("What handed emails over to this mail server is not installed any more."),
        )
    try:
        return cast("Transport", resolve_function(spec.factory)(server, timeout=timeout))
    except UnusableServerError:
        raise
    except UserError as error:
        raise UnusableServerError(FailureKind.AUTH_FAILED, error.message) from error


def open_capture(server: MailServer, *, timeout: float) -> Capture:
    """Return a transport that keeps everything here; a factory of the contract."""
    del server, timeout
    return Capture()


def offered_transports(*, personal: bool = False) -> dict[str, TransportSpec]:
    """Return the kinds of servers that can be set up here by name, in their order; those a user may have, if asked."""
    kinds = current_registry().transports.values()
    return {
        spec.name: spec
        for spec in kinds
        if (spec.personal or not personal) and (spec.shown is None or resolve_function(spec.shown)())
    }


def access_of(server: MailServer, *, timeout: float) -> ServerAccess:
    """Return what is needed to reach a mail server as it was set up.

    Raises:
        UserError: The saved password cannot be read.
    """
    return access_to(
        server,
        timeout=timeout,
        ca_certificate=server.ca_certificate,
        only_public=server.owner_id is not None,
    )


def open_smtp(server: MailServer, *, timeout: float) -> SmtpConnection:
    """Return a connection to a server by SMTP; a factory of the contract.

    Raises:
        UserError: The saved password cannot be read.
    """
    access = access_of(server, timeout=timeout)
    if server.account is not None:
        access = replace(access, token=TokenOf(server.id))
    return SmtpConnection(access)


def open_account_api(server: MailServer, *, timeout: float) -> AccountApi:
    """Return what sends by the interface of an account's provider; a factory of the contract.

    Raises:
        UserError: The server has no account.
    """
    if server.account is None:
        raise UserError(_l("No account is connected to this server. Delete it and connect one."))
    return AccountApi(
        server.account.provider,
        TokenOf(server.id),
        timeout=timeout,
        base_url=base_url_of(server.account.provider),
        ca_file=current_app.config["MAIL_CONFIG_CA_FILE"] or None,
    )
