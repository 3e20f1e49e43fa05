"""How servers and mailboxes are reached, and the folder in which copies of sent mails are kept."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import cast

from sqlalchemy import ForeignKey, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, StrEnumType, UtcDateTime
from core.mail.outcomes import FailureKind


class Encryption(StrEnum):
    """How the connection to a server is encrypted."""

    NONE = "none"  # plain text, passwords included: for a server on the same host
    STARTTLS = "starttls"  # begins plain, turns before signing in (RFC 3207); port 587
    TLS = "tls"  # from the first octet (RFC 8314); port 465


class SentFolder(Base):
    """The folder into which a copy of each mail goes that a server has accepted; without a row, none is kept.

    It is a folder of the mailbox of the account by which one signs in to the server: the same user, the same password.
    """

    __tablename__ = "mail_config_sent_folder"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("mail_config_server.id", ondelete="CASCADE"), primary_key=True
    )
    """The server; one at most for each."""
    host: Mapped[str] = mapped_column(String(253))
    """Of the mailbox, by IMAP."""
    port: Mapped[int]
    """TCP port: 993, or 143."""
    encryption: Mapped[Encryption] = mapped_column(StrEnumType(Encryption), default=Encryption.TLS)
    """As for the server: never tried the other way when it fails."""
    folder: Mapped[str] = mapped_column(String(250), default="")
    """The name of the folder; "" for the one that the mailbox itself, or its usual name, tells."""
    found: Mapped[str] = mapped_column(String(250), default="")
    """The folder that the last copy went to; "" before the first."""
    failures: Mapped[int] = mapped_column(default=0)
    """How often in a row the mailbox could not be used."""
    failing_since: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Since when; None while it works."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Of the last failure; None after a success."""
    failure_words: Mapped[str] = mapped_column(Text, default="")
    """The server's own words then."""
    failure_advice: Mapped[str] = mapped_column(String(32), default="")
    """A finer hint, a `core.mail` advice, or ""."""
    next_look_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Before that nobody asks again, so that a wrong password locks no account; None for at once."""
    told_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When somebody was told of this row of failures; None while nobody was."""


SENT_FOLDERS = cast("Table", SentFolder.__table__)
