"""Variables of one's own, which templates use as they use fields."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.companies.models import Company
from core.db import Base

_FOR_ALL = text("company_id IS NULL")


class TemplateVariable(Base):
    """A variable: a name by which the templates of a kind use a formula."""

    __tablename__ = "mail_config_variable"
    __table_args__ = (
        UniqueConstraint("kind", "code", "company_id"),
        # Databases call two rows without a company different; of such there is one as well.
        Index(
            "uq_mail_config_variable_for_all",
            "kind",
            "code",
            unique=True,
            sqlite_where=_FOR_ALL,
            postgresql_where=_FOR_ALL,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(60))
    """The kind of templates that may use it."""
    code: Mapped[str] = mapped_column(String(40))
    """Templates write it as `own.code`."""
    label: Mapped[str] = mapped_column(String(120))
    """For people, in the list of fields."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company whose documents it is for, or None for all; that of the company goes before that for all."""
    formula: Mapped[str] = mapped_column(Text)
    """In the language of templates, without braces: a field across links, or what is computed of several."""

    company: Mapped[Company | None] = relationship(lazy="joined")
