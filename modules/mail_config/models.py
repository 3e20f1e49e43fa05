"""Mail servers and mail templates."""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, Encrypted, Sealed, StrEnumType, UtcDateTime
from core.i18n import N_
from core.mail.draft import Priority, Purpose, RecipientField
from core.mail.outcomes import FailureKind
from core.partners.models import Partner
from modules.mail_config.account_models import MailAccount, OAuthClient, PendingConsent
from modules.mail_config.mailbox_models import Encryption, SentFolder
from modules.mail_config.signing_models import DomainKey
from modules.mail_config.variable_models import TemplateVariable

__all__ = [
    "DomainKey",
    "Encryption",
    "MailAccount",
    "OAuthClient",
    "PendingConsent",
    "SentFolder",
    "TemplateVariable",
]  # the tables of this module, wherever they are declared

SMTP = "mail_config.smtp"
"""The transport of most servers."""
GRAPH = "mail_config.graph"
"""The transport of accounts at Microsoft 365 that send without SMTP, and take small messages alone."""


class MailServer(Base):
    """A server that mail can leave by."""

    __tablename__ = "mail_config_server"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    """For people: in lists, and in the record of each attempt."""
    transport: Mapped[str] = mapped_column(String(60), default=SMTP)
    """The name of a `core.contract.TransportSpec`: how mails are handed over to it."""
    host: Mapped[str] = mapped_column(String(253))
    """Name or address, without a scheme."""
    port: Mapped[int]
    """TCP port: 587, 465, or 25."""
    encryption: Mapped[Encryption] = mapped_column(StrEnumType(Encryption), default=Encryption.STARTTLS)
    """See `Encryption`. Never tried the other way when it fails: that would send a password in plain text."""
    username: Mapped[str] = mapped_column(String(254), default="")
    """For signing in, mostly an address; "" where the server asks for none."""
    secret: Mapped[Sealed | None] = mapped_column(
        Encrypted(N_("The password of the mail server"), named_by="name")
    )
    """The password, encrypted by `core.vault`; never rendered."""
    from_filter: Mapped[str] = mapped_column(Text, default="")
    """Addresses and domains, separated by commas, that may send by this server; empty for all."""
    priority: Mapped[int] = mapped_column(default=10)
    """Lower numbers go first."""
    size_limit: Mapped[int | None]
    """The largest message in bytes, or None for what the server announces."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company whose mails it sends, or None for all."""
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), unique=True)
    """Whose own server it is, or None for one that an administrator has set up.

    It sends what its owner has written, and nothing of anybody else.
    """
    own_address: Mapped[str] = mapped_column(String(254), default="")
    """What From becomes where the server may not send from the wanted address; "" where that is not to be done."""
    relay: Mapped[bool] = mapped_column(default=False)
    """True for a relay of the house: From is always `own_address`, and it serves all for whom there is no other."""
    ca_certificate: Mapped[str] = mapped_column(Text, default="")
    """The certificate, in PEM, of the only authority trusted for it; "" for those of the installation."""
    rate_per_minute: Mapped[int | None]
    """The most mails a minute that leave by it, or None for no limit."""
    rate_per_hour: Mapped[int | None]
    """The most mails in an hour, or None for no limit."""
    rate_per_day: Mapped[int | None]
    """The most mails in 24 hours, or None for no limit."""
    connections: Mapped[int | None]
    """How many connections at once all workers together may open, or None for what is usual with its provider."""
    mails_per_connection: Mapped[int | None]
    """After how many mails a connection is ended, or None for what is usual with its provider."""
    bounce_address: Mapped[str] = mapped_column(String(254), default="")
    """The sender of the envelope, where servers return what they cannot deliver; "" for the From."""
    bounce_tokens: Mapped[bool] = mapped_column(default=False)
    """True to put a token into that address, `bounces+…@`, so that each bounce finds its recipient (VERP)."""
    signs_itself: Mapped[bool | None]
    """True where it puts its own signature (DKIM) on messages, so that we put none; None for what is usual with it."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: nothing leaves by it; mails that wait for it go another way."""
    tested_fingerprint: Mapped[str] = mapped_column(String(64), default="")
    """What `fingerprint` was when the server passed its last test."""
    tested_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it last passed its test, or None."""

    company: Mapped[Company | None] = relationship(lazy="joined")
    owner: Mapped[User | None] = relationship()
    account: Mapped[MailAccount | None] = relationship(
        lazy="joined", cascade="all, delete-orphan", passive_deletes=True
    )
    sent_folder: Mapped[SentFolder | None] = relationship(
        lazy="joined", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def fingerprint(self) -> str:
        """A mark of everything that a test proves; it changes when any of it changes."""
        proved: tuple[object, ...] = (
            self.host,
            self.port,
            str(self.encryption),
            self.username,
            # Not as it is encrypted: under another key it says the same.
            self.secret.identity if self.secret is not None else None,
            self.from_filter,
        )
        # Only where they are set: tests that were passed before these were known stay passed.
        proved += tuple(text for text in (self.own_address, self.ca_certificate) if text)
        if self.bounce_address or self.bounce_tokens:
            # Only then, so that no server which was tested before it could be set has to be tested again.
            proved += (self.bounce_address, self.bounce_tokens)
        if self.account is not None:
            # Not its tokens, which are new every hour.
            proved += (str(self.account.provider), self.account.address)
        if self.transport not in {SMTP, None}:  # a new row has none until it is written
            proved += (self.transport,)
        return hashlib.sha256(repr(proved).encode()).hexdigest()

    @property
    def ready(self) -> bool:
        """True when the server has passed its test since its last change."""
        return self.tested_fingerprint == self.fingerprint

    def accepts(self, addr_spec: str) -> bool:
        """Return True when the From filter lets an address send by this server."""
        entries = [
            entry.strip().lower().lstrip("@") for entry in self.from_filter.split(",") if entry.strip()
        ]
        address = addr_spec.lower()
        return not entries or any(entry in {address, address.rpartition("@")[2]} for entry in entries)


class UserSender(Base):
    """The own sender of a user. Without a row, a user's mails are from the company."""

    __tablename__ = "mail_config_user_sender"

    user_id: Mapped[int] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), primary_key=True)
    """Whose it is."""
    address: Mapped[str] = mapped_column(String(254))
    """From of the mails that the user writes."""
    name: Mapped[str] = mapped_column(String(120), default="")
    """Its display name; "" for the user's name."""
    own_server: Mapped[bool] = mapped_column(default=False)
    """True to send by the user's own server, False by the company's. The own one may wait here unused."""
    allowed_address: Mapped[str] = mapped_column(String(254), default="")
    """The address that an administrator has allowed for the company's servers.

    Without it they send from no other than the one the user signs in with, or anybody could write as anybody.
    """

    user: Mapped[User] = relationship()

    @property
    def allowed(self) -> bool:
        """True when the company's servers may send from this address."""
        return self.address in {self.user.login, self.allowed_address}


