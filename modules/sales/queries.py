"""Which documents a user may see or change, and the lists of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import aliased, contains_eager, defer, lazyload

from core.auth.models import User, user_company
from core.auth.permissions import within_reach
from core.companies.models import Company
from core.contract import Scope
from core.db import db
from core.documents.filters import document_filters
from core.documents.models import Document
from core.followers.service import followed_by
from core.i18n import N_, pgettext
from core.matching import found_in
from core.partners.models import Partner
from core.partners.search_index import partner_named
from core.web.listing import Filter, ListSpec, SortKey
from modules.sales.models import Invoice, Order
from modules.sales.state_words import canceled, issued
from modules.sales.states import INVOICE, INVOICE_KINDS, InvoiceState, OrderState

T = TypeVar("T", Order, Invoice)

READ = "sales.document.read"
EDIT = "sales.document.edit"


def _reach(user: User, permission: str) -> ColumnElement[bool]:
    return within_reach(user, permission, owner=Document.owner_id, company=Document.company_id)


def get_order(user: User, document_id: int, permission: str = READ) -> Order | None:
    """Return a quotation or order within the reach of a permission of the user, or None."""
    return db.session.scalar(
        select(Order)
        .join(Document, Document.id == Order.document_id)
        .where(Order.document_id == document_id, _reach(user, permission))
    )


def get_invoice(user: User, document_id: int, permission: str = READ) -> Invoice | None:
    """Return an invoice or credit note within the reach of a permission of the user, or None."""
    return db.session.scalar(
        select(Invoice)
        .join(Document, Document.id == Invoice.document_id)
        .where(Invoice.document_id == document_id, _reach(user, permission))
    )


def may_edit(user: User, document: Document) -> bool:
    """Return True when the user's permission to write reaches a document."""
    return (
        db.session.scalar(select(Document.id).where(Document.id == document.id, _reach(user, EDIT)))
        is not None
    )


def editable(user: User, row: type[T], ids: Sequence[int]) -> list[T]:
    """Return those rows of documents that the user may change."""
    reached = select(Document.id).where(Document.id.in_(ids), _reach(user, EDIT))
    return list(db.session.scalars(select(row).where(row.document_id.in_(reached))))


def get_company(user: User, company_id: int) -> Company | None:
    """Return a company for whose documents the user's permission to write is good, or None."""
    query = select(Company).where(Company.id == company_id)
    scope = user.scope(EDIT)
    if scope is None:
        return None
    if scope is not Scope.ALL:
        theirs = select(user_company.c.company_id).where(user_company.c.user_id == user.id)
        query = query.where(Company.id.in_(theirs))
    return db.session.scalar(query)


def documents(user: User, kind: str) -> Select[Document]:
    """Return the statement of the documents of a kind that the user may read."""
    row: type[Order | Invoice] = Invoice if kind in INVOICE_KINDS else Order
    return (
        select(Document)
        .join(row, row.document_id == Document.id)
        .join(Document.partner)
        .options(contains_eager(Document.partner))
        .where(Document.kind == kind, _reach(user, READ))
    )


def states_of(kind: str, rows: Sequence[Document]) -> dict[int, Order | Invoice]:
    """Return the module's rows of some documents of a kind, by id, with one query.

    What a line of a list does not show is left where it is: the documents are loaded, and the texts in several
    languages take longer to read than all else of a row.
    """
    row: type[Order | Invoice] = Invoice if kind in INVOICE_KINDS else Order
    query: Select[Any] = select(row).where(row.document_id.in_([document.id for document in rows]))
    query = query.options(lazyload(row.document), defer(row.translations))
    found: Iterable[Order | Invoice] = db.session.scalars(query)
    return {one.document_id: one for one in found}


def invoiced(rows: Sequence[Document]) -> set[int]:
    """Return the ids of those orders that have been invoiced, with one query."""
    return set(
        db.session.scalars(
            select(Invoice.order_id).where(
                Invoice.order_id.in_([document.id for document in rows]),
                Invoice.of_order(Invoice.order_id),
            )
        ).all()
    ) - {None}  # type: ignore[return-value]


def _of_state(user: User, kind: str, name: str, title: str, state: OrderState | InvoiceState) -> Filter:
    """Return the filter of the documents in a state; each state has them together in an index."""
    row: type[Order | Invoice] = Invoice if kind in INVOICE_KINDS else Order

    def among() -> Select[int]:
        there, document = aliased(row), aliased(Document)
        those = select(there.document_id).join(document, document.id == there.document_id)
        within = within_reach(user, READ, owner=document.owner_id, company=document.company_id)
        return those.where(there.state == state, document.kind == kind, within)

    return Filter(name, title, row.state == state, "state", among)


def list_spec(user: User, kind: str) -> ListSpec:
    """Return how the list of a kind is searched, filtered and sorted."""
    filters: list[Filter]
    # A customer who is called otherwise by now is found by both names: the list shows the one that was printed.
    printed = (Invoice.customer_name,) if kind in INVOICE_KINDS else ()
    if kind in INVOICE_KINDS:
        filters = [
            _of_state(user, kind, "draft", N_("Draft"), InvoiceState.DRAFT),
            _of_state(user, kind, "posted", issued(kind), InvoiceState.POSTED),
            _of_state(user, kind, "canceled", canceled(kind), InvoiceState.CANCELED),
            *(
                [Filter("credited", N_("Credited"), Invoice.credited.is_(True), "state")]
                if kind == INVOICE
                else []
            ),
        ]
    else:
        has_invoice = select(Invoice.document_id).where(Invoice.of_order(Document.id)).exists()
        open_filters = {
            "sales.quotation": [
                _of_state(user, kind, "open", N_("Not confirmed"), OrderState.QUOTATION),
            ],
            "sales.order": [
                Filter(
                    "to-invoice", N_("To invoice"), (Order.state == OrderState.ORDER) & ~has_invoice, "state"
                ),
                Filter("invoiced", N_("Invoiced"), has_invoice, "state"),
            ],
        }
        filters = [
            *open_filters[kind],
            _of_state(user, kind, "canceled", canceled(kind), OrderState.CANCELED),
        ]

    def mine() -> Select[int]:
        document = aliased(Document)
        return select(document.id).where(document.owner_id == user.id, document.kind == kind)

    filters += [
        Filter("mine", pgettext("documents", "Mine"), Document.owner_id == user.id, among=mine),
        Filter("followed", N_("Followed by me"), followed_by(user, Document.id)),
        *document_filters(user),
    ]
    return ListSpec(
        identity=Document.id,
        shown=select(Document).join(Document.partner).options(contains_eager(Document.partner)),
        sorts=(
            SortKey("date", N_("Date"), Document.date, lambda row: row.date, descending=True),
            SortKey("number", N_("Number"), Document.number, lambda row: row.number, descending=True),
            SortKey("customer", N_("Customer"), Partner.name, lambda row: row.partner.name),
            SortKey("total", N_("Total"), Document.total, lambda row: row.total, descending=True),
        ),
        filters=filters,
        search=lambda text: found_in(text, Document.number, partner_named(Document.partner_id), *printed),
    )
