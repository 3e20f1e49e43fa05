"""Every page of the menus: sound, narrow enough for a telephone, and usable by everybody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Desk, in_language
from tests.journeys.house import House, wait_until
from tests.journeys.variants import EVERY
from tests.journeys.words import ADMIN, OLIVER

AXE = Path(__file__).resolve().parents[2] / "static" / "vendor" / "axe" / "axe.min.js"
CHECK = """async () => {
    // A rule says itself how much its violations matter: what would be left out below is not looked for.
    const lesser = axe._audit.rules.filter((rule) => ["minor", "moderate"].includes(rule.impact));
    const rules = Object.fromEntries(lesser.map((rule) => [rule.id, { enabled: false }]));
    const found = await axe.run(document, { rules, resultTypes: ["violations"], iframes: false });
    return found.violations
        .filter((violation) => ["serious", "critical"].includes(violation.impact))
        .flatMap((violation) => violation.nodes.map((node) => `${violation.id}: ${node.target.join(" ")}`));
}"""
# Pages that are reached from a list or its actions, one of each kind.
NOT_PAGES = re.compile(r"/(pdf|test-pdf|report|eml|html|source|export)(\?|$)|/attachments/|#")


@pytest.fixture(scope="module")
def mails_of_every_kind(house: House) -> None:
    """Give the pages of the outbox and the mailbox something to show."""
    accepted = house.send("S00002", "--only", "--to", "seen@example.com", "--company", "Harbour & Finch")
    refused = house.send(
        "S00002",
        "--only",
        "--to",
        "refused+seen@example.com, two@example.com",
        "--company",
        "Harbour & Finch",
    )
    wait_until("a mail that was sent", lambda: house.mail(accepted)[0] == "sent")
    wait_until("a mail that failed in part", lambda: house.mail(refused)[0] == "partial")


def accessibility(page: Page) -> list[str]:
    """Return what makes the page as it stands unusable for somebody; loading the check is half of its work."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(CHECK)
    return found


def complaints(desk: Desk, language: str) -> Iterator[str]:
    """Say what is wrong with the page."""
    page = desk.page
    if not in_language(language).match(page.locator("html").get_attribute("lang") or ""):
        yield "the page is not in the language of its reader"
    if (count := page.get_by_role("heading", level=1).count()) != 1:
        yield f"{count} titles"
    wide, narrow = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    if wide > narrow:
        yield f"{wide} px wide on a screen of {narrow}"
    yield from accessibility(page)


def links_of(desk: Desk, selector: str) -> list[str]:
    """Return where links of the page lead to."""
    return [
        str(link)
        for link in desk.page.locator(selector).evaluate_all(
            "links => links.map(a => a.getAttribute('href'))"
        )
        if link and link.startswith("/") and not NOT_PAGES.search(str(link))
    ]


@pytest.fixture
def administrator(sit_down: Callable[..., Desk]) -> Iterator[Desk]:
    """The administrator, in a page that lets the check for accessibility in, which is a script of ours."""
    desk = sit_down(ADMIN, bypass_csp=True)
    yield desk
    desk.prefer(language=ADMIN.language)


# French words are longer: what they leave room for has room for English.
# A hundred pages, each in two widths: on a machine that is busy, five times the minute and a half that they take.
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("language", ["en", "fr"] if EVERY else ["fr"])
@pytest.mark.usefixtures("mails_of_every_kind")
def test_every_page_of_the_menus_is_sound(administrator: Desk, language: str) -> None:
    desk = administrator
    desk.prefer(language=language)
    desk.prefer(developer="1")
    desk.go("/")
    todo = links_of(desk, "header .dropdown-item, header .nav-link")
    assert len(todo) > 14  # with the technical ones
    seen: set[str] = set()
    found: list[str] = []
    while todo:
        path = todo.pop(0)
        kind = re.sub(r"\d+", "N", path.partition("?")[0]) + ("?f" if "f=" in path else "")
        if kind in seen:
            continue
        seen.add(kind)
        desk.page.set_viewport_size({"width": 1280, "height": 900})
        desk.go(path)
        for width in (1280, 360):
            desk.page.set_viewport_size({"width": width, "height": 900})
            found += [f"{path} at {width} px: {complaint}" for complaint in complaints(desk, language)]
        todo += links_of(desk, "main a.row-link, main .person-list a, .control-actions a, main .nav-tabs a")
    assert not found, "\n".join(found)
    assert len(seen) > 40, sorted(seen)


def test_the_keyboard_opens_menus_and_skips_to_the_content(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    desk.go("/sales/quotations")
    page.keyboard.press("Tab")
    expect(desk.link("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    desk.button("Sales").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(desk.link("Orders")).to_be_focused()
    page.keyboard.press("Enter")
    expect(desk.heading()).to_have_text("Orders")
