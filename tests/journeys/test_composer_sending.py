"""Ways out of the composer: with options, later, taken back, in one's own mail program; and what is checked before."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from core.app import create_app
from core.config import read_settings
from core.db import db
from core.partners.models import Partner
from core.partners.service import save_contact
from tests.journeys.composing import (
    addresses,
    badge,
    chip,
    editor,
    new_quotation,
    nobody,
    open_composer,
    opener,
    posted,
    send,
    type_recipients,
)
from tests.journeys.conftest import Desk
from tests.journeys.house import House, running_house, wait_until
from tests.journeys.test_pages import complaints
from tests.journeys.test_runs import quotations
from tests.journeys.variants import EITHER, NARROW, READERS_AND_SIZES
from tests.journeys.words import OLIVER, Reader

ZONES = {"fr": "Europe/Paris", "en": "Europe/London"}


@pytest.fixture(scope="module")
def patient_house(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[House]:
    """A house in which Send can be taken back for as long as a journey needs."""
    folder = tmp_path_factory.mktemp("patient")
    with running_house(folder, redis_url, ENVOI_OUTBOX_UNDO_SECONDS="60") as house:
        yield house


@READERS_AND_SIZES
def test_priority_receipts_and_reply_to(
    sit_down: Callable[..., Desk], house: House, reader: Reader, viewport: dict[str, int]
) -> None:
    desk = sit_down(reader, viewport=viewport)
    page = desk.page
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    subject = f"Options {reader.language} {number}"
    dialog.get_by_label(desk("Subject")).fill(subject)
    dialog.locator("#compose-options summary").focus()
    page.keyboard.press("Enter")
    dialog.get_by_label(desk("Priority")).select_option("high")
    dialog.get_by_label(desk("Ask the reader for a read receipt")).press("Space")
    dialog.get_by_label(desk("Ask the servers for a delivery receipt")).press("Space")
    answers = dialog.get_by_label(desk("Answers go to (Reply-To)"))
    answers.fill("nowhere at all")
    send(desk, dialog)
    expect(answers).to_have_attribute("aria-invalid", "true")
    expect(answers).to_be_focused()
    answers.fill("Answers <answers@example.com>")
    send(desk, dialog)
    expect(badge(page)).to_contain_text(desk("sent"))
    ((_row, message),) = house.mailbox(subject)
    assert message["Reply-To"] == "Answers <answers@example.com>"
    assert message["X-Priority"] == "1" or str(message["Importance"]).lower() == "high"
    assert message["Disposition-Notification-To"]


@EITHER
def test_later_at_a_time_of_ones_own_zone_then_otherwise(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader, bypass_csp=True)
    page = desk.page
    new_quotation(desk)
    dialog = open_composer(desk)
    dialog.get_by_role("button", name=desk("Other ways to send")).press("Enter")
    dialog.get_by_role("button", name=desk("Send later…")).press("Enter")
    expect(dialog.get_by_text(ZONES[reader.language])).to_be_visible()
    tomorrow = dialog.get_by_role("button", name=desk("Tomorrow 8:00"))
    expect(tomorrow).to_be_focused()
    page.keyboard.press("Enter")
    day = dt.datetime.now(zoneinfo.ZoneInfo(ZONES[reader.language])).date() + dt.timedelta(days=1)
    expect(dialog.locator("#compose-send-at")).to_have_value(f"{day}T08:00")
    dialog.get_by_role("button", name=desk("Monday 8:00")).press("Enter")
    monday = dt.date.fromisoformat(dialog.locator("#compose-send-at").input_value()[:10])
    assert monday.weekday() == 0
    assert 0 < (monday - day).days + 1 <= 7
    # The button says what it does now.
    later = dialog.get_by_role("button", name=desk("Send later"), exact=True)
    later.click()
    expect(badge(page)).to_contain_text(desk("scheduled"))

    # From its page it is moved to another time, and then opened again: it goes as it was changed, at that time.
    page.locator("#mail-panel li a[href*='/outbox/mails/']").first.click()
    page.set_viewport_size(NARROW)
    page.get_by_text(desk("Another time…")).click()
    moved = f"{day + dt.timedelta(days=20)}T09:30"
    page.get_by_label(desk("Send on")).fill(moved)
    assert list(complaints(desk, reader.language)) == []
    desk.button("Move").click()
    expect(page.locator("#flashes")).to_contain_text(
        desk("The email leaves on %(moment)s.").partition("%")[0]
    )
    expect(page.locator("#mail-time")).to_have_value(moved)
    desk.button("Change…").click()
    composer = page.locator("[data-composer][data-ready]")
    expect(composer.locator("#compose-send-at")).to_have_value(moved)
    assert list(complaints(desk, reader.language)) == []
    subject = f"Otherwise {reader.language}"
    composer.get_by_label(desk("Subject")).fill(subject)
    composer.get_by_role("button", name=desk("Send later"), exact=True).click()
    expect(page.locator("#flashes")).to_contain_text(desk("The email is scheduled."))
    expect(desk.heading()).to_contain_text(subject)
    expect(page.locator("#mail-time")).to_have_value(moved)
    assert house.mailbox(subject) == []


@EITHER
def test_at_in_a_line_sends_at_once_or_asks(
    new_context: Callable[..., object], patient_house: House, reader: Reader
) -> None:
    name, one = f"At {reader.language}", f"at.{reader.language}@example.com"
    app = create_app(read_settings(patient_house.environ))
    quotations(app, reader, name, [one, f"several.{one}"])
    with app.app_context():
        several = db.session.scalars(select(Partner).where(Partner.name == f"{name} 1")).one()
        save_contact(several, "Other", f"other.{one}")
    locale = {"fr": "fr-FR", "en": "en-GB"}[reader.language]
    context = new_context(locale=locale, viewport=NARROW, bypass_csp=True)
    desk = Desk(patient_house, context.new_page(), reader)  # type: ignore[attr-defined]
    desk.come_in()
    page = desk.page
    desk.go(f"/sales/quotations?q={name.replace(' ', '+')}")
    lines = page.locator("tbody tr")
    expect(lines).to_have_count(2)
    # One address: it is on its way, and is called back.
    lines.filter(has_text=f"{name} 0").locator(".at-once").click()
    toast = page.locator(".undo")
    expect(toast).to_be_visible()
    expect(lines.filter(has_text=f"{name} 0")).to_contain_text(desk("scheduled"))
    assert list(complaints(desk, reader.language)) == []
    toast.get_by_role("button", name=desk.words.meant("send", "Undo")).click()
    composer = page.locator("[data-composer][data-ready]")
    expect(composer).to_be_attached()
    assert addresses(composer) == [one]
    # Several: which one is asked, and nothing is sent before.
    desk.go(f"/sales/quotations?q={name.replace(' ', '+')}")
    lines.filter(has_text=f"{name} 1").locator(".at-once").click()
    dialog = page.locator("#dialog")
    expect(dialog.locator("[data-composer][data-ready]")).to_be_attached()
    expect(dialog.get_by_role("list", name=desk("Also known"))).to_contain_text("Other")
    assert list(complaints(desk, reader.language)) == []
    assert patient_house.mailbox(one) == []


def test_a_time_that_has_passed_is_told(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    dialog.locator("#compose-options summary").click()
    at = dialog.locator("#compose-send-at")
    at.fill("2020-01-01T08:00")
    dialog.get_by_role("button", name="Send later", exact=True).click()
    expect(at).to_have_attribute("aria-invalid", "true")
    expect(at).to_be_focused()
    expect(at).to_have_value("2020-01-01T08:00")


@EITHER
def test_send_is_taken_back_by_the_keyboard(
    new_context: Callable[..., object], patient_house: House, reader: Reader
) -> None:
    context = new_context(locale={"fr": "fr-FR", "en": "en-GB"}[reader.language])
    desk = Desk(patient_house, context.new_page(), reader)  # type: ignore[attr-defined]
    desk.sign_in()
    page = desk.page
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    customer = addresses(dialog)[0]
    dialog.get_by_label(desk("Subject")).fill(f"Taken back {reader.language} {number}")
    type_recipients(desk, dialog, "taken.back@example.com", "To")
    send(desk, dialog)
    toast = page.locator(".undo")
    expect(toast).to_be_focused()
    expect(toast).to_contain_text(re.compile(r"\d+ s"))
    page.keyboard.press("Tab")
    expect(toast.get_by_role("button", name=desk.words.meant("send", "Undo"))).to_be_focused()
    page.keyboard.press("Enter")
    # Back in the composer, with everything.
    composer = page.locator("[data-composer][data-ready]")
    expect(composer.get_by_label(desk("Subject"))).to_have_value(f"Taken back {reader.language} {number}")
    assert addresses(composer) == [customer, "taken.back@example.com"]
    assert patient_house.mailbox(f"Taken back {reader.language} {number}") == []


@EITHER
def test_the_mail_is_opened_in_ones_own_mail_program(sit_down: Callable[..., Desk], reader: Reader) -> None:
    desk = sit_down(reader)
    number, path = new_quotation(desk)
    dialog = open_composer(desk)
    dialog.get_by_label(desk("Subject")).fill(f"Étage – {number}")
    dialog.get_by_role("button", name=desk("Add a field for blind copies")).press("Enter")
    type_recipients(desk, dialog, "secret@example.com", "Bcc")
    expect(dialog.locator("#compose-pdf").get_by_role("link")).to_be_visible()
    dialog.get_by_role("button", name=desk("Other ways to send")).click()
    with desk.page.expect_download() as download:
        dialog.get_by_role("button", name=desk("Open in my email program")).click()
    assert download.value.suggested_filename.endswith(".eml")
    message = message_from_bytes(Path(download.value.path()).read_bytes(), policy=policy.default)
    assert message["X-Unsent"] == "1"
    assert message["Subject"] == f"Étage – {number}"
    assert "secret@example.com" in message["Bcc"]
    assert any(part.get_content_type() == "application/pdf" for part in message.walk())
    expect(dialog.locator("[data-news]")).to_contain_text(
        desk("Open the downloaded file: your email program shows the email, ready to be sent there.")
    )
    expect(dialog).to_be_visible()
    desk.go(path)
    expect(badge(desk.page)).not_to_contain_text(desk("sent"))


@READERS_AND_SIZES
def test_what_is_wrong_is_told_while_one_writes_and_blocks(
    sit_down: Callable[..., Desk], reader: Reader, viewport: dict[str, int]
) -> None:
    desk = sit_down(reader, viewport=viewport)
    new_quotation(desk)
    dialog = open_composer(desk)
    blocking = dialog.locator(".finding-block")
    expect(blocking).to_have_count(0)
    nobody(dialog)
    expect(blocking).to_contain_text(desk("Nobody would get this email: add a recipient."))
    blocking.get_by_role("button", name=desk("Go to the field")).press("Enter")
    expect(dialog.locator("#compose-to")).to_be_focused()
    dialog.get_by_role("button", name=re.compile(f"^{re.escape(desk('Put back'))}")).first.click()
    expect(blocking).to_have_count(0)
    dialog.get_by_label(desk("Subject")).fill("")
    expect(blocking).to_contain_text(
        desk("The subject is empty. Say in a few words what the email is about.")
    )
    # Send jumps to it.
    send(desk, dialog)
    subject = dialog.get_by_label(desk("Subject"))
    expect(subject).to_have_attribute("aria-invalid", "true")
    expect(subject).to_be_focused()
    # Send stays in sight, however long all this is.
    expect(dialog.get_by_role("button", name=desk("Send"), exact=True)).to_be_in_viewport()


@EITHER
def test_what_is_doubtful_asks_for_a_nod(sit_down: Callable[..., Desk], house: House, reader: Reader) -> None:
    desk = sit_down(reader)
    page = desk.page
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    dialog.get_by_label(desk("Subject")).fill(f"Nod {reader.language} {number}")
    send(desk, dialog)
    expect(badge(page)).to_contain_text(desk("sent"))
    # The same document to the same address, a moment later.
    dialog = open_composer(desk)
    dialog.get_by_label(desk("Subject")).fill(f"Nod {reader.language} {number} again")
    asks = dialog.locator(".finding-ask")
    expect(asks).to_have_count(1)
    expect(asks.get_by_role("link")).to_have_attribute("target", "_blank")
    send(desk, dialog)
    nod = dialog.get_by_role("checkbox", name=desk("Send anyway"))
    expect(asks).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(nod).to_be_focused()
    page.keyboard.press("Space")
    expect(nod).to_be_checked()
    # It stays given while one writes on.
    editor(desk, dialog).focus()
    with page.expect_response("**/check"):
        page.keyboard.type("Again. ")
    expect(nod).to_be_checked()
    send(desk, dialog)
    # The page is at rest before the browser is closed.
    expect(dialog).to_be_hidden()
    wait_until("the second mail", lambda: len(house.mailbox(f"Nod {reader.language} {number} again")) == 1)


@EITHER
def test_server_from_and_reply_to_are_explained_in_one_line(
    sit_down: Callable[..., Desk], reader: Reader
) -> None:
    desk = sit_down(reader)
    new_quotation(desk)
    dialog = open_composer(desk)
    route = dialog.locator(".compose-route")
    expect(route.locator("summary")).to_contain_text("Playground")
    expect(route.locator("li").first).to_be_hidden()
    route.locator("summary").focus()
    desk.page.keyboard.press("Enter")
    expect(route.locator("li").first).to_be_visible()


def test_discard_asks_and_forgets(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    type_recipients(desk, dialog, "discarded@example.com")
    desk.page.once("dialog", lambda question: question.accept())
    dialog.get_by_role("button", name="Discard draft", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(opener(desk)).to_be_focused()
    dialog = open_composer(desk)
    expect(chip(dialog, "discarded@example.com")).to_have_count(0)
    assert posted(dialog, "changed") == []
