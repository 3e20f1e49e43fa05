"""A connected account becomes a server to send by, or ceases to be one."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.db import db, end_reading, on_commit, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.vault import decrypt
from modules.mail_config.account_models import AccountProvider, MailAccount
from modules.mail_config.accounts import tokens
from modules.mail_config.accounts.clients import HOUSES, TITLES, client_of
from modules.mail_config.accounts.consents import Consent, asked_scope
from modules.mail_config.models import GRAPH, SMTP, Encryption, MailServer, UserSender
from modules.mail_config.servers import circuit_breaker
from modules.mail_config.servers.providers import provider_of
from modules.mail_config.transports import oauth
from modules.mail_config.transports.account_api import APIS, MAX_GRAPH_OCTETS

_HOSTS: Mapping[AccountProvider, tuple[str, int, Encryption]] = {
    AccountProvider.GOOGLE: ("smtp.gmail.com", 465, Encryption.TLS),
    AccountProvider.MICROSOFT: ("smtp.office365.com", 587, Encryption.STARTTLS),
}
_APIS: Mapping[AccountProvider, str] = {
    AccountProvider.GOOGLE: "mail_config.gmail",
    AccountProvider.MICROSOFT: GRAPH,
}
"""The transports that send without SMTP."""


def connect(user: User, consent: Consent) -> MailServer:
    """Make an account the server of a person, or one of the house; all of it, or nothing.

    The person's own sender becomes the address of the account where there is none yet, and sends by it.

    Args:
        user: Who has consented.
        consent: What was allowed.

    Raises:
        UserError: The server of the house that was to be connected again is gone, or signs in with a password.
    """
    target = consent.target
    with transaction() as session:
        server = _server_for(user, consent)
        if target.api:
            server.transport = _APIS[consent.provider]
            host, port, encryption = urlsplit(APIS[consent.provider].send).hostname or "", 443, Encryption.TLS
        else:
            server.transport = SMTP
            host, port, encryption = _host(consent.provider, target.address)
        server.host, server.port, server.encryption = host, port, encryption
        server.username, server.secret = target.address, None
        server.sent_folder = None  # the provider keeps what it is given to send
        # What a request may hold; by SMTP the server announces it.
        is_graph = server.transport == GRAPH
        server.size_limit = MAX_GRAPH_OCTETS if is_graph else None
        session.add(server)
        if server.account is None:
            server.account = MailAccount()
        account = server.account
        # What was asked for, until the provider says what was given.
        account.provider, account.scope = consent.provider, asked_scope(consent.provider, target)
        account.address, account.connected_at = target.address, clock.now()
        account.ends_for_sure = False  # until this provider says so of this permission
        tokens.grant(account, consent.tokens, consent.unused_days)
        if target.own:
            sender = session.get(UserSender, user.id, with_for_update=True)
            if sender is None:
                sender = UserSender(user_id=user.id, address=target.address, name="", allowed_address="")
                session.add(sender)
            sender.own_server = True
        session.flush()
        on_commit(circuit_breaker.tell_routes_changed)
    return server


def _server_for(user: User, consent: Consent) -> MailServer:
    target = consent.target
    if target.own:
        row = db.session.scalar(select(MailServer).where(MailServer.owner_id == user.id))
        if row is None:
            return MailServer(name=user.name[:80], owner_id=user.id)
        # What another server trusted says nothing about the provider's.
        row.ca_certificate = ""
        return row
    if target.server_id is None:
        return MailServer(
            name=f"{TITLES[consent.provider]} {target.address}"[:80],
            company_id=target.company_id,
            from_filter=target.address,
            own_address=target.address,
        )
    row = db.session.get(MailServer, target.server_id)
    if row is None or row.owner_id is not None or row.account is None:
        raise UserError(
            _l("The server that was to be connected again is no longer there. Nothing was saved.")
        )
    return row


def _host(provider: AccountProvider, address: str) -> tuple[str, int, Encryption]:
    """Return the server of a provider for an account: host, port, encryption."""
    other = str(current_app.config[f"MAIL_CONFIG_{provider.name}_SMTP_URL"] or "").strip()
    if other:
        parts = urlsplit(other)
        at_once = parts.scheme == "smtps"
        # Never without encryption: the token would be told to everybody on the way.
        encryption = Encryption.TLS if at_once else Encryption.STARTTLS
        return parts.hostname or "", parts.port or (465 if at_once else 587), encryption
    host, port, encryption = _HOSTS[provider]
    known = provider_of(address)
    # Private accounts of Microsoft have a server of their own.
    if provider is AccountProvider.MICROSOFT and known is not None and known.name == "Outlook.com":
        return known.host, known.port, known.encryption
    return host, port, encryption


def remove(server: MailServer) -> str:
    """Delete a server; the permission of its account is given back first, and its tokens are forgotten.

    Returns:
        A sentence that says what the person still has to do at the provider, or "".
    """
    left = _give_back(server.account) if server.account is not None else ""
    with transaction() as session:
        row = session.get(MailServer, server.id, populate_existing=True)
        if row is not None:
            if row.owner_id is not None and (sender := session.get(UserSender, row.owner_id)) is not None:
                sender.own_server = False
            session.delete(row)
        on_commit(circuit_breaker.tell_routes_changed)
    return left


def _give_back(account: MailAccount) -> str:
    house = HOUSES[account.provider]
    others = db.session.scalar(
        select(MailAccount.server_id).where(
            MailAccount.provider == account.provider,
            MailAccount.address == account.address,
            MailAccount.server_id != account.server_id,
        )
    )
    if others is not None:
        # A provider gives back all that one application may do with an account, never a part.
        return str(
            _l(
                "Another server still sends by this account, so %(provider)s keeps its permission.",
                provider=house,
            )
        )
    untold = _l(
        "%(provider)s could not be told. Withdraw the access of Envoi in the settings of your account there.",
        provider=house,
    )
    try:
        client = client_of(account.provider)
        token = decrypt(account.refresh_secret) if account.refresh_secret else ""
    except UserError:
        return str(untold)
    end_reading()
    try:
        if client is None:
            return str(untold)
        if oauth.gives_back(account.provider):
            if token:  # else it has ended already
                oauth.revoke(client, token)
            return ""
    except (oauth.RefusedError, oauth.UnavailableError):
        return str(untold)
    return str(
        _l(
            "Envoi has forgotten the account. %(provider)s lets only you withdraw the permission itself: under “Apps” "
            "of your account (myapps.microsoft.com, or account.live.com/consent/Manage for a private one).",
            provider=house,
        )
    )


def chosen_by_hand() -> bool:
    """Return False: servers of accounts are made by connecting one."""
    return False
