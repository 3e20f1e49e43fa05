"""Many documents that are sent together: the run, and what becomes of each of its documents."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import cast

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    false,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, Encrypted, Sealed, StrEnumType, UtcDateTime
from core.documents.models import Document
from core.i18n import N_
from core.partners.models import Partner
from modules.outbox.models.mails import OutgoingMail

NO_BUNDLE: ColumnElement[str] = literal_column("''")
"""Of a document by itself. A parameter would not do: SQLite could not know that the index of bundles serves."""
_ALONE = "bundle = ''"
_BUNDLED = "bundle <> ''"
_OPEN = "state IN ('draft', 'running', 'stopped') AND ended_at IS NULL"


class RunState(StrEnum):
    """The state of a run."""

    DRAFT = "draft"  # looked through; nobody has pressed Start
    RUNNING = "running"  # its mails are written by a worker, from its time on
    PAUSED = "paused"  # by a person, or since something is to be decided
    STOPPED = "stopped"  # by a person, for good
    DONE = "done"  # nothing is left to be written, and nothing is on its way


class Packing(StrEnum):
    """How the documents of a run are sent."""

    EACH = "each"  # one mail for each
    TOGETHER = "together"  # those of a customer in one mail, each as a file
    ZIP = "zip"  # the same, as one zip file


class ItemState(StrEnum):
    """The state of one document of a run; what became of its mail is the mail's state."""

    UNCHECKED = "unchecked"  # not looked at yet
    READY = "ready"  # would go, or will
    HELD = "held"  # would not go, for a reason
    LEFT_OUT = "left_out"  # a person wants it so
    SUBMITTED = "submitted"  # its mail was written


class HeldReason(StrEnum):
    """Why a document of a run is not sent."""

    NO_ADDRESS = "no_address"
    SEVERAL_ADDRESSES = "several_addresses"  # a person chooses
    OPTED_OUT = "opted_out"
    WANTS_PAPER = "wants_paper"  # the customer, and no mail
    DEAD_ADDRESS = "dead_address"  # somebody's: what was sent there came back
    SENT_BEFORE = "sent_before"  # as it is now
    NOT_SENDABLE = "not_sendable"  # a draft, or canceled
    NOT_ALLOWED = "not_allowed"  # the person who sends may not
    NO_TEMPLATE = "no_template"
    TEMPLATE_BROKEN = "template_broken"
    CHANGED = "changed"  # since it was looked through
    RECIPIENTS_CHANGED = (
        "recipients_changed"  # since it was looked through: a merge, a new address or follower
    )
    GONE = "gone"
    NOT_OPTED_IN = "not_opted_in"  # it is promotional, and the customer has not agreed to that
    REFUSED = "refused"  # by a check of the mail itself


