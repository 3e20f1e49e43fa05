"""The one row about the installation."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, StrEnumType, UtcDateTime

THE_ROW = 1


class Sign(StrEnum):
    """By what the installation has known that its data may have been restored from a copy."""

    OLDER = "older"  # the database has not seen what the data folder or the queue remember
    COPIED = "copied"  # the data folder was copied or written back, and nothing else remembers
    UNKNOWN = "unknown"  # the database has worked before, but not with this data folder
    TOLD = "told"  # a person has said so


class Installation(Base):
    """The one row about the installation; what else it remembers is kept outside of the database."""

    __tablename__ = "core_installation"
    __table_args__ = (CheckConstraint(f"id = {THE_ROW}", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=THE_ROW)
    """Always the same, so that there is one row."""
    name: Mapped[str] = mapped_column(String(32))
    """Made at random when the database was set up; a copy has it as well."""
    generation: Mapped[int] = mapped_column(BigInteger, default=0)
    """Raised by each claim of what leaves. Kept outside of the database as well, which is how a copy is known."""
    held_since: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Since when nothing leaves until a person says go; None while all is well."""
    held_sign: Mapped[Sign | None] = mapped_column(StrEnumType(Sign))
    """Why, while it is held."""
    copy_since: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Since when a person has said that this is a copy beside the real one, so that nothing leaves; else None."""


class OldestProgram(Base):
    """Which programs can work with the tables of a module: those that know this version, or a later one."""

    __tablename__ = "core_oldest_program"

    module: Mapped[str] = mapped_column(String(63), primary_key=True)
    """Its name; it may not be enabled here."""
    version: Mapped[str] = mapped_column(String(32))
    """Of the last migration that took away something former programs use."""
