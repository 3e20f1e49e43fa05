"""The steps of the first day that somebody is led to."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base


class FirstStep(Base):
    """A step that the first administrator is led to until it is done or put off; without a row nobody is led to it."""

    __tablename__ = "core_first_step"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    """`<module>.<what>`; whether it is done is asked of the module, and kept nowhere."""
    put_off: Mapped[bool] = mapped_column(default=False)
    """True once a person wants to do it another time: it is still shown, and leads nobody away from their work."""
