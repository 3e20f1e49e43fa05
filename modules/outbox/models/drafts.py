"""What is kept of mails that are being written, and of those that were taken away as `.eml` files."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.db import Base, Encrypted, Sealed, UtcDateTime
from core.i18n import N_


class KeptDraft(Base):
    """What somebody is writing, kept so that nothing is lost and colleagues can see it."""

    __tablename__ = "outbox_draft"
    __table_args__ = (
        UniqueConstraint("document_id", "user_id"),
        Index("ix_outbox_draft_touched_at", "touched_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int | None] = mapped_column(ForeignKey("core_document.id", ondelete="CASCADE"))
    """The document; one draft for each person. None for a mail about no document."""
    partner_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_partner.id", ondelete="CASCADE"), index=True
    )
    """Where there is no document: the customer from whose page it is written, or None for anybody.

    Not unique with the user: two customers who are merged may both have one; the newer one is offered.
    """
    user_id: Mapped[int] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), index=True)
    """Who writes it."""
    token: Mapped[str] = mapped_column(String(64))
    """Names the opening of the composer that writes it."""
    contents: Mapped[str] = mapped_column(Text, default="")
    """What the form holds, as JSON; empty while nothing was changed, `{}` where it is encrypted."""
    encrypted_contents: Mapped[Sealed | None] = mapped_column(
        Encrypted(N_("The drafts with addresses of walk-in customers"))
    )
    """The same, where an address in it is not to be kept."""
    started_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the composer was opened."""
    touched_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the composer was last heard of."""

    user: Mapped[User] = relationship()


class DraftFile(Base):
    """A file of a kept draft; it keeps the bytes in the store from being removed."""

    __tablename__ = "outbox_draft_file"
    __table_args__ = (Index("ix_outbox_draft_file_sha256", "sha256"),)

    draft_id: Mapped[int] = mapped_column(ForeignKey("outbox_draft.id", ondelete="CASCADE"), primary_key=True)
    """The draft."""
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of the bytes in the store, in hex."""


class EmlExport(Base):
    """A note that somebody has taken a mail to their own mail program; what became of it there, nobody knows."""

    __tablename__ = "outbox_eml_export"

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("core_document.id", ondelete="CASCADE"), index=True)
    """The document the mail was about."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who took it, or None once the account is gone."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When."""
    subject: Mapped[str] = mapped_column(String(500), default="")
    """As it was then."""
    recipient_count: Mapped[int] = mapped_column(default=0)
    """How many it named. Not who: nobody knows whether it was sent to them."""

    by_user: Mapped[User | None] = relationship()
