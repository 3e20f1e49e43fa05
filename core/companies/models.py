"""A company, and the gap-free sequences of its documents."""

from __future__ import annotations

from sqlalchemy import ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base


class Company(Base):
    """A legal entity that issues documents."""

    __tablename__ = "core_company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    street: Mapped[str] = mapped_column(String(200), default="")
    zip_code: Mapped[str] = mapped_column(String(20), default="")
    city: Mapped[str] = mapped_column(String(80), default="")
    country: Mapped[str] = mapped_column(String(2), default="FR")
    """ISO 3166-1 alpha-2."""
    email: Mapped[str] = mapped_column(String(254), default="")
    """The address that documents are sent from, unless a sender says otherwise."""
    phone: Mapped[str] = mapped_column(String(40), default="")
    website: Mapped[str] = mapped_column(String(200), default="")
    vat: Mapped[str] = mapped_column(String(40), default="")
    legal_line: Mapped[str] = mapped_column(Text, default="")
    """Form, capital, registration: what the law wants at the foot of a document."""
    bank_line: Mapped[str] = mapped_column(Text, default="")
    currency: Mapped[str] = mapped_column(String(3), default="EUR")
    """ISO 4217."""
    language: Mapped[str] = mapped_column(String(8), default="fr")
    accent: Mapped[str] = mapped_column(String(7), default="#1f5f8b")
    """Color of the documents, `#rrggbb`."""
    logo: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A PNG or JPEG picture without transparency, at most 200 kB."""
    active: Mapped[bool] = mapped_column(default=True)


class Sequence(Base):
    """The counter of one kind of document of one company."""

    __tablename__ = "core_sequence"

    company_id: Mapped[int] = mapped_column(
        ForeignKey("core_company.id", ondelete="CASCADE"), primary_key=True
    )
    code: Mapped[str] = mapped_column(String(60), primary_key=True)
    """For example `sales.invoice/2026`."""
    next_number: Mapped[int] = mapped_column(default=1)
