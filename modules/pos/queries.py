"""Which registers, sessions and tickets a user may see, and the lists of them."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import aliased, joinedload, selectinload

from core.auth.models import User, user_company
from core.contract import Scope
from core.db import db
from core.documents.filters import document_filters
from core.documents.models import Document
from core.i18n import N_
from core.matching import Named, found_in
from core.numbers import read_decimal
from core.partners.search_index import partner_named
from core.web.listing import Filter, ListSpec, SortKey
from modules.pos.models import Register, Session, Ticket
from modules.pos.states import SessionState

USE = "pos.till.use"
READ = "pos.ticket.read"
EDIT = "pos.register.edit"


def in_reach(user: User, permission: str) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Register` to those that a permission of the user reaches."""
    scope = user.scope(permission)
    if scope is Scope.ALL:
        return true()
    theirs = select(user_company.c.company_id).where(user_company.c.user_id == user.id)
    return Register.company_id.in_(theirs) if scope is not None else ~true()


def register_for(user: User, register_id: int, permission: str = USE) -> Register | None:
    """Return a register within the reach of a permission of the user, or None."""
    return db.session.scalar(select(Register).where(Register.id == register_id, in_reach(user, permission)))


def registers_for(user: User) -> list[Register]:
    """Return the registers that a user may sell at, by company and code."""
    return list(
        db.session.scalars(
            select(Register)
            .where(Register.active, in_reach(user, USE))
            .order_by(Register.company_id, Register.code)
        )
    )


def open_sessions() -> dict[int, Session]:
    """Return the open sessions by register."""
    rows = db.session.scalars(
        select(Session).where(Session.state == SessionState.OPEN).options(joinedload(Session.opened_by))
    )
    return {row.register_id: row for row in rows}


def session_for(user: User, session_id: int, permission: str = READ) -> Session | None:
    """Return a session within the reach of a permission of the user, or None."""
    return db.session.scalar(
        select(Session).join(Session.register).where(Session.id == session_id, in_reach(user, permission))
    )


def ticket_for(user: User, document_id: int, permission: str = READ) -> Ticket | None:
    """Return a ticket within the reach of a permission of the user, or None."""
    return db.session.scalar(
        select(Ticket)
        .join(Ticket.register)
        .where(Ticket.document_id == document_id, in_reach(user, permission))
    )


def tickets_for(user: User) -> Select[Document]:
    """Return the statement of the tickets that the user may read."""
    return (
        select(Document)
        .join(Ticket, Ticket.document_id == Document.id)
        .join(Register, Register.id == Ticket.register_id)
        .where(Document.kind == "pos.ticket", in_reach(user, READ))
    )


def rows_of(documents: list[Document]) -> dict[int, Ticket]:
    """Return the module's rows of some tickets, by id, with one query."""
    ids = [document.id for document in documents]
    return {
        row.document_id: row
        for row in db.session.scalars(
            select(Ticket).where(Ticket.document_id.in_(ids)).options(joinedload(Ticket.document))
        )
    }


def _finds(text: str) -> ColumnElement[bool]:
    found = found_in(
        text,
        Document.number,
        partner_named(Document.partner_id),
        Named(Document.owner_id, User.id, (User.name,)),
    )
    try:
        amount = read_decimal(text)
    except ValueError:
        return found
    # What a refund paid back is negative; the customer remembers the amount.
    return found | Document.total.in_([amount, -amount])


def ticket_spec(user: User) -> ListSpec:
    """Return how the list of tickets is searched, filtered and sorted."""
    return replace(_TICKETS, filters=(*_TICKETS.filters, *document_filters(user)))


def _refunds() -> Select[int]:
    there = aliased(Ticket)
    return select(there.document_id).where(
        there.refund_of_id > 0
    )  # not NULL, in words that SQLite has an index for


_TICKETS = ListSpec(
    identity=Document.id,
    shown=select(Document),
    sorts=(
        SortKey("date", N_("Date"), Document.date, lambda row: row.date, descending=True),
        SortKey("number", N_("Number"), Document.number, lambda row: row.number, descending=True),
        SortKey("total", N_("Total"), Document.total, lambda row: row.total, descending=True),
    ),
    filters=(
        Filter("refunds", N_("Refunds"), Ticket.refund_of_id.is_not(None), "kind", _refunds),
        Filter("walk-in", N_("Walk-in"), Document.partner_id.is_(None), "customer"),
        Filter("customers", N_("Known customers"), Document.partner_id.is_not(None), "customer"),
    ),
    search=_finds,
)
SESSIONS = ListSpec(
    identity=Session.id,
    sorts=(SortKey("opened", N_("Opened"), Session.opened_at, lambda row: row.opened_at, descending=True),),
    filters=(
        Filter("open", N_("Open now"), Session.state == SessionState.OPEN, "state"),
        Filter("closed", N_("Closed"), Session.state == SessionState.CLOSED, "state"),
    ),
)


def sessions_for(user: User) -> Select[Session]:
    """Return the statement of the sessions that the user may read."""
    # No joins: they would tempt the database to begin with the registers, and to sort all their sessions.
    return (
        select(Session)
        .where(Session.register.has(in_reach(user, READ)))
        .options(
            selectinload(Session.register), selectinload(Session.opened_by), selectinload(Session.closed_by)
        )
    )
