"""`python -m bench.weight`: what pages weigh on the wire, and when the first of them is painted on a slow line.

A house as `envoi up` starts it, and a browser that has nothing of it: each page is loaded once for its weight, and once
on slow 3G (400 kbit/s, 400 ms) with a processor that is six times slower, as Chromium's developer tools do it.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from core.demo import PASSWORD
from core.testing.services import RedisServer
from tests.journeys.conftest import ARGUMENTS
from tests.journeys.house import House, running_house
from tools.browser import chromium

LOGIN = "admin@demo.example.com"
SLOW_3G = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
SLOWER = 6
PAINTED = """() => new Promise((found) => {
  const look = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
  if (look()) return found(look());
  new PerformanceObserver(() => look() && found(look())).observe({ type: "paint", buffered: true });
})"""


def load(context: BrowserContext, url: str, *, slow: bool) -> tuple[dict[str, int], float]:
    """Return the octets on the wire of each file that a page loads, and the milliseconds until it was painted."""
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.clearBrowserCache")
    if slow:
        devtools.send("Network.emulateNetworkConditions", SLOW_3G)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    names: dict[str, str] = {}
    weights: dict[str, int] = {}
    devtools.on(
        "Network.requestWillBeSent", lambda event: names.update({event["requestId"]: event["request"]["url"]})
    )
    devtools.on(
        "Network.loadingFinished",
        lambda event: weights.update({names[event["requestId"]]: int(event["encodedDataLength"])}),
    )
    page.goto(url, timeout=120_000)
    painted = float(page.evaluate(PAINTED))
    if not slow:
        settle(page)
    page.close()
    return weights, painted


def settle(page: Page) -> None:
    """Wait for what scripts load beside; a question that waits for changes never ends."""
    page.wait_for_timeout(1500)


def pages_of(house: House, browser: Browser) -> tuple[BrowserContext, Mapping[str, str]]:
    """Sign in, and return the pages that are weighed."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{house.url}/sign-in")
    page.fill("input[name=login]", LOGIN)
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("#menu", state="attached")
    page.goto(f"{house.url}/sales/invoices")
    composer = invoice = ""
    for link in [one.get_attribute("href") or "" for one in page.locator("a.row-link").all()]:
        page.goto(f"{house.url}{link}")
        button = page.locator("a[href*='/outbox/compose/']")
        if button.count():
            invoice, composer = link, button.first.get_attribute("href") or ""
            break
    page.close()
    return context, {
        "outbox": "/outbox/mails",
        "invoices": "/sales/invoices",
        "invoice": invoice,
        "composer": composer,
        "till": "/pos/till/1",
        "sign-in": "/sign-in",
    }


def main() -> int:
    """Weigh all."""
    with tempfile.TemporaryDirectory(prefix="envoi-weight-") as name:
        folder = Path(name)
        redis = RedisServer(folder / "redis")
        try:
            with running_house(folder, redis.url) as house, sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=str(chromium()), args=ARGUMENTS)
                print(f"{os.cpu_count()} cores, {platform.system()}, Chromium {browser.version}", flush=True)
                context, pages = pages_of(house, browser)
                for title, path in pages.items():
                    weights, _quick = load(context, house.url + path, slow=False)
                    _weights, painted = load(context, house.url + path, slow=True)
                    print(
                        f"{title}: {sum(weights.values()) / 1000:.0f} kB in {len(weights)} files, "
                        f"first paint {painted / 1000:.1f} s",
                        flush=True,
                    )
                    if "--files" in sys.argv:
                        for url, size in sorted(weights.items(), key=lambda item: -item[1]):
                            print(f"  {size:7} {url.removeprefix(house.url)}")
        finally:
            redis.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
