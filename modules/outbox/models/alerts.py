"""What people are told of by the bell."""

from __future__ import annotations

import datetime as dt
from typing import cast

from sqlalchemy import ForeignKey, Index, String, Table, false
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship

from core import clock
from core.db import Base, StrEnumType, UtcDateTime
from core.mail.outcomes import FailureKind
from modules.mail_config.models import MailServer
from modules.outbox.models.inbound import Mailbox
from modules.outbox.models.mails import OutgoingMail


class Alert(Base):
    """Something a person is told by the bell: a failure for good, an answer, a server, a mailbox, a run."""

    __tablename__ = "outbox_alert"
    __table_args__ = (Index("ix_outbox_alert_user_id", "user_id", "seen_at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"))
    """Who is told."""
    mail_id: Mapped[int | None] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"), index=True)
    """The mail that failed, or None where a server is meant."""
    server_id: Mapped[int | None] = mapped_column(
        ForeignKey("mail_config_server.id", ondelete="CASCADE"), index=True
    )
    """The server that is paused, or keeps no copies, or None where a mail is meant."""
    # By the database alone: statements that insert what they select are compiled once, without values of Python.
    sent_folder: Mapped[bool] = mapped_column(server_default=false())
    """True where the server works, and only copies for the Sent folder of its account do not get there."""
    run_id: Mapped[int | None]
    """The run (`outbox_run`) that has ended, or None where a mail or a server is meant."""
    mailbox_id: Mapped[int | None]
    """The mailbox (`outbox_mailbox`) that can no longer be read, or None where something else is meant."""
    inbound_id: Mapped[int | None]
    """The answer to the mail (`outbox_inbound`) that has come, or None where it has failed."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Why, or None where nothing more is known."""
    words: Mapped[str] = mapped_column(String(500), default="")
    """The server's own words, cut; of an answer, who has written it."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it happened."""
    seen_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the person saw it, or a later one took its place; None while the bell counts it."""
    mailed_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it was put into a mail to the person, for those who want that."""

    mail: Mapped[OutgoingMail | None] = relationship()
    server: Mapped[MailServer | None] = relationship()
    mailbox: Mapped[Mailbox | None] = relationship(
        primaryjoin=lambda: foreign(Alert.mailbox_id) == Mailbox.id, viewonly=True
    )


class AlertPreference(Base):
    """How a person wants to be told; no row means by the bell, and of what concerns them alone."""

    __tablename__ = "outbox_alert_preference"

    user_id: Mapped[int] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), primary_key=True)
    """The person."""
    by_mail: Mapped[bool] = mapped_column(default=False)
    """True to get alerts by mail as well, several in one."""
    every_failure: Mapped[bool] = mapped_column(default=False)
    """True to be told of every mail that fails for good among those that the person may read, whoever sent it."""
    answers: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True to be told of answers to mails of others about documents that the person owns or follows."""
    held_back: Mapped[bool] = mapped_column(default=False)
    """True to be told by mail when mails are held back for long: those that the person has sent, or may read."""
    held_told_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When they were told of those that are held back now; None once none is."""


ALERTS = cast("Table", Alert.__table__)
