"""Nobody sells in another's name: neither by what a page says, nor by guessing, nor by a word that has had its day."""

from __future__ import annotations

import datetime as dt
import logging

import pytest

from core import clock
from core.companies.service import save_company
from core.db import db, transaction
from core.errors import UserError
from modules.pos.models import Pin
from modules.pos.service.cashiers import (
    GUESSES,
    cashier_of,
    seller_of,
    seller_token,
    set_pin,
    take_over,
)
from modules.pos.service.registers import close_session, open_session, save_register
from tests.pos.test_views import posted


@pytest.fixture
def browser(cashier, sign_in):
    return sign_in(cashier)


@pytest.fixture
def other(make_user):
    return make_user("cashier", login="other@maison.example.com", name="Other")


def ring_up(browser, register, **values):
    answer = browser.post(f"/pos/till/{register.id}/tickets", json=posted(**values))
    assert answer.status_code == 200, answer.text
    return answer.get_json()["cashier"]


@pytest.mark.parametrize("name", ["user_id", "seller_id", "cashier_id", "seller_token", "cashier_token"])
def test_what_a_page_says_makes_nobody_the_seller(browser, register, session, other, name):
    for forged in (other.id, str(other.id), [other.id, register.id], "x" * 5000, {"id": other.id}, True):
        assert ring_up(browser, register, **{name: forged}) == "Cashier"


def test_a_token_of_another_till_or_purpose_makes_nobody_the_seller(
    browser, register, session, other, company
):
    elsewhere = save_register(None, {"company_id": company.id, "code": "C2", "name": "Other"})
    set_pin(other, "2468")
    assert ring_up(browser, register, seller_token=seller_token(other, elsewhere)) == "Cashier"
    assert ring_up(browser, register, cashier_token=seller_token(other, register)) == "Cashier"
    taken = take_over(register, other.id, "2468")[1]
    assert ring_up(browser, register, seller_token=taken) == "Cashier"
    assert ring_up(browser, register, cashier_token=taken) == "Other"


def test_who_may_sell_no_more_is_nobodys_seller(register, other, make_user):
    token = seller_token(other, register)
    set_pin(other, "2468")
    taken = take_over(register, other.id, "2468")[1]
    assert (seller_of(token, register), cashier_of(taken, register)) == (other, other)
    with transaction():
        other.roles = []
    assert (seller_of(token, register), cashier_of(taken, register)) == (None, None)
    away = save_company(None, {"name": "Away", "email": "a@away.example.com", "language": "en"})
    stranger = make_user("cashier", login="s@away.example.com", company_ids=[away.id])
    assert seller_of(seller_token(stranger, register), register) is None


def test_the_till_goes_back_to_who_is_signed_in_by_their_pin_alone(
    browser, register, session, other, cashier
):
    set_pin(other, "2468")

    def take(user, pin):
        answer = browser.post(
            f"/pos/till/{register.id}/cashier", json={"user_id": user.id if user else None, "pin": pin}
        )
        return answer.status_code, answer.get_json()

    assert take(other, "2468")[0] == 200
    status, said = take(cashier, "")
    assert (status, "You have no PIN" in said["problem"]) == (422, True)
    assert take(None, "")[0] == 422
    set_pin(cashier, "8642")
    for wrong in ("", "1357", None, 8642):
        assert take(cashier, wrong)[0] == 422
    status, said = take(cashier, "8642")
    assert (status, said["token"]) == (200, "")
    assert said["notice"] == "4 wrong PINs were tried in your name since you last took over."


@pytest.mark.both_databases
def test_each_lock_lasts_twice_as_long_and_is_logged(register, other, monkeypatch, caplog):
    set_pin(other, "2468")
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    waits = []
    for _ in range(12):
        with caplog.at_level(logging.WARNING):
            for _ in range(GUESSES):
                with pytest.raises(UserError, match="wrong"):
                    take_over(register, other.id, "1357")
        with pytest.raises(UserError, match="Too many"):
            take_over(register, other.id, "2468")
        row = db.session.get_one(Pin, other.id)
        waits.append(row.locked_until - now)
        now = row.locked_until + dt.timedelta(seconds=1)
    minutes = [wait / dt.timedelta(minutes=1) for wait in waits]
    assert minutes == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440]
    assert caplog.text.count(f"The PIN of user {other.id} is locked") == 12
    _user, _token, wrong = take_over(register, other.id, "2468")
    assert wrong == 60
    assert take_over(register, other.id, "2468")[2] == 0


def test_a_new_pin_ends_what_the_former_one_began(register, other):
    set_pin(other, "2468")
    token = take_over(register, other.id, "2468")[1]
    set_pin(other, "8642")
    assert cashier_of(token, register) is None


def test_a_shift_ends_when_the_register_is_opened_again(register, session, other, cashier, monkeypatch):
    set_pin(other, "2468")
    token = take_over(register, other.id, "2468")[1]
    sold = clock.now() + dt.timedelta(minutes=30)
    monkeypatch.setattr(clock, "now", lambda: sold + dt.timedelta(hours=1))
    close_session(session, session.opening_cash, cashier)
    assert cashier_of(token, register) is other, "what was sold without a server may come after the close"
    with transaction():
        open_session(register, session.opening_cash, cashier).opened_at = sold + dt.timedelta(minutes=50)
    assert cashier_of(token, register) is None
    assert cashier_of(token, register, sold) is other, "it was theirs when it was sold"
    assert cashier_of(token, register, sold - dt.timedelta(days=1)) is None
    assert cashier_of(token, register, sold + dt.timedelta(hours=17)) is None
