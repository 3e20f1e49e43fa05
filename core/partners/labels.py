"""What customers and contacts are sorted by: families, tags and function codes, three lists of the installation.

A label is of one kind. A customer has one family at most and any number of tags; a contact has any number of function
codes, which say what it is written to for, such as `FACT` for invoices.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Index, String, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, StrEnumType, db, guards, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l


class LabelKind(StrEnum):
    """Which list a label is of."""

    FAMILY = "family"
    TAG = "tag"
    FUNCTION = "function"


class LabelColor(StrEnum):
    """How a tag is shown: quiet colors, never without its word."""

    GRAY = "gray"
    BLUE = "blue"
    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    VIOLET = "violet"


class PartnerLabel(Base):
    """A family, a tag or a function code."""

    __tablename__ = "core_partner_label"
    __table_args__ = (
        Index("uq_core_partner_label_kind_name", "kind", "name", unique=True),
        Index(
            "uq_core_partner_label_kind_code",
            "kind",
            "code",
            unique=True,
            sqlite_where=text("code <> ''"),
            postgresql_where=text("code <> ''"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[LabelKind] = mapped_column(StrEnumType(LabelKind))
    """Which list it is of."""
    name: Mapped[str] = mapped_column(String(80))
    """As people read it; unique in its list."""
    code: Mapped[str] = mapped_column(String(16), default="")
    """Short and in capitals, such as `FACT`; unique in its list, "" only where the kind needs none."""
    color: Mapped[LabelColor] = mapped_column(StrEnumType(LabelColor), default=LabelColor.GRAY)
    """Of a tag."""
    document_kinds: Mapped[list[str]] = mapped_column(JSON, default=list)
    """The kinds of documents that a function code is limited to; empty for all."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: given to nobody any more; whoever has it keeps it."""

    @property
    def title(self) -> str:
        """The code and the name."""
        return f"{self.code} – {self.name}" if self.code else self.name

    def serves(self, document_kind: str) -> bool:
        """Return True where a function code may be used for documents of a kind."""
        return not self.document_kinds or document_kind in self.document_kinds


guards.require("core_partner_label", "name", "NEW.name <> ''", columns=("name",))
guards.require(
    "core_partner_label",
    "code",
    f"NEW.kind <> '{LabelKind.FUNCTION}' OR NEW.code <> ''",
    columns=("kind", "code"),
)


def labels_of(kind: LabelKind, *, keep: Iterable[PartnerLabel] = ()) -> list[PartnerLabel]:
    """Return what can be chosen of a list, by code and name.

    Args:
        kind: The list.
        keep: Those that are chosen now, which stay also when they are archived.
    """
    rows = set(db.session.scalars(select(PartnerLabel).where(PartnerLabel.kind == kind, PartnerLabel.active)))
    return sorted(
        rows | {label for label in keep if label.kind is kind},
        key=lambda row: (row.code, row.name.casefold()),
    )


def save_label(label: PartnerLabel | None, kind: LabelKind, values: dict[str, Any]) -> PartnerLabel:
    """Create or change a label.

    Args:
        label: The row to change, or None for a new one.
        kind: Its list, which never changes.
        values: Column values; a code is written in capitals.

    Raises:
        UserError: The name or the code is missing, or another label of the list has it.
    """
    name = " ".join(str(values["name"]).split())
    code = "".join(str(values.get("code", "")).split()).upper()
    if not name:
        raise UserError(_l("A name is needed."), "name")
    if kind is LabelKind.FUNCTION and not code:
        raise UserError(_l("A function code is needed, such as FACT."), "code")
    with transaction() as session:
        others = select(PartnerLabel.name).where(
            PartnerLabel.kind == kind, PartnerLabel.id != (label.id if label is not None else 0)
        )
        if session.scalar(others.where(func.lower(PartnerLabel.name) == func.lower(name)).limit(1)):
            raise UserError(_l("%(name)s is in the list already.", name=name), "name")
        if code and session.scalar(others.where(PartnerLabel.code == code).limit(1)):
            raise UserError(_l("%(name)s is in the list already.", name=code), "code")
        label = label or PartnerLabel(kind=kind)
        for column, value in {**values, "name": name, "code": code}.items():
            setattr(label, column, value)
        session.add(label)
        session.flush()
    return label
