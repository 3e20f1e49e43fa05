"""The rules by which documents reach their customers, and each document that goes one way by them."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, StrEnumType, UtcDateTime
from core.documents.models import Document
from core.partners.labels import PartnerLabel
from core.partners.models import Partner
from modules.outbox.models import MailAttachment, OutgoingMail

# Conditions of partial indexes: word for word those of the queries, or the index is not used.
DUE = "state = 'due'"
_AUTOMATIC = "automatic"


class Way(StrEnum):
    """How a document reaches its customer. A further channel is a further way."""

    MAIL = "mail"
    PAPER = "paper"
    ARCHIVE = "archive"  # a file in a folder of the house


class DispatchState(StrEnum):
    """What becomes of a document on one way."""

    ASKED = "asked"  # a person decides first
    DUE = "due"  # goes at its moment; on paper: waits to be printed
    DONE = "done"
    STOPPED = "stopped"  # by a person
    HELD = "held"  # it did not go, for a reason


class Rule(Base):
    """How documents of a company and kind reach a customer, those of a family or tag, or everybody."""

    __tablename__ = "distribution_rule"
    __table_args__ = (
        # By it the few rules are found that may apply to a document.
        Index("ix_distribution_rule_company_id", "company_id", "partner_id"),
        CheckConstraint("partner_id IS NULL OR label_id IS NULL", name="one_target"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[int] = mapped_column(ForeignKey("core_company.id"))
    """Whose documents."""
    kind: Mapped[str] = mapped_column(String(60), default="")
    """The kind of documents, or "" for all."""
    partner_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_partner.id", ondelete="CASCADE"), index=True
    )
    """The one customer whose rule it is, or None."""
    label_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner_label.id", ondelete="CASCADE"))
    """The family or tag whose customers it is for, or None."""
    on_paper: Mapped[bool] = mapped_column(default=False)
    """Printed."""
    to_main: Mapped[bool] = mapped_column(default=False)
    """Mailed to the main contact; to the customer's own address where it has none."""
    function_codes: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Mailed to the contacts with one of these codes. Codes, not rows: one that is gone is told, not forgotten."""
    archived: Mapped[bool] = mapped_column(default=False)
    """Written to a file below the folder that the installation has set."""
    archive_folder: Mapped[str] = mapped_column(String(200), default="")
    """Below that folder; with the fields of `archive.FIELDS`."""
    archive_name: Mapped[str] = mapped_column(String(200), default="")
    """Of the file, without its extension; with the same fields."""
    archive_sent: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The PDF of each email that was accepted is written there, as it was sent; `archived` need not be."""
    archive_sent_after: Mapped[int | None]
    """The step of an email (`outbox_event`) up to which that was looked through; None where it is not wanted."""
    archive_keep_days: Mapped[int | None]
    """After so many days a file is deleted from the archive; None for never."""
    ask_first: Mapped[bool] = mapped_column(default=False)
    """A person decides before anything goes by itself."""
    automatic: Mapped[bool] = mapped_column(default=False)
    """True where a document goes by itself once it is confirmed or posted."""
    grace_minutes: Mapped[int] = mapped_column(default=15)
    """For so long it can be stopped then."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: applies to nothing."""

    company: Mapped[Company] = relationship()
    partner: Mapped[Partner | None] = relationship()
    label: Mapped[PartnerLabel | None] = relationship()

    @property
    def mailed(self) -> bool:
        """True where it says who gets a mail."""
        return self.to_main or bool(self.function_codes)


class PrintState(StrEnum):
    """How far a print is."""

    CHOSEN = "chosen"  # a person chooses how
    MAKING = "making"  # a worker makes its PDF
    READY = "ready"
    FAILED = "failed"


class PrintOrder(StrEnum):
    """In which order documents are printed."""

    LIST = "list"
    POSTCODE = "postcode"


