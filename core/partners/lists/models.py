"""The rows of lists of recipients."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, Index, String, Table, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, StrEnumType, UtcDateTime, guards


class ListKind(StrEnum):
    """What a list holds."""

    WORKING = "working"  # what somebody is choosing at the moment: their own, one each, until it is reset
    DYNAMIC = "dynamic"  # its criteria, which are asked again at each use
    FIXED = "fixed"  # its members


class PartnerList(Base):
    """Customers and contacts to write to."""

    __tablename__ = "core_partner_list"
    __table_args__ = (
        # Two windows of one person choose for the same list.
        Index(
            "uq_core_partner_list_working",
            "owner_id",
            unique=True,
            sqlite_where=text("kind = 'working'"),
            postgresql_where=text("kind = 'working'"),
        ),
        CheckConstraint("company_id IS NULL OR owner_id IS NULL", name="company_or_owner"),
        CheckConstraint("kind <> 'working' OR owner_id IS NOT NULL", name="working_is_owned"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[ListKind] = mapped_column(StrEnumType(ListKind))
    """What it holds."""
    name: Mapped[str] = mapped_column(String(80), default="")
    """As people read it; "" for what somebody is choosing."""
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    """The criteria in their order, see `core.partners.lists.criteria.Step`; none for a fixed list.

    JSON and no table: they are read and written together, and a criterion of a disabled module stays as it is.
    """
    company_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_company.id", ondelete="RESTRICT"), index=True
    )
    """The company whose people see it, or None."""
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), index=True)
    """Who alone sees it, or None; with no company either, it is everybody's."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was saved."""

    company: Mapped[Company | None] = relationship()
    owner: Mapped[User | None] = relationship()


MEMBERS = Table(
    "core_partner_list_member",
    Base.metadata,
    Column("list_id", ForeignKey("core_partner_list.id", ondelete="CASCADE"), primary_key=True),
    Column("partner_id", ForeignKey("core_partner.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_core_partner_list_member_partner_id", "partner_id"),
)
"""Who is on a list that is not dynamic."""

guards.require(
    "core_partner_list", "name", "NEW.kind = 'working' OR NEW.name <> ''", columns=("kind", "name")
)
