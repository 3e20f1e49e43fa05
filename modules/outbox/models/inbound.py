"""What comes back: the mailboxes it lies in, the messages that were read, and what they say about recipients."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import cast

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.db import Base, Encrypted, Sealed, StrEnumType, UtcDateTime
from core.i18n import N_
from core.mail.bounces.model import Action, Nature
from core.mail.outcomes import FailureKind
from modules.mail_config.account_models import MailAccount
from modules.mail_config.models import Encryption
from modules.outbox.models.mails import OutgoingMail
from modules.outbox.models.recipients import MailRecipient

_WAITS = "verdict = 'waits'"
_TOLD = "hook_id IS NOT NULL"


class Verdict(StrEnum):
    """What was made of a message that came in."""

    ANSWER = "answer"  # somebody answers a mail of ours, or their program does
    COUNTED = "counted"  # proved to be about a mail of ours; the mail shows it
    WAITS = "waits"  # proved, but a worker is sending that mail at this moment
    REPEATED = "repeated"  # says again what another message has said
    EARLIER = "earlier"  # came before the attempt that has brought the mail where it is now
    UNPROVEN = "unproven"  # names an address of a mail of ours, and nothing that only a server could know
    UNKNOWN = "unknown"  # about no mail of ours


class Mailbox(Base):
    """A mailbox that bounces and answers come to, read by IMAP (RFC 9051)."""

    __tablename__ = "outbox_mailbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    """For people."""
    host: Mapped[str] = mapped_column(String(253))
    """Name or address, without a scheme."""
    port: Mapped[int] = mapped_column(default=993)
    """TCP port: 993 with TLS from the first octet, else 143."""
    encryption: Mapped[Encryption] = mapped_column(StrEnumType(Encryption), default=Encryption.TLS)
    """Never tried the other way when it fails: that would send the password in plain text."""
    username: Mapped[str] = mapped_column(String(254))
    """For signing in, mostly an address."""
    secret: Mapped[Sealed | None] = mapped_column(
        Encrypted(N_("The password of the mailbox"), named_by="name")
    )
    """The password, encrypted by `core.vault`; never rendered."""
    account_id: Mapped[int | None] = mapped_column(
        ForeignKey("mail_config_account.server_id", ondelete="SET NULL")
    )
    """The connected account that is signed in to instead of a password; None for a password, or once it is gone."""
    folder: Mapped[str] = mapped_column(String(200), default="INBOX")
    """The one folder that is read."""
    mark_seen: Mapped[bool] = mapped_column(default=False)
    """True to mark as read the reports about mails of ours. Answers stay new."""
    delete_reports: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True to delete them instead, once they are kept here. Answers, and what is none of ours, always stay."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: it is not looked at."""
    uid_validity: Mapped[int | None] = mapped_column(BigInteger)
    """Under which `last_uid` holds (RFC 9051 §2.3.1.1); None before it was first read."""
    last_uid: Mapped[int] = mapped_column(BigInteger, default=0)
    """The last message that was looked at; messages after it are new."""
    read_from: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """Older messages are left alone: they lay there before Envoi was told of the mailbox."""
    tried_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it was last looked at; whoever moves it on is the one who looks."""
    looked_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it was last read to the end of what was new, or as far as the time allowed; None before."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Why it could not be read the last time; None when it could."""
    failure_words: Mapped[str] = mapped_column(String(500), default="")
    """The server's own words then, or ours."""
    failing_since: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Since when it cannot be read, or None."""
    skipped: Mapped[int] = mapped_column(default=0)
    """Messages that were too large to be read, so far."""
    address: Mapped[str] = mapped_column(String(254), default="", server_default="")
    """The address whose mail lies here, or "" where it does not matter."""
    account: Mapped[MailAccount | None] = relationship(lazy="joined")

    tag_answers: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True where that address takes a token behind a plus: whatever asks for answers to it asks with one."""


