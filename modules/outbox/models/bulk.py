"""Actions on many mails, done step by step."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import JSON, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.db import Base, UtcDateTime

_OPEN_RUN = "ended_at IS NULL"


class BulkRun(Base):
    """An action on many mails that a worker does step by step; the page shows how far it is."""

    __tablename__ = "outbox_bulk_run"
    __table_args__ = (
        Index("ix_outbox_bulk_run_by_user_id", "by_user_id", "id"),
        Index(
            "ix_outbox_bulk_run_open",
            "touched_at",
            sqlite_where=text(_OPEN_RUN),
            postgresql_where=text(_OPEN_RUN),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(String(16))
    """What is done, a `bulk_words.Action`."""
    criteria: Mapped[str] = mapped_column(Text)
    """Which mails: what the list was narrowed to, or ids, as JSON."""
    by_user_id: Mapped[int] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"))
    """Whose reach holds while it runs."""
    upper_id: Mapped[int] = mapped_column(default=0)
    """The newest mail there was when it was asked for; later ones are none of its business."""
    last_id: Mapped[int] = mapped_column(default=0)
    """The last mail that was looked at; they are taken in the order of their ids."""
    total: Mapped[int] = mapped_column(default=0)
    """How many mails there were when it was asked for, as far as they were counted."""
    changed: Mapped[int] = mapped_column(default=0)
    """Mails that the action has changed so far."""
    left_uncertain: Mapped[int] = mapped_column(default=0)
    """Left alone, since somebody may have the mail already."""
    left_outdated: Mapped[int] = mapped_column(default=0)
    """Left alone, since their documents say something else by now."""
    left_other: Mapped[int] = mapped_column(default=0)
    """Left alone for any other reason: on its way, settled meanwhile, erased."""
    left_why: Mapped[dict[str, int]] = mapped_column(JSON, default=dict, server_default="{}")
    """Of those left alone for any other reason, how many for which, a `bulk_words.Left`."""
    begins_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Until when nothing is done, so that it can be called back; None for at once."""
    started_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was asked for."""
    touched_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When a step was last done; a run that nobody touches any more is asked for again by the sweep."""
    ended_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it came to its end, was stopped, or failed; None while it runs."""
    stopped: Mapped[bool] = mapped_column(default=False)
    """True when a person has stopped it."""
    error: Mapped[str] = mapped_column(String(500), default="")
    """Why it ended before its time, or ""."""

    by_user: Mapped[User] = relationship()
