"""A mail, its attachments, and what it is found by."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, cast

from sqlalchemy import ColumnElement, ForeignKey, Index, String, Table, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, Encrypted, Sealed, StrEnumType, UtcDateTime, guards
from core.documents.models import Document
from core.i18n import N_
from core.mail.draft import Priority, Purpose
from core.mail.outcomes import FailureKind
from modules.mail_config.models import MailServer
from modules.outbox.models.further import FurtherDocument
from modules.outbox.states import CANCELABLE, MailState

if TYPE_CHECKING:
    from modules.outbox.models.history import DeliveryAttempt, MailEvent
    from modules.outbox.models.recipients import MailRecipient

# Conditions of partial indexes: word for word those of the queries, or the index is not used.
_DUE = "state IN ('queued', 'deferred', 'scheduled', 'sending')"
_FAILED = "state IN ('failed', 'partial', 'uncertain')"
_HAS_CONTENTS = "contents_erased_at IS NULL AND settled_at IS NOT NULL"
_CANCELED = "state = 'canceled'"
# The same mails as `_DUE`, said so that SQLite cannot take the index over the state for it, and then sort.
_NOT_SETTLED = "state NOT IN ('canceled', 'failed', 'partial', 'sent', 'uncertain')"
_HAS_LINK = "encrypted_link IS NOT NULL"

WAITS = cast("ColumnElement[bool]", text(f"outbox_mail.{_DUE}"))
"""That a mail waits, for any query that asks for mails that do: beside a state that is a parameter, SQLite would not
know that the indexes of the few that wait will do, and would look at every mail that was ever sent."""
FAILS = cast("ColumnElement[bool]", text(f"outbox_mail.{_FAILED}"))
"""That a person must act, said likewise."""
_HAS_FAILURE = "failure_kind IS NOT NULL"
_OF_RUN = "run_id IS NOT NULL"
_ANSWERS = "answers_id IS NOT NULL"


class OutgoingMail(Base):
    """One message. It is written in the transaction that caused it; the queue carries only its id."""

    __tablename__ = "outbox_mail"
    __table_args__ = (
        Index(
            "ix_outbox_mail_due",
            "state",
            "next_attempt_at",
            sqlite_where=text(_DUE),
            postgresql_where=text(_DUE),
        ),
        Index("ix_outbox_mail_failed", "id", sqlite_where=text(_FAILED), postgresql_where=text(_FAILED)),
        Index(
            "ix_outbox_mail_waiting",
            "failure_kind",
            "id",
            sqlite_where=text(_DUE),
            postgresql_where=text(_DUE),
        ),
        Index(
            "ix_outbox_mail_reason",
            "failure_kind",
            "server_id",
            "id",
            sqlite_where=text(_FAILED),
            postgresql_where=text(_FAILED),
        ),
        Index(
            "ix_outbox_mail_contents",
            "keep_days",
            "settled_at",
            sqlite_where=text(_HAS_CONTENTS),
            postgresql_where=text(_HAS_CONTENTS),
        ),
        Index("ix_outbox_mail_claim_token", "claim_token"),
        Index("ix_outbox_mail_document_id", "document_id", "id"),
        # What the list walks. Columns behind the id are there so that what two filters leave is found in the index.
        Index("ix_outbox_mail_submitted_at", "submitted_at", "id"),
        Index("ix_outbox_mail_submitted_by_id", "submitted_by_id", "submitted_at", "id"),
        Index("ix_outbox_mail_company_id", "company_id", "submitted_at", "id", "document_kind"),
        Index("ix_outbox_mail_document_kind", "document_kind", "submitted_at", "id"),
        Index("ix_outbox_mail_server_id", "server_id", "submitted_at", "id", "company_id", "document_kind"),
        Index(
            "ix_outbox_mail_failure_kind",
            "failure_kind",
            "submitted_at",
            "id",
            sqlite_where=text(_HAS_FAILURE),
            postgresql_where=text(_HAS_FAILURE),
        ),
        Index(
            "ix_outbox_mail_failed_list",
            "submitted_at",
            "id",
            "state",
            "failure_kind",
            "server_id",
            "company_id",
            "document_kind",
            "submitted_by_id",
            sqlite_where=text(_FAILED),
            postgresql_where=text(_FAILED),
        ),
        Index(
            "ix_outbox_mail_waiting_list",
            "submitted_at",
            "id",
            "failure_kind",
            "server_id",
            sqlite_where=text(_NOT_SETTLED),
            postgresql_where=text(_NOT_SETTLED),
        ),
        Index(
            "ix_outbox_mail_next_try",
            "next_attempt_at",
            "id",
            sqlite_where=text(_NOT_SETTLED),
            postgresql_where=text(_NOT_SETTLED),
        ),
        Index(
            "ix_outbox_mail_canceled",
            "submitted_at",
            "id",
            sqlite_where=text(_CANCELED),
            postgresql_where=text(_CANCELED),
        ),
        Index(
            "ix_outbox_mail_run_id",
            "run_id",
            "state",
            "id",
            sqlite_where=text(_OF_RUN),
            postgresql_where=text(_OF_RUN),
        ),
        Index(
            "ix_outbox_mail_answers_id",
            "answers_id",
            sqlite_where=text(_ANSWERS),
            postgresql_where=text(_ANSWERS),
        ),
        Index("ix_outbox_mail_subject", "subject", "id"),
        Index(
            "ix_outbox_mail_private",
            "state",
            "settled_at",
            sqlite_where=text("private = 1 AND contents_erased_at IS NULL"),
            postgresql_where=text("private AND contents_erased_at IS NULL"),
        ),
        Index(
            "ix_outbox_mail_link",
            "link_expires_at",
            sqlite_where=text(_HAS_LINK),
            postgresql_where=text(_HAS_LINK),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[MailState] = mapped_column(StrEnumType(MailState))
    """Derived from the recipients and from what a worker is doing; changed only by `transitions` and `claims`."""
    message_id: Mapped[str] = mapped_column(String(255), unique=True)
    """RFC 5322 §3.6.4, with its brackets; the same for every attempt."""
    subject: Mapped[str] = mapped_column(String(500))
    """One line; "" where a person wanted none, or once it is erased."""
    body_html: Mapped[str] = mapped_column(Text)
    """Clean HTML with `cid:` pictures, as the recipient gets it; "" once it is erased."""
    body_text: Mapped[str] = mapped_column(Text)
    """Its plain-text twin, made at Send and not at each attempt, so that the octets stay the same."""
    language: Mapped[str] = mapped_column(String(8))
    """Of the text; the PDF is made in it as well."""
    sender_name: Mapped[str] = mapped_column(String(160), default="")
    """The From's display name, fixed together with the address."""
    sender_address: Mapped[str] = mapped_column(String(254), default="")
    """The From, fixed at the first attempt; empty before."""
    reply_to_name: Mapped[str] = mapped_column(String(160), default="")
    """Display name of where answers go, or ""."""
    reply_to_address: Mapped[str] = mapped_column(String(254), default="")
    """Where answers go: the person who sends, or what the template says; "" for the From."""
    server_id: Mapped[int | None] = mapped_column(ForeignKey("mail_config_server.id", ondelete="SET NULL"))
    """By which it left, or last tried to; None before, or when the server was deleted."""
    company_id: Mapped[int] = mapped_column(ForeignKey("core_company.id"))
    """Whose mail it is: permissions reach by it, and servers are chosen by it."""
    document_id: Mapped[int | None] = mapped_column(ForeignKey("core_document.id", ondelete="SET NULL"))
    """What it is about; None for a test or an alert, or once the document is gone."""
    document_kind: Mapped[str] = mapped_column(String(60), default="")
    """The kind of the document, kept here so that lists can be narrowed without it."""
    document_revision: Mapped[int] = mapped_column(default=0)
    """Of the document when it was sent; 0 for any. If the document changes before its PDF is made, nothing leaves."""
    further_count: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many documents it carries besides, rows of `further`; kept here so that nobody asks for those of most."""
    zip_name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    """The file in which the PDFs of its documents leave together; "" where each is a file of its own."""
    submitted_by_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who pressed Send, and is told of a failure; None for the application itself."""
    submitted_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """Also the Date of the message."""
    not_before: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """The moment chosen by a person, or the end of Undo; None for at once."""
    next_attempt_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """From when on a waiting mail may be tried; for a claimed one, unused."""
    due_since: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """From when its age counts: when it was submitted for, or was put on the queue again by a person."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Attempts since the mail was last put on the queue by a person."""
    claim_token: Mapped[str | None] = mapped_column(String(32))
    """Names the worker's run that holds the mail."""
    lease_until: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Until when the worker is believed to be alive. It keeps moving this on; past it, others may take over."""
    in_flight: Mapped[bool] = mapped_column(default=False)
    """True from the moment before the message goes out until the outcome is known."""
    failure_kind: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """Of the failure that stands for all: the one a person should see first. None while there is none."""
    failure_reason: Mapped[str] = mapped_column(Text, default="")
    """The server's own words."""
    failure_also: Mapped[FailureKind | None] = mapped_column(StrEnumType(FailureKind))
    """The other reading of the failure, where two are possible."""
    failure_advice: Mapped[str] = mapped_column(String(32), default="")
    """A finer hint, a `core.mail` advice, or ""."""
    settled_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When it came to rest: sent, partly, failed, uncertain or canceled."""
    dismissed_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When a person has said that nothing has to be done about its failure; the events say who and why. Else None."""
    waits_for_server: Mapped[bool] = mapped_column(default=False)
    """True while it waits for a server to work, to be tested or to be set up; whatever its failure is called."""
    slot_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """The moment reserved for it at a server with a limited rate."""
    slot_server_id: Mapped[int | None]
    """The server at which the moment is reserved."""
    recipient_count: Mapped[int] = mapped_column(default=0)
    """Kept here so that lists need not count rows."""
    accepted_count: Mapped[int] = mapped_column(default=0)
    """Of those, how many a server has accepted."""
    message_sha256: Mapped[str] = mapped_column(String(64), default="")
    """Of the message as it was last built; the next attempt must match it."""
    submission_token: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Names the form that was posted, so that pressing Send twice writes one mail."""
    keep_days: Mapped[int | None]
    """How long contents are kept after the mail has settled; None for the installation's setting."""
    contents_erased_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When text and files were erased; the line with its hashes stays."""
    edit_token: Mapped[str | None] = mapped_column(String(32))
    """Names the composer in which it was last opened to be changed, the only one that may take its place."""
    edited_by_id: Mapped[int | None]
    """Who has opened it there. The account may be gone: no key."""
    edit_until: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Until when it stays for them; None where nobody changes it."""
    replaced_by_id: Mapped[int | None]
    """The mail that has taken its place, changed by a person. It may be gone: no key."""
    run_id: Mapped[int | None]
    """The run that it is part of (`outbox_run`), by which its mails are counted; None for a mail by itself."""
    priority: Mapped[Priority] = mapped_column(StrEnumType(Priority), default=Priority.NORMAL)
    """How urgent it is called in its head; it does not overtake others."""
    delivery_receipt: Mapped[bool] = mapped_column(default=False)
    """True to ask the servers for a notification of success (RFC 3461)."""
    read_receipt: Mapped[bool] = mapped_column(default=False)
    """True to ask the reader's program for a notification (RFC 8098)."""
    private: Mapped[bool] = mapped_column(default=False)
    """True where the addresses are used and not kept, nor what was sent; see `modules.outbox.private_addresses`."""
    encrypted_link: Mapped[Sealed | None] = mapped_column(Encrypted(N_("The links in emails")))
    """What stands for the mark of a link in the message that leaves, encrypted; None for none, or once it is erased."""
    link_expires_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """Until when the link is good; the mail is of no use after it. None for a mail that never had one."""
    purpose: Mapped[Purpose] = mapped_column(
        StrEnumType(Purpose), default=Purpose.SINGLE, server_default=Purpose.SINGLE.value
    )
    """What it is for, decided once when it is submitted: sender and server follow from it."""
    answers_id: Mapped[int | None]
    """The message that came in (`outbox_inbound`) which it answers; None for a mail that begins."""
    in_reply_to: Mapped[str] = mapped_column(String(255), default="", server_default="")
    """The Message-ID of that message, a copy: the octets must be the same on every attempt; or ""."""
    reference_ids: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Those of its thread, with blanks between them (RFC 5322 §3.6.4)."""
    reply_tagged: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True where answers are asked for to an address with a token; fixed together with the From."""
    captured: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True where what was handed over stayed here: its server captures, or this installation is a copy."""
    promotional: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True for what advertises: to one recipient, only while that one has opted in, and it says how to opt out."""
    is_alert: Mapped[bool] = mapped_column(default=False)
    """True for a mail by which Envoi tells of a failure; its own failure raises no alert."""

    recipients: Mapped[list[MailRecipient]] = relationship(
        back_populates="mail", order_by="MailRecipient.position", cascade="all, delete-orphan"
    )
    attachments: Mapped[list[MailAttachment]] = relationship(
        back_populates="mail", order_by="MailAttachment.position", cascade="all, delete-orphan"
    )
    attempt_rows: Mapped[list[DeliveryAttempt]] = relationship(
        back_populates="mail", order_by="DeliveryAttempt.id.desc()", cascade="all, delete-orphan"
    )
    events: Mapped[list[MailEvent]] = relationship(
        back_populates="mail", order_by="MailEvent.id", cascade="all, delete-orphan"
    )
    document: Mapped[Document | None] = relationship()
    further: Mapped[list[FurtherDocument]] = relationship(
        order_by=FurtherDocument.position, cascade="all, delete-orphan"
    )
    company: Mapped[Company] = relationship()
    submitted_by: Mapped[User | None] = relationship()
    server: Mapped[MailServer | None] = relationship()

    @property
    def further_documents(self) -> list[FurtherDocument]:
        """The documents it carries besides; of most mails there are none, and nobody is asked."""
        return self.further if self.further_count else []

    @property
    def changeable(self) -> bool:
        """True while nobody has got it and no worker has it, so that another may take its place."""
        # A link is for one person, and what Envoi tells by itself is nobody's to change.
        fixed = self.contents_erased_at or self.link_expires_at or self.is_alert or self.accepted_count
        return self.state in CANCELABLE and not fixed


