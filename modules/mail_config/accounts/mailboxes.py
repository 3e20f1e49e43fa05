"""The mailbox of a connected account: where it is read, and who has allowed that."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from core.db import db
from modules.mail_config.account_models import AccountProvider, MailAccount
from modules.mail_config.accounts.consents import READING, grants
from modules.mail_config.models import Encryption, MailServer

_HOSTS: Mapping[AccountProvider, str] = {
    AccountProvider.GOOGLE: "imap.gmail.com",
    AccountProvider.MICROSOFT: "outlook.office365.com",
}


def accounts_of_the_house() -> list[tuple[MailAccount, bool]]:
    """Return the accounts that belong to no user, by address, each with whether its mailbox may be read."""
    rows = db.session.scalars(
        select(MailServer)
        .where(MailServer.owner_id.is_(None), MailServer.account.has(MailAccount.lost_at.is_(None)))
        .options(selectinload(MailServer.account))
        .order_by(MailServer.id)
    )
    found = [row.account for row in rows if row.account is not None]
    return sorted(
        ((account, may_be_read(account)) for account in found), key=lambda pair: pair[0].address.lower()
    )


def may_be_read(account: MailAccount) -> bool:
    """Tell whether whoever has connected an account has allowed its mailbox to be read."""
    return grants(account.scope, READING[account.provider])


def place_of(account: MailAccount) -> tuple[str, int, Encryption]:
    """Return where the mailbox of an account is: host, port, encryption."""
    other = str(current_app.config[f"MAIL_CONFIG_{account.provider.name}_IMAP_URL"] or "").strip()
    if not other:
        return _HOSTS[account.provider], 993, Encryption.TLS
    parts = urlsplit(other)
    at_once = parts.scheme == "imaps"
    # Never without encryption: the token would be told to everybody on the way.
    encryption = Encryption.TLS if at_once else Encryption.STARTTLS
    return parts.hostname or "", parts.port or (993 if at_once else 143), encryption
