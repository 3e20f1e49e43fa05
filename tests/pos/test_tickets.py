"""Ringing up, once each, without gaps; change; refunds."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from decimal import Decimal

import pytest
from sqlalchemy import select

from core import clock
from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from core.followers.service import followers_of
from core.partners.service import save_partner
from core.products.models import Product
from modules.pos.models import Session, Ticket, TicketLine
from modules.pos.service.registers import (
    UnexplainedDifferenceError,
    cash_in,
    close_session,
    open_session,
    open_session_of,
    save_register,
)
from modules.pos.service.returns import refundable
from modules.pos.service.sale import MAX_LINES
from modules.pos.service.ticket_totals import totals_of
from modules.pos.service.tickets import change_format, refund, ring_up
from modules.pos.states import PaymentKind, ReceiptFormat, SessionState
from tests.pos.conftest import line, paid, sale

both = pytest.mark.both_databases


@both
def test_tickets_of_a_register_are_numbered_without_gaps(sell, register):
    numbers = [sell().document.number for _ in range(3)]
    with pytest.raises(UserError):
        sell(payments=[paid("1")])
    assert [*numbers, sell().document.number] == ["C1-000001", "C1-000002", "C1-000003", "C1-000004"]


@both
def test_a_ticket_posted_twice_is_written_once(sell, register, cashier):
    posted = sale()
    first = ring_up(register, posted, cashier)
    assert ring_up(register, posted, cashier).document_id == first.document_id
    assert len(db.session.scalars(select(Ticket)).all()) == 1


@both
def test_two_tabs_that_post_one_ticket_at_the_same_moment_write_it_once(app, register, session, cashier):
    posted = sale()
    numbers: list[str] = []
    problems: list[BaseException] = []
    db.session.remove()
    together = threading.Barrier(4)

    def post() -> None:
        with app.app_context():
            try:
                together.wait(90)
                row = db.session.get_one(type(register), register_id)
                numbers.append(ring_up(row, posted, None).document.number)
            except BaseException as error:  # noqa: BLE001 (told by the test)
                problems.append(error)
            finally:
                db.session.remove()

    register_id = db.session.scalar(select(Ticket.register_id)) or db.session.scalar(
        select(Session.register_id)
    )
    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert problems == []
    assert numbers == ["C1-000001"] * 4


def test_lines_and_prices_are_kept_as_they_were_sold(sell, lamp):
    ticket = sell(
        line("2", product_id=lamp.id), line("1", "3.00", discount=Decimal(10)), payments=[paid("27.70")]
    )
    with transaction() as session:
        session.delete(session.get_one(Product, lamp.id))
    db.session.expire_all()
    assert [(row.description, row.quantity, row.total, row.product_id) for row in ticket.lines] == [
        ("Lamp", 2, Decimal("25.00"), None),
        ("Lamp", 1, Decimal("2.70"), None),
    ]
    assert ticket.document.total == Decimal("27.70")


def test_a_product_that_is_gone_costs_no_sale(sell):
    assert sell(line(product_id=987654)).lines[0].product_id is None


def test_change_is_given_in_cash(sell, session):
    ticket = sell(payments=[paid("20")])
    assert (ticket.document.total, ticket.change) == (Decimal("12.50"), Decimal("7.50"))
    assert cash_in(session) == Decimal("112.50")
    with pytest.raises(UserError, match="cash only"):
        sell(payments=[paid("20", PaymentKind.CARD)])
    mixed = sell(payments=[paid("10", PaymentKind.CARD), paid("5")])
    assert mixed.change == Decimal("2.50")
    assert cash_in(session) == Decimal("115.00")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"payments": []}, "below the total"),
        ({"payments": [paid("12.49")]}, "below the total"),
        ({"payments": [paid("12.505")]}, "more decimals"),
        ({"payments": [paid("20"), paid("-7.50")]}, "cannot be paid in"),
        ({"lines": []}, "nothing on this receipt"),
        ({"lines": [line()] * (MAX_LINES + 1)}, "at most 500"),
        ({"lines": [line("0")]}, "Line 1: check"),
        ({"lines": [line(discount=Decimal(101))]}, "Line 1: check"),
        ({"lines": [line("-1")], "payments": [paid("-12.50")]}, "from the receipt on which"),
        ({"lines": [line("1" + "0" * 9, "1" + "0" * 9)]}, "too large"),
    ],
)
def test_a_sale_that_makes_no_sense_is_refused_whole(register, session, cashier, changes, words):
    values = {"lines": [line()], "payments": [paid("12.50")], **changes}
    posted = sale(payments=values["payments"])
    object.__setattr__(posted, "lines", values["lines"])
    with pytest.raises(UserError, match=words):
        ring_up(register, posted, cashier)
    assert db.session.scalars(select(Document)).all() == []


def test_the_browsers_clock_says_only_how_long_ago(sell):
    late = sell(age=dt.timedelta(hours=3))
    assert abs(clock.now() - late.rung_at - dt.timedelta(hours=3)) < dt.timedelta(seconds=30)
    wrong = sell(age=dt.timedelta(days=9999))
    assert clock.now() - wrong.rung_at <= dt.timedelta(days=61)
    assert sell(age=dt.timedelta(hours=-5)).rung_at <= clock.now()


def test_a_customer_follows_the_ticket_and_a_walk_in_leaves_nobody(sell, cashier):
    customer = save_partner(None, {"name": "Client SA", "email": "client@example.com"})
    assert {row.name for row in followers_of(sell(partner_id=customer.id).document_id)} == {
        "Client SA",
        cashier.name,
    }
    assert {row.name for row in followers_of(sell().document_id)} == {cashier.name}


def test_a_ticket_of_a_session_closed_elsewhere_goes_into_one_that_opens_for_it(
    sell, register, session, cashier
):
    close_session(session, Decimal(100), cashier)
    ticket = sell(session_id=session.id)
    assert ticket.session_id != session.id
    assert (ticket.session.rescue, ticket.session.state) == (True, SessionState.OPEN)
    assert sell(session_id=session.id).session_id == ticket.session_id
    assert cash_in(session) == Decimal(100)


def test_a_session_that_opens_by_itself_begins_with_what_was_counted(sell, register, session, cashier):
    close_session(session, Decimal("100.50"), cashier, note="found")
    ticket = sell(session_id=session.id)
    assert (ticket.session.rescue, ticket.session.opening_cash) == (True, Decimal("100.50"))


def test_a_register_that_was_never_opened_sells_nothing(register, cashier):
    with pytest.raises(UserError, match="not open"):
        ring_up(register, sale(), cashier)


@both
def test_a_register_is_open_once(register, session, cashier):
    with pytest.raises(UserError, match="open already"):
        open_session(register, Decimal(0), cashier)


def test_closing_keeps_the_difference_and_why(sell, session, cashier):
    sell()
    for nothing in ("", "  "):
        with pytest.raises(UnexplainedDifferenceError) as told:
            close_session(session, Decimal("110.00"), cashier, note=nothing)
        assert told.value.difference == Decimal("-2.50")
        assert (session.state, session.counted_cash) == (SessionState.OPEN, None)
    close_session(session, Decimal("110.00"), cashier, note=" torn note ")
    assert (session.expected_cash, session.difference, session.note) == (
        Decimal("112.50"),
        Decimal("-2.50"),
        "torn note",
    )
    with pytest.raises(UserError, match="closed meanwhile"):
        close_session(session, Decimal(0), cashier)


# -- refunds -------------------------------------------------------------------------------------------


@both
def test_goods_are_taken_back_once(sell, register, session, cash, cashier):
    ticket = sell(line("3"), payments=[paid("37.50")])
    (sold,) = ticket.lines
    back = refund(ticket, {sold.id: Decimal(2)}, register, cash, cashier, str(uuid.uuid4()))
    assert (back.document.total, back.is_refund, back.document.number) == (
        Decimal("-25.00"),
        True,
        "C1-000002",
    )
    assert refundable(ticket) == {sold.id: Decimal(1)}
    with pytest.raises(UserError, match="The quantity returned is more"):
        refund(ticket, {sold.id: Decimal(2)}, register, cash, cashier, str(uuid.uuid4()))
    refund(ticket, {sold.id: Decimal(1)}, register, cash, cashier, str(uuid.uuid4()))
    assert cash_in(session) == Decimal("100.00")
    with pytest.raises(UserError, match="cannot be refunded"):
        refund(back, {back.lines[0].id: Decimal(1)}, register, cash, cashier, str(uuid.uuid4()))


def test_pressing_refund_twice_refunds_once(sell, register, cash, cashier):
    ticket = sell()
    token = str(uuid.uuid4())
    made = [
        refund(ticket, {ticket.lines[0].id: Decimal(1)}, register, cash, cashier, token) for _ in range(2)
    ]
    assert made[0].document_id == made[1].document_id


def test_a_discount_is_taken_back_as_well(sell, register, cash, cashier):
    ticket = sell(line("2", "9.99", discount=Decimal("12.5")), payments=[paid("17.48")])
    back = refund(ticket, {ticket.lines[0].id: Decimal(2)}, register, cash, cashier, str(uuid.uuid4()))
    assert back.document.total == -ticket.document.total == Decimal("-17.48")


def test_other_paper_counts_as_a_change_of_the_document(sell):
    ticket = sell()
    revision = ticket.document.revision
    change_format(ticket, ReceiptFormat.A4)
    assert ticket.document.revision == revision + 1
    change_format(ticket, ReceiptFormat.A4)
    assert ticket.document.revision == revision + 1
    assert db.session.scalar(select(TicketLine.total)) == Decimal("12.50")


@both
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_parts_taken_back_come_to_what_was_paid_however_small(sell, register, cash, cashier, steps):
    ticket = sell(line("8", "1.00", discount=Decimal("33.33")), payments=[paid("5.33")])
    (sold,) = ticket.lines
    parts = [Decimal(8) / steps] * steps if steps != 3 else [Decimal(3), Decimal(3), Decimal(2)]
    made = [refund(ticket, {sold.id: part}, register, cash, cashier, str(uuid.uuid4())) for part in parts]
    assert sum(one.document.total for one in made) == -ticket.document.total == Decimal("-5.33")


@pytest.mark.parametrize("price", ["-12.50", "-0.01"])
def test_money_leaves_the_drawer_only_for_what_was_sold(register, session, cashier, price):
    posted = sale(line(price=price), payments=[paid(price)])
    with pytest.raises(UserError, match="from the receipt on which"):
        ring_up(register, posted, cashier)


@pytest.mark.parametrize("rate", ["-100", "-1", "101"])
def test_a_tax_that_there_is_not_is_refused(register, session, cashier, rate):
    with pytest.raises(UserError, match="check the quantity"):
        ring_up(register, sale(line(tax_rate=Decimal(rate))), cashier)


def test_a_sale_was_not_made_before_its_session_was_opened(sell, session):
    assert sell(session_id=session.id, age=dt.timedelta(days=30)).rung_at == session.opened_at


def test_a_register_with_tickets_keeps_its_code(sell, register):
    sell()
    with pytest.raises(UserError, match="carry this code"):
        save_register(register, {"code": "C9"})


def test_a_refund_form_of_another_ticket_refunds_nothing(sell, register, cash, cashier):
    first, second = sell(), sell()
    token = str(uuid.uuid4())
    refund(first, {first.lines[0].id: Decimal(1)}, register, cash, cashier, token)
    with pytest.raises(UserError, match="another receipt"):
        refund(second, {second.lines[0].id: Decimal(1)}, register, cash, cashier, token)


@pytest.mark.on_database("postgresql")
def test_a_session_that_is_being_closed_takes_no_ticket_unseen(app, register, session, cashier):
    """The one who closes waits for the sale that is being written, or the sale goes into a session of its own."""
    numbers = (register.id, session.id, cashier.id)
    db.session.remove()
    with app.app_context(), transaction() as writing:
        held = open_session_of(numbers[0], for_sale=True)
        assert held is not None
        done = threading.Event()

        def close() -> None:
            with app.app_context():
                row = db.session.get_one(Session, numbers[1])
                close_session(row, Decimal(100), None)
                done.set()
                db.session.remove()

        closing = threading.Thread(target=close)
        closing.start()
        assert not done.wait(0.5)
        writing.flush()
    closing.join(90)
    assert done.is_set()


def test_a_receipt_has_the_day_and_the_time_of_the_shop(register, cashier, sell, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: dt.datetime(2026, 12, 31, 15, 30, tzinfo=dt.UTC))
    with transaction():
        register.company.timezone, cashier.timezone = "Asia/Tokyo", "Europe/Paris"
    ticket = sell()
    assert ticket.document.date == dt.date(2027, 1, 1)
    assert ticket.timezone == "Asia/Tokyo"


@pytest.mark.parametrize("price", ["0.10", "0.11", "12.49"])
def test_refunds_give_back_to_the_cent_the_tax_that_was_paid(sell, register, cash, cashier, price):
    ticket = sell(line("3", price))
    one = {ticket.lines[0].id: Decimal(1)}
    refunds = [refund(ticket, one, register, cash, cashier, str(uuid.uuid4())) for _ in range(3)]
    paid_tax = totals_of(ticket).tax
    assert sum(totals_of(one).tax for one in refunds) == -paid_tax
    assert sum(one.document.total for one in refunds) == -ticket.document.total
    assert all(totals_of(one).total == one.document.total for one in refunds)
