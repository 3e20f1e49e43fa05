"""A follower of a document."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.db import Base, StrEnumType, UtcDateTime
from core.partners.models import Partner


class FollowReason(StrEnum):
    """Why somebody follows."""

    CUSTOMER = "customer"  # the document is made out to them
    OWNER = "owner"  # it is their document
    ADDED = "added"  # somebody has added them, or they have themselves


class Follower(Base):
    """A partner or a colleague who follows a document; one who was removed stays removed."""

    __tablename__ = "core_follower"
    __table_args__ = (
        UniqueConstraint("document_id", "partner_id"),
        UniqueConstraint("document_id", "user_id"),
        CheckConstraint("(partner_id IS NULL) <> (user_id IS NULL)", name="partner_or_user"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("core_document.id", ondelete="CASCADE"))
    """The document; followers go with it."""
    partner_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_partner.id", ondelete="CASCADE"), index=True
    )
    """A customer or contact, or None for a colleague."""
    user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), index=True)
    """A colleague, or None for a partner."""
    reason: Mapped[FollowReason] = mapped_column(StrEnumType(FollowReason))
    """Why the person follows, told beside the name."""
    by_mail: Mapped[bool] = mapped_column(default=True)
    """False: follows in the application only."""
    added_by_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who added the person; None where it came by itself."""
    added_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """Since when."""
    removed_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the person was removed, or None. The row stays, so that no rule adds them again."""

    partner: Mapped[Partner | None] = relationship(lazy="joined")
    user: Mapped[User | None] = relationship(foreign_keys=[user_id], lazy="joined")
    added_by: Mapped[User | None] = relationship(foreign_keys=[added_by_id])

    @property
    def name(self) -> str:
        """The name to show."""
        someone = self.partner or self.user
        return someone.name if someone else ""

    @property
    def email(self) -> str:
        """The address, or "" where there is none."""
        if self.partner is not None:
            return self.partner.email
        return self.user.login if self.user is not None else ""
