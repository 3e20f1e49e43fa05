"""Who this installation is at a provider: the registration that an administrator has made there."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flask import current_app, url_for

from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.registry import current_settings
from core.vault import decrypt, encrypt
from modules.mail_config.account_models import AccountProvider, OAuthClient
from modules.mail_config.transports.oauth import Client

TITLES: Mapping[AccountProvider, str] = {
    AccountProvider.GOOGLE: "Gmail",
    AccountProvider.MICROSOFT: "Microsoft 365",
}
"""How people call the mail of a provider; names, so the same in every language."""

HOUSES: Mapping[AccountProvider, str] = {
    AccountProvider.GOOGLE: "Google",
    AccountProvider.MICROSOFT: "Microsoft",
}
"""How people call the provider itself."""

ANY_TENANT = "common"
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,119}")


def _setting(provider: AccountProvider, name: str) -> str:
    return str(current_app.config[f"MAIL_CONFIG_{provider.name}_{name}"] or "").strip()


def base_url_of(provider: AccountProvider) -> str:
    """Return the place that speaks for a provider instead of itself, or ""."""
    return _setting(provider, "BASE_URL")


def set_by_installation(provider: AccountProvider) -> bool:
    """Return True where the settings of the installation name the client, so that no page can change it."""
    return bool(_setting(provider, "CLIENT_ID"))


def client_of(provider: AccountProvider) -> Client | None:
    """Return who this installation is at a provider, or None while nobody has registered it.

    Raises:
        UserError: The saved secret cannot be read.
    """
    row = db.session.get(OAuthClient, provider)
    if set_by_installation(provider):
        client_id, secret = _setting(provider, "CLIENT_ID"), _setting(provider, "CLIENT_SECRET")
    elif row is not None:
        client_id, secret = row.client_id, decrypt(row.secret) if row.secret else ""
    else:
        return None
    base_url = base_url_of(provider)
    # Only Microsoft has tenants.
    tenant = str(current_app.config["MAIL_CONFIG_MICROSOFT_TENANT"] or "").strip()
    return Client(
        provider,
        client_id,
        secret,
        tenant or (row.tenant if row is not None else "") or ANY_TENANT,
        base_url,
        current_app.config["MAIL_CONFIG_CA_FILE"] or None,
        # Whoever runs the installation has named the place.
        allow_local=bool(base_url),
    )


def redirect_uri() -> str:
    """Return where providers send people back, as it has to be registered there letter by letter."""
    # By the settings, not by how the page was called: it must always be the same.
    return current_settings().base_url + url_for("mail_config.account_connected")


def save_client(provider: AccountProvider, *, client_id: str, secret: str | None, tenant: str) -> None:
    """Remember who this installation is at a provider.

    Args:
        provider: Which.
        client_id: Its name there; "" to forget it all, which ends no permission.
        secret: Its password there; None to keep the present one.
        tenant: Whose accounts may consent; "" for all.

    Raises:
        UserError: The settings of the installation say it already, or a value cannot be one.
    """
    if set_by_installation(provider):
        raise UserError(_l("The settings of the installation say this already; it is changed there."))
    client_id, tenant = client_id.strip(), tenant.strip()
    if not client_id.isascii() or any(sign.isspace() for sign in client_id):
        raise UserError(_l("Copy the client ID as the provider shows it, without blanks."), "client_id")
    if tenant and not _TENANT.fullmatch(tenant):
        raise UserError(_l("This is neither the ID nor a domain of an organization."), "tenant")
    with transaction() as session:
        row = session.get(OAuthClient, provider, with_for_update=True)
        if not client_id:
            if row is not None:
                session.delete(row)
            return
        if row is None:
            row = OAuthClient(provider=provider)
            session.add(row)
        elif row.client_id != client_id and secret is None:
            # The secret of one application is not that of another, and must not be told under its name.
            raise UserError(_l("The client ID has changed: type its secret as well."), "secret")
        row.client_id, row.tenant = client_id, tenant
        if secret is not None:
            row.secret = encrypt(secret.strip()) if secret.strip() else None
        if not row.secret:
            raise UserError(_l("The client secret is missing."), "secret")
