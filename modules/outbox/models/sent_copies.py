"""Copies of mails for the Sent folder of the account by which they have left."""

from __future__ import annotations

import datetime as dt
from typing import cast

from sqlalchemy import ForeignKey, Index, String, Table, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, StrEnumType, UtcDateTime
from core.mail.outcomes import FailureKind

_WANTED = "next_try_at IS NOT NULL"


class SentCopy(Base):
    """A mail that a server has accepted, and whose copy is wanted, kept, or given up.

    Written with the outcome of the mail: a crash between the two forgets neither.
    """

    __tablename__ = "outbox_sent_copy"
    __table_args__ = (
        Index(
            "ix_outbox_sent_copy_wanted",
            "server_id",
            "next_try_at",
            sqlite_where=text(_WANTED),
            postgresql_where=text(_WANTED),
        ),
    )

    mail_id: Mapped[int] = mapped_column(
        ForeignKey("outbox_mail.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    """The mail; one copy at most, however often it was resent."""
    server_id: Mapped[int]
    """The server that has accepted it. No key: that it is deleted at that moment must not undo an outcome."""
    wanted_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When the mail was accepted, or a person asked again."""
    next_try_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """From when on it is tried, or until when somebody is at it; None once it is kept or given up."""
    tries: Mapped[int] = mapped_column(default=0)
    """How often the mailbox has refused this very mail."""
    kept_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it was put there; None before."""
    folder: Mapped[str] = mapped_column(String(250), default="")
    """The folder that it lies in."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Why not, at the last try."""
    failure_words: Mapped[str] = mapped_column(Text, default="")
    """The words of the server then."""
    failure_advice: Mapped[str] = mapped_column(String(32), default="")
    """A finer hint, a `core.mail` advice, or ""."""


SENT_COPIES = cast("Table", SentCopy.__table__)
