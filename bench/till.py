"""`python -m bench.till`: from the last key of the payment to ready for the next customer, in a real browser.

Side by side in one run, the median of some sales each: with the server there, with the server there and a receipt by
mail, and with the server away. Ready means that the payment is closed, the sale is empty and the search has the focus.
Beside them, the measure: how long the server takes to answer one such sale. It talks to loopback only and ends by
itself.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from core.demo import PASSWORD
from core.embedded import free_port
from core.testing.services import redis_server
from tests.journeys.conftest import ARGUMENTS
from tests.journeys.house import running_house
from tools.browser import chromium

# Measured inside the page: the way from here to the browser would be longer than what is measured.
FINISH = """async () => {
    const ready = () => !document.querySelector("[data-payment]").open && !document.querySelector(".till-line")
        && document.activeElement === document.querySelector("[data-search]");
    const begun = performance.now();
    document.querySelector("[data-finish]").click();
    while (!ready()) await new Promise((done) => requestAnimationFrame(done));
    return performance.now() - begun;
}"""
ANSWER = """async () => {
    const line = { description: "Bench", quantity: "1", unit_price: "10.00", tax_name: "", tax_rate: null };
    const payments = [{ kind: "cash", name: "Cash", amount: "10.00" }];
    const sale = { client_id: crypto.randomUUID(), lines: [line], payments };
    const token = document.querySelector("meta[name=csrf-token]").content;
    const begun = performance.now();
    const answer = await fetch(document.querySelector("[data-till]").dataset.urlTickets, { method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token },
        body: JSON.stringify(sale) });
    if (!answer.ok) throw new Error(answer.status);
    return performance.now() - begun;
}"""


def sold_in_ms(page: Page, address: str = "") -> float:
    """Ring up one product, pay it, and return how long the last step takes."""
    page.locator("[data-search]").fill("ampoule")
    page.keyboard.press("Enter")
    page.keyboard.press("F9")
    page.locator("#payment-address").fill(address)
    page.locator("[data-amount]").focus()
    page.keyboard.press("Enter")
    took: float = page.evaluate(FINISH)
    return took


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.till", description=__doc__)
    parser.add_argument("--turns", type=int, default=25)
    turns = parser.parse_args().turns
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder)) as redis_url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        with running_house(Path(folder), redis_url, ports=(free_port(), free_port())) as house:
            page.goto(f"{house.url}/sign-in")
            page.fill("input[name=login]", "cashier@demo.example.com")
            page.fill("input[name=password]", PASSWORD)
            page.locator("form button").first.click()
            page.goto(f"{house.url}/pos/till/1")
            page.locator("[data-till][data-ready]").wait_for(state="attached")
            sold_in_ms(page)
            time.sleep(2)
            answer = statistics.median(page.evaluate(ANSWER) for _turn in range(turns))
            print(f"the server answers one sale: {answer:.0f} ms")
            there = [sold_in_ms(page) for _turn in range(turns)]
            mailed = [sold_in_ms(page, "bench@example.com") for _turn in range(turns)]
        away = [sold_in_ms(page, "bench@example.com") for _turn in range(turns)]
        for name, found in (("server there", there), ("with a receipt", mailed), ("server away", away)):
            middle, worst = statistics.median(found), max(found)
            print(
                f"{name}: ready after {middle:.0f} ms, {worst:.0f} at worst ({middle / answer:.2f} x the server)"
            )
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
