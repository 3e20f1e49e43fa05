"""The list of the outbox in a browser: narrowing it, selecting, keys, what changes by itself, groups, long work."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import sqlite3
from collections.abc import Callable
from functools import partial

from playwright.sync_api import expect

from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.test_pages import complaints
from tests.journeys.variants import either
from tests.journeys.words import ADMIN, SUPPORT, Reader

MAIL = """INSERT INTO outbox_mail (state, message_id, subject, body_html, body_text, language, sender_name,
    sender_address, reply_to_name, reply_to_address, company_id, document_kind, document_revision, submitted_at,
    next_attempt_at, attempts, in_flight, failure_kind, failure_reason, failure_advice, recipient_count,
    accepted_count, message_sha256, is_alert)
    VALUES (?, ?, ?, '<p>Hello</p>', 'Hello', 'en', '', '', '', '', 1, '', 0, ?, ?, 1, 0, ?, ?, '', 1, 0, '', 0)"""
RECIPIENT = """INSERT INTO outbox_recipient (mail_id, position, field, addr_spec, display_name, reason, reason_detail,
    state, failure_kind, reply_code, enhanced_code, diagnostic, failure_advice)
    VALUES (?, 0, 'to', ?, '', 'typed', '', ?, ?, 0, '', '', '')"""
# Open pages are told of what has an event.
EVENT = (
    "INSERT INTO outbox_event (mail_id, at, verb, after, actor, detail) VALUES (?, ?, 'submit', ?, '', '')"
)


def put(house: House, subject: str, count: int, state: str, kind: str) -> list[int]:
    """Write mails that have failed, or wait until tomorrow, as rows."""
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    recipient_state = "refused" if state == "failed" else "deferred"
    ids = []
    database = sqlite3.connect(house.data_dir / "envoi.db", timeout=60)
    with contextlib.closing(database), database:
        for number in range(count):
            message_id = f"<{subject.replace(' ', '.')}.{number}@house.example.com>"
            moments = (str(now), str(now + dt.timedelta(days=1)))
            values = (
                state,
                message_id,
                f"{subject} {number:03}",
                *moments,
                kind,
                "552 5.2.2 mailbox is full",
            )
            mail_id = database.execute(MAIL, values).lastrowid
            assert mail_id is not None
            address = f"{subject.split(maxsplit=1)[0].lower()}{number}@example.com"
            database.execute(RECIPIENT, (mail_id, address, recipient_state, kind))
            database.execute(EVENT, (mail_id, str(now), state))
            database.execute(
                "INSERT INTO outbox_search (mail_id, text) VALUES (?, ?)",
                (mail_id, f"{subject.lower()} {number:03}\n{address}"),
            )
            ids.append(mail_id)
    return ids


def rows(desk: Desk):
    return desk.page.locator("tr[data-row]")


def state_of(house: House, mail_id: int) -> str:
    return house.mail(mail_id)[0]


def check(desk: Desk) -> None:
    """Make sure that the page fits its screen and that everybody can use it."""
    assert list(complaints(desk, desk.reader.language)) == []


@either("reader", [ADMIN, SUPPORT])
def test_filters_facets_and_search_narrow_the_list_and_go_again(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    name = f"Narrowing{reader.language}"
    put(house, f"{name} one", 2, "failed", "mailbox_full")
    put(house, f"{name} two", 3, "failed", "recipient_unknown")
    put(house, f"{name} three", 1, "deferred", "mailbox_full")
    desk = sit_down(reader)
    page = desk.page
    desk.go("/outbox/mails")
    page.get_by_role("searchbox").fill(name)
    page.get_by_role("searchbox").press("Enter")
    expect(rows(desk)).to_have_count(6)
    desk.link("Failed").click()
    expect(rows(desk)).to_have_count(5)
    expect(rows(desk).first).to_have_class("failed")

    desk.button("Filters").click()
    panel = page.locator("#filters")
    value = panel.get_by_role("link", name=re.compile(f"^{re.escape(desk('Mailbox full'))}"))
    expect(value).to_contain_text("2")
    check(desk)
    value.click()
    expect(rows(desk)).to_have_count(2)
    # The panel stays open for the next choice; what is in force is a chip that can be taken away.
    expect(panel.get_by_role("link", name=re.compile(f"^{re.escape(desk('Mailbox full'))}"))).to_be_visible()
    panel.get_by_label(desk("From"), exact=True).fill("2020-01-01")
    panel.get_by_label(desk("To"), exact=True).fill("2020-01-31")
    desk.button("Show").click()
    expect(rows(desk)).to_have_count(0)
    expect(page.locator("main")).to_contain_text(desk("Nothing matches."))
    check(desk)
    page.locator(".chips .facet.on", has_text="2020").click()
    expect(rows(desk)).to_have_count(2)
    page.locator(".chips .facet.on", has_text=desk("Mailbox full")).click()
    expect(rows(desk)).to_have_count(5)
    # Only one filter of the state holds at a time.
    desk.link("Waiting").click()
    expect(rows(desk)).to_have_count(1)
    page.get_by_role("searchbox").fill("qx")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#search-hint")).to_be_visible()


def test_the_keyboard_moves_selects_and_retries(sit_down: Callable[..., Desk], house: House) -> None:
    ids = put(house, "Keyboard", 3, "failed", "mailbox_full")
    desk = sit_down(ADMIN)
    page = desk.page
    desk.go("/outbox/mails?q=keyboard")
    press = page.keyboard.press
    press("r")
    expect(page.locator("#toasts")).to_contain_text("Select lines first")
    press("j")
    expect(page.locator(f"#mail-link-{ids[2]}")).to_be_focused()
    press("j")
    press("ArrowDown")
    press("j")
    expect(page.locator(f"#mail-link-{ids[0]}")).to_be_focused()  # the last one stays the last one
    press("k")
    press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Send again what is selected")
    press("x")  # belongs to the dialog
    press("Escape")
    expect(page.get_by_text("1 selected")).to_be_visible()
    press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("jxr?")
    expect(page.get_by_role("searchbox")).to_have_value("jxr?")
    page.locator(f"#mail-link-{ids[1]}").focus()
    press("r")
    expect(page.locator("#flashes")).to_contain_text("1 email is in the queue again.")
    wait_until("the mail that was retried", lambda: state_of(house, ids[1]) == "sent")
    press("j")
    press("Enter")
    expect(page).to_have_url(re.compile(f"/outbox/mails/{ids[2]}"))


def test_all_that_match_are_selected_beyond_the_page(sit_down: Callable[..., Desk], house: House) -> None:
    ids = put(house, "Everything", 45, "failed", "mailbox_full")
    desk = sit_down(ADMIN)
    page = desk.page
    desk.go("/outbox/mails?q=everything&f=failed")
    expect(rows(desk)).to_have_count(40)
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("40 selected")).to_be_visible()
    desk.button("Select all 45 that match").click()
    expect(page.get_by_text("All 45 that match are selected.")).to_be_visible()
    rows(desk).nth(1).get_by_role("checkbox").uncheck()
    expect(page.get_by_text("39 selected")).to_be_visible()  # not all any more
    rows(desk).nth(1).get_by_role("checkbox").check()
    desk.button("Select all 45 that match").click()
    page.once("dialog", lambda dialog: dialog.accept())
    desk.button("Send again").click()
    expect(page.locator("#flashes")).to_contain_text("45 emails are in the queue again.")
    wait_until("all of them", lambda: all(state_of(house, mail_id) == "sent" for mail_id in ids))


def test_a_line_changes_by_itself_and_keeps_selection_and_focus(
    sit_down: Callable[..., Desk], house: House
) -> None:
    ids = put(house, "Livelines", 2, "failed", "mailbox_full")
    desk = sit_down(ADMIN)
    page = desk.page
    page.clock.install()  # the page looks again by the clock, which nobody need wait for
    desk.go("/outbox/mails?q=livelines")
    box = page.locator(f"#mail-{ids[0]}").get_by_role("checkbox")
    box.check()
    box.focus()
    house.cli("outbox", "retry", str(ids[0]))
    wait_until("the email", lambda: state_of(house, ids[0]) == "sent")
    page.clock.run_for(5_100)
    expect(page.locator(f"#mail-{ids[0]}")).to_contain_text("sent")
    expect(page.locator(f"#mail-{ids[0]}")).not_to_have_class("failed")
    box = page.locator(f"#mail-{ids[0]}").get_by_role("checkbox")
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    expect(page.get_by_text("1 selected")).to_be_visible()
    # New mails are told of; nothing moves before the reader wants it.
    put(house, "Livelines more", 2, "failed", "mailbox_full")
    page.clock.run_for(5_100)
    expect(page.locator("#mail-news")).to_have_text("2 new emails")
    expect(rows(desk)).to_have_count(2)
    page.locator("#mail-news a").click()
    expect(rows(desk)).to_have_count(4)
    # After a sign-out elsewhere the page stays as it is.
    desk.sign_out_elsewhere()
    # One that was asked for before may still come.
    with page.expect_response(lambda answer: "/mails/live" in answer.url and answer.status == 204):
        page.clock.run_for(300_100)
    expect(rows(desk)).to_have_count(4)


def test_mails_that_failed_for_one_reason_are_resent_together(
    sit_down: Callable[..., Desk], house: House
) -> None:
    ids = put(house, "Grouped", 4, "failed", "template_error")
    desk = sit_down(SUPPORT)
    page = desk.page
    desk.go("/outbox/mails?q=grouped")
    desk.link("By reason").click()
    group = page.locator("tbody tr")
    expect(group).to_have_count(1)
    expect(group).to_contain_text(desk("Error in the template"))
    expect(group).to_contain_text("552 5.2.2 mailbox is full")
    check(desk)
    group.get_by_role("link", name=desk("Error in the template")).click()
    expect(rows(desk)).to_have_count(4)
    desk.go("/outbox/mails?q=grouped&group=reason")
    desk.button("Send again").click()
    expect(page.locator("#flashes")).to_contain_text("4")
    wait_until("the whole group", lambda: all(state_of(house, mail_id) == "sent" for mail_id in ids))
    page.reload()
    expect(page.locator("main")).to_contain_text(desk("Nothing matches."))


def test_long_work_shows_how_far_it_is_and_survives_a_reload(
    sit_down: Callable[..., Desk], house: House
) -> None:
    ids = put(house, "Longwork", 620, "deferred", "mailbox_full")
    desk = sit_down(ADMIN)
    page = desk.page
    desk.go("/outbox/mails?q=longwork")
    page.get_by_label("Select all on this page").check()
    desk.button("Select all 620 that match").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("[data-selection-bar]").get_by_role("button", name="Cancel").click()
    run = page.get_by_role("region", name="Canceling many emails")
    expect(run).to_be_visible()
    page.reload()
    expect(run).to_contain_text("Done. 620 emails were canceled.")
    assert {state_of(house, mail_id) for mail_id in ids} == {"canceled"}


def test_the_list_is_readable_on_a_telephone(sit_down: Callable[..., Desk], house: House) -> None:
    put(house, "Telephone", 2, "failed", "mailbox_full")
    desk = sit_down(SUPPORT, viewport={"width": 360, "height": 740})
    page = desk.page
    for path in ("/outbox/mails?q=telephone", "/outbox/mails?q=telephone&group=reason"):
        desk.go(path)
        expect(page.locator("tbody tr").first).to_be_visible()
        check(desk)
    desk.go("/outbox/mails?q=telephone")
    rows(desk).first.get_by_role("checkbox").check()
    expect(desk.button("Send again")).to_be_visible()
    check(desk)
    desk.button("Filters").click()
    expect(page.locator("#filters").get_by_role("link").first).to_be_visible()
    check(desk)


def test_a_broken_link_is_no_reason_to_despair(sit_down: Callable[..., Desk], house: House) -> None:
    desk = sit_down(ADMIN)
    desk.go("/outbox/mails?state=nonsense&server=-1&period=2026-99-99..&q=" + "x" * 3000)
    expect(desk.page.locator("main")).to_contain_text("Nothing matches.")
    wait_until("the list", partial(desk.page.locator(".empty").count))