class MailAttachment(Base):
    """One file of one mail; its bytes are in the store."""

    __tablename__ = "outbox_attachment"
    __table_args__ = (Index("ix_outbox_attachment_sha256", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    mail_id: Mapped[int] = mapped_column(ForeignKey("outbox_mail.id", ondelete="CASCADE"), index=True)
    """The mail."""
    position: Mapped[int] = mapped_column(default=0)
    """In the order of the message, from 0."""
    name: Mapped[str] = mapped_column(String(200))
    """As recipients see it."""
    media_type: Mapped[str] = mapped_column(String(120))
    """For example `application/pdf`."""
    size: Mapped[int] = mapped_column(default=0)
    """In bytes; 0 until the generated PDF is frozen."""
    sha256: Mapped[str] = mapped_column(String(64), default="")
    """Empty until the generated PDF is frozen."""
    generated: Mapped[bool] = mapped_column(default=False)
    """True for the document's own PDF."""
    content_id: Mapped[str] = mapped_column(String(120), default="")
    """By which the text shows it as a picture (RFC 2392); empty for a file beside the text."""

    mail: Mapped[OutgoingMail] = relationship(back_populates="attachments")


class MailSearch(Base):
    """What a mail can be found by: subject, addresses, names, document, Message-ID; folded by `core.matching.fold`.

    The trigram index over it is made by the migrations, since a model cannot say it: on SQLite the FTS5 table
    `outbox_search_index`, kept by triggers, on PostgreSQL the GIN index `ix_outbox_search_text`.
    """

    __tablename__ = "outbox_search"
    __table_args__ = ({"info": {"made_by_migrations": ("outbox_search_index", "ix_outbox_search_text")}},)

    mail_id: Mapped[int] = mapped_column(
        ForeignKey("outbox_mail.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    """The mail; the row goes with it, and when contents are erased it is written anew."""
    text: Mapped[str] = mapped_column(Text)
    """All in one column, so that one index answers whatever is searched for."""


# Delivery speaks to the tables themselves: the unit of work costs more than the mail it delivers.
MAILS = cast("Table", OutgoingMail.__table__)
ATTACHMENTS = cast("Table", MailAttachment.__table__)
MAIL_SEARCH = cast("Table", MailSearch.__table__)

guards.require(
    "outbox_mail",
    "counts",
    "NEW.accepted_count BETWEEN 0 AND NEW.recipient_count AND NEW.attempts >= 0",
    columns=("accepted_count", "recipient_count", "attempts"),
)
guards.require("outbox_mail", "message_id", "NEW.message_id <> ''", columns=("message_id",))
guards.require("outbox_attachment", "size", "NEW.size >= 0 AND NEW.position >= 0")
