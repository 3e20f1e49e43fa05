"""`python -m bench.composer`: how long the composer takes to open, in a real browser on a house of its own.

Three things side by side in one run, the median of some turns each: the page of the document itself (the measure),
the composer of a quotation of some lines, and the composer of one with hundreds of lines, whose PDF takes long. For the
composers also the moment at which the PDF is there. It talks to loopback only and ends by itself.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from sqlalchemy import select

from core import clock
from core.app import create_app
from core.auth.models import User
from core.companies.service import current_company
from core.config import read_settings
from core.db import db
from core.demo import PASSWORD
from core.partners.models import Partner
from core.testing.services import redis_server
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.journeys.conftest import ARGUMENTS
from tests.journeys.house import House, running_house
from tools.browser import chromium

LOGIN = "oliver@demo.example.com"
LONG = 300


def quotation(house: House, count: int) -> int:
    """Make a quotation of so many lines in the house and return the id of its document."""
    app = create_app(read_settings(house.environ))
    with app.app_context():
        user = db.session.scalars(select(User).where(User.login == LOGIN)).one()
        customer = db.session.scalars(select(Partner).where(Partner.email != "").limit(1)).one()
        lines = [LineValues(f"Lamp {number}", Decimal(1), Decimal("50.00")) for number in range(count)]
        values = orders.QuotationValues(customer.id, clock.day_in("UTC"), lines)
        return orders.create_quotation(current_company(user), values, user).document_id


def page_seconds(page: Page, house: House, document_id: int) -> float:
    """Return how long the page of a document takes to load."""
    begun = time.perf_counter()
    page.goto(f"{house.url}/documents/{document_id}", wait_until="load")
    return time.perf_counter() - begun


def composer_seconds(page: Page, house: House, document_id: int) -> tuple[float, float]:
    """Return how long the composer takes to be ready, and how long its PDF takes to be there."""
    page.goto(f"{house.url}/documents/{document_id}", wait_until="load")
    begun = time.perf_counter()
    page.get_by_role("link", name="Send by email").click()
    page.locator("#dialog.show [data-composer][data-ready]").wait_for(state="attached")
    ready = time.perf_counter() - begun
    page.locator("#compose-pdf a").wait_for(timeout=60_000)
    return ready, time.perf_counter() - begun


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.composer", description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    turns = parser.parse_args().turns
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder)) as redis_url,
        running_house(Path(folder), redis_url) as house,
        sync_playwright() as playwright,
    ):
        short, long = quotation(house, 5), quotation(house, LONG)
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{house.url}/sign-in")
        page.fill("input[name=login]", LOGIN)
        page.fill("input[name=password]", PASSWORD)
        page.locator("form button").first.click()
        page.wait_for_load_state()
        composer_seconds(page, house, short)  # the first one fills caches
        plain = statistics.median(page_seconds(page, house, short) for _turn in range(turns))
        print(f"page of the document: {plain * 1000:.0f} ms")
        for name, document_id in (("5 lines", short), (f"{LONG} lines", long)):
            found = [composer_seconds(page, house, document_id) for _turn in range(turns)]
            ready = statistics.median(ready for ready, _pdf in found)
            pdf = statistics.median(pdf for _ready, pdf in found)
            print(
                f"composer, {name}: ready {ready * 1000:.0f} ms ({ready / plain:.1f} x the page), "
                f"PDF there {pdf * 1000:.0f} ms"
            )
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
