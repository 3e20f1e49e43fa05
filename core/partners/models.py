"""A partner: a customer, or one of its contacts."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Table,
    case,
    event,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, StrEnumType, UtcDateTime, guards
from core.partners.labels import LabelKind, PartnerLabel
from core.partners.match_key import address_key, match_key, vat_key


class PartnerType(StrEnum):
    """What a partner is for."""

    CUSTOMER = "customer"  # documents are made out to it
    CONTACT = "contact"  # a person at a customer
    BILLING = "billing"  # where invoices go
    DELIVERY = "delivery"  # where goods go


class MailConsent(StrEnum):
    """Which emails somebody wants."""

    NONE = "none"  # has opted out: whoever sends one is asked first
    NECESSARY = "necessary"  # what concerns their own orders, and nothing that advertises
    PROMOTIONAL = "promotional"  # has opted in to what advertises


partner_label = Table(
    "core_partner_labeled",
    Base.metadata,
    Column("partner_id", ForeignKey("core_partner.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", ForeignKey("core_partner_label.id", ondelete="CASCADE"), primary_key=True),
    # The filters of the list come from here.
    Index("ix_core_partner_labeled_label_id_partner_id", "label_id", "partner_id"),
)
"""The tags of customers and contacts, and the function codes of contacts."""


class Partner(Base):
    """A company or person that documents are made out to, or a contact of one."""

    __tablename__ = "core_partner"
    __table_args__ = (
        Index("ix_core_partner_name_id", "name", "id"),
        Index("ix_core_partner_number_id", "number", "id"),
        Index("ix_core_partner_city_id", "city", "id"),
        Index("ix_core_partner_email", "email"),
        # Filters of the list, in its usual order.
        Index("ix_core_partner_family_id_name_id", "family_id", "name", "id"),
        Index("ix_core_partner_country_name_id", "country", "name", "id"),
        Index("ix_core_partner_language_name_id", "language", "name", "id"),
        Index("ix_core_partner_consent_name_id", "consent", "name", "id"),
        Index(
            "ix_core_partner_archived",
            "name",
            "id",
            sqlite_where=text("active = 0"),
            postgresql_where=text("active = false"),
        ),
        # Nearly all have none: an index over those would tempt SQLite to read all of them by it, and to sort them.
        *(
            Index(
                f"ix_core_partner_{name}",
                name,
                sqlite_where=text(f"{name} IS NOT NULL"),
                postgresql_where=text(f"{name} IS NOT NULL"),
            )
            for name in ("parent_id", "merged_into_id", "company_id", "owner_id")
        ),
        Index(
            "uq_core_partner_parent_id_main",
            "parent_id",
            unique=True,
            sqlite_where=text("is_main"),
            postgresql_where=text("is_main"),
        ),
        CheckConstraint("company_id IS NULL OR owner_id IS NULL", name="company_or_owner"),
        CheckConstraint("NOT is_main OR (active AND parent_id IS NOT NULL)", name="main_is_active_contact"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(160))
    """Of the company or person, as printed on documents; not unique, people share names."""
    number: Mapped[str] = mapped_column(String(40), default="", server_default="")
    """Of the customer in the books or another program, or "". Not unique: companies may number by themselves."""
    type: Mapped[PartnerType] = mapped_column(StrEnumType(PartnerType), default=PartnerType.CUSTOMER)
    """Customer, or what kind of contact."""
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner.id", ondelete="CASCADE"))
    """The customer that a contact belongs to."""
    email: Mapped[str] = mapped_column(String(254), default="", active_history=True)
    """One address, or "". Not unique: a household and a small firm share a mailbox."""
    email_key: Mapped[str] = mapped_column(String(300), default="", server_default="", index=True)
    """The address as addresses are compared, `Address.key`, in whatever case it was typed; written by itself.

    Not lower() of the database: SQLite's knows ASCII only, none folds `ß`, and Alembic loses an index over it.
    """
    phone: Mapped[str] = mapped_column(String(40), default="")
    """As people write it."""
    function: Mapped[str] = mapped_column(String(80), default="", index=True)
    """What a contact does there, such as "Accounts"; templates find contacts by it."""
    street: Mapped[str] = mapped_column(String(200), default="", active_history=True)
    """May have several lines."""
    zip_code: Mapped[str] = mapped_column(String(20), default="", active_history=True)
    """Text, since it may have letters and leading zeros."""
    city: Mapped[str] = mapped_column(String(80), default="", active_history=True)
    """Printed behind the postal code."""
    country: Mapped[str] = mapped_column(String(2), default="FR", active_history=True)
    """ISO 3166-1 alpha-2."""
    vat: Mapped[str] = mapped_column(String(40), default="")
    """VAT number of a customer as `core.vat` writes it, or ""; older rows may hold anything."""
    vat_key: Mapped[str] = mapped_column(String(80), default="", server_default="", index=True)
    """The same as VAT numbers are compared; written by itself."""
    language: Mapped[str] = mapped_column(String(8), default="fr")
    """Of documents and mails for this person."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="RESTRICT"))
    """The company whose people see it, or None; see `core.partners.reach`. A contact has what its customer has."""
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="RESTRICT"))
    """Who alone sees it, where it is of no company; None for everybody. RESTRICT: else it would become everybody's."""
    is_main: Mapped[bool] = mapped_column(default=False)
    """True for the contact that mails go to where a rule names the main contact; one of a customer at most."""
    consent: Mapped[MailConsent] = mapped_column(
        StrEnumType(MailConsent),
        default=MailConsent.NECESSARY,
        server_default=MailConsent.NECESSARY.value,
        active_history=True,
    )
    """Which emails this person wants."""
    consent_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Since when; None for whoever has never said it."""
    consent_source: Mapped[str] = mapped_column(String(160), default="", server_default="")
    """How it is known, such as "form on the website"; never "" for an opt-in that is newly noted."""
    family_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner_label.id", ondelete="SET NULL"))
    """The one family of a customer, or None."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: offered nowhere any more. Documents keep pointing at it."""
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner.id", ondelete="CASCADE"))
    """The customer or contact that this one was merged into: it is archived then, and its address leads there."""
    match_key: Mapped[str] = mapped_column(String(260), default="", server_default="", index=True)
    """Name and city as duplicates have them in common; written by itself."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the row was written."""

    family: Mapped[PartnerLabel | None] = relationship()
    labels: Mapped[list[PartnerLabel]] = relationship(
        secondary=partner_label, order_by=lambda: (PartnerLabel.code, PartnerLabel.name)
    )
    company: Mapped[Company | None] = relationship()
    owner: Mapped[User | None] = relationship()
    parent: Mapped[Partner | None] = relationship(
        remote_side="Partner.id", foreign_keys=parent_id, back_populates="contacts"
    )
    contacts: Mapped[list[Partner]] = relationship(
        back_populates="parent", foreign_keys=parent_id, order_by="Partner.name"
    )
    merged_into: Mapped[Partner | None] = relationship(remote_side="Partner.id", foreign_keys=merged_into_id)

    @hybrid_property
    def opted_out_at(self) -> dt.datetime | None:
        """Since when this person wants no mails, or None; decided by `consent`."""
        return self.consent_at if self.consent is MailConsent.NONE else None

    @opted_out_at.inplace.expression
    @classmethod
    def _opted_out_at(cls) -> ColumnElement[dt.datetime | None]:
        return case((cls.consent == MailConsent.NONE, cls.consent_at))

    def labeled(self, kind: LabelKind | str) -> list[PartnerLabel]:
        """Return the tags or the function codes."""
        return [label for label in self.labels if label.kind == kind]


