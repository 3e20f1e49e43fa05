"""Who stands at the till."""

from __future__ import annotations

import datetime as dt

import pytest

from core import clock
from core.companies.service import save_company
from core.errors import UserError
from modules.pos.service.cashiers import GUESSES, cashier_of, cashiers_of, set_pin, take_over
from modules.pos.service.registers import save_register

both = pytest.mark.both_databases


@both
def test_whoever_knows_the_pin_takes_over(register, cashier):
    set_pin(cashier, "2468")
    assert cashiers_of(register) == [cashier]
    user, token, _wrong = take_over(register, cashier.id, "2468")
    assert user is cashier
    assert cashier_of(token, register) is cashier


@both
def test_few_pins_can_be_tried(register, cashier, monkeypatch):
    set_pin(cashier, "2468")
    for _ in range(GUESSES):
        with pytest.raises(UserError, match="wrong"):
            take_over(register, cashier.id, "1357")
    with pytest.raises(UserError, match="Too many"):
        take_over(register, cashier.id, "2468")
    later = clock.now() + dt.timedelta(minutes=6)
    monkeypatch.setattr(clock, "now", lambda: later)
    take_over(register, cashier.id, "2468")


@pytest.mark.parametrize("pin", ["", "123", "123456789", "12a4", "1111", "٢٤٦٨", " 2468"])
def test_a_pin_has_four_to_eight_different_digits(cashier, pin):
    with pytest.raises(UserError):
        set_pin(cashier, pin)


def test_nobody_takes_over_who_may_not_sell(register, make_user):
    seller = make_user("salesperson")
    set_pin(seller, "2468")
    assert cashiers_of(register) == []
    with pytest.raises(UserError):
        take_over(register, seller.id, "2468")


def test_what_says_who_sells_holds_for_one_register_and_one_shift(register, cashier, company, app):
    set_pin(cashier, "2468")
    _user, token, _wrong = take_over(register, cashier.id, "2468")
    other = save_register(None, {"company_id": company.id, "code": "C2", "name": "Other"})
    assert cashier_of(token, other) is None
    assert cashier_of(f"{token}x", register) is None
    assert cashier_of("", register) is None


def test_a_cashier_of_another_company_is_not_offered(register, make_user):
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    stranger = make_user("cashier", login="s@other.example.com", company_ids=[other.id])
    set_pin(stranger, "2468")
    assert cashiers_of(register) == []
