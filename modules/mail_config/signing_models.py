"""Keys by which messages are signed."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from sqlalchemy import String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core import clock
from core.db import Base, Encrypted, Sealed, StrEnumType, UtcDateTime
from core.i18n import N_
from core.mail.dkim import Algorithm, record_name, record_text

KEEP_RECORD = dt.timedelta(days=14)
"""How long the record of a key that signs no more has to stand: mails wait in queues for five days, and some are first
looked at when they are read."""


class KeyState(StrEnum):
    """Where a key stands; derived from its moments."""

    WAITING = "waiting"  # its record has not been found yet
    SIGNING = "signing"  # messages are signed by it
    RETIRED = "retired"  # signs no more; what it has signed may still be on the way
    DISPENSABLE = "dispensable"  # that is over: key and record may go


class DomainKey(Base):
    """A key of a domain (DKIM). Of each algorithm one key of a domain signs at a time."""

    __tablename__ = "mail_config_domain_key"
    __table_args__ = (UniqueConstraint("domain", "selector"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    domain: Mapped[str] = mapped_column(String(253))
    """Of the From, in lower case and ASCII (RFC 5890)."""
    selector: Mapped[str] = mapped_column(String(63))
    """Under it the public half stands in the DNS. Never used twice: receivers may have kept the first record."""
    algorithm: Mapped[Algorithm] = mapped_column(StrEnumType(Algorithm))
    """How it signs."""
    secret: Mapped[Sealed] = mapped_column(Encrypted(N_("The key that signs emails"), named_by="selector"))
    """The private half, PEM, encrypted by `core.vault`; never rendered."""
    public: Mapped[str] = mapped_column(Text)
    """The public half, as it stands in the record."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was made."""
    signs_since: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Since when it signs; None before its record was found."""
    retired_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Since when it signs no more, or None."""

    @property
    def state(self) -> KeyState:
        """Where it stands now."""
        if self.retired_at is not None:
            return KeyState.DISPENSABLE if clock.now() >= self.keep_until else KeyState.RETIRED
        return KeyState.SIGNING if self.signs_since is not None else KeyState.WAITING

    @property
    def keep_until(self) -> dt.datetime:
        """Until when the record of a retired key has to stand."""
        return (self.retired_at or clock.now()) + KEEP_RECORD

    @property
    def record_name(self) -> str:
        """Where its record stands in the DNS."""
        return record_name(self.selector, self.domain)

    @property
    def record_text(self) -> str:
        """What stands there."""
        return record_text(self.algorithm, self.public)
