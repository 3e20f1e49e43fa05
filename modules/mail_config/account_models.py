"""Accounts that servers are signed in to by, at providers that want no password."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from sqlalchemy import ForeignKey, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, Encrypted, Sealed, StrEnumType, UtcDateTime
from core.i18n import N_


class AccountProvider(StrEnum):
    """Who keeps an account that is connected by OAuth 2, without a password."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"


class MailAccount(Base):
    """An account at a provider by which a server is signed in to: the person has consented there, and may take it back.

    The tokens are encrypted by `core.vault`; never rendered, never logged.
    """

    __tablename__ = "mail_config_account"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("mail_config_server.id", ondelete="CASCADE"), primary_key=True
    )
    """The server that it signs in to; it goes with it."""
    provider: Mapped[AccountProvider] = mapped_column(StrEnumType(AccountProvider))
    """Who keeps the account."""
    address: Mapped[str] = mapped_column(String(254))
    """Of the account, as the provider has said it."""
    connected_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When somebody last consented."""
    scope: Mapped[str] = mapped_column(Text, default="")
    """What was allowed, in the provider's words."""
    refresh_secret: Mapped[Sealed | None] = mapped_column(
        Encrypted(N_("The permission of the account"), named_by="address")
    )
    """The refresh token; None once the permission has ended."""
    access_secret: Mapped[Sealed | None] = mapped_column(
        Encrypted(N_("The access of the account"), named_by="address")
    )
    """The access token of the moment."""
    access_ends_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When that ends; a new one is asked for some minutes before."""
    ends_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the permission as a whole ends."""
    ends_for_sure: Mapped[bool] = mapped_column(default=False)
    """True where the provider has said so; False where that is only unless the account is used before."""
    version: Mapped[int] = mapped_column(default=1)
    """Grows with every token, so that who has waited sees that there is a new one."""
    refreshing_until: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Until when one process alone asks for the next token; the others wait for it, or take over after that."""
    lost_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the provider said that the permission has ended; None while it lasts. Then nothing is asked any more."""
    lost_words: Mapped[str] = mapped_column(Text, default="")
    """The provider's own words then."""


class OAuthClient(Base):
    """This installation, as a provider of accounts knows it: an administrator has registered it there."""

    __tablename__ = "mail_config_oauth_client"

    provider: Mapped[AccountProvider] = mapped_column(StrEnumType(AccountProvider), primary_key=True)
    """Which."""
    client_id: Mapped[str] = mapped_column(String(200))
    """Its name there."""
    secret: Mapped[Sealed | None] = mapped_column(
        Encrypted(N_("The secret of this installation at"), named_by="provider")
    )
    """Its password there, encrypted by `core.vault`; never rendered."""
    tenant: Mapped[str] = mapped_column(String(120), default="")
    """Whose accounts may consent at Microsoft; "" for all."""


class PendingConsent(Base):
    """A person whom a page has sent to a provider, and who is not back yet. Whoever comes back takes the row away."""

    __tablename__ = "mail_config_consent"

    user_id: Mapped[int] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), primary_key=True)
    """Who; one at a time, so that nobody fills the table."""
    nonce_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what comes back with the answer, signed."""
    session_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what the browser keeps meanwhile: nobody else's answer counts."""
    verifier: Mapped[Sealed] = mapped_column(Encrypted(N_("The code of a consent that is under way")))
    """The code verifier (RFC 7636), encrypted by `core.vault`."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When the person was sent."""
    provider: Mapped[AccountProvider] = mapped_column(StrEnumType(AccountProvider))
    """Where to."""
    address: Mapped[str] = mapped_column(String(254))
    """The account that is wanted."""
    own: Mapped[bool]
    """True for the person's own account, False for one of the house."""
    server_id: Mapped[int | None] = mapped_column(ForeignKey("mail_config_server.id", ondelete="CASCADE"))
    """The server of the house that is connected again, or None for a new one."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company of a new server of the house, or None for all."""
    api: Mapped[bool]
    """True to send by the provider's own interface instead of SMTP."""
    reads: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True to read its mailbox as well."""
