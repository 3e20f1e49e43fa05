"""Sending a document by email, and what happens when somebody does not get it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from email.message import EmailMessage

from playwright.sync_api import expect
from pypdf import PdfReader

from tests.journeys.composing import (
    badge,
    chip,
    editor,
    new_quotation,
    open_composer,
    open_page,
    send,
    type_recipients,
)
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.variants import BOTH
from tests.journeys.words import SOPHIE, Reader

# What every letter says in the language of the customer.
LETTER = {"fr": ("Bonjour", "devis"), "en": ("Dear", "quotation")}


def parts_of(message: EmailMessage) -> tuple[str, str, dict[str, bytes]]:
    """Return plain text, HTML and the files of a message."""
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    files = {
        str(part.get_filename()): bytes(part.get_payload(decode=True)) for part in message.iter_attachments()
    }
    return plain.get_content(), html.get_content(), files


@BOTH
def test_a_quotation_reaches_its_customer_from_the_dialog(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    number, path = new_quotation(desk)
    total = page.locator("tr.grand td.number").inner_text()
    expect(page.locator("#mail-panel")).to_contain_text(desk("Not sent by email yet."))

    dialog = open_composer(desk)
    assert page.url == f"{house.url}{path}"  # in place
    expect(dialog.get_by_role("heading", level=2)).to_have_text(
        desk("Send %(kind)s %(number)s by email", kind=desk("Quotation"), number=number)
    )
    customer = chip(dialog.locator("[data-chips=to]"), reader.customer)
    expect(customer).to_contain_text(desk("customer"))
    address = str(customer.get_attribute("data-address"))
    subject = dialog.get_by_label(desk("Subject"))
    expect(subject).to_have_value(re.compile(rf"{LETTER[reader.language][1]}.*{number}"))
    text = editor(desk, dialog)
    expect(text).to_contain_text(LETTER[reader.language][0])
    expect(text).to_contain_text(number)

    # A word of one's own, and a file.
    subject.fill(f"{subject.input_value()} – Ω1")
    text.focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("PS: 3 < 5 & 7")
    dialog.get_by_label(desk("Add files: choose, or drop them here")).set_input_files(
        {"name": "plan étage.txt", "mimeType": "text/plain", "buffer": "Échelle 1:50".encode()}
    )
    send(desk, dialog)

    # Back on the document; badge and panel follow by themselves.
    expect(page.locator("#flashes")).to_contain_text(desk("The email is in the queue."))
    assert page.url == f"{house.url}{path}"
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.evaluate("window.sinceSent = true")
    expect(badge(page)).to_contain_text(desk("sent"))
    line = page.locator("#mail-panel li", has_text="Ω1")
    expect(line.locator(".state")).to_contain_text(desk("sent"))
    expect(line).to_contain_text(address)
    assert page.evaluate("window.sinceSent") is True  # nobody reloaded the page

    # As the customer reads it.
    ((row, message),) = house.mailbox("Ω1") if reader is SOPHIE else [house.mailbox("Ω1")[0]]
    assert row.recipients == (address,)
    assert str(message["Subject"]).endswith("– Ω1")
    plain, html, files = parts_of(message)
    for words in (plain, html):
        assert LETTER[reader.language][0] in words
        assert number in words
    assert "PS: 3 < 5 & 7" in plain
    assert "PS: 3 &lt; 5 &amp; 7" in html
    pdf = next(data for name, data in files.items() if name.endswith(".pdf"))
    printed = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    assert number in printed
    assert re.sub(r"\s", "", total) in re.sub(r"\s", "", printed)
    assert files["plan étage.txt"].decode().strip() == "Échelle 1:50"

    # And in the mailbox of the playground, with a frame that can do nothing.
    desk.go("/playground/mails?q=%CE%A91")
    page.locator("tbody tr", has_text=number).get_by_role("link").first.click()
    frame = page.frame_locator("iframe")
    expect(frame.locator("body")).to_contain_text(LETTER[reader.language][0])
    page.get_by_role("tab", name=desk("Plain text")).click()
    expect(page.get_by_role("tabpanel", name=desk("Plain text"))).to_contain_text("PS: 3 < 5 & 7")
    expect(page.locator("aside")).to_contain_text("plan étage.txt")


@BOTH
def test_the_composer_is_a_page_of_its_own_as_well(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    number, path = new_quotation(desk)
    document = path.rsplit("/", 1)[1]
    composer = open_page(desk, path)
    expect(desk.heading()).to_have_text(desk("Send by email"))
    expect(desk.field("Subject")).to_have_value(re.compile(number))
    send(desk, composer)
    expect(page).to_have_url(f"{house.url}{path}")
    expect(badge(page)).to_contain_text(desk("sent"))
    assert len(house.mailbox(number)) >= 1

    # Without scripts, the same form does the same.
    address = f"bare-{reader.language}@example.com"
    bare = page.context.browser.new_context(  # type: ignore[union-attr]
        java_script_enabled=False, storage_state=page.context.storage_state()
    )
    plain = bare.new_page()
    plain.goto(f"{house.url}/outbox/compose/{document}")
    plain.get_by_role("combobox", name=desk("To"), exact=True).fill(address)
    plain.get_by_role("button", name=desk("Send"), exact=True).click()
    # The customer has it already: that is asked, and everything typed is still there.
    plain.get_by_role("checkbox", name=desk("Send anyway")).check()
    plain.get_by_role("button", name=desk("Send"), exact=True).click()
    expect(plain).to_have_url(f"{house.url}{path}")
    bare.close()
    wait_until("the mail sent without scripts", lambda: house.accepted(address) == 1)


@BOTH
def test_who_did_not_get_it_gets_it_after_a_correction_and_nobody_twice(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    number, path = new_quotation(desk)
    wrong = f"refused+{reader.login}@example.com"
    right = f"right.{reader.login}@example.com"
    dialog = open_composer(desk)
    customer = str(chip(dialog, reader.customer).get_attribute("data-address"))
    subject = f"{number} {reader.login} {wrong}"
    dialog.get_by_label(desk("Subject")).fill(subject)
    type_recipients(desk, dialog, wrong)
    send(desk, dialog)
    half = desk("%(accepted)s of %(count)s accepted", accepted=1, count=2)
    expect(badge(page)).to_contain_text(half)
    expect(badge(page).locator(".state-danger")).to_be_visible()
    expect(page.locator("#mail-panel")).to_contain_text(desk("Address unknown"))
    # The bell rings for a failure of one's own; the list has its line, red as a whole.
    desk.go(path)
    expect(page.locator("#alert-bell .bell-count")).to_be_visible()
    desk.go("/outbox/mails?f=failed&f=mine")
    rows = page.locator("tbody tr")
    expect(page.get_by_role("group", name=desk("Filters")).locator("[aria-current=true]")).to_have_count(2)
    for row in rows.all():
        expect(row).to_have_class("failed")
    row = rows.filter(has_text=subject)
    expect(row).to_contain_text(half)
    expect(row).to_contain_text(desk("Address unknown"))
    assert row.locator("td").first.evaluate("cell => getComputedStyle(cell).backgroundColor") != (
        "rgba(0, 0, 0, 0)"
    )
    row.get_by_role("link", name=subject).click()

    # The reason, on a tab of its own: in words, who must act, the server's own reply.
    expect(page.get_by_role("link", name=desk("Reason for the failure"))).to_have_attribute(
        "aria-current", "page"
    )
    tab = page.locator(".tab-body")
    expect(tab.get_by_role("heading", level=3).first).to_have_text(desk("Address unknown"))
    expect(tab).to_contain_text(
        desk(
            "The recipient's mail server says that this mailbox does not exist. Ask the customer for the right "
            "address, correct it and send the email again."
        )
    )
    expect(tab).to_contain_text(desk("The sender"))
    expect(tab.locator("pre")).to_contain_text(f"550 5.1.1 <{wrong}>: there is no such mailbox here")
    desk.link("Correct the address").click()

    # Correct and resend: only the one who did not get it gets it.
    failed = page.locator("tr", has_text=wrong)
    expect(failed).to_contain_text("550 5.1.1")
    expect(failed.get_by_label(desk("Correct address"))).to_be_focused()
    failed.get_by_label(desk("Correct address")).fill(right)
    desk.button("Correct and send again").click()
    expect(page.locator("tr", has_text=right)).to_contain_text(desk("accepted"))
    expect(page.locator(".sheet-title .state")).to_contain_text(desk("sent"))
    assert house.accepted(right) == 1
    assert [row.recipients for row, message in house.mailbox(subject)] == [(right,), (customer,)]
    second, first = (message for _row, message in house.mailbox(subject))
    assert wrong in first["To"]
    assert right in second["To"]
    for message in (first, second):
        del message["To"]
    assert first.as_bytes() == second.as_bytes()  # the same Message-ID, the same text, the same PDF

    desk.go(path)
    expect(badge(page)).to_contain_text(desk("sent"))
