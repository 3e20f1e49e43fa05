"""What has happened to a mail: the attempts to deliver it, and each step of its life."""

from __future__ import annotations

import datetime as dt
from typing import cast

from sqlalchemy import ForeignKey, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.auth.models import User
from core.db import Base, StrEnumType, UtcDateTime
from core.mail.outcomes import FailureKind
from modules.outbox.models.mails import OutgoingMail
from modules.outbox.states import MailState


class DeliveryAttempt(Base):
    """One try to deliver a mail."""

    __tablename__ = "outbox_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"), index=True)
    """The mail."""
    server_name: Mapped[str] = mapped_column(String(80), default="")
    """As it was called then. A copy: servers are renamed and deleted, the record stays."""
    started_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When the worker took it up."""
    ended_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When its outcome was known."""
    outcome: Mapped[MailState] = mapped_column(StrEnumType(MailState))
    """What the mail became by it."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Why not, or None."""
    summary: Mapped[str] = mapped_column(Text, default="")
    """The words a person reads first."""
    transcript: Mapped[str] = mapped_column(Text, default="")
    """The dialogue, without secrets and without the message."""

    mail: Mapped[OutgoingMail] = relationship(back_populates="attempt_rows")


class MailEvent(Base):
    """One step in the life of a mail: from which state to which, by whom, and when. Written, never changed."""

    __tablename__ = "outbox_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"), index=True)
    """The mail."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When it happened."""
    verb: Mapped[str] = mapped_column(String(16))
    """What was done, a key of `states.TRANSITIONS`."""
    before: Mapped[MailState | None] = mapped_column(StrEnumType(MailState))
    """None for the first."""
    after: Mapped[MailState] = mapped_column(StrEnumType(MailState))
    """What the mail became."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who did it, or None where no person has."""
    actor: Mapped[str] = mapped_column(String(80), default="")
    """What did it, where no person has: a worker with its host and process, the sweep, the command line."""
    detail: Mapped[str] = mapped_column(String(500), default="")
    """What belongs to the step, such as an address before and after a correction; or ""."""

    mail: Mapped[OutgoingMail] = relationship(back_populates="events")
    by_user: Mapped[User | None] = relationship()


ATTEMPTS = cast("Table", DeliveryAttempt.__table__)
EVENTS = cast("Table", MailEvent.__table__)
