"""The rows of sales documents beside the header in `core_document`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    and_,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, DecimalsByDecimal, ExactDecimal, Guard, StrEnumType, guards
from core.db import FrozenError as AnyFrozenError
from core.documents.models import HEADER_CHANGES, Document
from core.i18n import lazy_gettext as _l
from core.products.models import Product
from core.products.words import Spoken
from modules.sales.states import (
    CREDIT_NOTE,
    INVOICE,
    INVOICE_KINDS,
    ORDER,
    QUOTATION,
    InvoiceState,
    OrderState,
)


class Line(Base, Spoken):
    """A line of a document.

    Name and rate of the tax are copied: what was agreed stays as it was when products and taxes change. So are
    description, unit and name of the tax in other languages.
    """

    __tablename__ = "sales_line"
    __table_args__ = (UniqueConstraint("document_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("core_document.id", ondelete="RESTRICT"))
    """The document; it is not deleted while it has lines."""
    position: Mapped[int]
    """From 1, in the order of the document."""
    product_id: Mapped[int | None] = mapped_column(
        ForeignKey("core_product.id", ondelete="SET NULL"), index=True
    )
    """Where the line began, or None for one that was typed; only reports follow it."""
    description: Mapped[str] = mapped_column(Text)
    """Name and text of the product when it was chosen, or what a person typed."""
    quantity: Mapped[Decimal] = mapped_column(ExactDecimal)
    """May be negative, and have decimals."""
    unit: Mapped[str] = mapped_column(String(20), default="")
    """What the quantity counts, copied; "" for pieces."""
    unit_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    """Without tax."""
    discount: Mapped[Decimal] = mapped_column(ExactDecimal, default=Decimal(0))
    """In percent."""
    tax_id: Mapped[int | None] = mapped_column(ForeignKey("core_tax.id", ondelete="SET NULL"))
    """What was chosen in the form, or None; totals use the copied rate."""
    tax_name: Mapped[str] = mapped_column(String(60), default="")
    """As printed."""
    tax_rate: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    """In percent; None where no tax applies."""
    subtotal: Mapped[Decimal] = mapped_column(ExactDecimal)
    """Rounded, without tax; see `core.totals`."""
    product: Mapped[Product | None] = relationship()


class Order(Base, Spoken):
    """A quotation or an order: the same row and number, before and after the confirmation.

    Its terms of payment and what is said about its taxes are copied, in other languages as well.
    """

    __tablename__ = "sales_order"
    # The few that are canceled are left out of what customers have bought.
    __table_args__ = (Index("ix_sales_order_state_document_id", "state", "document_id"),)

    document_id: Mapped[int] = mapped_column(
        ForeignKey("core_document.id", ondelete="RESTRICT"), primary_key=True
    )
    """Its header in `core_document`; the same id."""
    state: Mapped[OrderState] = mapped_column(StrEnumType(OrderState), default=OrderState.QUOTATION)
    """Quotation, order or canceled; the kind in the header says the same for others."""
    validity_date: Mapped[dt.date | None]
    """The last day on which the customer may accept."""
    delivery_date: Mapped[dt.date | None]
    """Promised to the customer, or None."""
    payment_terms: Mapped[str] = mapped_column(String(200), default="")
    """In words, as printed; nothing is calculated from them."""
    tax_rule_id: Mapped[int | None] = mapped_column(ForeignKey("core_tax_rule.id", ondelete="SET NULL"))
    """By which its customer is taxed, or None; the lines have the taxes already."""
    tax_mention: Mapped[str] = mapped_column(String(300), default="", server_default="")
    """What the law wants said about its taxes, copied from the rule; printed."""
    note: Mapped[str] = mapped_column(Text, default="")
    """Printed below the lines."""

    document: Mapped[Document] = relationship(lazy="joined")
    lines: Mapped[list[Line]] = relationship(
        primaryjoin="Order.document_id == foreign(Line.document_id)", order_by=Line.position, viewonly=True
    )

    @property
    def expired(self) -> bool:
        """True for a quotation that was valid until yesterday at most, by the day of the company."""
        until = self.validity_date if self.state is OrderState.QUOTATION else None
        return until is not None and until < self.document.company.today


_IN_FORCE = "state <> 'canceled' AND NOT credited"


class Invoice(Base, Spoken):
    """An invoice or a credit note. Once posted it never changes; a credit note takes it back."""

    __tablename__ = "sales_invoice"
    __table_args__ = (
        # An order is invoiced once; a canceled draft, or an invoice that was credited in full, makes room for another.
        Index(
            "uq_sales_invoice_order_id",
            "order_id",
            unique=True,
            sqlite_where=text(_IN_FORCE),
            postgresql_where=text(_IN_FORCE),
        ),
        Index("ix_sales_invoice_state_document_id", "state", "document_id"),
        CheckConstraint("NOT superseded OR state = 'canceled'", name="superseded_is_canceled"),
        CheckConstraint("NOT credited OR state = 'posted'", name="credited_is_posted"),
    )

    document_id: Mapped[int] = mapped_column(
        ForeignKey("core_document.id", ondelete="RESTRICT"), primary_key=True
    )
    """Its header in `core_document`; the same id."""
    state: Mapped[InvoiceState] = mapped_column(StrEnumType(InvoiceState), default=InvoiceState.DRAFT)
    """Draft, posted or canceled."""
    order_id: Mapped[int | None] = mapped_column(ForeignKey("sales_order.document_id"), index=True)
    """The order that is invoiced, or None.

    Its unique index is no help to whoever asks for the invoice of an order: SQLite does not see that it has all.
    """
    superseded: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True for a canceled draft whose order was canceled later: what it says holds no longer, so it stays canceled."""
    credited: Mapped[bool] = mapped_column(default=False, server_default=false(), info={"content": False})
    """True for a posted invoice of which credit notes have taken back everything: its order can be invoiced again."""
    reversed_id: Mapped[int | None] = mapped_column(ForeignKey("sales_invoice.document_id"), index=True)
    """The invoice that a credit note takes back."""
    date_chosen: Mapped[bool] = mapped_column(default=False)
    """True when a person chose the date of the draft; otherwise it becomes the day of the posting."""
    due_date: Mapped[dt.date | None]
    """The last day to pay, or None."""
    payment_terms: Mapped[str] = mapped_column(String(200), default="")
    """In words, as printed; copied from the order."""
    tax_rule_id: Mapped[int | None] = mapped_column(ForeignKey("core_tax_rule.id", ondelete="SET NULL"))
    """By which its customer is taxed, or None; the lines have the taxes already."""
    tax_mention: Mapped[str] = mapped_column(String(300), default="", server_default="")
    """What the law wants said about its taxes, copied from the rule; printed."""
    note: Mapped[str] = mapped_column(Text, default="")
    """Printed below the lines."""
    customer_name: Mapped[str] = mapped_column(String(160), default="")
    """Copied at the posting, with address and VAT number: customers move, posted invoices do not change."""
    customer_address: Mapped[str] = mapped_column(Text, default="")
    """In lines, as printed; empty before the posting."""
    customer_vat: Mapped[str] = mapped_column(String(40), default="")
    """As printed; empty before the posting."""
    issuer: Mapped[str] = mapped_column(Text, default="")
    """What the company was at the posting; see `core.companies.issuer`. Empty before."""
    contact_name: Mapped[str] = mapped_column(String(120), default="")
    """The salesperson's name at the posting, as printed; empty before, and where there is none."""
    part_taxes: Mapped[dict[Decimal, Decimal]] = mapped_column(
        DecimalsByDecimal, default=dict, server_default="{}"
    )
    """Of a credit note: the tax at each rate at which it takes back a part of its invoice; see `core.totals`."""

    document: Mapped[Document] = relationship(lazy="joined")
    order: Mapped[Order | None] = relationship(foreign_keys=[order_id])
    reversed: Mapped[Invoice | None] = relationship(
        remote_side=[document_id], foreign_keys=[reversed_id], back_populates="credit_notes"
    )
    credit_notes: Mapped[list[Invoice]] = relationship(
        foreign_keys=[reversed_id], back_populates="reversed", order_by=document_id
    )
    lines: Mapped[list[Line]] = relationship(
        primaryjoin="Invoice.document_id == foreign(Line.document_id)", order_by=Line.position, viewonly=True
    )

    @classmethod
    def of_order(cls, order_id: Any) -> ColumnElement[bool]:
        """Return the condition that an invoice is the one of an order: neither canceled nor credited in full."""
        return and_(cls.order_id == order_id, cls.state != InvoiceState.CANCELED, ~cls.credited)

    @property
    def is_credit_note(self) -> bool:
        """True for a credit note."""
        return self.document.kind == CREDIT_NOTE


