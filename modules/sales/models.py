"""The rows of sales documents beside the header in `core_document`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Connection,
    ForeignKey,
    Index,
    String,
    Text,
    event,
    false,
    inspect,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Mapper, mapped_column, relationship
from sqlalchemy.orm.attributes import History

from core.db import Base, ExactDecimal, StrEnumType
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.products.models import Product
from modules.sales.states import CREDIT_NOTE, INVOICE_KINDS, InvoiceState, OrderState


class Line(Base):
    """A line of a document.

    Name and rate of the tax are copied: what was agreed stays as it was when products and taxes change.
    """

    __tablename__ = "sales_line"
    __table_args__ = (Index("ix_sales_line_document_id_position", "document_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("core_document.id", ondelete="CASCADE"))
    """The document; lines go with it."""
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


class Order(Base):
    """A quotation or an order: the same row and number, before and after the confirmation."""

    __tablename__ = "sales_order"

    document_id: Mapped[int] = mapped_column(
        ForeignKey("core_document.id", ondelete="CASCADE"), primary_key=True
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
    note: Mapped[str] = mapped_column(Text, default="")
    """Printed below the lines."""

    document: Mapped[Document] = relationship(lazy="joined")
    lines: Mapped[list[Line]] = relationship(
        primaryjoin="Order.document_id == foreign(Line.document_id)", order_by=Line.position, viewonly=True
    )


class Invoice(Base):
    """An invoice or a credit note. Once posted it never changes; a credit note takes it back."""

    __tablename__ = "sales_invoice"
    __table_args__ = (
        # An order is invoiced once; a canceled draft makes room for another.
        Index(
            "uq_sales_invoice_order_id",
            "order_id",
            unique=True,
            sqlite_where=text("state <> 'canceled'"),
            postgresql_where=text("state <> 'canceled'"),
        ),
        CheckConstraint("NOT superseded OR state = 'canceled'", name="superseded_is_canceled"),
    )

    document_id: Mapped[int] = mapped_column(
        ForeignKey("core_document.id", ondelete="CASCADE"), primary_key=True
    )
    """Its header in `core_document`; the same id."""
    state: Mapped[InvoiceState] = mapped_column(StrEnumType(InvoiceState), default=InvoiceState.DRAFT)
    """Draft, posted or canceled."""
    order_id: Mapped[int | None] = mapped_column(ForeignKey("sales_order.document_id"))
    """The order that is invoiced, or None."""
    superseded: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True for a canceled draft whose order was canceled later: what it says holds no longer, so it stays canceled."""
    reversed_id: Mapped[int | None] = mapped_column(ForeignKey("sales_invoice.document_id"), index=True)
    """The invoice that a credit note takes back."""
    date_chosen: Mapped[bool] = mapped_column(default=False)
    """True when a person chose the date of the draft; otherwise it becomes the day of the posting."""
    due_date: Mapped[dt.date | None]
    """The last day to pay, or None."""
    payment_terms: Mapped[str] = mapped_column(String(200), default="")
    """In words, as printed; copied from the order."""
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

    @property
    def is_credit_note(self) -> bool:
        """True for a credit note."""
        return self.document.kind == CREDIT_NOTE


class FrozenError(UserError):
    """Somebody tried to change a posted invoice or credit note."""

    def __init__(self) -> None:
        super().__init__(_l("A posted document cannot be changed any more. Make a credit note instead."))


# The services refuse politely; what follows refuses whoever forgot to ask them. It looks at the state in the
# table, not at the one in memory, so that writing another state first does not help.
_FROZEN_HEADER = ("kind", "number", "company_id", "partner_id", "language", "date", "currency", "total")


def _is_posted(connection: Connection, document_id: int | None) -> bool:
    state = connection.scalar(select(Invoice.state).where(Invoice.document_id == document_id))
    return state is InvoiceState.POSTED


def _has_changes(target: Any, names: tuple[str, ...] | None = None) -> bool:
    state = inspect(target)
    columns = names or tuple(attribute.key for attribute in state.mapper.column_attrs)
    histories: list[History] = [state.attrs[name].history for name in columns]
    return any(history.has_changes() for history in histories)


@event.listens_for(Line, "before_insert")
@event.listens_for(Line, "before_update")
@event.listens_for(Line, "before_delete")
def _keep_lines(_mapper: Mapper[Line], connection: Connection, target: Line) -> None:
    if _is_posted(connection, target.document_id):
        raise FrozenError


@event.listens_for(Invoice, "before_update")
def _keep_invoice(_mapper: Mapper[Invoice], connection: Connection, target: Invoice) -> None:
    if _has_changes(target) and _is_posted(connection, target.document_id):
        raise FrozenError


@event.listens_for(Invoice, "before_delete")
def _keep_row(_mapper: Mapper[Invoice], connection: Connection, target: Invoice) -> None:
    if _is_posted(connection, target.document_id):
        raise FrozenError


@event.listens_for(Document, "before_update")
def _keep_header(_mapper: Mapper[Document], connection: Connection, target: Document) -> None:
    # Not asked for its kind: the kind may be what was changed.
    if _has_changes(target, _FROZEN_HEADER) and _is_posted(connection, target.id):
        raise FrozenError


@event.listens_for(Document, "before_delete")
def _keep_document(_mapper: Mapper[Document], connection: Connection, target: Document) -> None:
    if target.kind in INVOICE_KINDS and _is_posted(connection, target.id):
        raise FrozenError
