"""Attachments of the composer: chosen, dropped, with progress and sizes, removed, put back, reset."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.journeys.composing import (
    badge,
    hold,
    keeping,
    new_quotation,
    open_composer,
    opener,
    posted,
    send,
    until_held,
)
from tests.journeys.conftest import Desk
from tests.journeys.house import House
from tests.journeys.variants import EITHER
from tests.journeys.words import OLIVER, Reader

UPLOAD = "**/outbox/compose/file"
DROP = """([selector, name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name, { type: "text/plain" }));
    const place = document.querySelector(selector);
    const options = { dataTransfer: data, bubbles: true, cancelable: true };
    place.dispatchEvent(new DragEvent("dragover", options));
    window.zoneShown = getComputedStyle(document.querySelector(".drop-here")).display;
    place.dispatchEvent(new DragEvent("drop", options));
}"""


def rows(dialog: Locator) -> Locator:
    return dialog.locator("[data-files] > [data-file]")


def choose(desk: Desk, dialog: Locator, *files: tuple[str, bytes]) -> None:
    dialog.get_by_label(desk("Add files: choose, or drop them here")).set_input_files(
        [{"name": name, "mimeType": "text/plain", "buffer": data} for name, data in files]
    )


def choose_slowly(desk: Desk, name: str) -> tuple[Locator, Route]:
    """Choose a file for a new quotation, and return the composer and the request in which the file is on its way."""
    new_quotation(desk)
    dialog = open_composer(desk)
    held = hold(desk.page, UPLOAD)
    choose(desk, dialog, (name, name.encode()))
    return dialog, until_held(desk.page, held)


def drop(page: Page, selector: str, name: str) -> None:
    page.evaluate(DROP, [selector, name, "dropped"])


@EITHER
def test_files_are_added_summed_removed_and_reset(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    total = dialog.locator("[data-sum-words]")
    expect(dialog.locator("#compose-pdf").get_by_role("link")).to_be_visible()
    choose(desk, dialog, ("one.txt", b"1" * 400_000), ("two – ü.txt", b"2" * 600_000))
    expect(rows(dialog)).to_have_count(2)
    expect(rows(dialog).first).to_contain_text(re.compile(r"400\sk"))
    expect(total).to_contain_text(re.compile(r"1\sM"))
    expect(total).to_contain_text("18")
    # Dropped on the subject, far from the dropzone: anywhere will do.
    drop(page, "#compose-subject", "dropped.txt")
    assert page.evaluate("window.zoneShown") == "grid"
    expect(rows(dialog)).to_have_count(3)
    expect(rows(dialog).last.get_by_role("link")).to_have_attribute(
        "href", re.compile("/outbox/compose/file/")
    )
    # One is removed by the keyboard, and had back.
    rows(dialog).first.get_by_role("button", name=desk("Remove %(name)s", name="one.txt")).press("Enter")
    expect(rows(dialog)).to_have_count(2)
    dialog.locator("[data-news]").get_by_role("button", name=desk.words.meant("removed", "Undo")).press(
        "Enter"
    )
    expect(rows(dialog)).to_have_count(3)
    # All of them, and had back.
    dialog.get_by_role("button", name=re.compile(f"^{re.escape(desk('Reset'))}")).press("Enter")
    expect(rows(dialog)).to_have_count(0)
    expect(dialog.locator("#compose-pdf").get_by_role("link")).to_be_visible()
    dialog.locator("[data-news]").get_by_role("button", name=desk.words.meant("removed", "Undo")).press(
        "Enter"
    )
    expect(rows(dialog)).to_have_count(3)
    dialog.get_by_label(desk("Subject")).fill(f"Files {reader.language} {number}")
    send(desk, dialog)
    expect(badge(page)).to_contain_text(desk("sent"))
    ((_row, message),) = house.mailbox(f"Files {reader.language} {number}")
    names = [part.get_filename() for part in message.iter_attachments()]
    assert names[0].endswith(".pdf")  # the document itself comes first
    assert names[1:] == ["one.txt", "two – ü.txt", "dropped.txt"]


def test_progress_is_shown_and_send_waits_for_the_file(sit_down: Callable[..., Desk], house: House) -> None:
    desk = sit_down(OLIVER)
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    held = hold(desk.page, UPLOAD)
    choose(desk, dialog, ("slow.txt", b"slow"))
    expect(rows(dialog).get_by_role("progressbar", name="slow.txt")).to_be_visible()
    dialog.get_by_label("Subject").fill(f"Slow {number}")
    send(desk, dialog)
    expect(dialog.locator("[data-news]")).to_contain_text("The email is sent as soon as the files are there")
    until_held(desk.page, held).continue_()
    expect(badge(desk.page)).to_contain_text("sent")
    ((_row, message),) = house.mailbox(f"Slow {number}")
    assert "slow.txt" in [part.get_filename() for part in message.iter_attachments()]


def test_the_sum_warns_when_it_is_more_than_a_mail_may_carry(
    sit_down: Callable[..., Desk], tmp_path: Path
) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    halves = [tmp_path / "half.bin", tmp_path / "other half.bin"]
    for half in halves:
        half.write_bytes(half.name[:8].ljust(10, "0").encode() * 1_300_000)
    dialog.get_by_label("Add files: choose, or drop them here").set_input_files(halves)
    expect(dialog.locator("[data-sum-words]")).to_contain_text(
        "more than the 18.3 MB that an email may carry"
    )
    expect(dialog.locator(".finding-block")).to_contain_text("the limit is 18.3 MB")
    rows(dialog).last.get_by_role("button").click()
    expect(dialog.locator("[data-sum-words]")).to_contain_text("of 18.3 MB")
    expect(dialog.locator(".finding-block")).to_have_count(0)


@pytest.mark.browser_says("net::ERR_FAILED")
def test_a_file_that_could_not_be_sent_up_says_so(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    desk.page.route(UPLOAD, lambda route: route.abort())
    choose(desk, dialog, ("lost.txt", b"lost"))
    expect(rows(dialog).get_by_role("alert")).to_contain_text("“lost.txt” could not be attached")
    assert posted(dialog, "file") == []


@pytest.mark.browser_says("net::ERR_FAILED")
def test_a_mail_does_not_leave_without_a_file_that_was_lost_on_its_way(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    dialog, upload = choose_slowly(desk, "lost.txt")
    send(desk, dialog)
    news = dialog.locator("[data-news]")
    expect(news).to_contain_text("sent as soon as the files are there")
    upload.abort()
    expect(news).to_contain_text("A file could not be stored")
    remove = rows(dialog).get_by_role("button")
    expect(remove).to_be_focused()
    send(desk, dialog)  # as long as it stands there, it is wanted
    expect(remove).to_be_focused()
    expect(dialog).to_be_visible()
    page.keyboard.press("Enter")
    expect(rows(dialog)).to_have_count(0)
    send(desk, dialog)
    expect(dialog).to_be_hidden()


def test_a_file_on_its_way_is_kept_by_closing(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    dialog, upload = choose_slowly(desk, "late.txt")
    dialog.get_by_role("link", name=desk("Close"), exact=True).click()
    expect(dialog).to_be_hidden()
    upload.continue_()
    page.unroute(UPLOAD)
    dialog = open_composer(desk)  # waits for what is being kept
    expect(rows(dialog)).to_contain_text("late.txt")


def test_an_impatient_second_press_does_not_take_the_composer_away(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    _number, path = new_quotation(desk)
    composer = f"{desk.house.url}/outbox/compose/{path.rsplit('/', 1)[1]}"
    held = hold(page, composer)
    opener(desk).dblclick()
    until_held(page, held).continue_()
    dialog = page.locator("#dialog")
    expect(dialog.locator("[data-composer][data-ready]")).to_be_attached()
    with keeping(page, "Written meanwhile"):
        dialog.get_by_label("Subject").fill("Written meanwhile")
    assert len(held) == 1
    expect(dialog.get_by_label("Subject")).to_have_value("Written meanwhile")