class CompanySender(Base):
    """Who the mails of a company are from, for one purpose. Without a row, they are from the company's address."""

    __tablename__ = "mail_config_company_sender"

    company_id: Mapped[int] = mapped_column(
        ForeignKey("core_company.id", ondelete="CASCADE"), primary_key=True
    )
    """The company."""
    purpose: Mapped[Purpose] = mapped_column(StrEnumType(Purpose), primary_key=True)
    """What the mails are for."""
    address: Mapped[str] = mapped_column(String(254), default="")
    """From; "" for the company's address."""
    name: Mapped[str] = mapped_column(String(120), default="")
    """Its display name; "" for the company's name."""
    reply_to: Mapped[str] = mapped_column(String(254), default="")
    """Where answers go; "" for whoever sends."""
    server_id: Mapped[int | None] = mapped_column(ForeignKey("mail_config_server.id", ondelete="SET NULL"))
    """The server that comes first, or None for the usual order."""


class ServerHealth(Base):
    """How a server has fared: its breaker and its pace. Kept in the database, so that no crash forgets it.

    See `modules.mail_config.servers.health` for what the numbers mean.
    """

    __tablename__ = "mail_config_server_health"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("mail_config_server.id", ondelete="CASCADE"), primary_key=True
    )
    """One row for a server at most, written with its first failure."""
    failures: Mapped[int] = mapped_column(default=0)
    """Failures of connection, encryption or sign-in in a row."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Of the last failure that counted; None after a success."""
    failure_words: Mapped[str] = mapped_column(Text, default="")
    """The server's own words then."""
    failure_advice: Mapped[str] = mapped_column(String(32), default="")
    """A finer hint, a `core.mail` advice, or ""."""
    open_since: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Since when the server is paused; None while it is in use."""
    probes: Mapped[int] = mapped_column(default=0)
    """Probes that have failed since then."""
    next_probe_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the pause is tested next; the worker that moves it on is the one that probes."""
    throttles: Mapped[int] = mapped_column(default=0)
    """Requests to slow down in a row."""
    throttled_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the server last asked to slow down; each half hour without takes one step back."""
    throttle_words: Mapped[str] = mapped_column(Text, default="")
    """The server's own words then."""
    connections: Mapped[int | None]
    """How many connections it let us have when it last refused another one; None while it has refused none."""
    connections_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When that was; each half hour since lets one more be tried."""
    connection_words: Mapped[str] = mapped_column(Text, default="")
    """The server's own words then."""
    next_slot_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """The next moment that is free for a mail, where the rate is limited."""
    hour_started_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the hour began that `rate_per_hour` counts."""
    hour_count: Mapped[int] = mapped_column(default=0)
    """Mails since then, where the number an hour is limited."""
    day_started_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the 24 hours began that `rate_per_day` counts. They slide with use, not with the calendar."""
    day_count: Mapped[int] = mapped_column(default=0)
    """Mails since then, where the number a day is limited."""