class Run(Base):
    """Documents that a person sends together. Its mails are written step by step by a worker, each once."""

    __tablename__ = "outbox_run"
    __table_args__ = (
        Index("ix_outbox_run_by_user_id", "by_user_id", "id"),
        Index("ix_outbox_run_company_id", "company_id", "id"),
        Index("ix_outbox_run_open", "touched_at", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[RunState] = mapped_column(StrEnumType(RunState), default=RunState.DRAFT)
    """Changed only by `runs.service`, `runs.work` and `runs.writing`."""
    list_name: Mapped[str] = mapped_column(String(60))
    """The list in which they were selected, as `core.contract.SelectableList` names it."""
    title: Mapped[str] = mapped_column(String(120), default="", server_default="")
    """The name of the list of customers that it goes to, as it was then; "" for any other."""
    text_draft: Mapped[str] = mapped_column(Text, default="", server_default="")
    """What somebody is writing as the text of a mailing and has not saved, as JSON; "" for nothing."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who has prepared it, and in whose name it is sent; nothing of it leaves once the account is gone."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id"))
    """The company of all its documents; None where they are of several: then it is its person's alone."""
    item_count: Mapped[int] = mapped_column(default=0)
    """How many documents it has, or customers."""
    to_add: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """Ids of what was selected and has no item yet, in their order, as `runs.filling` packs them; None for a whole run.

    Bytes and no rows: they are written with the run, a hundred thousand in some milliseconds, and go one by one.
    """
    of_customers: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True for a mailing: its items are customers, and not documents."""
    packing: Mapped[Packing] = mapped_column(
        StrEnumType(Packing), default=Packing.EACH, server_default=Packing.EACH.value
    )
    """Whether the documents of a customer go in one mail; whoever prepares another one finds it so."""
    promotional: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True for a mailing that only those get who have opted in."""
    template_id: Mapped[int | None]
    """The mail template that was chosen for all; None for the one that applies to each. It may be gone: no key."""
    template_revision: Mapped[int] = mapped_column(default=0)
    """Of the chosen template when Start was pressed; another one is not used unasked."""
    not_before: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """The moment that a person has chosen for it to begin, or None for at once."""
    paused_why: Mapped[str] = mapped_column(String(200), default="")
    """Why it paused by itself, an English sentence that the catalogues know; "" where a person did it."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was prepared."""
    started_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When Start was pressed."""
    ended_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When nothing was left to do."""
    acted_by_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who has last paused, continued, moved or stopped it; None where nobody has, or the account is gone."""
    acted_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When they did; None where nobody has."""
    touched_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When a step of it was last done; one that nobody touches is asked for again by the sweep."""

    by_user: Mapped[User | None] = relationship(foreign_keys=[by_user_id])
    acted_by: Mapped[User | None] = relationship(foreign_keys=[acted_by_id])
    company: Mapped[Company | None] = relationship()

    @property
    def scheduled(self) -> bool:
        """True where it was started and its time has not come: it can be moved."""
        return (
            self.state is RunState.RUNNING and self.not_before is not None and self.not_before > clock.now()
        )

    @property
    def packs(self) -> bool:
        """True where the documents of a customer go in one mail."""
        return self.packing in {Packing.TOGETHER, Packing.ZIP}


class RunItem(Base):
    """One document of a run."""

    __tablename__ = "outbox_run_item"
    __table_args__ = (
        # By it items are counted, and taken in their order.
        Index("ix_outbox_run_item_state", "run_id", "state", "reason", "company_id", "id"),
        # A page of forty out of a hundred thousand.
        Index("ix_outbox_run_item_run_id_id", "run_id", "id"),
        Index("uq_outbox_run_item_document_id", "run_id", "document_id", unique=True),
        Index("ix_outbox_run_item_document_id", "document_id"),
        Index("ix_outbox_run_item_partner_id", "partner_id", "run_id", "id"),
        Index("ix_outbox_run_item_mail_id", "mail_id"),
        # Only those that go together have one mail.
        Index(
            "uq_outbox_run_item_mail_id",
            "mail_id",
            unique=True,
            sqlite_where=text(_ALONE),
            postgresql_where=text(_ALONE),
        ),
        Index(
            "ix_outbox_run_item_bundle",
            "run_id",
            "bundle",
            "id",
            sqlite_where=text(_BUNDLED),
            postgresql_where=text(_BUNDLED),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    """In the order of the list."""
    run_id: Mapped[int] = mapped_column(ForeignKey("outbox_run.id", ondelete="CASCADE"))
    """The run."""
    document_id: Mapped[int | None] = mapped_column(ForeignKey("core_document.id", ondelete="SET NULL"))
    """The document; None once it is gone."""
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner.id", ondelete="SET NULL"))
    """The customer or contact, in a mailing. Not unique: two that are merged become one, and the first gets it."""
    company_id: Mapped[int | None]
    """That of the document, kept here to be counted by."""
    revision: Mapped[int] = mapped_column(default=0)
    """Of the document when it was looked through; another one is not sent unasked."""
    state: Mapped[ItemState] = mapped_column(StrEnumType(ItemState), default=ItemState.UNCHECKED)
    """What is to become of it."""
    reason: Mapped[HeldReason | None] = mapped_column(StrEnumType(HeldReason))
    """Why it is held, or None."""
    detail: Mapped[str] = mapped_column(String(300), default="")
    """More words about the reason, in the language of the person, or ""."""
    asked: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often it was to be looked through: what was found for an earlier time is not written down."""
    anyway: Mapped[bool] = mapped_column(default=False)
    """True where a person wants it sent although it was before."""
    despite_opt_out: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True where a person wants it sent to somebody who wants no mails. A yes belongs to one question."""
    despite_dead: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True where a person wants it sent to an address from which a mail came back. A yes belongs to one question."""
    seen_template: Mapped[str] = mapped_column(String(32), default="", server_default="")
    """Id and revision of the template by which it would have been written when it was looked through; or ""."""
    seen_recipients: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """A hash of whom it would have gone to then; others are not written to unasked. "" before."""
    encrypted_choice: Mapped[Sealed | None] = mapped_column(
        Encrypted(N_("The addresses that were chosen in batches"))
    )
    """Addresses that a person has chosen or typed for it, encrypted; None for the usual ones, and once it was sent."""
    bundle: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """The same for those that go, went, or are held together in one mail to a customer; "" for one by itself."""
    mail_id: Mapped[int | None] = mapped_column(ForeignKey("outbox_mail.id", ondelete="SET NULL"))
    """Its mail, written in the transaction that says `submitted` here: so no document of a run has two."""

    run: Mapped[Run] = relationship()
    document: Mapped[Document | None] = relationship()
    partner: Mapped[Partner | None] = relationship()
    mail: Mapped[OutgoingMail | None] = relationship()

    @staticmethod
    def unlooked() -> dict[str, object]:
        """Return what one has that is to be looked through (again), as values of an update."""
        return {
            "state": ItemState.UNCHECKED,
            "asked": RunItem.asked + 1,
            "reason": None,
            "detail": "",
            "bundle": "",
        }

    def look_again(self) -> None:
        """Let it be looked through (again), since what is to become of it may be another thing now."""
        for name, value in self.unlooked().items():
            setattr(self, name, value)


RUN_ITEMS = cast("Table", RunItem.__table__)
