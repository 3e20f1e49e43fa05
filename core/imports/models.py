"""An import, and its rows: what the file says, what is made of it, and what was there before."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, StrEnumType, UtcDateTime


class ImportState(StrEnum):
    """Where an import is."""

    READING = "reading"  # its rows are being written; left there by a crash, it is deleted
    MAPPING = "mapping"  # a person says what the columns are
    CHECKING = "checking"  # rows are compared with what there is
    CHECKED = "checked"  # a person looks at what would happen
    IMPORTING = "importing"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"
    FAILED = "failed"  # stopped by an error; what was done before stands, and can be undone


class Verdict(StrEnum):
    """What becomes of a row."""

    UNKNOWN = "unknown"  # not looked at yet
    NEW = "new"
    CHANGES = "changes"
    SAME = "same"
    REFUSED = "refused"


class Undone(StrEnum):
    """What undoing has made of a row."""

    NOT = "not"
    TAKEN_BACK = "taken_back"
    KEPT = "kept"  # it was changed, or used, since


class Import(Base):
    """An import."""

    __tablename__ = "core_partner_import"

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(16), default="partners", server_default="partners")
    """What is imported, a name of `core.imports.subject`. Customers alone at first, hence the names of the tables."""
    by_user_id: Mapped[int] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), index=True)
    """Who imports, and alone sees it."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the file was read."""
    file_name: Mapped[str] = mapped_column(String(160))
    """As it was uploaded."""
    form: Mapped[str] = mapped_column(String(60))
    """What it was read as, for people."""
    header: Mapped[list[str]] = mapped_column(JSON)
    """The names of its columns."""
    mapping: Mapped[list[str]] = mapped_column(JSON)
    """What each column is, a name of a column of the subject, or "" for a column that is left out."""
    match_by: Mapped[str] = mapped_column(String(32))
    """The column that a row and what it is have in common."""
    make_labels: Mapped[bool] = mapped_column(default=False)
    """True to make families, tags and codes that are not in their lists."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """Whose new customers or products are; of customers see `core.partners.reach`."""
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"))
    """Who alone sees new customers."""
    state: Mapped[ImportState] = mapped_column(
        StrEnumType(ImportState), default=ImportState.READING, index=True
    )
    """Where it is."""
    total: Mapped[int] = mapped_column(default=0)
    """How many rows it has."""
    done: Mapped[int] = mapped_column(default=0)
    """How many rows the present state has behind it."""
    last_id: Mapped[int] = mapped_column(default=0)
    """The row that the present state has come to."""
    touched_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was last worked on."""

    by_user: Mapped[User] = relationship(foreign_keys=by_user_id)
    company: Mapped[Company | None] = relationship()


class ImportRow(Base):
    """A row of the file."""

    __tablename__ = "core_partner_import_row"
    __table_args__ = (
        Index("ix_core_partner_import_row_import_id_verdict_id", "import_id", "verdict", "id"),
        Index("ix_core_partner_import_row_import_id_key", "import_id", "key"),
        Index("ix_core_partner_import_row_import_id_name", "import_id", "name"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("core_partner_import.id", ondelete="CASCADE"))
    """Its import; rows are in the order of the file by their id."""
    line: Mapped[int]
    """Its line in the file."""
    cells: Mapped[list[str]] = mapped_column(JSON)
    """What the file says."""
    key: Mapped[str] = mapped_column(String(300), default="")
    """What it is matched by, as its subject writes it; of two rows with one key the second is refused."""
    name: Mapped[str] = mapped_column(String(160), default="")
    """The name in small letters: contacts further down find their customer by it."""
    number: Mapped[str] = mapped_column(String(40), default="")
    """And by the number."""
    verdict: Mapped[Verdict] = mapped_column(StrEnumType(Verdict), default=Verdict.UNKNOWN)
    """What becomes, or has become, of it."""
    field: Mapped[str] = mapped_column(String(32), default="")
    """The column that is the trouble, or ""."""
    problem: Mapped[str] = mapped_column(String(400), default="")
    """Why it is refused, or kept when the import was undone, in the language of who imports."""
    partner_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_partner.id", ondelete="SET NULL"), index=True
    )
    """The customer or contact that it is."""
    product_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_product.id", ondelete="SET NULL"), index=True
    )
    """Or the product."""
    before: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """Of the columns that change: what they were; empty for a new one."""
    after: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """What they become."""
    applied: Mapped[bool] = mapped_column(default=False)
    """True once it was imported."""
    undone: Mapped[Undone] = mapped_column(StrEnumType(Undone), default=Undone.NOT)
    """What undoing has made of it."""

    @property
    def entity_id(self) -> int | None:
        """What it is, of whatever subject."""
        return self.partner_id if self.partner_id is not None else self.product_id
