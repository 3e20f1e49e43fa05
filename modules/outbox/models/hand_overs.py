"""Documents that reached their customers otherwise than by a mail of ours."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import cast

from sqlalchemy import ForeignKey, Index, String, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.db import Base, StrEnumType, UtcDateTime
from core.documents.models import Document


class Way(StrEnum):
    """How a document was handed over."""

    POST = "post"
    COUNTER = "counter"
    PORTAL = "portal"
    TELEPHONE = "telephone"
    OTHER = "other"  # the note says how


class HandOver(Base):
    """A person's word that a document was handed over. Taken back, it stays in the history and counts no more."""

    __tablename__ = "outbox_hand_over"
    __table_args__ = (
        Index("ix_outbox_hand_over_document_id", "document_id", "id"),
        # What the history of distribution walks.
        Index("ix_outbox_hand_over_at", "at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("core_document.id", ondelete="CASCADE"))
    """The document."""
    revision: Mapped[int] = mapped_column(default=0)
    """Of the document then: what it says since, the customer has not."""
    way: Mapped[Way] = mapped_column(StrEnumType(Way))
    """How."""
    note: Mapped[str] = mapped_column(String(200), default="")
    """More words of the person, such as a registration number; or ""."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the person said so."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who, or None once the account is gone."""
    taken_back_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When somebody said that it was not, or None while it counts."""
    taken_back_by_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who said that, or None."""

    document: Mapped[Document] = relationship()
    by_user: Mapped[User | None] = relationship(foreign_keys=[by_user_id])
    taken_back_by: Mapped[User | None] = relationship(foreign_keys=[taken_back_by_id])


HAND_OVERS = cast("Table", HandOver.__table__)
