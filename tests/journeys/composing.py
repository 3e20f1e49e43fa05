"""The composer, as the journeys handle it."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import AbstractContextManager

from playwright.sync_api import Locator, Page, Response, Route, expect

from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until


def new_quotation(desk: Desk) -> tuple[str, str]:
    """Duplicate a quotation of the customer, so that the journey has a document of its own.

    Returns:
        Its number and the path of its page.
    """
    desk.go("/sales/quotations")
    row = desk.page.locator("tbody tr", has_text=desk.reader.customer).first
    # The title is taken from its page, not from the list, which stands there until the answer comes.
    with desk.page.expect_navigation():
        row.get_by_role("link").first.click()
    before = desk.heading().inner_text()
    desk.button("Duplicate").click()
    expect(desk.heading()).not_to_have_text(before)
    return desk.heading().inner_text(), desk.page.url.removeprefix(desk.house.url)


def opener(desk: Desk) -> Locator:
    """Find "Send by email" on the page of a document."""
    return desk.page.get_by_role("link", name=desk("Send by email"))


def open_composer(desk: Desk) -> Locator:
    """Press "Send by email" and return the dialog, once its scripts have begun."""
    opener(desk).click()
    dialog = desk.page.locator("#dialog")
    expect(dialog).to_be_focused()  # it has come in
    expect(dialog.locator("[data-composer][data-ready]")).to_be_attached()
    return dialog


def open_page(desk: Desk, path: str) -> Locator:
    """Open the composer of a document on a page of its own."""
    desk.go(f"/outbox/compose/{path.rsplit('/', 1)[1]}")
    composer = desk.page.locator("[data-composer][data-ready]")
    expect(composer).to_be_attached()
    return composer


def field(desk: Desk, composer: Locator, name: str = "To") -> Locator:
    """Find the input of To, Cc or Bcc."""
    return composer.get_by_role("combobox", name=desk(name), exact=True)


def chips(composer: Locator, where: str = "to") -> Locator:
    """Find the recipients that stand in a field; `left_out` for those who get nothing this time."""
    return composer.locator(f"[data-chips={where}] > [data-chip]")


def chip(composer: Locator, text: str) -> Locator:
    """Find a recipient by name or address, wherever it stands."""
    return composer.locator("[data-chip]", has_text=text)


def addresses(composer: Locator, where: str = "to") -> list[str]:
    """Return the addresses that stand in a field."""
    return [str(item.get_attribute("data-address")) for item in chips(composer, where).all()]


def type_recipients(desk: Desk, composer: Locator, text: str, name: str = "To") -> None:
    """Type addresses and leave the field, as somebody does who goes on to the subject."""
    box = field(desk, composer, name)
    box.fill(text)
    box.press("Enter")
    expect(box).to_have_value("")


def nobody(composer: Locator) -> None:
    """Take everybody out of To, Cc and Bcc by the keyboard."""
    for where in ("to", "cc", "bcc"):
        while count := chips(composer, where).count():
            chips(composer, where).first.locator(".chip-button").press("Delete")
            expect(chips(composer, where)).to_have_count(count - 1)


def send(desk: Desk, composer: Locator) -> None:
    """Press Send."""
    composer.get_by_role("button", name=desk("Send"), exact=True).click()


def send_off(desk: Desk, composer: Locator) -> None:
    """Press Send, and wait for the page of the document, which comes anew with the answer.

    The email may be there before: to go on to another page meanwhile, the browser would be told to go to two places.
    """
    with desk.page.expect_navigation():
        send(desk, composer)


def editor(desk: Desk, composer: Locator) -> Locator:
    """Find the text."""
    return composer.get_by_role("textbox", name=desk("Text"), exact=True)


def hide_template(house: House, name: str) -> None:
    """Take a template away from the other journeys."""
    with contextlib.closing(sqlite3.connect(house.data_dir / "envoi.db", timeout=60)) as database, database:
        database.execute("UPDATE mail_config_template SET active = 0 WHERE name = ?", (name,))


def posted(composer: Locator, name: str) -> list[str]:
    """Return what the form would post under a name."""
    values: list[str] = composer.locator("#compose-form").evaluate(
        "(form, name) => new FormData(form).getAll(name)", name
    )
    return values


def expect_posted(composer: Locator, name: str, words: str) -> None:
    """Wait until the form would post words under a name: the editor writes a moment after the keys."""
    wait_until(f"{words} in {name}", lambda: any(words in value for value in posted(composer, name)))


def hold(page: Page, url: str) -> list[Route]:
    """Keep requests waiting; `continue_()` of what comes into the list lets one go."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(url, keep)
    return held


def until_held(page: Page, held: list[Route], words: str = "") -> Route:
    """Wait until a request is held in whose address words stand, and return it.

    Requests are noticed only while the browser is asked something.
    """

    def look() -> Route | None:
        page.wait_for_timeout(20)
        return next((route for route in held if words in route.request.url), None)

    route: Route = wait_until(f"a request {words}", look)
    return route


def keeping(page: Page, words: str) -> AbstractContextManager[object]:
    """Wait for the draft to be kept with some words in it; one that was on its way before has others."""

    def has_them(answer: Response) -> bool:
        return answer.url.endswith("/keep") and words in (answer.request.post_data or "")

    return page.expect_response(has_them)


def badge(page: Page) -> Locator:
    """Find the badge beside the title of a document."""
    return page.locator("#mail-badge")
