"""The header row of a document; the module keeps the rest in a row of its own with the same id."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, ExactDecimal, Guard, UtcDateTime, guards
from core.partners.models import Partner


class Document(Base):
    """What every document has, whatever its kind.

    The row outlives its module: a document of a disabled module still has its followers and mails.
    """

    __tablename__ = "core_document"
    __table_args__ = (
        Index(
            "uq_core_document_company_id_number",
            "company_id",
            "number",
            unique=True,
            sqlite_where=text("number <> ''"),
            postgresql_where=text("number <> ''"),
        ),
        # The orders of the lists.
        Index("ix_core_document_kind_date_id", "kind", "date", "id"),
        Index("ix_core_document_kind_number_id", "kind", "number", "id"),
        Index("ix_core_document_kind_total_id", "kind", "total", "id"),
        Index("ix_core_document_owner_id_kind", "owner_id", "kind"),
        # Who has bought in a period, and whose documents those are, is read here and in no row.
        Index("ix_core_document_buyers", "kind", "date", "partner_id", "company_id", "owner_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(60))
    """`module.what`, as its module declares it. It can change: a quotation becomes an order."""
    number: Mapped[str] = mapped_column(String(40), default="")
    """Empty while it is a draft that takes its number later."""
    company_id: Mapped[int] = mapped_column(ForeignKey("core_company.id"))
    """Who issues it; numbers are counted in it, and permissions reach by it."""
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner.id"), index=True)
    """The customer, or one of its contacts; None for a walk-in at the till."""
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """The salesperson: follows it, and reaches it by permissions on own rows. None once the account is gone."""
    language: Mapped[str] = mapped_column(String(8))
    """Of the PDF and of mails about it; taken from the customer, and may be changed."""
    date: Mapped[dt.date] = mapped_column()
    """The day printed on it: that of the company, or what a person has chosen; not the moment it was written."""
    currency: Mapped[str] = mapped_column(String(3))
    """ISO 4217, copied from the company: what was agreed stays."""
    total: Mapped[Decimal] = mapped_column(ExactDecimal, default=Decimal(0))
    """With tax, rounded. Kept here so that lists need no module; see `core.totals`."""
    revision: Mapped[int] = mapped_column(default=1)
    """Grows with every change, so that a page can tell that it is out of date."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the row was written."""
    updated_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now, onupdate=clock.now)
    """When the header last changed; lines live in rows of the module."""

    company: Mapped[Company] = relationship(lazy="joined")
    partner: Mapped[Partner | None] = relationship(lazy="joined")
    owner: Mapped[User | None] = relationship(lazy="joined")


_MERGED = (
    "EXISTS (SELECT 1 FROM core_partner WHERE core_partner.id = OLD.partner_id "
    "AND core_partner.merged_into_id = NEW.partner_id)"
)
HEADER_CHANGES = (
    f"({guards.changed('core_document', but=('owner_id', 'partner_id', 'revision', 'updated_at'))} "
    f"OR (OLD.partner_id IS DISTINCT FROM NEW.partner_id AND NOT {_MERGED}))"
)
"""The condition of a guard under which a header is not what it was, for modules whose documents become final.

The owner may change: the account may go, and what is printed of it is copied. So may the customer, to the one that it
was merged into, and to no other. A guard with it reads `core_partner`.
"""

guards.declare(
    # It is printed, quoted in payments and counted without gaps.
    Guard("core_document_number", "core_document", "UPDATE", "OLD.number <> '' AND NEW.number <> OLD.number"),
)
guards.require("core_document", "currency", guards.is_currency("NEW.currency"), columns=("currency",))
guards.require(
    "core_document", "words", "NEW.kind <> '' AND NEW.language <> ''", columns=("kind", "language")
)
guards.require("core_document", "revision", "NEW.revision >= 1", columns=("revision",))
guards.declare(
    Guard("core_document_revision_back", "core_document", "UPDATE", "NEW.revision < OLD.revision", None)
)