class Print(Base):
    """Documents printed together: one PDF, made by a worker, kept for a while."""

    __tablename__ = "distribution_print"
    __table_args__ = (Index("ix_distribution_print_touched_at", "state", "touched_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[PrintState] = mapped_column(StrEnumType(PrintState), default=PrintState.CHOSEN)
    """Changed by `paper` alone."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who prints; nobody else opens it: it may hold documents of several companies."""
    sorted_by: Mapped[PrintOrder] = mapped_column(StrEnumType(PrintOrder), default=PrintOrder.LIST)
    """In which order."""
    double_sided: Mapped[bool] = mapped_column(default=False)
    """Each document begins a sheet, so that no sheet belongs to two customers."""
    total: Mapped[int] = mapped_column(default=0)
    """How many documents there are."""
    made: Mapped[int] = mapped_column(default=0)
    """How many of them are in the PDF already."""
    pages: Mapped[int] = mapped_column(default=0)
    """Of the PDF, the cover list among them."""
    sha256: Mapped[str] = mapped_column(String(64), default="")
    """Of the PDF, once it is ready; "" again when it was thrown away."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was chosen."""
    touched_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When a step of it was last done; one that nobody touches is asked for again."""
    printed_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When somebody said that it is printed, or None."""

    by_user: Mapped[User | None] = relationship()


class Dispatch(Base):
    """One document going one way: by itself, or since a person wants it. A mail's own row says what became of it."""

    __tablename__ = "distribution_dispatch"
    __table_args__ = (
        Index("ix_distribution_dispatch_document_id", "document_id", "id"),
        # What the history walks.
        Index("ix_distribution_dispatch_at", "at", "id"),
        Index("ix_distribution_dispatch_state", "state", "at", "id"),
        Index("ix_distribution_dispatch_partner_id", "partner_id", "at", "id"),
        Index(
            "ix_distribution_dispatch_due",
            "way",
            "due_at",
            sqlite_where=text(DUE),
            postgresql_where=text(DUE),
        ),
        # However often a document is said to be issued as it is, it goes by itself once.
        Index(
            "uq_distribution_dispatch_automatic",
            "document_id",
            "way",
            "revision",
            unique=True,
            sqlite_where=text(_AUTOMATIC),
            postgresql_where=text(_AUTOMATIC),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int | None] = mapped_column(ForeignKey("core_document.id", ondelete="SET NULL"))
    """The document; None once it is gone."""
    company_id: Mapped[int] = mapped_column(ForeignKey("core_company.id"))
    """That of the document."""
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("core_partner.id", ondelete="SET NULL"))
    """The customer at that moment."""
    kind: Mapped[str] = mapped_column(String(60))
    """Of the document at that moment."""
    revision: Mapped[int]
    """Of the document when it was asked for."""
    way: Mapped[Way] = mapped_column(StrEnumType(Way))
    """How it goes."""
    state: Mapped[DispatchState] = mapped_column(StrEnumType(DispatchState))
    """Changed by `dispatches` and `paper` alone."""
    detail: Mapped[str] = mapped_column(String(500), default="")
    """Why it is held, in the language of who has asked for it; else ""."""
    automatic: Mapped[bool] = mapped_column(default=False)
    """True where a rule wants it, False where a person does."""
    rule_id: Mapped[int | None] = mapped_column(ForeignKey("distribution_rule.id", ondelete="SET NULL"))
    """The rule that applied."""
    by_user_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """In whose name: who has issued the document, or asked for it; then who has decided."""
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it was asked for."""
    at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When it last changed its state."""
    due_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it goes; None while a person decides."""
    mail_id: Mapped[int | None] = mapped_column(
        ForeignKey("outbox_mail.id", ondelete="SET NULL"), unique=True
    )
    """Its mail, written in the transaction that says `done` here: so it goes once."""
    path: Mapped[str] = mapped_column(Text, default="")
    """The file in the archive, below its folder; written down before the file appears."""
    sha256: Mapped[str] = mapped_column(String(64), default="")
    """Of that file: by it a file that appeared before a crash is known again."""
    attachment_id: Mapped[int | None] = mapped_column(
        ForeignKey("outbox_attachment.id", ondelete="SET NULL"), unique=True
    )
    """The PDF of an email that goes to the archive as it was sent, once; None where the document is made anew."""
    print_id: Mapped[int | None] = mapped_column(
        ForeignKey("distribution_print.id", ondelete="SET NULL"), index=True
    )
    """With which others it is printed, or None."""
    position: Mapped[int] = mapped_column(default=0)
    """In the order of the list from which it is printed."""
    pages: Mapped[int] = mapped_column(default=0)
    """Of the document in that PDF, without the cover list; 0 until it is made."""

    document: Mapped[Document | None] = relationship()
    partner: Mapped[Partner | None] = relationship()
    rule: Mapped[Rule | None] = relationship()
    by_user: Mapped[User | None] = relationship()
    mail: Mapped[OutgoingMail | None] = relationship()
    attachment: Mapped[MailAttachment | None] = relationship()
