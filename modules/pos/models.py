"""Registers, sessions, and the rows of tickets beside the header in `core_document`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, DecimalsByDecimal, ExactDecimal, Guard, StrEnumType, UtcDateTime, guards
from core.documents.models import HEADER_CHANGES, Document
from core.products.words import Spoken
from modules.pos.states import TICKET, PaymentKind, ReceiptFormat, SessionState

FILE_PATTERN = "{register}-{number}-{company}.pdf"


class Register(Base):
    """A till of a company."""

    __tablename__ = "pos_register"
    __table_args__ = (UniqueConstraint("company_id", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[int] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company that sells at it; its products, prices and tax hold."""
    code: Mapped[str] = mapped_column(String(8))
    """Begins the numbers of its tickets: `C1`."""
    name: Mapped[str] = mapped_column(String(60))
    """For people: where it stands."""
    receipt_format: Mapped[ReceiptFormat | None] = mapped_column(StrEnumType(ReceiptFormat))
    """Its paper, or None for that of the company's settings."""
    file_pattern: Mapped[str] = mapped_column(String(120), default=FILE_PATTERN)
    """How the PDFs of its receipts are called; knows {register}, {number}, {company} and {date}."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: no session can be opened; its tickets stay."""

    company: Mapped[Company] = relationship(lazy="joined")


class PaymentMethod(Base):
    """A way to pay at a till."""

    __tablename__ = "pos_payment_method"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    """As the cashier and the receipt read it."""
    kind: Mapped[PaymentKind] = mapped_column(StrEnumType(PaymentKind))
    """Cash counts for the drawer, and alone gives change."""
    company_id: Mapped[int | None] = mapped_column(ForeignKey("core_company.id", ondelete="CASCADE"))
    """The company that takes it, or None for all."""
    position: Mapped[int] = mapped_column(default=10)
    """Lower ones are offered first."""
    active: Mapped[bool] = mapped_column(default=True)
    """False: not offered any more; payments have copied its name and kind."""

    company: Mapped[Company | None] = relationship(lazy="joined")