class RelayProvider(StrEnum):
    """Who tells by a web hook what became of the mails that it has taken."""

    SENDGRID = "sendgrid"
    MAILGUN = "mailgun"
    POSTMARK = "postmark"
    SES = "ses"
    BREVO = "brevo"


class RelayHook(Base):
    """An address of ours to which a relay posts what becomes of mails."""

    __tablename__ = "outbox_hook"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    """For people."""
    provider: Mapped[RelayProvider] = mapped_column(StrEnumType(RelayProvider))
    """Whose events are read, and how they are proved."""
    token: Mapped[str] = mapped_column(String(64), unique=True)
    """The part of the address that nobody guesses."""
    old_token: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The same of the address before, which is good until `old_until`; None where there is none."""
    old_until: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Until when what is posted to the address before is taken as well."""
    secret: Mapped[Sealed] = mapped_column(Encrypted(N_("The key of the webhook"), named_by="name"))
    """What the provider signs or signs in by, encrypted by `core.vault`; never rendered."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: nothing is there."""
    last_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When something was posted last that is proved to come from the provider."""
    refused_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When something was posted last that is not."""
    refused_why: Mapped[str] = mapped_column(String(32), default="")
    """Why, a `hooks.signatures.Refusal`; "" for nothing refused yet."""


class InboundMessage(Base):
    """A message that came in and was read. It is kept so that it counts once, whatever brings it again."""

    __tablename__ = "outbox_inbound"
    __table_args__ = (
        UniqueConstraint("sha256"),
        Index("ix_outbox_inbound_message_id", "message_id"),
        Index("ix_outbox_inbound_mail_id", "mail_id", "id"),
        Index("ix_outbox_inbound_received_at", "received_at"),
        Index(
            "ix_outbox_inbound_hook_id",
            "hook_id",
            "id",
            sqlite_where=text(_TOLD),
            postgresql_where=text(_TOLD),
        ),
        Index("ix_outbox_inbound_waits", "id", sqlite_where=text(_WAITS), postgresql_where=text(_WAITS)),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    """Of its octets as they came."""
    message_id: Mapped[str] = mapped_column(String(255), default="")
    """Its own, with brackets, cut; two mailboxes that hold the same message hold it with other octets."""
    mailbox_id: Mapped[int | None] = mapped_column(
        ForeignKey("outbox_mailbox.id", ondelete="SET NULL"), index=True
    )
    """Where it lay; None where it was piped in, or a relay has told of it."""
    hook_id: Mapped[int | None]
    """The web hook (`outbox_hook`) by which a relay has told of it; that may be gone by now. None for a message."""
    nature: Mapped[Nature] = mapped_column(StrEnumType(Nature))
    """What it is."""
    verdict: Mapped[Verdict] = mapped_column(StrEnumType(Verdict))
    """What was made of it."""
    mail_id: Mapped[int | None] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"))
    """The mail that it is about or, where that is unproven, may be about."""
    answered_by_id: Mapped[int | None] = mapped_column(
        ForeignKey("outbox_recipient.id", ondelete="SET NULL"), index=True
    )
    """The recipient who answers; None for a report, or where somebody else does."""
    back_on: Mapped[dt.date | None]
    """The day on which who is absent is back, where an automatic answer names one."""
    received_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it came in, by the mailbox's clock or ours; never what its own head says."""

    mailbox: Mapped[Mailbox | None] = relationship()
    mail: Mapped[OutgoingMail | None] = relationship()
    answer: Mapped[Answer | None] = relationship(back_populates="inbound", cascade="all, delete-orphan")
    notices: Mapped[list[RecipientNotice]] = relationship(
        back_populates="inbound", order_by="RecipientNotice.id", cascade="all, delete-orphan"
    )


class Answer(Base):
    """What somebody has answered. It is kept as long as the text of the mail that it answers."""

    __tablename__ = "outbox_answer"

    inbound_id: Mapped[int] = mapped_column(
        ForeignKey("outbox_inbound.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    """The message."""
    sender: Mapped[str] = mapped_column(String(254), default="", index=True)
    """From, as it stands there, with its domain in lower case; "" where there is none, or once it is erased."""
    sender_name: Mapped[str] = mapped_column(String(160), default="")
    """Its display name, or ""."""
    reply_to: Mapped[str] = mapped_column(String(254), default="")
    """Where an answer to it is to go, where that is not the sender."""
    subject: Mapped[str] = mapped_column(String(500), default="")
    """One line."""
    body_text: Mapped[str] = mapped_column(Text, default="")
    """The plain text, with what it quotes; made of the HTML where there is no other."""
    body_html: Mapped[str] = mapped_column(Text, default="")
    """Clean HTML without pictures, or ""."""
    reference_ids: Mapped[str] = mapped_column(Text, default="")
    """The Message-IDs of its thread with blanks between them, itself the last (RFC 5322 §3.6.4)."""
    left_out: Mapped[int] = mapped_column(default=0)
    """How many of its files were not kept, since they are too many or too large."""

    inbound: Mapped[InboundMessage] = relationship(back_populates="answer")
    files: Mapped[list[AnswerFile]] = relationship(
        back_populates="answer", order_by="AnswerFile.position", cascade="all, delete-orphan"
    )


class AnswerFile(Base):
    """A file of an answer; its bytes are in the store."""

    __tablename__ = "outbox_answer_file"

    id: Mapped[int] = mapped_column(primary_key=True)
    answer_id: Mapped[int] = mapped_column(
        ForeignKey("outbox_answer.inbound_id", ondelete="CASCADE"), index=True
    )
    """The answer."""
    position: Mapped[int] = mapped_column(default=0)
    """In the order of the message, from 0."""
    name: Mapped[str] = mapped_column(String(200))
    """Safe for a header and a file system; "" once it is erased."""
    media_type: Mapped[str] = mapped_column(String(120))
    """As the sender calls it; never to be trusted."""
    size: Mapped[int] = mapped_column(default=0)
    """In bytes."""
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    """The address in the store."""

    answer: Mapped[Answer] = relationship(back_populates="files")


class RecipientNotice(Base):
    """What a message that came in says about one recipient of one mail."""

    __tablename__ = "outbox_notice"

    id: Mapped[int] = mapped_column(primary_key=True)
    inbound_id: Mapped[int] = mapped_column(ForeignKey("outbox_inbound.id", ondelete="CASCADE"), index=True)
    """The message."""
    recipient_id: Mapped[int] = mapped_column(
        ForeignKey("outbox_recipient.id", ondelete="CASCADE"), index=True
    )
    """Whom it is about."""
    action: Mapped[Action] = mapped_column(StrEnumType(Action))
    """What became of the mail."""
    permanent: Mapped[bool | None]
    """True where the same would fail again; None where nothing has failed."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Why it failed or waits, or None."""
    failure_also: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """The other reading, where two are possible."""
    failure_advice: Mapped[str] = mapped_column(String(32), default="")
    """A finer hint, a `core.mail` advice, or ""."""
    reply_code: Mapped[int] = mapped_column(default=0)
    """The reply code that the report quotes, or 0."""
    enhanced_code: Mapped[str] = mapped_column(String(16), default="")
    """RFC 3463, or ""."""
    diagnostic: Mapped[str] = mapped_column(Text, default="")
    """The words of whoever refused, harmless to show; "" once they are erased."""
    retry_until: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Until when a server goes on trying, where it says so."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When the message came in."""

    inbound: Mapped[InboundMessage] = relationship(back_populates="notices")
    recipient: Mapped[MailRecipient] = relationship()


INBOUND = cast("Table", InboundMessage.__table__)
ANSWERS = cast("Table", Answer.__table__)
ANSWER_FILES = cast("Table", AnswerFile.__table__)
