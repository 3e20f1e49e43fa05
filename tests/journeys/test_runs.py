"""From selected lines of a list to the end of the run: by mouse and keys, mended on the spot, told in detail."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import select

from core import clock
from core.app import create_app
from core.auth.models import User
from core.companies.models import Company
from core.config import read_settings
from core.db import db, end_reading
from core.partners.service import save_partner
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.journeys.conftest import Desk
from tests.journeys.house import House
from tests.journeys.test_pages import complaints
from tests.journeys.variants import EITHER, NARROW, WIDE, opposite_corners
from tests.journeys.words import OLIVER, SOPHIE, Reader

LINES = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]


@pytest.fixture(scope="module")
def app(house: House) -> Flask:
    """The application of the house, to write documents that no other journey looks at."""
    return create_app(read_settings(house.environ))


def quotations(app: Flask, reader: Reader, name: str, addresses: list[str]) -> None:
    """Write a quotation for each of some new customers."""
    with app.app_context():
        company = db.session.scalars(select(Company).where(Company.name == reader.company)).one()
        seller = db.session.scalars(select(User).where(User.login.startswith(reader.login))).one()
        for number, address in enumerate(addresses):
            partner = save_partner(
                None, {"name": f"{name} {number}", "email": address, "language": reader.language}
            )
            day = clock.day_in("UTC") - dt.timedelta(days=number)
            orders.create_quotation(company, orders.QuotationValues(partner.id, day, LINES), seller)
        end_reading()


def bar(page: Page, words: str) -> None:
    expect(page.locator("[data-selection-words]")).to_have_text(words)


@opposite_corners("reader, viewport", [OLIVER, SOPHIE], [WIDE, NARROW])
def test_selected_documents_are_sent_together_and_each_is_told(
    sit_down: Callable[..., Desk], app: Flask, reader: Reader, viewport: dict[str, int]
) -> None:
    name = f"Batch {reader.language}"
    ours = ["", f"refused+{reader.language}@example.com", f"one.{reader.language}@example.com"]
    quotations(app, reader, name, [*ours, "left@example.com"])
    desk = sit_down(reader, viewport=viewport, bypass_csp=True)
    page = desk.page
    desk.go(f"/sales/quotations?q={name.replace(' ', '+')}")
    boxes = page.locator("[data-select-row]")
    expect(boxes).to_have_count(4)
    expect(page.locator("[data-selection-bar]")).to_be_hidden()

    # With SHIFT, from one to another; Escape takes it back; then by keys alone.
    boxes.nth(0).click()
    boxes.nth(2).click(modifiers=["Shift"])
    bar(page, desk("%(count)s selected", count=3))
    page.keyboard.press("Escape")
    expect(page.locator("[data-selection-bar]")).to_be_hidden()
    page.locator(".row-link").nth(0).focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    bar(page, desk("%(count)s selected", count=3))
    expect(boxes.nth(3)).not_to_be_checked()
    assert list(complaints(desk, reader.language)) == []

    desk.button("Send by email…").click()
    lines = page.locator("tbody tr")
    expect(lines).to_have_count(3)
    expect(lines.nth(0)).to_contain_text(desk("No address"))
    assert list(complaints(desk, reader.language)) == []
    address = f"typed.{reader.language}@example.com"
    lines.nth(0).get_by_role("textbox").fill(address)
    lines.nth(0).get_by_role("button", name=desk("Use"), exact=True).click()
    expect(lines.nth(0)).to_contain_text(address)
    page.locator("form.run-options .btn-primary").click()

    # It goes on by itself, and stands there when the page is loaded anew.
    progress = page.locator("#run-progress")
    expect(progress).to_contain_text(desk("done"))
    page.reload()
    expect(progress).to_contain_text(desk("done"))
    expect(progress).to_contain_text("2 ")
    desk.link("Not accepted").click()
    expect(lines).to_have_count(1)
    expect(lines.nth(0)).to_contain_text(desk("Address unknown"))
    assert list(complaints(desk, reader.language)) == []

    # Of the same selection, only what has not gone is offered again.
    desk.go(f"/sales/quotations?q={name.replace(' ', '+')}")
    bar(page, desk("%(count)s selected", count=3))  # the tab remembers
    desk.button("Send by email…").click()
    expect(lines).to_have_count(3)
    expect(page.get_by_text(desk("Sent already"), exact=True)).to_have_count(2)
    # The one whose address came back is asked about; for later it is scheduled, and sent now.
    expect(page.get_by_text(desk("The address no longer exists"), exact=True)).to_have_count(1)
    lines.nth(1).get_by_role("button", name=desk("Send all the same")).click()
    expect(page.get_by_text(desk("The address no longer exists"), exact=True)).to_have_count(0)
    day = clock.day_in("UTC") + dt.timedelta(days=5)
    page.locator("#run-time").fill(f"{day}T09:00")
    page.locator("form.run-options .btn-primary").click()
    expect(progress).to_contain_text(desk("scheduled"))
    assert list(complaints(desk, reader.language)) == []
    desk.button("Send now").click()
    expect(progress).to_contain_text(desk("done"))


@EITHER
def test_a_run_is_paused_while_its_emails_leave_and_goes_on(
    sit_down: Callable[..., Desk], app: Flask, reader: Reader
) -> None:
    name, address = f"Pause {reader.language}", f"pause.{reader.language}@example.com"
    quotations(app, reader, name, [address, f"slow+{address}"])
    desk = sit_down(reader, viewport=NARROW, bypass_csp=True)
    page = desk.page
    desk.go(f"/sales/quotations?q={name.replace(' ', '+')}")
    page.locator("[data-select-row]").nth(0).click()
    page.locator("[data-select-row]").nth(1).click()
    desk.button("Send by email…").click()
    page.locator("form.run-options .btn-primary").click()
    progress, badge = page.locator("#run-progress"), page.locator("#run-progress .state")
    half = [desk("%(num)d email was accepted.", num=1), desk("%(num)d is on its way.", num=1)]
    expect(progress).to_contain_text(" ".join(half))
    page.reload()
    expect(badge).to_contain_text(desk("running"))
    desk.button("Pause").click()
    for _ in range(2):
        expect(badge).to_contain_text(desk("paused"))
        expect(progress).to_contain_text(desk("Paused. Emails that are in the queue already still leave."))
        page.reload()
    assert list(complaints(desk, reader.language)) == []
    desk.button("Continue").click()
    expect(badge).to_contain_text(desk("done"))
    expect(progress).to_contain_text(re.compile(r"2 e.?mails"))
    expect(desk.button("Pause")).to_be_hidden()


@pytest.mark.parametrize("reader", [OLIVER], ids=["en"])
def test_a_selection_stays_from_page_to_page(
    sit_down: Callable[..., Desk], app: Flask, reader: Reader
) -> None:
    quotations(app, reader, "Pages", [f"p{n}@example.com" for n in range(42)])
    desk = sit_down(reader)
    page = desk.page
    desk.go("/sales/quotations?q=Pages")
    page.locator("[data-select-row]").nth(0).click()
    desk.link("Next").click()
    bar(page, "1 selected (1 of them on other pages)")
    page.locator("[data-select-row]").nth(0).click()
    bar(page, "2 selected (1 of them on other pages)")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert len(text.splitlines()) == 3
    page.locator("[data-select-all]").check()
    desk.button("Select all 42 that match").click()
    bar(page, "All 42 that match are selected.")
    page.keyboard.press("Escape")
    desk.link("Previous").click()
    expect(page.locator("[data-select-row]:checked")).to_have_count(0)
