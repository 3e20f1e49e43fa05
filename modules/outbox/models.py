"""A mail, its recipients, its attachments and the attempts to deliver it."""

from __future__ import annotations

import datetime as dt
from typing import cast

from sqlalchemy import ForeignKey, Index, String, Table, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, StrEnumType, UtcDateTime
from core.documents.models import Document
from core.mail.addresses import Address
from core.mail.draft import Reason, RecipientField
from core.mail.outcomes import FailureKind, RecipientState
from modules.mail_config.models import MailServer
from modules.outbox.states import MailState

_DUE = "state IN ('queued', 'deferred', 'scheduled', 'sending')"
_FAILED = "state IN ('failed', 'partial', 'uncertain')"


class OutgoingMail(Base):
    """One message. It is written in the transaction that caused it; the queue carries only its id."""

    __tablename__ = "outbox_mail"
    __table_args__ = (
        Index(
            "ix_outbox_mail_due",
            "state",
            "next_attempt_at",
            sqlite_where=text(_DUE),
            postgresql_where=text(_DUE),
        ),
        Index("ix_outbox_mail_failed", "id", sqlite_where=text(_FAILED), postgresql_where=text(_FAILED)),
        Index("ix_outbox_mail_claim_token", "claim_token"),
        Index("ix_outbox_mail_document_id", "document_id", "id"),
        Index("ix_outbox_mail_submitted_by_id", "submitted_by_id", "id"),
        Index("ix_outbox_mail_company_id", "company_id", "id"),
        Index("ix_outbox_mail_subject", "subject", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[MailState] = mapped_column(StrEnumType(MailState))
    message_id: Mapped[str] = mapped_column(String(255), unique=True)
    """RFC 5322 §3.6.4, with its brackets; the same for every attempt."""
    subject: Mapped[str] = mapped_column(String(500))
    body_html: Mapped[str] = mapped_column(Text)
    body_text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(8))
    sender_name: Mapped[str] = mapped_column(String(160), default="")
    sender_address: Mapped[str] = mapped_column(String(254), default="")
    """The From, fixed at the first attempt; empty before."""
    reply_to_name: Mapped[str] = mapped_column(String(160), default="")
    reply_to_address: Mapped[str] = mapped_column(String(254), default="")
    server_id: Mapped[int | None] = mapped_column(ForeignKey("mail_config_server.id", ondelete="SET NULL"))
    company_id: Mapped[int] = mapped_column(ForeignKey("core_company.id"))
    document_id: Mapped[int | None] = mapped_column(ForeignKey("core_document.id", ondelete="SET NULL"))
    document_revision: Mapped[int] = mapped_column(default=0)
    submitted_by_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    submitted_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """Also the Date of the message."""
    not_before: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    next_attempt_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """From when on a waiting mail may be tried; for a claimed one, unused."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Attempts since the mail was last put on the queue by a person."""
    claim_token: Mapped[str | None] = mapped_column(String(32))
    """Names the worker's run that holds the mail."""
    lease_until: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    in_flight: Mapped[bool] = mapped_column(default=False)
    """True from the moment before the message goes out until the outcome is known."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    failure_reason: Mapped[str] = mapped_column(Text, default="")
    """The server's own words."""
    settled_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    recipient_count: Mapped[int] = mapped_column(default=0)
    accepted_count: Mapped[int] = mapped_column(default=0)
    message_sha256: Mapped[str] = mapped_column(String(64), default="")
    """Of the message as it was last built; the next attempt must match it."""
    submission_token: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Names the form that was posted, so that pressing Send twice writes one mail."""

    recipients: Mapped[list[MailRecipient]] = relationship(
        back_populates="mail", order_by="MailRecipient.position", cascade="all, delete-orphan"
    )
    attachments: Mapped[list[MailAttachment]] = relationship(
        back_populates="mail", order_by="MailAttachment.position", cascade="all, delete-orphan"
    )
    attempt_rows: Mapped[list[DeliveryAttempt]] = relationship(
        back_populates="mail", order_by="DeliveryAttempt.id.desc()", cascade="all, delete-orphan"
    )
    document: Mapped[Document | None] = relationship()
    company: Mapped[Company] = relationship()
    submitted_by: Mapped[User | None] = relationship()
    server: Mapped[MailServer | None] = relationship()


class MailRecipient(Base):
    """One address of one mail, with what is known about it."""

    __tablename__ = "outbox_recipient"
    __table_args__ = (
        Index("ix_outbox_recipient_addr_spec", "addr_spec"),
        Index("ix_outbox_recipient_partner_id", "partner_id", "mail_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    field: Mapped[RecipientField] = mapped_column(StrEnumType(RecipientField), default=RecipientField.TO)
    addr_spec: Mapped[str] = mapped_column(String(254))
    display_name: Mapped[str] = mapped_column(String(160), default="")
    reason: Mapped[Reason] = mapped_column(StrEnumType(Reason), default=Reason.TYPED)
    reason_detail: Mapped[str] = mapped_column(String(160), default="")
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner.id", ondelete="SET NULL"))
    state: Mapped[RecipientState] = mapped_column(StrEnumType(RecipientState), default=RecipientState.PENDING)
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    reply_code: Mapped[int] = mapped_column(default=0)
    enhanced_code: Mapped[str] = mapped_column(String(16), default="")
    diagnostic: Mapped[str] = mapped_column(Text, default="")
    settled_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)

    mail: Mapped[OutgoingMail] = relationship(back_populates="recipients")

    @property
    def address(self) -> Address:
        """The mailbox."""
        return Address(self.addr_spec, self.display_name)


class MailAttachment(Base):
    """One file of one mail; its bytes are in the store."""

    __tablename__ = "outbox_attachment"

    id: Mapped[int] = mapped_column(primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(200))
    media_type: Mapped[str] = mapped_column(String(120))
    size: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    """Empty until the generated PDF is frozen."""
    generated: Mapped[bool] = mapped_column(default=False)
    """True for the document's own PDF."""

    mail: Mapped[OutgoingMail] = relationship(back_populates="attachments")


class DeliveryAttempt(Base):
    """One try to deliver a mail."""

    __tablename__ = "outbox_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"), index=True)
    server_name: Mapped[str] = mapped_column(String(80), default="")
    started_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    outcome: Mapped[MailState] = mapped_column(StrEnumType(MailState))
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    summary: Mapped[str] = mapped_column(Text, default="")
    transcript: Mapped[str] = mapped_column(Text, default="")
    """The dialogue, without secrets and without the message."""

    mail: Mapped[OutgoingMail] = relationship(back_populates="attempt_rows")


# Delivery speaks to the tables themselves: the unit of work costs more than the mail it delivers.
MAILS = cast("Table", OutgoingMail.__table__)
RECIPIENTS = cast("Table", MailRecipient.__table__)
ATTACHMENTS = cast("Table", MailAttachment.__table__)
ATTEMPTS = cast("Table", DeliveryAttempt.__table__)
