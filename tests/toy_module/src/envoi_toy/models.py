"""The row of a gift voucher."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.documents.models import Document


class Voucher(Base):
    """What a voucher has beside the header that all documents share."""

    __tablename__ = "toy_voucher"
    __table_args__ = (Index("ix_toy_voucher_expires_on", "expires_on"),)

    document_id: Mapped[int] = mapped_column(
        ForeignKey("core_document.id", ondelete="CASCADE"), primary_key=True
    )
    greeting: Mapped[str] = mapped_column(String(200))
    expires_on: Mapped[dt.date]
    expired: Mapped[bool] = mapped_column(default=False)

    document: Mapped[Document] = relationship(lazy="joined")
