"""All documents of a customer in one email: chosen in the dry run, mended there, received, told by each document."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask
from playwright.sync_api import expect
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
from tests.journeys.variants import NARROW, WIDE, opposite_corners
from tests.journeys.words import OLIVER, SOPHIE, Reader

LINES = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]


@pytest.fixture(scope="module")
def app(house: House) -> Flask:
    """The application of the house, to write documents that no other journey looks at."""
    return create_app(read_settings(house.environ))


def quotations(app: Flask, reader: Reader, name: str, addresses: list[str], count: int) -> list[str]:
    """Write some quotations for each of some new customers; return the numbers of those of the first."""
    numbers = []
    with app.app_context():
        company = db.session.scalars(select(Company).where(Company.name == reader.company)).one()
        seller = db.session.scalars(select(User).where(User.login.startswith(reader.login))).one()
        for place, address in enumerate(addresses):
            partner = save_partner(
                None, {"name": f"{name} {place}", "email": address, "language": reader.language}
            )
            for number in range(count):
                day = clock.day_in("UTC") - dt.timedelta(days=number)
                made = orders.create_quotation(
                    company, orders.QuotationValues(partner.id, day, LINES), seller
                )
                numbers += [made.document.number] if not place else []
        end_reading()
    return numbers


@opposite_corners("reader, viewport", [OLIVER, SOPHIE], [WIDE, NARROW])
def test_all_documents_of_a_customer_arrive_in_one_email(
    sit_down: Callable[..., Desk], house: House, app: Flask, reader: Reader, viewport: dict[str, int]
) -> None:
    name, address = f"Bundle {reader.language}", f"bundle.{reader.language}@example.com"
    numbers = quotations(app, reader, name, [address, ""], 3)
    desk = sit_down(reader, viewport=viewport, bypass_csp=True)
    page = desk.page
    desk.go(f"/sales/quotations?q={name.replace(' ', '+')}")
    boxes = page.locator("[data-select-row]")
    boxes.nth(0).click()
    boxes.nth(5).click(modifiers=["Shift"])
    desk.button("Send by email…").click()
    lines = page.locator("tbody tr")
    expect(lines).to_have_count(6)
    page.locator("#run-packing").select_option(label=desk("One email per customer, with one zip file"))
    page.locator(".run-packing button").click()
    expect(lines).to_have_count(2)
    expect(page.locator(".run-documents li")).to_have_count(6)
    assert list(complaints(desk, reader.language)) == []

    # One address holds for the three that lack it, and one document is left out alone.
    lines.filter(has_text=desk("No address")).get_by_role("textbox").fill(f"typed.{address}")
    page.get_by_role("button", name=desk("Use"), exact=True).click()
    expect(lines.filter(has_text=f"typed.{address}")).to_have_count(1)
    page.get_by_role("button", name=desk("Leave out %(number)s", number=numbers[0]), exact=True).click()
    expect(lines).to_have_count(3)
    assert list(complaints(desk, reader.language)) == []
    page.locator("form.run-options .btn-primary").click()
    expect(page.locator("#run-progress")).to_contain_text(desk("done"))
    assert list(complaints(desk, reader.language)) == []

    ((_row, message),) = [found for found in house.mailbox(address) if address in found[0].recipients]
    (file,) = message.iter_attachments()
    with zipfile.ZipFile(io.BytesIO(file.get_content())) as archive:
        assert len(archive.namelist()) == 2
        assert all(number in " ".join(archive.namelist()) for number in numbers[1:])
    assert numbers[1] in str(message["Subject"])

    # The email names both documents, and each of them knows it as its own.
    lines.filter(has_text=numbers[1]).locator("a[href*='/outbox/mails/']").click()
    for number in numbers[1:]:
        expect(page.locator("dl.facts").get_by_role("link", name=number)).to_be_visible()
    assert list(complaints(desk, reader.language)) == []
    page.locator("dl.facts").get_by_role("link", name=numbers[1]).click()
    expect(page.locator("#mail-panel")).to_contain_text(numbers[2])
    expect(page.locator("#mail-badge")).to_contain_text(desk("sent"))
    assert list(complaints(desk, reader.language)) == []
