"""A product, and a tax on sales."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import JSON, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.companies.models import Company
from core.db import Base, ExactDecimal, guards

Translations = dict[str, dict[str, str]]
"""By language, by the name of a column, its words in that language; what is missing is said as in the column."""


class Tax(Base):
    """A tax on sales."""

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
    translations: Mapped[Translations] = mapped_column(JSON, default=dict, server_default=text("'{}'"))
    """Its name in other languages."""

    company: Mapped[Company | None] = relationship(lazy="joined")


def _unique(column: str, of_all: bool) -> Index:
    """Return the index by which a code leads to one active product: of a company, or of those of all companies."""
    where = text(f"active AND {column} <> '' AND company_id IS {'' if of_all else 'NOT '}NULL")
    name = f"uq_core_product_{'' if of_all else 'company_id_'}{column}"
    columns = [column] if of_all else ["company_id", column]
    return Index(name, *columns, unique=True, sqlite_where=where, postgresql_where=where)


class Product(Base):
    """Something that is sold."""

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
    translations: Mapped[Translations] = mapped_column(JSON, default=dict, server_default=text("'{}'"))
    """Its name, description and unit in other languages."""

    tax: Mapped[Tax | None] = relationship(lazy="joined")
    company: Mapped[Company | None] = relationship(lazy="joined")


guards.require("core_tax", "name", "NEW.name <> ''")
guards.require("core_tax", "rate", guards.is_percentage("NEW.rate"))
guards.require("core_product", "name", "NEW.name <> ''", columns=("name",))
