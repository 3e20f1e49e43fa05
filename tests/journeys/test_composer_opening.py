"""The composer opens at once, in the dialog and on a page; the PDF is made beside."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.journeys.composing import (
    badge,
    field,
    hold,
    new_quotation,
    open_composer,
    open_page,
    opener,
    send,
    until_held,
)
from tests.journeys.conftest import Desk
from tests.journeys.variants import EITHER
from tests.journeys.words import OLIVER, Reader


@EITHER
def test_the_pdf_is_made_beside_while_somebody_writes(sit_down: Callable[..., Desk], reader: Reader) -> None:
    desk = sit_down(reader)
    number, _path = new_quotation(desk)
    held = hold(desk.page, "**/outbox/compose/*/pdf")
    dialog = open_composer(desk)
    pdf = dialog.locator("#compose-pdf")
    expect(pdf).to_contain_text(desk("The PDF is being made; you can go on writing."))
    dialog.get_by_label(desk("Subject")).fill(f"Written meanwhile {number}")
    until_held(desk.page, held).continue_()
    link = pdf.get_by_role("link")
    expect(link).to_contain_text(number)
    expect(pdf).to_contain_text(re.compile(r"\d+\sk"))
    expect(pdf.get_by_role("button")).to_have_count(0)  # it always goes with the mail
    expect(dialog.get_by_label(desk("Subject"))).to_have_value(f"Written meanwhile {number}")
    with desk.page.context.expect_event("response", lambda one: "/outbox/compose/file/" in one.url) as opened:
        link.click()
    assert opened.value.headers["content-type"] == "application/pdf"


def test_send_does_not_wait_for_the_pdf(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    hold(desk.page, "**/outbox/compose/*/pdf")
    dialog = open_composer(desk)
    send(desk, dialog)
    expect(badge(desk.page)).to_contain_text("sent")


@pytest.mark.browser_says("net::ERR_FAILED", "htmx:sendError", "htmx:afterRequest")
def test_a_pdf_that_could_not_be_made_says_so_and_is_tried_again(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    desk.page.route("**/outbox/compose/*/pdf", lambda route: route.abort(), times=1)
    dialog = open_composer(desk)
    pdf = dialog.locator("#compose-pdf")
    pdf.get_by_role("button", name="Try again").click()
    expect(pdf.get_by_role("link")).to_contain_text(".pdf")


@EITHER
def test_the_page_of_its_own_has_the_same_and_closes_to_the_document(
    sit_down: Callable[..., Desk], reader: Reader
) -> None:
    desk = sit_down(reader)
    _number, path = new_quotation(desk)
    composer = open_page(desk, path)
    expect(field(desk, composer)).to_be_visible()
    composer.get_by_role("link", name=desk("Close")).click()
    expect(desk.page).to_have_url(f"{desk.house.url}{path}")
    expect(opener(desk)).to_be_visible()


def test_the_focus_goes_back_where_it_was(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    opener(desk).focus()
    desk.page.keyboard.press("Enter")
    dialog = desk.page.locator("#dialog")
    expect(dialog).to_be_focused()
    desk.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener(desk)).to_be_focused()