class FrozenError(AnyFrozenError):
    """Somebody tried to change a posted invoice or credit note."""

    def __init__(self) -> None:
        super().__init__(_l("An issued document cannot be changed any more. Make a credit note instead."))


def _posted(document_id: str) -> str:
    posted = f"SELECT 1 FROM sales_invoice WHERE document_id = {document_id} AND state = 'posted'"  # noqa: S608 (constants)
    return f"EXISTS ({posted})"


def _frozen(name: str, table: str, on: Literal["INSERT", "UPDATE", "DELETE"], refuse: str) -> Guard:
    return Guard(f"sales_{name}", table, on, refuse, FrozenError, ("sales_invoice",))


_LINE_CHANGES = guards.changed("sales_line", may_end=("product_id", "tax_id"))

guards.declare(
    _frozen("line_added", "sales_line", "INSERT", _posted("NEW.document_id")),
    _frozen("line_removed", "sales_line", "DELETE", _posted("OLD.document_id")),
    _frozen(
        "line_changed",
        "sales_line",
        "UPDATE",
        f"{_LINE_CHANGES} AND ({_posted('OLD.document_id')} OR {_posted('NEW.document_id')})",
    ),
    _frozen(
        "invoice_changed",
        "sales_invoice",
        "UPDATE",
        f"OLD.state = 'posted' AND {guards.changed('sales_invoice', but=('credited',), may_end=('tax_rule_id',))}",
    ),
    _frozen("invoice_removed", "sales_invoice", "DELETE", "OLD.state = 'posted'"),
    _frozen(
        "header_changed",
        "core_document",
        "UPDATE",
        f"{HEADER_CHANGES} AND {_posted('OLD.id')}",
    ),
    _frozen("header_removed", "core_document", "DELETE", _posted("OLD.id")),
)


