"""Pages that stay open follow what happens elsewhere, and leave alone whoever is using them."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Callable

from playwright.sync_api import expect

from tests.journeys.conftest import Desk
from tests.journeys.house import House
from tests.journeys.test_pages import complaints
from tests.journeys.variants import EITHER, NARROW, WIDE
from tests.journeys.words import Reader

SOON_MS = 5000  # a page that asks by the clock shows it in 60 seconds or later
RUN = """INSERT INTO outbox_run (state, list_name, by_user_id, company_id, item_count, template_revision, paused_why,
    created_at, started_at, touched_at)
    SELECT 'running', 'sales.quotations', id, 1, 3, 0, '', :now, :now, :now FROM core_user WHERE login LIKE :login"""
PRINT = """INSERT INTO distribution_print (state, by_user_id, sorted_by, double_sided, total, made, pages, sha256,
    created_at, touched_at)
    SELECT 'making', id, 'list', 0, 20, 0, 0, '', :now, :now FROM core_user WHERE login LIKE :login"""
ALERT = """INSERT INTO outbox_alert (user_id, run_id, words, created_at)
    SELECT id, :run, :words, :now FROM core_user WHERE login LIKE :login"""


def write(house: House, statement: str, **values: object) -> int:
    """Do what a worker would, in a row."""
    now = str(dt.datetime.now(dt.UTC).replace(tzinfo=None))
    database = sqlite3.connect(house.data_dir / "envoi.db", timeout=60)
    with contextlib.closing(database), database:
        return database.execute(statement, {"now": now, **values}).lastrowid or 0


@EITHER
def test_open_pages_follow_a_batch_and_a_print_and_the_bell_rings(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    login = f"{reader.login}@%"
    print_id = write(house, PRINT, login=login)
    desk = sit_down(reader, bypass_csp=True)
    page = desk.page
    desk.go(f"/distribution/prints/{print_id}")
    progress = page.locator("#print-progress")
    expect(progress).to_contain_text(desk("%(done)s of %(total)s", done=0, total=20))
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        assert not list(complaints(desk, reader.language))
    page.set_viewport_size(WIDE)
    page.wait_for_timeout(500)
    write(house, "UPDATE distribution_print SET made = 10, touched_at = :now WHERE id = :id", id=print_id)
    half = desk("%(done)s of %(total)s", done=10, total=20)
    expect(progress).to_contain_text(half, timeout=SOON_MS)
    # Whoever has a menu open keeps it: the page is loaded anew when it is closed.
    menu = page.locator(".topbar .dropdown-toggle").last
    menu.click()
    write(house, "UPDATE distribution_print SET state = 'failed' WHERE id = :id", id=print_id)
    expect(page.locator("#print-progress[data-live]")).to_have_count(0, timeout=SOON_MS)
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#print-progress")).to_have_count(0, timeout=SOON_MS)

    run_id = write(house, RUN, login=login)
    desk.go(f"/outbox/runs/{run_id}")
    piece = page.locator("#run-progress")
    expect(piece).to_contain_text(desk("running"))
    desk.button("Stop").focus()
    write(house, "UPDATE outbox_run SET touched_at = :now, item_count = 4 WHERE id = :id", id=run_id)
    before = piece.get_attribute("data-live")
    expect(piece).not_to_have_attribute("data-live", str(before), timeout=SOON_MS)
    expect(desk.button("Stop")).to_be_focused()
    # An alert rings on the page that is open, which shows something else.
    bell = page.locator("#alert-bell .bell-count")
    count = int(bell.text_content() or 0) if bell.is_visible() else 0
    write(house, ALERT, run=write(house, RUN, login=login), words="Rung", login=login)
    expect(bell).to_have_text(str(count + 1), timeout=SOON_MS)
    # So does what was typed: the piece says at once how the batch stands, the rest waits.
    page.get_by_role("searchbox").fill("typed")
    page.evaluate("window.stays = true")
    write(house, "UPDATE outbox_run SET state = 'stopped', ended_at = :now WHERE id = :id", id=run_id)
    expect(piece).to_contain_text(desk("stopped"), timeout=SOON_MS)
    page.wait_for_timeout(1000)
    assert page.evaluate("window.stays")
    expect(page.get_by_role("searchbox")).to_have_value("typed")
    page.get_by_role("searchbox").fill("")
    page.wait_for_function("!window.stays", timeout=SOON_MS)
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        assert not list(complaints(desk, reader.language))