class MailTemplate(Base):
    """The text of mails about a kind of document, in several languages."""

    __tablename__ = "mail_config_template"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(60), index=True)
    """`module.what` of the documents it is for; fields and samples follow from it."""
    name: Mapped[str] = mapped_column(String(120))
    """For people, in the composer's list. Not unique: companies name theirs alike."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company that uses it, or None for all."""
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), index=True)
    """Who has saved it from a mail, for themselves or their company; None for those that somebody manages.

    It is offered behind all others and never applies by itself: nobody changes what colleagues send by saving a text.
    """
    partner_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_partner.id", ondelete="CASCADE"), index=True
    )
    """The customer it is for, or None for all."""
    attachment_name: Mapped[str] = mapped_column(String(200), default="")
    """Pattern of the PDF's file name, with fields; empty for the usual name."""
    reply_to: Mapped[str] = mapped_column(String(254), default="")
    """Where answers go; empty for the sender."""
    position: Mapped[int] = mapped_column(default=10)
    """Lower numbers are offered first."""
    keep_days: Mapped[int | None]
    """How many days text and files of its mails are kept after they have settled; None for the setting."""
    priority: Mapped[Priority] = mapped_column(StrEnumType(Priority), default=Priority.NORMAL)
    """How urgent its mails are called."""
    delivery_receipt: Mapped[bool] = mapped_column(default=False)
    """True to ask servers to report delivery (RFC 3461)."""
    read_receipt: Mapped[bool] = mapped_column(default=False)
    """True to ask readers' programs to report reading (RFC 8098); few people allow it."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: offered nowhere, kept for the mails that name it."""
    revision: Mapped[int] = mapped_column(default=1)
    """Grows with every change, so that two people cannot overwrite each other unseen."""
    shipped_key: Mapped[str | None] = mapped_column(String(120), unique=True)
    """Names the template of a module that it was made from."""

    company: Mapped[Company | None] = relationship(lazy="joined")
    owner: Mapped[User | None] = relationship(lazy="joined")
    partner: Mapped[Partner | None] = relationship(lazy="joined")
    recipients: Mapped[list[TemplateRecipient]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="TemplateRecipient.position"
    )
    files: Mapped[list[TemplateFile]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="TemplateFile.position"
    )
    texts: Mapped[list[MailTemplateText]] = relationship(
        back_populates="template",
        cascade="all, delete-orphan",
        lazy="selectin",
        order_by="MailTemplateText.language",
    )

    def text(self, language: str) -> MailTemplateText | None:
        """Return the text in a language, else in English, else any; one language, never two."""
        by_language = {text.language: text for text in self.texts}
        return by_language.get(language) or by_language.get("en") or next(iter(self.texts), None)


