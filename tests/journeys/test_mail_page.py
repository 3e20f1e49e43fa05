"""The page of a mail: from the reason to the repair, and everything that can be done on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.composing import (
    addresses,
    badge,
    chips,
    new_quotation,
    nobody,
    open_composer,
    send_off,
    type_recipients,
)
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.test_pages import complaints
from tests.journeys.variants import EITHER, EITHER_LANGUAGE
from tests.journeys.words import ADMIN, OLIVER, Reader


def is_in(house: House, mail_id: int, state: str) -> bool:
    return house.mail(mail_id)[0] == state


def sent_to(desk: Desk, address: str, subject: str) -> int:
    """Send a quotation of one's own to an address alone, and return the id of the mail."""
    new_quotation(desk)
    dialog = open_composer(desk)
    nobody(dialog)
    dialog.get_by_label(desk("Subject")).fill(subject)
    type_recipients(desk, dialog, address)
    send_off(desk, dialog)
    link = desk.page.locator("#mail-panel li", has_text=subject).get_by_role("link").first
    return int(str(link.get_attribute("href")).rsplit("/", 1)[1])


def flash(page: Page) -> Locator:
    return page.locator("#flashes")


def state(page: Page) -> Locator:
    return page.locator(".sheet-title .state")


@EITHER
def test_from_the_reason_to_the_corrected_address_in_place(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    wrong, right = f"refused+page-{reader.language}@example.com", f"page-{reader.language}@example.com"
    mail_id = sent_to(desk, wrong, f"Wrong address {reader.language}")
    wait_until("the refusal", partial(is_in, house, mail_id, "failed"))
    desk.go(f"/outbox/mails/{mail_id}")
    expect(page.locator(".tab-body")).to_contain_text(desk("Address unknown"))
    desk.link("Correct the address").click()
    field = page.get_by_label(desk("Correct address"))
    expect(field).to_be_focused()
    expect(field).to_have_value(wrong)

    # What is wrong is told beside the field, in place, and what was typed stays.
    page.evaluate("window.sameDocument = true")
    field.fill("still wrong")
    desk.button("Correct and send again").click()
    expect(page.get_by_role("alert")).to_contain_text("still wrong")
    expect(field).to_have_value("still wrong")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    assert page.evaluate("window.sameDocument") is True

    field.fill(right)
    page.keyboard.press("Enter")
    expect(flash(page)).to_contain_text(
        desk("The address was corrected, and the email is in the queue again.")
    )
    # State and buttons follow by themselves.
    expect(state(page)).to_contain_text(desk("sent"))
    expect(page.locator("#mail-actions")).not_to_contain_text(desk("Cancel"))
    assert house.accepted(right) == 1

    # The story of it.
    desk.link("Timeline").click()
    steps = page.locator(".timeline .step")
    expect(steps).to_have_count(7)
    expect(steps.nth(0)).to_contain_text(desk("Send pressed"))
    expect(steps.nth(2)).to_contain_text("550 5.1.1")
    expect(steps.nth(3)).to_contain_text(f"{wrong} → {right}")
    expect(steps.nth(6)).to_contain_text(desk("Accepted for every recipient"))


def test_the_administrator_is_led_to_the_very_field(sit_down: Callable[..., Desk], house: House) -> None:
    desk = sit_down(ADMIN)
    page = desk.page
    mail_id = house.send("S00003", "--only", "--to", "spam+field@example.com", "--company", ADMIN.company)
    wait_until("the refusal", partial(is_in, house, mail_id, "failed"))
    desk.go(f"/outbox/mails/{mail_id}")
    expect(page.locator(".tab-body")).to_contain_text("550 5.7.1")
    desk.go("/mail_config/servers/1/edit#from_filter")
    expect(desk.field("From filter")).to_be_focused()
    expect(desk.field("From filter")).to_be_in_viewport()


def test_what_is_uncertain_is_settled_by_a_person(sit_down: Callable[..., Desk], house: House) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    mail_id = sent_to(desk, "drop+mark@example.com", "Nobody knows")
    wait_until("nobody to know", partial(is_in, house, mail_id, "uncertain"))
    desk.go(f"/outbox/mails/{mail_id}")
    expect(page.locator(".mail-note")).to_contain_text("It was probably accepted: ask the recipient.")
    # Sending again asks before; nothing happens when the person thinks better of it.
    page.once("dialog", lambda dialog: dialog.dismiss())
    desk.button("Send again").click()
    expect(state(page)).to_contain_text("uncertain")

    elsewhere = page.context.new_page()
    elsewhere.route("**/changes*", lambda _route: None)  # it does not hear of what happens meanwhile
    elsewhere.goto(page.url)
    elsewhere.on("dialog", lambda dialog: dialog.accept())
    desk.button("Mark as not received").click()
    expect(flash(page)).to_contain_text("Noted: the email has not arrived.")
    expect(state(page)).to_contain_text("failed")
    # In another window somebody is too late.
    elsewhere.get_by_role("button", name="Mark as sent").click()
    expect(flash(elsewhere)).to_contain_text("This email is no longer uncertain.")
    expect(state(elsewhere)).to_contain_text("failed")


@EITHER
def test_a_mail_is_duplicated_into_a_new_one(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    address = f"twice-{reader.language}@example.com"
    mail_id = sent_to(desk, address, f"First of two {reader.language}")
    wait_until("the first", partial(is_in, house, mail_id, "sent"))
    desk.go(f"/outbox/mails/{mail_id}")
    desk.link("Duplicate").click()
    subject = desk.field("Subject")
    expect(subject).to_have_value(f"First of two {reader.language}")
    composer = page.locator("[data-composer][data-ready]")
    expect(chips(composer)).to_have_count(1)
    assert addresses(composer) == [address]
    subject.fill(f"Second of two {reader.language}")
    # The same document to the same address, a moment later: that is asked.
    composer.get_by_role("checkbox", name=desk("Send anyway")).check()
    desk.button("Send").click()
    expect(flash(page)).to_contain_text(desk("The email is in the queue."))
    expect(badge(page)).to_contain_text(desk("sent"))
    first, second = (house.mailbox(f"{word} of two {reader.language}") for word in ("First", "Second"))
    assert first[0][0].recipients == second[0][0].recipients == (address,)
    assert first[0][1]["Message-ID"] != second[0][1]["Message-ID"]


@EITHER
def test_the_panel_has_the_same_actions_and_leaves_an_open_menu_alone(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    subject = f"From the panel {reader.language}"
    mail_id = sent_to(desk, f"later+panel-{reader.language}@example.com", subject)
    wait_until("the mail to wait", partial(is_in, house, mail_id, "deferred"))
    path = page.url.removeprefix(house.url)
    desk.go(path)
    line = page.locator("#mail-panel li", has_text=subject)
    expect(line).to_contain_text(desk("Server asked to wait"))
    menu = line.get_by_role("button", name=re.compile(re.escape(subject)))
    menu.click()
    entry = line.get_by_role("button", name=desk("Send now"))
    expect(entry).to_be_visible()
    # What refreshes by itself does not close it: ask now, as the clock would.
    page.evaluate(
        """async () => {
            const panel = document.getElementById("mail-panel");
            const answer = { source: panel, target: panel, swap: "outerHTML" };
            await htmx.ajax("GET", panel.getAttribute("hx-get"), answer);
        }"""
    )
    expect(entry).to_be_visible()
    entry.click()
    expect(flash(page)).to_contain_text(
        desk("The email is first on the queue. It goes only to those who did not get it.")
    )
    assert page.url.removeprefix(house.url) == path
    wait_until("the second try", lambda: house.mail(mail_id) == ("deferred", 2))

    desk.go(path)
    page.once("dialog", lambda dialog: dialog.accept())
    line.get_by_role("button", name=re.compile(re.escape(subject))).click()
    line.get_by_role("button", name=desk("Cancel"), exact=True).click()
    expect(flash(page)).to_contain_text(desk("The email was canceled."))
    expect(line.locator(".state")).to_contain_text(desk("canceled"))


def test_typing_is_not_interrupted_by_what_refreshes_itself(
    sit_down: Callable[..., Desk], house: House
) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    mail_id = sent_to(desk, "later+typing@example.com", "While typing")
    wait_until("the mail to wait", partial(is_in, house, mail_id, "deferred"))
    page.clock.install()  # the page asks now and then, which nobody need wait for
    desk.go(f"/outbox/mails/{mail_id}?tab=recipients")
    page.get_by_text("Correct the address").click()
    field = page.get_by_label("Correct address")
    field.fill("half-typed@exa")
    house.cli("outbox", "cancel", str(mail_id))  # somebody else
    with page.expect_response(lambda response: f"/outbox/mails/{mail_id}?" in response.url):
        page.clock.run_for(30_000)
    expect(field).to_have_value("half-typed@exa")
    expect(field).to_be_focused()


def test_the_exact_message_can_be_looked_at(sit_down: Callable[..., Desk], house: House) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    mail_id = sent_to(desk, "exact@example.com", "Looked at")
    wait_until("the email", partial(is_in, house, mail_id, "sent"))
    desk.go(f"/outbox/mails/{mail_id}?tab=message")
    assert page.frame_locator("iframe").locator("body").inner_text()
    expect(page.locator(".hash code").first).to_have_text(re.compile(r"^[0-9a-f]{64}$"))
    page.get_by_text("Header lines of the exact message").click()
    expect(page.locator(".mail-head")).to_contain_text("Subject: Looked at")
    expect(page.locator(".mail-head")).to_contain_text("still has the SHA-256")
    with page.expect_download() as download:
        desk.link("Download .eml").click()
    assert b"Subject: Looked at" in download.value.path().read_bytes()


@pytest.fixture(scope="module")
def mails_to_look_at(house: House) -> dict[str, int]:
    """One mail of each kind of page."""
    mails = {
        word: house.send("S00003", "--only", "--to", f"{addresses}", "--company", ADMIN.company)
        for word, addresses in {
            "sent": "look@example.com",
            "partial": "refused+look@example.com, full+look@example.com, looks@example.com",
            "deferred": "later+look@example.com",
            "uncertain": "drop+look@example.com",
        }.items()
    }
    for word, mail_id in mails.items():
        wait_until(f"a mail that is {word}", partial(is_in, house, mail_id, word))
    return mails


@pytest.fixture
def administrator(sit_down: Callable[..., Desk]) -> Iterator[Desk]:
    desk = sit_down(ADMIN, bypass_csp=True)
    yield desk
    desk.prefer(language=ADMIN.language)


@EITHER_LANGUAGE
def test_every_tab_is_sound(administrator: Desk, mails_to_look_at: dict[str, int], language: str) -> None:
    desk = administrator
    desk.prefer(language=language)
    found: list[str] = []
    for word, mail_id in mails_to_look_at.items():
        for tab in ("recipients", "message", "reason", "timeline"):
            desk.page.set_viewport_size({"width": 1280, "height": 900})
            desk.go(f"/outbox/mails/{mail_id}?tab={tab}")
            for summary in desk.page.locator("main summary").all():
                summary.click()
            for width in (1280, 360):
                desk.page.set_viewport_size({"width": width, "height": 900})
                found += [f"{word}, {tab}, {width} px: {text}" for text in complaints(desk, language)]
        desk.go(f"/outbox/compose/again/{mail_id}")
        found += [f"{word}, duplicate: {text}" for text in complaints(desk, language)]
    assert not found, "\n".join(found)
