"""A company, and the gap-free sequences of its documents."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from sqlalchemy import ForeignKey, LargeBinary, String, Text, select
from sqlalchemy.orm import Mapped, column_property, mapped_column

from core import clock
from core.auth.models import User
from core.db import Base, guards


class Company(Base):
    """A legal entity that issues documents."""

    __tablename__ = "core_company"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    """Legal name, as printed on documents; one company each."""
    street: Mapped[str] = mapped_column(String(200), default="")
    """May have several lines; printed on documents."""
    zip_code: Mapped[str] = mapped_column(String(20), default="")
    """Text: some countries have letters, many have leading zeros."""
    city: Mapped[str] = mapped_column(String(80), default="")
    """Printed behind the postal code."""
    country: Mapped[str] = mapped_column(String(2), default="FR")
    """ISO 3166-1 alpha-2."""
    email: Mapped[str] = mapped_column(String(254), default="")
    """The address that documents are sent from, unless a sender says otherwise."""
    phone: Mapped[str] = mapped_column(String(40), default="")
    """As people write it; printed, never dialed."""
    website: Mapped[str] = mapped_column(String(200), default="")
    """With or without its scheme, as the company writes it."""
    vat: Mapped[str] = mapped_column(String(40), default="")
    """VAT number, or "" where the company has none."""
    legal_line: Mapped[str] = mapped_column(Text, default="")
    """Form, capital, registration: what the law wants at the foot of a document."""
    late_payment_line: Mapped[str] = mapped_column(Text, default="", server_default="")
    """What a business owes that pays late; printed on invoices, never on what a private customer gets at a till."""
    bank_line: Mapped[str] = mapped_column(Text, default="")
    """Where customers pay to: IBAN, sort code; printed below invoices, and a field of mails."""
    currency: Mapped[str] = mapped_column(String(3), default="EUR")
    """ISO 4217."""
    language: Mapped[str] = mapped_column(String(8), default="fr")
    """Of its documents where the customer has none."""
    timezone: Mapped[str] = mapped_column(String(64), default="Europe/Paris", server_default="Europe/Paris")
    """IANA name: whose day its documents are dated by, wherever its people and its server are."""
    accent: Mapped[str] = mapped_column(String(7), default="#1f5f8b")
    """Color of the documents, `#rrggbb`."""
    logo: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A PNG or JPEG picture without transparency, at most 200 kB."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: no new documents. Its old ones stay, and so does the row."""

    @property
    def today(self) -> dt.date:
        """The day that it is at the company."""
        return clock.day_in(self.timezone)

    def day_of(self, moment: dt.datetime) -> dt.date:
        """Return the day that a moment belongs to at the company."""
        return moment.astimezone(ZoneInfo(self.timezone)).date()


User.__mapper__.add_property(
    "company_country",
    column_property(
        select(Company.country)
        .where(Company.id == User.company_id)
        .correlate_except(Company)
        .scalar_subquery()
    ),
)


class Sequence(Base):
    """The counter of one kind of document of one company."""

    __tablename__ = "core_sequence"

    company_id: Mapped[int] = mapped_column(
        ForeignKey("core_company.id", ondelete="CASCADE"), primary_key=True
    )
    """Companies number for themselves; auditors want no gaps in either."""
    code: Mapped[str] = mapped_column(String(60), primary_key=True)
    """For example `sales.invoice/2026`."""
    next_number: Mapped[int] = mapped_column(default=1)
    """The next number to be given. The row stays locked until the transaction ends, so none is lost."""


guards.require("core_company", "currency", guards.is_currency("NEW.currency"), columns=("currency",))
guards.require("core_company", "name", "NEW.name <> ''", columns=("name",))
guards.require("core_company", "country", "NEW.country = upper(NEW.country) AND length(NEW.country) = 2")
guards.require("core_sequence", "number", "NEW.next_number >= 1")
guards.declare(
    guards.Guard("core_sequence_back", "core_sequence", "UPDATE", "NEW.next_number < OLD.next_number")
)