class Session(Base):
    """The time from opening a register with its cash to closing it with the count."""

    __tablename__ = "pos_session"
    __table_args__ = (
        Index(
            "uq_pos_session_open",
            "register_id",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_pos_session_register_id_opened_at", "register_id", "opened_at"),
        Index("ix_pos_session_opened_at", "opened_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    register_id: Mapped[int] = mapped_column(ForeignKey("pos_register.id", ondelete="RESTRICT"))
    """The register; it has one open session at most."""
    state: Mapped[SessionState] = mapped_column(StrEnumType(SessionState), default=SessionState.OPEN)
    """Open or closed; a closed one never opens again."""
    opened_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the drawer was counted first."""
    opened_by_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who opened it, or whose sale did; None once the account is gone."""
    currency: Mapped[str] = mapped_column(String(3))
    """ISO 4217, copied from the company at the opening: the drawer holds no other."""
    opening_cash: Mapped[Decimal] = mapped_column(ExactDecimal, default=Decimal(0))
    """Counted in the drawer at the start."""
    closed_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """When the drawer was counted last; None while it is open."""
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("core_user.id", ondelete="SET NULL"))
    """Who closed it."""
    expected_cash: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    """What should have been in the drawer when it was closed."""
    counted_cash: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    """What was there."""
    note: Mapped[str] = mapped_column(String(300), default="")
    """Why the count differs, where it does: asked for at the close."""
    rescue: Mapped[bool] = mapped_column(default=False)
    """True for one that was opened by itself, for tickets of a register that had been closed elsewhere."""

    register: Mapped[Register] = relationship(lazy="joined")
    opened_by: Mapped[User | None] = relationship(foreign_keys=[opened_by_id])
    closed_by: Mapped[User | None] = relationship(foreign_keys=[closed_by_id])

    @property
    def difference(self) -> Decimal | None:
        """How much more was counted than expected; negative where cash is missing, None while it is open."""
        if self.counted_cash is None or self.expected_cash is None:
            return None
        return self.counted_cash - self.expected_cash


class Ticket(Base):
    """A sale at a till, or a refund. Once it is written it never changes, but for the format of its receipt."""

    __tablename__ = "pos_ticket"
    __table_args__ = (
        UniqueConstraint("register_id", "sequence"),
        Index("ix_pos_ticket_session_id", "session_id"),
    )

    document_id: Mapped[int] = mapped_column(
        ForeignKey("core_document.id", ondelete="RESTRICT"), primary_key=True
    )
    """Its header in `core_document`; the same id."""
    register_id: Mapped[int] = mapped_column(ForeignKey("pos_register.id"))
    """The register that counted it."""
    session_id: Mapped[int] = mapped_column(ForeignKey("pos_session.id"))
    """The session whose cash it is in."""
    sequence: Mapped[int]
    """Its number in the register, from 1 without gaps."""
    client_id: Mapped[str] = mapped_column(String(36), unique=True)
    """Made by the page that rang it up, so that posting it again writes nothing."""
    rung_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    """When the sale was made."""
    posted_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=clock.now)
    """When the server learned of it; later, where it was away."""
    receipt_format: Mapped[ReceiptFormat] = mapped_column(StrEnumType(ReceiptFormat))
    """The paper it was printed on; the one thing that may be changed, to print it again."""
    refund_of_id: Mapped[int | None] = mapped_column(ForeignKey("pos_ticket.document_id"), index=True)
    """The ticket whose goods it takes back, or None for a sale."""
    change: Mapped[Decimal] = mapped_column(ExactDecimal, default=Decimal(0))
    """Given back in cash."""
    issuer: Mapped[str] = mapped_column(Text, default="")
    """What the company was at the sale; see `core.companies.issuer`."""
    footer: Mapped[str] = mapped_column(Text, default="")
    """Copied from the settings: a receipt that is printed again reads the same."""
    customer_name: Mapped[str] = mapped_column(String(160), default="")
    """As printed: the customer's name at the sale; "" for a walk-in."""
    cashier_name: Mapped[str] = mapped_column(String(120), default="")
    """As printed: the name at the sale of whoever sold."""
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    """The company's at the sale: in it the time is printed."""
    part_taxes: Mapped[dict[Decimal, Decimal]] = mapped_column(
        DecimalsByDecimal, default=dict, server_default="{}"
    )
    """Of a refund: the tax at each rate, as a part of that of the ticket; see `core.totals`."""
    mail_problem: Mapped[str] = mapped_column(String(300), default="", info={"content": False})
    """Why the mail that was wanted at the sale could not be written, or ""; it names no address."""

    document: Mapped[Document] = relationship(lazy="joined")
    register: Mapped[Register] = relationship(lazy="joined")
    session: Mapped[Session] = relationship()
    refund_of: Mapped[Ticket | None] = relationship(remote_side=[document_id])
    lines: Mapped[list[TicketLine]] = relationship(
        primaryjoin="Ticket.document_id == foreign(TicketLine.document_id)",
        order_by="TicketLine.position",
        viewonly=True,
    )
    payments: Mapped[list[Payment]] = relationship(
        primaryjoin="Ticket.document_id == foreign(Payment.document_id)",
        order_by="Payment.position",
        viewonly=True,
    )

    @property
    def is_refund(self) -> bool:
        """True when it takes goods of another ticket back."""
        return self.refund_of_id is not None


class TicketLine(Base, Spoken):
    """A line of a ticket; name, price and tax are copied.

    It stays what the customer paid, in every language that is known.
    """

    __tablename__ = "pos_line"
    __table_args__ = (UniqueConstraint("document_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("core_document.id", ondelete="RESTRICT"))
    """The ticket."""
    position: Mapped[int]
    """From 1, in the order of the ticket."""
    product_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_product.id", ondelete="SET NULL"), index=True
    )
    """None once the product is deleted; all that was printed is copied."""
    description: Mapped[str] = mapped_column(String(200))
    """The name of the product then."""
    quantity: Mapped[Decimal] = mapped_column(ExactDecimal)
    """Negative in a refund."""
    unit_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    """With tax."""
    discount: Mapped[Decimal] = mapped_column(ExactDecimal, default=Decimal(0))
    """In percent."""
    tax_name: Mapped[str] = mapped_column(String(60), default="")
    """As printed, copied from the tax."""
    tax_rate: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    """In percent; None where no tax applies."""
    total: Mapped[Decimal] = mapped_column(ExactDecimal)
    """Rounded, with tax."""
    refunds_id: Mapped[int | None] = mapped_column(ForeignKey("pos_line.id"), index=True)
    """The line that it takes back."""


class Payment(Base):
    """What was paid with one method; what was given back in cash is on the ticket."""

    __tablename__ = "pos_payment"
    __table_args__ = (UniqueConstraint("document_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("core_document.id", ondelete="RESTRICT"))
    """The ticket."""
    position: Mapped[int]
    """From 1, in the order they were made."""
    method_id: Mapped[int | None] = mapped_column(ForeignKey("pos_payment_method.id", ondelete="SET NULL"))
    """None once the method is deleted."""
    name: Mapped[str] = mapped_column(String(60))
    """Of the method, copied."""
    kind: Mapped[PaymentKind] = mapped_column(StrEnumType(PaymentKind))
    """Of the method, copied: the drawer's sum must not change afterwards."""
    amount: Mapped[Decimal] = mapped_column(ExactDecimal)
    """As it was handed over; negative in a refund."""


class Pin(Base):
    """The few digits by which somebody takes over a till."""

    __tablename__ = "pos_pin"

    user_id: Mapped[int] = mapped_column(ForeignKey("core_user.id", ondelete="CASCADE"), primary_key=True)
    """Whose it is; one for a person."""
    hash: Mapped[str] = mapped_column(String(255))
    """Argon2id. Few digits are soon guessed from any hash, so guesses are counted as well."""
    failures: Mapped[int] = mapped_column(default=0)
    """Wrong guesses since the last right one, or since it was locked last."""
    locks: Mapped[int] = mapped_column(default=0)
    """How often it was locked since the last right guess: each time for twice as long."""
    locked_until: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    """No guess is looked at before; None when it is not locked."""

    user: Mapped[User] = relationship(lazy="joined")


class TillSettings(Base):
    """What the tills of a company do; no row means the defaults."""

    __tablename__ = "pos_settings"

    company_id: Mapped[int] = mapped_column(
        ForeignKey("core_company.id", ondelete="CASCADE"), primary_key=True
    )
    """One row for a company at most."""
    propose_mail: Mapped[bool] = mapped_column(default=True)
    """True to fill in the customer's address in the payment screen."""
    to_customer: Mapped[bool] = mapped_column(default=True)
    """True to send receipts of known customers to the address of the customer."""
    to_main_contact: Mapped[bool] = mapped_column(default=False)
    """True to send them to the main contact of the customer as well."""
    fixed_addresses: Mapped[str] = mapped_column(Text, default="")
    """Further addresses that get every receipt of a known customer, separated by `;`."""
    keep_days: Mapped[int | None]
    """How long the mails of receipts keep their contents, or None for the installation's setting."""
    footer: Mapped[str] = mapped_column(Text, default="")
    """Printed below the ticket."""
    receipt_format: Mapped[ReceiptFormat] = mapped_column(
        StrEnumType(ReceiptFormat), default=ReceiptFormat.ROLL_80
    )
    """The paper of registers that have none of their own."""
    template_id: Mapped[int | None]
    """The mail template of receipts, or None for the one that applies. No foreign key: another module keeps them."""


def _sold(document_id: str) -> str:
    return f"EXISTS (SELECT 1 FROM pos_ticket WHERE document_id = {document_id})"  # noqa: S608 (constants)


def _kept(table: str, may_end: tuple[str, ...]) -> tuple[Guard, ...]:
    """Return the guards of rows that belong to a ticket: written before it, and never changed once it is there."""
    reads = ("pos_ticket",)
    touched = f"({_sold('OLD.document_id')} OR {_sold('NEW.document_id')})"
    changes = f"{guards.changed(table, may_end=may_end)} AND {touched}"
    return (
        Guard(f"{table}_added", table, "INSERT", _sold("NEW.document_id"), reads=reads),
        Guard(f"{table}_changed", table, "UPDATE", changes, reads=reads),
        Guard(f"{table}_removed", table, "DELETE", _sold("OLD.document_id"), reads=reads),
    )


_TICKET_CHANGES = guards.changed("pos_ticket", but=("receipt_format", "mail_problem"))
_SESSION_CHANGES = guards.changed("pos_session", may_end=("opened_by_id", "closed_by_id"))

guards.declare(
    *_kept("pos_line", ("product_id",)),
    *_kept("pos_payment", ("method_id",)),
    Guard("pos_ticket_changed", "pos_ticket", "UPDATE", _TICKET_CHANGES),
    Guard("pos_ticket_removed", "pos_ticket", "DELETE", "1 = 1"),
    Guard(
        "pos_header_changed",
        "core_document",
        "UPDATE",
        f"{HEADER_CHANGES} AND {_sold('OLD.id')}",
        reads=("core_partner", "pos_ticket"),
    ),
    Guard("pos_header_removed", "core_document", "DELETE", _sold("OLD.id"), reads=("pos_ticket",)),
    # Counted and closed: what was expected and found in the drawer is part of the record.
    Guard("pos_session_changed", "pos_session", "UPDATE", f"OLD.state = 'closed' AND {_SESSION_CHANGES}"),
    Guard("pos_session_removed", "pos_session", "DELETE", "OLD.state = 'closed'"),
)


_HEAD = "EXISTS (SELECT 1 FROM core_document WHERE id = NEW.document_id AND kind = '" + TICKET + "')"  # noqa: S608
# The session is open, of the same register, and counts in the currency of the ticket, which is its company's.
_IN_SESSION = (
    "EXISTS (SELECT 1 FROM pos_session JOIN pos_register ON pos_register.id = pos_session.register_id "
    "JOIN core_document ON core_document.company_id = pos_register.company_id "
    "AND core_document.currency = pos_session.currency WHERE core_document.id = NEW.document_id "
    "AND pos_session.id = NEW.session_id AND pos_session.register_id = NEW.register_id)"
)
_SESSION_OPEN = "EXISTS (SELECT 1 FROM pos_session WHERE id = NEW.session_id AND state = 'open')"
_REFUNDED = (
    "EXISTS (SELECT 1 FROM pos_ticket JOIN core_document AS other ON other.id = pos_ticket.document_id "
    "JOIN core_document AS mine ON mine.company_id = other.company_id AND mine.currency = other.currency "
    "WHERE pos_ticket.document_id = NEW.refund_of_id AND mine.id = NEW.document_id "
    "AND pos_ticket.refund_of_id IS NULL)"
)

guards.require("pos_register", "code", "NEW.code <> '' AND NEW.name <> ''")
guards.require("pos_payment_method", "name", "NEW.name <> ''")
guards.require("pos_session", "currency", guards.is_currency("NEW.currency"), columns=("currency",))
guards.require("pos_session", "cash", "NEW.opening_cash >= 0 AND coalesce(NEW.counted_cash, 0) >= 0")
guards.require(
    "pos_session",
    "counted",
    "(NEW.state = 'closed') = (NEW.closed_at IS NOT NULL) AND (NEW.state = 'closed') = (NEW.counted_cash IS NOT NULL) "
    "AND (NEW.state = 'closed') = (NEW.expected_cash IS NOT NULL)",
)
guards.require("pos_ticket", "head", _HEAD, columns=("document_id",))
guards.require("pos_ticket", "sequence", "NEW.sequence >= 1", columns=("sequence",))
guards.require("pos_ticket", "change", "NEW.change >= 0", columns=("change",))
guards.require("pos_ticket", "client", "NEW.client_id <> ''", columns=("client_id",))
guards.require("pos_ticket", "session", _IN_SESSION, columns=("session_id",))
guards.require("pos_ticket", "open", _SESSION_OPEN, columns=("session_id",))
guards.require(
    "pos_ticket",
    "refund",
    f"NEW.refund_of_id IS NULL OR (NEW.refund_of_id <> NEW.document_id AND {_REFUNDED})",
    columns=("refund_of_id",),
)
guards.require("pos_line", "position", "NEW.position >= 1")
guards.require("pos_line", "head", _HEAD)
guards.require("pos_line", "quantity", "NEW.quantity <> 0")
guards.require("pos_line", "discount", guards.is_percentage("NEW.discount"))
guards.require("pos_line", "rate", guards.is_percentage("NEW.tax_rate"))
guards.require("pos_line", "text", "NEW.description <> ''")
guards.require(
    "pos_line", "refunds", "NEW.refunds_id IS NULL OR (NEW.refunds_id <> NEW.id AND NEW.quantity < 0)"
)
guards.require("pos_payment", "position", "NEW.position >= 1")
guards.require("pos_payment", "head", _HEAD)
guards.require("pos_payment", "name", "NEW.name <> ''")
guards.require("pos_pin", "failures", "NEW.failures >= 0")
guards.require("pos_settings", "keep_days", "NEW.keep_days >= 0")
