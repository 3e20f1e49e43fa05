"""A product, a tax on sales, the rules which tax whom is charged, and terms of payment."""

from __future__ import annotations

import enum
from decimal import Decimal

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.companies.models import Company
from core.db import Base, ExactDecimal, StrEnumType, guards
from core.products.words import Spoken


class Tax(Base, Spoken):
    """A tax on sales; its name is known in other languages."""

    __tablename__ = "core_tax"
    __table_args__ = (Index("ix_core_tax_name_id", "name", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    """As printed on documents, for example "TVA 20 %"."""
    rate: Mapped[Decimal] = mapped_column(ExactDecimal)
    """In percent."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company it belongs to, or None for all."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: not offered any more; lines have copied its name and rate."""
    company: Mapped[Company | None] = relationship(lazy="joined")


def _unique(column: str, of_all: bool) -> Index:
    """Return the index by which a code leads to one active product: of a company, or of those of all companies."""
    where = text(f"active AND {column} <> '' AND company_id IS {'' if of_all else 'NOT '}NULL")
    name = f"uq_core_product_{'' if of_all else 'company_id_'}{column}"
    columns = [column] if of_all else ["company_id", column]
    return Index(name, *columns, unique=True, sqlite_where=where, postgresql_where=where)


class Product(Base, Spoken):
    """Something that is sold; its name, description and unit are known in other languages."""

    __tablename__ = "core_product"
    __table_args__ = (
        Index("ix_core_product_name_id", "name", "id"),
        Index("ix_core_product_code_id", "code", "id"),
        Index("ix_core_product_barcode", "barcode"),
        *(_unique(column, of_all) for column in ("code", "barcode") for of_all in (False, True)),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(40), default="")
    """The house's own number for it, or ""; searched, printed in lists. One active product of a company has it."""
    barcode: Mapped[str] = mapped_column(String(40), default="")
    """What a scanner reads (EAN, UPC, …), or ""; one active product of a company has it."""
    name: Mapped[str] = mapped_column(String(160))
    """As it stands in the line of a document."""
    category: Mapped[str] = mapped_column(String(60), default="")
    """What it is shown under where products are many, or ""."""
    description: Mapped[str] = mapped_column(Text, default="")
    """Stands below the name in the line of a document."""
    unit_price: Mapped[Decimal] = mapped_column(ExactDecimal, default=Decimal(0))
    """Without tax, in the currency of the company."""
    unit: Mapped[str] = mapped_column(String(20), default="")
    """What the quantity counts: h, kg, pcs; "" for pieces."""
    tax_id: Mapped[int | None] = mapped_column(ForeignKey("core_tax.id", ondelete="SET NULL"))
    """Offered for new lines; None where no tax applies."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company that sells it, or None for all."""
    over_the_counter: Mapped[bool] = mapped_column(default=True)
    """True for what is sold at a till as well."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: not offered any more; lines have copied what they need."""
    tax: Mapped[Tax | None] = relationship(lazy="joined")
    company: Mapped[Company | None] = relationship(lazy="joined")


class CustomerGroup(enum.StrEnum):
    """Customers whom the law taxes alike, seen from the country of the company."""

    DOMESTIC = "domestic"
    EU_BUSINESS = "eu_business"
    EU_PRIVATE = "eu_private"
    OUTSIDE = "outside"


class TaxRule(Base, Spoken):
    """Which tax is charged instead of the usual ones to whom, and what the law wants a document to say about it.

    Documents copy the mention, which is known in other languages, and their lines have the taxes already: a rule that
    changes changes no document.
    """

    __tablename__ = "core_tax_rule"
    __table_args__ = (Index("ix_core_tax_rule_name_id", "name", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    """What the house calls it; it is not printed."""
    customers: Mapped[CustomerGroup] = mapped_column(StrEnumType(CustomerGroup))
    """To whom it applies by itself. Of several the first that was made does; the others are chosen by hand."""
    untaxed: Mapped[bool] = mapped_column(default=True)
    """True where taxes without a replacement are not charged; else they stay."""
    mention: Mapped[str] = mapped_column(String(300), default="")
    """Printed below the totals, for example "Exonération de TVA, article 262 I du CGI"."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company it belongs to, or None for all."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: not offered any more; documents keep what it has done."""
    company: Mapped[Company | None] = relationship(lazy="joined")
    replacements: Mapped[list[TaxReplacement]] = relationship(
        cascade="all, delete-orphan", order_by="TaxReplacement.tax_id", lazy="selectin"
    )


class TaxReplacement(Base):
    """A tax that a rule replaces."""

    __tablename__ = "core_tax_replacement"

    rule_id: Mapped[int] = mapped_column(ForeignKey("core_tax_rule.id", ondelete="CASCADE"), primary_key=True)
    """The rule."""
    tax_id: Mapped[int] = mapped_column(ForeignKey("core_tax.id", ondelete="CASCADE"), primary_key=True)
    """The tax that is usual."""
    instead_id: Mapped[int] = mapped_column(ForeignKey("core_tax.id", ondelete="CASCADE"))
    """The one that is charged; the same where it stays though others do not."""


class PaymentTerms(Base, Spoken):
    """When and how a customer pays, in words that are offered for documents; they are known in other languages."""

    __tablename__ = "core_payment_terms"
    __table_args__ = (Index("ix_core_payment_terms_name_id", "name", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    """As printed on documents, for example "30 days net"; nothing is calculated from it."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company that offers them, or None for all."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: not offered any more; documents have copied what they say."""

    company: Mapped[Company | None] = relationship(lazy="joined")


guards.require("core_payment_terms", "name", "NEW.name <> ''", columns=("name",))
guards.require("core_tax_rule", "name", "NEW.name <> ''", columns=("name",))
guards.require("core_tax", "name", "NEW.name <> ''")
guards.require("core_tax", "rate", guards.is_percentage("NEW.rate"))
guards.require("core_product", "name", "NEW.name <> ''", columns=("name",))
