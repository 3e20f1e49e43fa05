"""What the journeys at a till have in common."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.journeys.conftest import Desk
from tests.journeys.words import Reader

CAMILLE = Reader("cashier", "fr", "Dupont & Fils", "Atelier Lumen")


def open_till(desk: Desk, register: str = "C1") -> Page:
    """Open the till of a register, and the register where it is closed."""
    desk.go("/pos/registers")
    card = desk.page.locator(".register-card", has_text=f"{register} –")
    sell = card.get_by_role("link", name=desk("Sell"))
    if not sell.count():
        card.get_by_role("link", name=desk("Open")).click()
        desk.field("Cash in the drawer").fill("100")
        desk.button("Open").click()
    else:
        sell.click()
    ready(desk.page)
    return desk.page


def ready(page: Page) -> None:
    expect(page.locator("[data-till][data-ready]")).to_be_attached()


def tickets(desk: Desk) -> Locator:
    """Open the list of this till's tickets, and return its lines, the newest first."""
    dialog = desk.page.locator("[data-tickets-dialog]")
    if not dialog.is_visible():
        desk.page.locator("[data-show-tickets]").click()
    expect(dialog).to_be_visible()
    return dialog.locator("li")


def sell_one(page: Page, address: str = "") -> None:
    """Sell the first product for cash, by keyboard."""
    page.locator("[data-search]").fill("ampoule")
    page.keyboard.press("Enter")
    page.keyboard.press("F9")
    expect(page.locator("[data-payment]")).to_be_visible()
    if address:
        page.locator("#payment-address").fill(address)
        page.locator("[data-amount]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-finish]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-payment]")).to_be_hidden()
    expect(page.locator("[data-search]")).to_be_focused()
