"""Who has saved a row last, and when: told to somebody who had its form open meanwhile."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, String, inspect
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.db.base import Base, db
from core.db.transaction import transaction
from core.db.types import UtcDateTime


class Change(Base):
    """The last time that somebody has saved the form of a row. One table for all: no model needs columns for it."""

    __tablename__ = "core_change"

    subject: Mapped[str] = mapped_column(String(120), primary_key=True)
    """Table and key of the row, such as `core_partner:12`; no foreign key, since it may be of any module."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When it was saved."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who has saved it; None for the installation."""

    by_user: Mapped[Any] = relationship("User")


def _subject(row: Base) -> str:
    return ":".join([row.__tablename__, *map(str, inspect(row).mapper.primary_key_from_instance(row))])


def note_change(row: Base, by_user_id: int | None) -> None:
    """Note that somebody has saved a row, with the rows that belong to it, inside the running transaction."""
    with transaction() as session:
        session.merge(Change(subject=_subject(row), at=clock.now(), by_user_id=by_user_id))


def last_change(row: Base) -> Change | None:
    """Return who has saved a row last, and when; None where nobody has by a form."""
    return db.session.get(Change, _subject(row))
