"""The documents that a mail carries beside the one that it is about."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.documents.models import Document


class FurtherDocument(Base):
    """One more document of a mail to a customer; the first one is the mail's own `document_id`.

    Nearly all mails are about one document: they have no row here, and cost what they did.
    """

    __tablename__ = "outbox_further_document"
    __table_args__ = (
        UniqueConstraint("mail_id", "position"),
        Index("ix_outbox_further_document_document_id", "document_id", "mail_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"))
    """The mail."""
    position: Mapped[int] = mapped_column()
    """Among the documents of the mail, from 1; its PDF has the same among the files."""
    document_id: Mapped[int | None] = mapped_column(ForeignKey("core_document.id", ondelete="SET NULL"))
    """The document; None once it is gone."""
    document_kind: Mapped[str] = mapped_column(String(60))
    """Its kind, kept as the mail keeps that of the first."""
    document_revision: Mapped[int] = mapped_column(default=0)
    """Of the document when it was sent, as that of the mail."""

    document: Mapped[Document | None] = relationship()
