"""What is wrong is said beside its field, and nothing that was typed is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from tests.journeys.composing import (
    addresses,
    badge,
    chips,
    editor,
    field,
    new_quotation,
    nobody,
    open_composer,
)
from tests.journeys.conftest import Desk
from tests.journeys.house import House
from tests.journeys.words import ADMIN, OLIVER


def complaint(desk: Desk, text: str | re.Pattern[str]) -> Locator:
    """Find a sentence about what is wrong."""
    return desk.page.get_by_role("dialog").get_by_role("alert").filter(has_text=text)


def test_the_composer_says_what_is_wrong_and_keeps_everything(
    sit_down: Callable[..., Desk], house: House, tmp_path: Path
) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    send = dialog.get_by_role("button", name="Send", exact=True)
    subject, to = dialog.get_by_label("Subject"), field(desk, dialog)
    customer = addresses(dialog)[0]
    text = editor(desk, dialog)
    text.focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("Kept through everything.")

    def kept() -> None:
        expect(text).to_contain_text("Kept through everything.")

    # Nobody is left.
    nobody(dialog)
    subject.fill(f"Everything is wrong with {number}")
    send.click()
    expect(complaint(desk, "Nobody would get this email")).to_be_visible()
    expect(subject).to_have_value(f"Everything is wrong with {number}")
    assert addresses(dialog, "left_out") == [customer]
    kept()

    # No subject.
    chips(dialog, "left_out").get_by_role("button", name="Put back").click()
    subject.fill("")
    send.click()
    expect(complaint(desk, "The subject is empty.")).to_be_visible()
    expect(subject).to_have_attribute("aria-invalid", "true")
    assert addresses(dialog) == [customer]
    kept()

    # Addresses that are none, and one that is there already.
    subject.fill("No longer empty")
    to.fill(f"good@example.com; not an address; {customer}")
    send.click()
    expect(complaint(desk, "“not an address”").first).to_be_visible()
    expect(to).to_have_value("not an address")
    expect(to).to_have_attribute("aria-invalid", "true")
    expect(to).to_be_focused()
    assert addresses(dialog) == [customer, "good@example.com"]
    kept()
    assert not house.mailbox("good@example.com")

    # A file that no mail server takes; one that fits stays with the mail.
    to.fill("")
    files = dialog.get_by_label("Add files: choose, or drop them here")
    (tmp_path / "huge.bin").write_bytes(b"\0" * 30_000_000)
    (tmp_path / "small.txt").write_bytes(b"small")
    files.set_input_files([tmp_path / "huge.bin", tmp_path / "small.txt"])
    expect(complaint(desk, "“huge.bin” does not fit")).to_be_visible()
    expect(complaint(desk, "18.3 MB")).to_be_visible()
    dialog.get_by_role("button", name="Remove huge.bin").click()
    expect(dialog.get_by_role("link", name="small.txt")).to_be_visible()
    expect(subject).to_have_value("No longer empty")
    kept()

    # All is well now.
    send.click()
    expect(badge(page)).to_contain_text("sent")
    ((row, message),) = house.mailbox("good@example.com")
    assert set(row.recipients) == {"good@example.com", customer}
    assert "small.txt" in [part.get_filename() for part in message.iter_attachments()]
    body = message.get_body(("plain",))
    assert body is not None
    assert "Kept through everything." in body.get_content()


def test_a_document_that_somebody_has_changed_meanwhile_is_looked_at_again(
    sit_down: Callable[..., Desk], house: House
) -> None:
    desk = sit_down(OLIVER)
    _number, path = new_quotation(desk)
    dialog = open_composer(desk)
    dialog.get_by_label("Subject").fill("Written before the change")

    other = sit_down(OLIVER)
    other.go(f"{path}/edit")
    other.field("Payment terms").fill("Cash in hand")
    other.button("Save").first.click()
    expect(other.page.locator("main")).to_contain_text("Cash in hand")

    send = dialog.get_by_role("button", name="Send", exact=True)
    send.click()
    finding = dialog.locator(".finding", has_text="The document has changed since you began to write")
    expect(finding).to_be_visible()
    expect(dialog.get_by_label("Subject")).to_have_value("Written before the change")
    finding.get_by_role("checkbox", name="Send anyway").check()
    send.click()
    expect(badge(desk.page)).to_contain_text("sent")
    assert len(house.mailbox("Written before the change")) == 1


@pytest.mark.browser_says("status of 400")  # the token of the session that has ended
def test_a_session_that_ended_while_composing_is_told_and_loses_nothing(
    sit_down: Callable[..., Desk], house: House
) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    subject = dialog.get_by_label("Subject")
    subject.fill("Written with a session that ends")
    desk.sign_out_elsewhere()
    send = dialog.get_by_role("button", name="Send", exact=True)
    send.click()
    # In place, the text stays where it is, and a sentence says what to do.
    expect(desk.page.locator("#toasts")).to_contain_text("Sign in again in another window")
    expect(subject).to_have_value("Written with a session that ends")

    window = Desk(house, desk.page.context.new_page(), OLIVER)
    window.sign_in()
    send.click()
    expect(badge(desk.page)).to_contain_text("sent")
    assert len(house.mailbox("Written with a session that ends")) == 1


@pytest.mark.browser_says("status of 400")
def test_a_letter_never_goes_out_in_the_name_of_whoever_signed_in_since(
    sit_down: Callable[..., Desk], house: House
) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    dialog.get_by_label("Subject").fill("Written by Oliver")
    desk.sign_out_elsewhere()
    send = dialog.get_by_role("button", name="Send", exact=True)
    send.click()
    toasts = desk.page.locator("#toasts")
    expect(toasts).to_contain_text("Sign in again in another window")

    window = desk.page.context.new_page()
    other = Desk(house, window, ADMIN)
    other.sign_in()
    send.click()
    expect(toasts).to_contain_text("Somebody else is signed in in this browser now.")
    assert not house.mailbox("Written by Oliver")

    other.sign_out_elsewhere()
    Desk(house, window, OLIVER).sign_in()
    send.click()
    expect(badge(desk.page)).to_contain_text("sent")
    assert len(house.mailbox("Written by Oliver")) == 1


def test_a_wrong_password_is_told_without_telling_who_exists(
    house: House, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context(locale="en-GB").new_page()
    for login in ("oliver@demo.example.com", "nobody@demo.example.com"):
        page.goto(f"{house.url}/sign-in")
        page.get_by_label("Email address").fill(login)
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("main")).to_contain_text("The email address or the password is wrong.")
        expect(page.get_by_label("Email address")).to_have_value(login)
        expect(page.get_by_label("Password")).to_have_value("")
