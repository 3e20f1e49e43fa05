"""Whom a mail goes to, and what is known about each of them."""

from __future__ import annotations

import datetime as dt
from typing import cast

from sqlalchemy import ColumnElement, ForeignKey, Index, String, Table, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Encrypted, Sealed, StrEnumType, UtcDateTime, guards
from core.i18n import N_
from core.mail.addresses import Address
from core.mail.draft import Reason, RecipientField
from core.mail.outcomes import FailureKind, RecipientState
from modules.outbox.models.mails import OutgoingMail

_BOUNCED = "state = 'bounced'"
CAME_BACK = cast(
    "ColumnElement[bool]",
    text("outbox_mail.id IN (SELECT mail_id FROM outbox_recipient WHERE state = 'bounced')"),
)
"""That it was accepted for somebody and has come back; the few of whom that is true have an index."""


class MailRecipient(Base):
    """One address of one mail, with what is known about it."""

    __tablename__ = "outbox_recipient"
    __table_args__ = (
        Index("ix_outbox_recipient_addr_spec", "addr_spec"),
        Index("ix_outbox_recipient_partner_id", "partner_id", "mail_id"),
        Index(
            "ix_outbox_recipient_bounced",
            "mail_id",
            sqlite_where=text(_BOUNCED),
            postgresql_where=text(_BOUNCED),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"), index=True)
    """The mail."""
    position: Mapped[int] = mapped_column(default=0)
    """In the order of the form, from 0; the message names them in it."""
    field: Mapped[RecipientField] = mapped_column(StrEnumType(RecipientField), default=RecipientField.TO)
    """To, Cc or Bcc."""
    addr_spec: Mapped[str] = mapped_column(String(254))
    """RFC 5322 §3.4.1, as it goes into the envelope. Domains in lower case."""
    encrypted_address: Mapped[Sealed | None] = mapped_column(
        Encrypted(N_("The addresses of walk-in customers"))
    )
    """The address of a private mail, encrypted; its `addr_spec` is a hash then. None once it is erased."""
    display_name: Mapped[str] = mapped_column(String(160), default="")
    """As the message shows it, or ""."""
    reason: Mapped[Reason] = mapped_column(StrEnumType(Reason), default=Reason.TYPED)
    """Why the person is there; shown before and after sending."""
    reason_detail: Mapped[str] = mapped_column(String(160), default="")
    """What belongs to the reason: the function of a contact, a name; or ""."""
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner.id", ondelete="SET NULL"))
    """The partner it came from, or None. It finds all mails of a person, whatever the address."""
    state: Mapped[RecipientState] = mapped_column(StrEnumType(RecipientState), default=RecipientState.PENDING)
    """What is known about this recipient; a resend leaves accepted ones alone."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Why not, or None."""
    reply_code: Mapped[int] = mapped_column(default=0)
    """RFC 5321 §4.2; 0 where no server answered."""
    enhanced_code: Mapped[str] = mapped_column(String(16), default="")
    """RFC 3463, such as `5.1.1`, or ""."""
    diagnostic: Mapped[str] = mapped_column(Text, default="")
    """The server's own words, or ours where it had none."""
    failure_also: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """The other reading of the reply, where two are possible."""
    failure_advice: Mapped[str] = mapped_column(String(32), default="")
    """A finer hint, a `core.mail` advice, or ""."""
    settled_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it was accepted or refused for good; None while it may change by itself."""
    by_word: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True where a person has said whether it arrived, since no server had; that can be taken back."""
    released_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When a person said that somebody has the address, although a server had said before that nobody has."""

    mail: Mapped[OutgoingMail] = relationship(back_populates="recipients")

    @property
    def address(self) -> Address:
        """The mailbox."""
        return Address(self.addr_spec, self.display_name)


RECIPIENTS = cast("Table", MailRecipient.__table__)

# What servers say, their reply codes too, is bound by nothing: an outcome must never fail to be written.
guards.require("outbox_recipient", "position", "NEW.position >= 0", columns=("position",))