def _kind(row: str, *kinds: str) -> str:
    names = ", ".join(repr(kind) for kind in kinds)
    return f"EXISTS (SELECT 1 FROM core_document WHERE id = {row} AND kind IN ({names}))"  # noqa: S608 (constants)


_HAS_LINES = "EXISTS (SELECT 1 FROM sales_line WHERE document_id = NEW.document_id)"
_HAS_NUMBER = "EXISTS (SELECT 1 FROM core_document WHERE id = NEW.document_id AND number <> '')"
_ORDER_HOLDS = "EXISTS (SELECT 1 FROM sales_order WHERE document_id = NEW.order_id AND state = 'order')"
_LIVE_INVOICE = f"EXISTS (SELECT 1 FROM sales_invoice WHERE order_id = NEW.document_id AND {_IN_FORCE})"  # noqa: S608 (constants)
_HEADS = (
    "core_document AS mine JOIN core_document AS other ON other.id = {other} WHERE mine.id = NEW.document_id"
)
_SAME = "mine.company_id = other.company_id AND mine.currency = other.currency"
_REVERSED = "EXISTS (SELECT 1 FROM sales_invoice WHERE document_id = NEW.reversed_id AND state = 'posted')"


def _same(other: str) -> str:
    return f"EXISTS (SELECT 1 FROM {_HEADS.format(other=other)} AND {_SAME})"  # noqa: S608 (constants)


guards.require("sales_line", "position", "NEW.position >= 1")
guards.require("sales_line", "discount", guards.is_percentage("NEW.discount"))
guards.require("sales_line", "rate", guards.is_percentage("NEW.tax_rate"))
guards.require("sales_order", "head", _kind("NEW.document_id", QUOTATION, ORDER))
guards.require(
    "sales_order",
    "invoiced",
    f"NEW.state = 'order' OR NOT {_LIVE_INVOICE}",
    reads=("sales_invoice",),
    columns=("state",),
)
guards.require("sales_invoice", "head", _kind("NEW.document_id", *INVOICE_KINDS))
guards.require(
    "sales_invoice",
    "order",
    f"NEW.order_id IS NULL OR NEW.state = 'canceled' OR NEW.credited OR ({_ORDER_HOLDS} AND {_same('NEW.order_id')})",
    columns=("order_id", "state"),
)
# It takes back a posted invoice of the same company, in its currency; never itself and no credit note.
guards.require(
    "sales_invoice",
    "reversed",
    f"NEW.reversed_id IS NULL OR (NEW.reversed_id <> NEW.document_id AND {_REVERSED} AND "
    f"{_kind('NEW.document_id', CREDIT_NOTE)} AND {_kind('NEW.reversed_id', INVOICE)} AND {_same('NEW.reversed_id')})",
    columns=("reversed_id",),
)
guards.require("sales_invoice", "number", f"NEW.state <> 'posted' OR {_HAS_NUMBER}", columns=("state",))
guards.require(
    "sales_invoice", "no_number", f"NEW.state <> 'canceled' OR NOT {_HAS_NUMBER}", columns=("state",)
)
guards.declare(
    Guard(
        "sales_invoice_complete",
        "sales_invoice",
        "UPDATE",
        "NEW.state = 'posted' AND OLD.state <> 'posted' AND (NEW.due_date IS NULL OR NEW.customer_name = '' "
        f"OR NEW.issuer = '' OR OLD.state = 'canceled' OR NOT {_HAS_LINES})",
        None,
        ("sales_line",),
    ),
)
