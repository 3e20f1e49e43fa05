"""Support looks after the failures of everybody; a salesperson after their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from playwright.sync_api import expect

from tests.journeys.composing import new_quotation, nobody, open_composer, type_recipients
from tests.journeys.conftest import Desk, in_language
from tests.journeys.house import House, wait_until
from tests.journeys.words import OLIVER, SOPHIE, SUPPORT

# The French member of support reads English here: the language is a matter of the person, not of the role.
SAMIRA = replace(SUPPORT, language="en")


def has_failed(house: House, mail_id: int, times: int) -> bool:
    """Return whether a mail has been tried so often and has failed."""
    return house.mail(mail_id) == ("failed", times)


def test_support_finds_failures_and_resends_many_at_once(sit_down: Callable[..., Desk], house: House) -> None:
    ids = [
        house.send("S00001", "--only", "--to", f"refused+many{n}@example.com", "--company", OLIVER.company)
        for n in range(3)
    ]
    for mail_id in ids:
        wait_until("the refusals", partial(has_failed, house, mail_id, 1))

    desk = sit_down(SUPPORT)
    desk.go("/")
    page = desk.page
    page.get_by_role("button", name="Samira Haddad").click()
    page.get_by_role("button", name="English").click()
    desk = Desk(house, page, SAMIRA)
    expect(page.locator("html")).to_have_attribute("lang", in_language("en"))
    desk.go("/outbox/mails")
    desk.link("Failed").click()
    search = page.get_by_role("searchbox")
    search.fill("refused+many")
    search.press("Enter")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    for row in rows.all():
        expect(row).to_have_class("failed")
        expect(row).to_contain_text("Address unknown")

    # Nothing is selected, so there is nothing to press yet.
    bar = page.locator("[data-selection-bar]")
    expect(bar).to_be_hidden()
    rows.nth(0).get_by_role("checkbox").check()
    expect(bar).to_contain_text("1 selected")
    page.get_by_role("checkbox", name="Select all on this page").check()
    expect(bar).to_contain_text("3 selected")
    desk.button("Send again").click()
    expect(page.locator("#flashes")).to_contain_text("3 emails are in the queue again.")

    # The worker has tried again, and the mailbox has refused again.
    for mail_id in ids:
        wait_until("the second refusal", partial(has_failed, house, mail_id, 2))

    # Support reads the dialogue with the server.
    desk.go(f"/outbox/mails/{ids[0]}?tab=timeline")
    page.get_by_text("Dialogue with the server").first.click()
    expect(page.locator(".attempt pre", has_text="RCPT TO").first).to_be_visible()
    page.get_by_role("button", name="Samira Haddad").click()
    page.get_by_role("button", name="Français").click()


def test_a_salesperson_looks_after_their_own_mails_and_sees_no_others(
    sit_down: Callable[..., Desk], house: House
) -> None:
    oliver = sit_down(OLIVER)
    page = oliver.page
    number, _path = new_quotation(oliver)
    dialog = open_composer(oliver)
    nobody(dialog)
    dialog.get_by_label("Subject").fill(f"Own mail about {number}")
    type_recipients(oliver, dialog, "refused+own@example.com")
    oliver.button("Send").click()
    expect(page.locator("#mail-badge")).to_contain_text("failed")
    page.locator("#mail-panel").get_by_role("link").first.click()
    expect(page.locator(".tab-body")).to_contain_text("550 5.1.1")
    mail_url = page.url.removeprefix(house.url).partition("?")[0]

    # Without developer mode: the list, the filter, the bulk resend.
    oliver.go("/outbox/mails?f=failed&q=refused%2Bown")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody").get_by_role("checkbox").check()
    oliver.button("Send again").click()
    expect(page.locator("#flashes")).to_contain_text("1 email is in the queue again.")
    expect(page.get_by_role("button", name="Configuration")).to_have_count(0)
    wait_until("the second refusal", partial(has_failed, house, int(mail_url.rsplit("/", 1)[1]), 2))
    oliver.go(f"{mail_url}?tab=timeline")
    expect(page.get_by_text("Dialogue with the server")).to_have_count(0)  # for support and administrators

    # Somebody else's mail is not there: neither in the list nor by its address.
    sophie = sit_down(SOPHIE)
    sophie.go("/outbox/mails?q=refused%2Bown&all=1")
    expect(sophie.page.locator("tbody tr")).to_have_count(0)
    answer = sophie.page.goto(f"{house.url}{mail_url}")
    assert answer is not None
    assert answer.status == 404
    expect(sophie.page.locator("main")).to_contain_text(
        sophie("There is no such page or record, or it is not yours to see.")
    )