@event.listens_for(Partner, "before_insert")
@event.listens_for(Partner, "before_update")
def _write_keys(_mapper: object, _connection: object, partner: Partner) -> None:
    partner.match_key = match_key(partner.name or "", partner.city or "")
    partner.email_key = address_key(partner.email or "")
    partner.vat_key = vat_key(partner.vat or "")


guards.require("core_partner", "name", "NEW.name <> ''", columns=("name",))
guards.require("core_partner", "parent", "NEW.parent_id <> NEW.id", columns=("parent_id",))
guards.require(
    "core_partner",
    "merged",
    "NEW.merged_into_id IS NULL OR (NOT NEW.active AND NEW.merged_into_id <> NEW.id)",
    columns=("merged_into_id", "active"),
)
guards.require("core_partner", "country", "NEW.country = upper(NEW.country) AND length(NEW.country) = 2")
guards.require(
    "core_partner",
    "reach",
    "NEW.parent_id IS NULL OR EXISTS (SELECT 1 FROM core_partner AS customer WHERE customer.id = NEW.parent_id "
    "AND coalesce(customer.company_id, 0) = coalesce(NEW.company_id, 0) "
    "AND coalesce(customer.owner_id, 0) = coalesce(NEW.owner_id, 0))",
    columns=("parent_id", "company_id", "owner_id"),
)
guards.require(
    "core_partner",
    "consent",
    f"NEW.consent = '{MailConsent.NECESSARY}' OR NEW.consent_at IS NOT NULL",
    columns=("consent", "consent_at"),
)
guards.require("core_partner", "email", "NEW.email = '' OR NEW.email LIKE '_%@_%'", columns=("email",))
