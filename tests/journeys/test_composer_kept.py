"""What is being written survives: closing, a reload, a lost connection, a session that ends; and colleagues see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.journeys.composing import (
    badge,
    chip,
    chips,
    editor,
    field,
    hide_template,
    hold,
    keeping,
    new_quotation,
    open_composer,
    open_page,
    opener,
    posted,
    send,
    type_recipients,
    until_held,
)
from tests.journeys.conftest import Desk
from tests.journeys.house import House
from tests.journeys.variants import EITHER, READERS_AND_SIZES
from tests.journeys.words import ADMIN, OLIVER, Reader

OFFLINE = pytest.mark.browser_says(
    "net::ERR_INTERNET_DISCONNECTED",
    "net::ERR_FAILED",
    "htmx:sendError",
    "htmx:afterRequest",
    "status of 400",
)


def write(desk: Desk, composer: Locator, mark: str) -> None:
    """Write a subject, a sentence and a recipient."""
    composer.get_by_label(desk("Subject")).fill(f"Subject {mark}")
    to = field(desk, composer)
    to.fill(f"{mark}@example.com")
    to.press("Enter")
    editor(desk, composer).focus()
    desk.page.keyboard.press("Control+Home")
    desk.page.keyboard.type(f"Sentence {mark}. ")


def is_there(desk: Desk, composer: Locator, mark: str) -> None:
    """Make sure that nothing of `write` is missing."""
    expect(composer.get_by_label(desk("Subject"))).to_have_value(f"Subject {mark}")
    expect(editor(desk, composer)).to_contain_text(f"Sentence {mark}.")
    expect(chip(composer, f"{mark}@example.com")).to_be_visible()


def kept(desk: Desk, composer: Locator) -> None:
    """Wait until the server has it."""
    expect(composer.locator("#compose-presence")).to_contain_text(desk("Kept as a draft"))


@READERS_AND_SIZES
def test_closing_keeps_and_opening_brings_it_back(
    sit_down: Callable[..., Desk], reader: Reader, viewport: dict[str, int]
) -> None:
    desk = sit_down(reader, viewport=viewport)
    page = desk.page
    new_quotation(desk)
    dialog = open_composer(desk)
    subject = dialog.get_by_label(desk("Subject")).input_value()
    write(desk, dialog, f"closed-{reader.language}")
    page.keyboard.press("Escape")  # before anything was kept by itself
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("status").filter(has_text=desk("Kept as a draft"))).to_be_visible()
    dialog = open_composer(desk)
    is_there(desk, dialog, f"closed-{reader.language}")
    kept(desk, dialog)
    # Start anew: asked, and then as if nothing had been.
    page.once("dialog", lambda question: question.accept())
    dialog.get_by_role("link", name=desk("Start anew")).press("Enter")
    expect(dialog.get_by_label(desk("Subject"))).to_have_value(subject)
    expect(chips(dialog)).to_have_count(1)


def test_looking_without_writing_keeps_nothing(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    expect(dialog.locator("#compose-pdf").get_by_role("link")).to_be_visible()
    desk.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(desk.page.locator(".draft-kept")).to_have_count(0)
    dialog = open_composer(desk)
    expect(dialog.locator("#compose-presence")).not_to_contain_text("Kept as a draft")


@EITHER
def test_a_reload_and_a_closed_tab_lose_nothing(sit_down: Callable[..., Desk], reader: Reader) -> None:
    desk = sit_down(reader)
    _number, path = new_quotation(desk)
    composer = open_page(desk, path)
    write(desk, composer, f"reload-{reader.language}")
    desk.page.reload()  # within the second in which nothing was kept yet
    composer = desk.page.locator("[data-composer][data-ready]")
    expect(composer).to_be_attached()
    newer = composer.get_by_role("button", name=desk("Restore it"))
    if newer.is_visible():
        newer.click()
    is_there(desk, composer, f"reload-{reader.language}")
    kept(desk, composer)
    other = Desk(desk.house, desk.page.context.new_page(), reader)
    desk.page.close()
    composer = open_page(other, path)
    is_there(other, composer, f"reload-{reader.language}")


@OFFLINE
@EITHER
def test_a_lost_connection_is_told_calmly_and_nothing_is_lost(
    sit_down: Callable[..., Desk], reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    new_quotation(desk)
    dialog = open_composer(desk)
    state = dialog.locator("#compose-connection")
    page.context.set_offline(True)
    write(desk, dialog, f"offline-{reader.language}")
    expect(state).to_contain_text(desk("Not kept on the server yet; kept in this browser."))
    expect(page.locator("#toasts .toast")).to_have_count(0)
    # An address that could not be read yet stays in its field until it can.
    expect(field(desk, dialog)).to_have_value(f"offline-{reader.language}@example.com;")
    page.context.set_offline(False)
    kept(desk, dialog)
    expect(state).to_have_text("")
    is_there(desk, dialog, f"offline-{reader.language}")


@OFFLINE
def test_what_never_reached_the_server_is_offered_when_one_comes_back(
    sit_down: Callable[..., Desk],
) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    _number, path = new_quotation(desk)
    composer = open_page(desk, path)
    page.route("**/keep", lambda route: route.abort())
    page.evaluate("navigator.sendBeacon = () => false")  # the browser itself is gone at once
    write(desk, composer, "crash")
    expect(composer.locator("#compose-connection")).to_contain_text("kept in this browser")
    page.unroute("**/keep")
    desk.go(path)
    composer = open_page(desk, path)
    composer.get_by_role("button", name="Restore it").press("Enter")
    is_there(desk, composer, "crash")
    kept(desk, composer)


@OFFLINE
@EITHER
def test_a_session_that_ends_goes_on_by_itself_after_a_sign_in(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    desk.sign_out_elsewhere()
    write(desk, dialog, f"session-{reader.language}")
    state = dialog.locator("#compose-connection")
    expect(state).to_contain_text(desk("You are signed out. What you wrote is kept in this browser."))
    with page.context.expect_page() as opened:
        state.get_by_role("link", name=desk("Sign in again")).click()
    window = Desk(house, opened.value, reader)
    window.sign_in()
    window.page.close()
    page.bring_to_front()
    expect(state).to_have_text("")
    kept(desk, dialog)
    is_there(desk, dialog, f"session-{reader.language}")
    dialog.get_by_label(desk("Subject")).fill(f"Session {reader.language} {number}")
    send(desk, dialog)
    expect(badge(page)).to_contain_text(desk("sent"))
    ((row, _message),) = house.mailbox(f"Session {reader.language} {number}")
    assert f"session-{reader.language}@example.com" in row.recipients


def test_signing_out_leaves_nothing_in_the_browser(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    new_quotation(desk)
    page.evaluate("localStorage.setItem('envoi-draft:1:1', '{}'); localStorage.setItem('other', '1')")
    page.get_by_role("button", name="Oliver Grant", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert page.evaluate("Object.keys(localStorage)") == ["other"]


def test_two_people_who_write_about_one_document_see_it(sit_down: Callable[..., Desk]) -> None:
    oliver = sit_down(OLIVER)
    oliver.page.clock.install()
    _number, path = new_quotation(oliver)
    open_composer(oliver)
    admin = sit_down(ADMIN)
    with oliver.page.expect_response("**/keep"):
        oliver.page.clock.run_for(21_000)  # the beat of a composer that stands open
    composer = open_page(admin, path)
    presence = composer.locator("#compose-presence")
    expect(presence).to_contain_text("Oliver Grant is writing about this document too.")


def test_opening_the_composer_again_shows_the_button_unchanged(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    type_recipients(desk, dialog, "again@example.com")
    dialog.get_by_role("link", name="Close").click()
    expect(dialog).to_be_hidden()
    expect(opener(desk)).to_be_focused()
    expect(desk.page.locator(".draft-kept")).to_have_count(1)
    open_composer(desk)
    desk.page.keyboard.press("Escape")
    expect(desk.page.locator(".draft-kept")).to_have_count(1)


def test_another_template_is_kept_as_it_is_shown(sit_down: Callable[..., Desk], house: House) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    number, path = new_quotation(desk)
    composer = open_page(desk, path)
    subject = composer.get_by_label("Subject")
    usual = subject.input_value()
    choice = composer.get_by_label("Template", exact=True)
    former = choice.input_value()
    subject.fill(f"Other about {number}")
    composer.get_by_role("button", name="Save as template").press("Enter")
    saving = composer.get_by_role("dialog", name="Save as template")
    saving.get_by_label("Name of the template").fill("Kept as shown")
    saving.get_by_role("button", name="Save the template").press("Enter")
    saving.get_by_role("button", name="Done").press("Enter")
    kept(desk, composer)
    try:
        page.reload()
        expect(page.locator("[data-composer][data-ready]")).to_be_attached()
        other = str(choice.locator("option", has_text="Kept as shown").get_attribute("value"))
        subject.fill("Written")
        kept(desk, composer)
        # While it is asked, the text is still that of the former template.
        choice.select_option(other)
        asking = composer.get_by_role("dialog", name="Change the template?")
        expect(asking).to_be_visible()
        assert posted(composer, "template") == [former]
        with keeping(page, f"Other about {number}"):
            asking.get_by_role("button", name="Take the template's").press("Enter")
        expect(subject).to_have_value(f"Other about {number}")
        page.reload()
        expect(page.locator("[data-composer][data-ready]")).to_be_attached()
        expect(subject).to_have_value(f"Other about {number}")
        expect(choice).to_have_value(other)
        # And back, without a word being written.
        with keeping(page, usual):
            choice.select_option(former)
        expect(subject).to_have_value(usual)
        page.reload()
        expect(page.locator("[data-composer][data-ready]")).to_be_attached()
        expect(subject).to_have_value(usual)
        expect(choice).to_have_value(former)
    finally:
        hide_template(house, "Kept as shown")


def test_what_is_being_kept_does_not_come_after_it_was_discarded(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    _number, path = new_quotation(desk)
    composer = open_page(desk, path)
    held = hold(page, "**/keep")
    composer.get_by_label("Subject").fill("Thrown away")
    late = until_held(page, held)
    page.once("dialog", lambda question: question.accept())
    composer.get_by_role("button", name="Discard draft").click()
    page.wait_for_timeout(300)
    with page.expect_response("**/discard"):
        late.continue_()
    page.unroute("**/keep")
    composer = open_page(desk, path)
    expect(composer.get_by_label("Subject")).not_to_have_value("Thrown away")