class MailTemplateText(Base):
    """Subject and body of a template in one language."""

    __tablename__ = "mail_config_template_text"
    __table_args__ = (UniqueConstraint("template_id", "language"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    template_id: Mapped[int] = mapped_column(ForeignKey("mail_config_template.id", ondelete="CASCADE"))
    """The template."""
    language: Mapped[str] = mapped_column(String(8))
    """ISO 639-1; one text each. The document's language chooses."""
    subject: Mapped[str] = mapped_column(String(500))
    """One line with formulas."""
    body: Mapped[str] = mapped_column(Text)
    """HTML with formulas, as it was typed: it is cleaned after the fields are filled in, not before."""

    template: Mapped[MailTemplate] = relationship(back_populates="texts")


class RecipientRule(StrEnum):
    """Whom a template names as recipients."""

    FOLLOWERS = "followers"  # all who follow the document by mail
    CUSTOMER = "customer"  # the customer's own address
    BILLING = "billing"  # the customer's contacts for invoices
    DELIVERY = "delivery"  # the customer's contacts for deliveries
    MAIN = "main"  # the customer's main contact
    FUNCTION = "function"  # the customer's contacts with a function, named in `value`
    FIXED = "fixed"  # the address in `value`


class TemplateRecipient(Base):
    """A default recipient of a template; one without any goes to the followers."""

    __tablename__ = "mail_config_template_recipient"

    id: Mapped[int] = mapped_column(primary_key=True)
    template_id: Mapped[int] = mapped_column(
        ForeignKey("mail_config_template.id", ondelete="CASCADE"), index=True
    )
    """The template."""
    position: Mapped[int] = mapped_column(default=0)
    """In the order of the form, from 0."""
    rule: Mapped[RecipientRule] = mapped_column(StrEnumType(RecipientRule))
    """Whom it stands for."""
    field: Mapped[RecipientField] = mapped_column(StrEnumType(RecipientField), default=RecipientField.TO)
    """To, Cc or Bcc."""
    value: Mapped[str] = mapped_column(String(254), default="")
    """The function of the contacts, or the fixed address with its name; empty for other rules."""


class TemplateFile(Base):
    """A file that goes with every mail of a template; its bytes are in the store."""

    __tablename__ = "mail_config_template_file"
    __table_args__ = (Index("ix_mail_config_template_file_sha256", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    template_id: Mapped[int] = mapped_column(
        ForeignKey("mail_config_template.id", ondelete="CASCADE"), index=True
    )
    """The template."""
    position: Mapped[int] = mapped_column(default=0)
    """In the order of the form, from 0."""
    name: Mapped[str] = mapped_column(String(200))
    """As recipients see it."""
    media_type: Mapped[str] = mapped_column(String(120))
    """For example `application/pdf`; guessed at the upload."""
    size: Mapped[int] = mapped_column(default=0)
    """In bytes."""
    sha256: Mapped[str] = mapped_column(String(64))
    """Finds the bytes in the store, in hex. Two templates with the same file share them."""


class TemplateRevision(Base):
    """A template as it was after a change. Written, never changed."""

    __tablename__ = "mail_config_template_revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    template_id: Mapped[int] = mapped_column(
        ForeignKey("mail_config_template.id", ondelete="CASCADE"), index=True
    )
    """The template; its revisions go with it."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the change was saved."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who saved it; None for the installation, or once the account is gone."""
    contents: Mapped[str] = mapped_column(Text)
    """As it is exported, JSON; files by their hashes."""

    by_user: Mapped[User | None] = relationship()


class InstalledTemplate(Base):
    """A template of a module that was installed once; a deleted one does not come back."""

    __tablename__ = "mail_config_installed_template"

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    """`shipped_key` of the template."""
