"""Documents are dated by the day of the company that issues them, wherever its people and its server are."""

from __future__ import annotations

import datetime as dt

import pytest

from core import clock
from core.db import transaction
from core.errors import UserError
from modules.sales.service import invoices, orders

day_in = clock.day_in  # of the product; the other tests of this folder have a day of their own


@pytest.fixture
def at(monkeypatch, company):
    """Make it a moment, where the company is somewhere."""

    def at(moment: str, timezone: str) -> None:
        monkeypatch.setattr(clock, "now", lambda: dt.datetime.fromisoformat(moment))
        monkeypatch.setattr(clock, "day_in", day_in)
        with transaction():
            company.timezone = timezone

    return at


@pytest.mark.parametrize(
    ("moment", "timezone", "day"),
    [
        ("2026-12-31T23:30+00:00", "Europe/Paris", dt.date(2027, 1, 1)),
        ("2026-12-31T23:30+00:00", "UTC", dt.date(2026, 12, 31)),
        ("2027-01-01T02:00+00:00", "America/Los_Angeles", dt.date(2026, 12, 31)),
        ("2026-12-31T16:00+00:00", "Asia/Tokyo", dt.date(2027, 1, 1)),
        # An hour that does not exist, and one that comes twice.
        ("2026-03-28T23:30+00:00", "Europe/Paris", dt.date(2026, 3, 29)),
        ("2026-10-25T23:30+00:00", "Europe/Paris", dt.date(2026, 10, 26)),
    ],
)
def test_an_invoice_is_dated_and_numbered_by_the_day_of_the_company(make_invoice, at, moment, timezone, day):
    at(moment, timezone)
    invoice = make_invoice(posted=False)
    invoices.post(invoice)
    assert invoice.document.date == day
    assert invoice.document.number == f"INV/{day.year}/00001"


def test_tomorrow_of_the_company_is_the_future_though_it_is_today_elsewhere(make_invoice, at):
    at("2026-12-31T23:30+00:00", "America/Los_Angeles")
    invoice = make_invoice(posted=False)
    with transaction():
        invoice.document.date, invoice.date_chosen = dt.date(2027, 1, 1), True
    with pytest.raises(UserError, match="in the future"):
        invoices.post(invoice)


def test_a_quotation_is_good_until_the_last_valid_day_of_the_company_ends(make_quotation, at):
    order = make_quotation(date=dt.date(2026, 12, 1), validity_date=dt.date(2026, 12, 31))
    at("2027-01-01T07:59+00:00", "America/Los_Angeles")
    assert not order.expired
    at("2027-01-01T08:00+00:00", "America/Los_Angeles")
    assert order.expired
    at("2026-12-31T15:00+00:00", "Asia/Tokyo")
    assert order.expired


def test_a_copy_is_dated_by_the_day_of_the_company(make_quotation, at, salesperson):
    order = make_quotation()
    at("2026-12-31T23:30+00:00", "Europe/Paris")
    assert orders.duplicate(order, salesperson).document.date == dt.date(2027, 1, 1)
