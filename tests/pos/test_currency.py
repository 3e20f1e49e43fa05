"""A register counts in one currency from its opening to its close, whatever becomes of its company's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal

import pytest

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.errors import UserError
from modules.pos.models import PaymentMethod, Register, Session, Ticket
from modules.pos.service.registers import (
    cash_in,
    close_session,
    last_count,
    open_session,
    open_session_of,
)
from modules.pos.service.tickets import refund, ring_up
from tests.pos.conftest import line, sale

Sell = Callable[..., Ticket]
both = pytest.mark.both_databases


@both
def test_the_currency_of_a_company_stays_while_a_register_is_open(
    company: Company, session: Session, sell: Sell
) -> None:
    sell(line("8"))
    with pytest.raises(UserError, match="C1") as refused:
        save_company(company, {"currency": "USD"})
    assert refused.value.field == "currency"
    db.session.refresh(company)
    assert company.currency == "EUR"
    save_company(company, {"currency": "EUR", "city": "Lyon"})  # the same is no change
    assert cash_in(session) == Decimal(200)


def test_another_companys_register_keeps_nobody(session: Session) -> None:
    other = save_company(None, {"name": "Other Ltd", "currency": "GBP"})
    assert session.currency == "EUR"
    assert save_company(other, {"currency": "USD"}).currency == "USD"


@both
def test_a_session_counts_in_the_currency_in_which_it_was_opened(
    company: Company, register: Register, session: Session, cashier: User
) -> None:
    close_session(session, Decimal(100), cashier)
    save_company(company, {"currency": "USD"})
    assert last_count(register.id) is None  # euros are no dollars to begin with
    anew = open_session(register, Decimal(5), cashier)
    ticket = ring_up(register, sale(), cashier)
    assert (anew.currency, ticket.document.currency, session.currency) == ("USD", "USD", "EUR")


@both
def test_a_ticket_in_another_currency_is_not_refunded_as_if_it_were_the_same(
    company: Company, register: Register, session: Session, cashier: User, sell: Sell, cash: PaymentMethod
) -> None:
    ticket = sell(line("1", "3.00"))
    close_session(session, Decimal(103), cashier)
    save_company(company, {"currency": "USD"})
    open_session(register, Decimal(50), cashier)
    with pytest.raises(UserError, match="EUR"):
        refund(ticket, {ticket.lines[0].id: Decimal(1)}, register, cash, cashier, str(uuid.uuid4()))
    present = open_session_of(register.id)
    assert present is not None
    assert cash_in(present) == Decimal(50)


def test_a_sale_of_a_closed_session_is_not_counted_in_another_currency(
    company: Company, register: Register, session: Session, cashier: User
) -> None:
    close_session(session, Decimal(100), cashier)
    save_company(company, {"currency": "USD"})
    with pytest.raises(UserError, match="EUR"):
        ring_up(register, sale(session_id=session.id), cashier)
    open_session(register, Decimal(5), cashier)
    with pytest.raises(UserError, match="EUR"):
        ring_up(register, sale(session_id=session.id), cashier)
