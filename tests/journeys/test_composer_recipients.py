"""Recipients as chips: typed, pasted, suggested, moved, left out, put back – by mouse and by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.journeys.composing import (
    addresses,
    badge,
    chip,
    chips,
    field,
    new_quotation,
    nobody,
    open_composer,
    posted,
    send,
    type_recipients,
)
from tests.journeys.conftest import Desk
from tests.journeys.house import House
from tests.journeys.variants import EITHER, READERS_AND_SIZES, SIZES
from tests.journeys.words import OLIVER, Reader


@EITHER
def test_a_chip_says_who_it_is_and_why(sit_down: Callable[..., Desk], reader: Reader) -> None:
    desk = sit_down(reader)
    new_quotation(desk)
    dialog = open_composer(desk)
    customer = chips(dialog).first
    expect(customer.locator(".chip-name")).to_have_text(reader.customer)
    expect(customer.locator(".chip-reason")).to_contain_text(desk("customer"))
    address = customer.locator(".chip-address")
    expect(address).to_be_visible()  # whoever is written to is not only known by a name
    expect(address).to_have_text(str(customer.get_attribute("data-address")))
    type_recipients(desk, dialog, f"typed-{reader.language}@example.com")
    expect(chip(dialog, "typed-").locator(".chip-reason")).to_have_text(desk("typed"))


def test_many_are_pasted_at_once_and_what_is_no_address_stays(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    nobody(dialog)
    to = field(desk, dialog)
    to.focus()
    desk.page.evaluate(
        """text => {
        const data = new DataTransfer();
        data.setData("text/plain", text);
        const options = { clipboardData: data, bubbles: true, cancelable: true };
        document.activeElement.dispatchEvent(new ClipboardEvent("paste", options));
    }""",
        "one@example.com; Zoë Ölund <two@bücher.example>\n"
        '"Comma, Inc" <three@example.com>,no address\nfour@example.com',
    )
    expect(chips(dialog)).to_have_count(4)
    assert addresses(dialog) == [
        "one@example.com",
        "two@bücher.example",
        "three@example.com",
        "four@example.com",
    ]
    expect(chip(dialog, "three@").locator(".chip-name")).to_have_text("Comma, Inc")
    expect(to).to_have_value("no address")
    expect(to).to_have_attribute("aria-invalid", "true")
    expect(dialog.locator("#complaints-to")).to_contain_text("“no address”")
    # Mended, it becomes one.
    to.fill("now@example.com,")
    to.press("End")
    to.press_sequentially(" ")
    to.press("Enter")
    expect(chips(dialog)).to_have_count(5)
    expect(to).not_to_have_attribute("aria-invalid", "true")
    # Nobody is there twice.
    type_recipients(desk, dialog, "ONE@example.com")
    expect(chips(dialog)).to_have_count(5)
    expect(dialog.locator("[data-news]")).to_contain_text("Already among the recipients")


@SIZES
def test_somebody_is_suggested_and_chosen_by_the_keyboard(
    sit_down: Callable[..., Desk], viewport: dict[str, int]
) -> None:
    desk = sit_down(OLIVER, viewport=viewport)
    page = desk.page
    new_quotation(desk)
    dialog = open_composer(desk)
    to = field(desk, dialog)
    to.focus()
    page.keyboard.type("priya")
    options = dialog.locator("#suggest-to").get_by_role("option")
    expect(options.first).to_contain_text("Priya Shah")
    expect(to).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    assert to.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    page.keyboard.press("Escape")  # closes the suggestions, not the dialog
    expect(to).to_have_attribute("aria-expanded", "false")
    expect(dialog).to_be_visible()
    page.keyboard.type(" ")
    expect(options.first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(chip(dialog, "Priya Shah")).to_contain_text("contact")
    expect(to).to_have_value("")
    expect(to).to_be_focused()
    # Tab takes what was typed.
    page.keyboard.type("tab@example.com")
    page.keyboard.press("Tab")
    expect(chip(dialog, "tab@example.com")).to_be_visible()


@EITHER
def test_the_keyboard_walks_leaves_out_puts_back_and_moves(
    sit_down: Callable[..., Desk], house: House, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    customer = addresses(dialog)[0]
    mine = f"keys-{reader.language}"
    to = field(desk, dialog)
    to.focus()
    page.keyboard.type(f"{mine}-1@example.com; {mine}-2@example.com;")
    expect(chips(dialog)).to_have_count(3)
    # Backspace on the empty input goes to the last chip, the arrows walk on, Backspace removes.
    page.keyboard.press("Backspace")
    expect(chips(dialog).last.locator(".chip-button")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(chips(dialog).nth(1).locator(".chip-button")).to_be_focused()
    page.keyboard.press("Home")
    expect(chips(dialog).first.locator(".chip-button")).to_be_focused()
    page.keyboard.press("Delete")  # the customer was offered: it is left out, not gone
    expect(chip(dialog.locator("[data-chips=left_out]"), reader.customer)).to_be_visible()
    expect(dialog.locator("[data-news]")).to_contain_text(
        desk("%(name)s is left out this time.", name=reader.customer)
    )
    assert posted(dialog, "left_out")[0].endswith(f"<{customer}>")
    # The menu of a chip: to Cc, which unfolds.
    page.keyboard.press("Enter")
    menu = dialog.get_by_role("menu", name=desk("Recipient"))
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.keyboard.press("Enter")
    menu.get_by_role("menuitem", name=desk("Move to Cc"), exact=True).press("Enter")
    expect(chips(dialog, "cc")).to_have_count(1)
    expect(chips(dialog, "cc").first.locator(".chip-button")).to_be_focused()
    # A typed one is removed, and can be had back.
    chips(dialog, "to").first.locator(".chip-button").press("Backspace")
    expect(chips(dialog, "to")).to_have_count(0)
    dialog.locator("[data-news]").get_by_role("button", name=desk.words.meant("removed", "Undo")).press(
        "Enter"
    )
    expect(chips(dialog, "to")).to_have_count(1)
    dialog.get_by_label(desk("Subject")).fill(f"Keys {reader.language} {number}")
    send(desk, dialog)
    expect(badge(page)).to_contain_text(desk("sent"))
    ((row, message),) = house.mailbox(f"Keys {reader.language} {number}")
    assert set(row.recipients) == {f"{mine}-1@example.com", f"{mine}-2@example.com"}
    assert str(message["To"]) == f"{mine}-2@example.com"
    assert str(message["Cc"]) == f"{mine}-1@example.com"


@SIZES
def test_the_mouse_does_the_same(
    sit_down: Callable[..., Desk], house: House, viewport: dict[str, int]
) -> None:
    desk = sit_down(OLIVER, viewport=viewport)
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    customer = addresses(dialog)[0]
    place = f"mouse-{viewport['width']}@example.com"
    type_recipients(desk, dialog, place)
    chip(dialog, place).click()
    dialog.get_by_role("menuitem", name="Move to Bcc").click()
    assert addresses(dialog, "bcc") == [place]
    chip(dialog, OLIVER.customer).click()
    dialog.get_by_role("menuitem", name="Leave out this time").click()
    assert addresses(dialog, "left_out") == [customer]
    dialog.get_by_role("button", name="Put back").click()
    assert addresses(dialog) == [customer]
    dialog.get_by_role("button", name="Add a field for copies").click()
    type_recipients(desk, dialog, "copy@example.com", "Cc")
    dialog.get_by_label("Subject").fill(f"Mouse {viewport['width']} {number}")
    send(desk, dialog)
    expect(badge(desk.page)).to_contain_text("sent")
    ((row, message),) = house.mailbox(f"Mouse {viewport['width']} {number}")
    assert set(row.recipients) == {customer, place, "copy@example.com"}
    assert place not in str(message)  # Bcc is nobody else's business


def test_a_chip_is_dragged_from_field_to_field(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    type_recipients(desk, dialog, "dragged@example.com")
    dialog.get_by_role("button", name="Add a field for copies").click()
    chip(dialog, "dragged@example.com").drag_to(dialog.locator("[data-field=cc] .chip-field"))
    assert addresses(dialog, "cc") == ["dragged@example.com"]
    assert len(addresses(dialog)) == 1


@EITHER
def test_other_addresses_of_the_customer_are_offered(sit_down: Callable[..., Desk], reader: Reader) -> None:
    desk = sit_down(reader)
    new_quotation(desk)
    dialog = open_composer(desk)
    offers = dialog.get_by_role("list", name=desk("Also known")).get_by_role("button")
    count = offers.count()
    assert count
    before = len(addresses(dialog))
    offers.first.press("Enter")
    expect(chips(dialog)).to_have_count(before + 1)
    expect(chips(dialog).last.locator(".chip-button")).to_be_focused()
    expect(offers.locator("visible=true")).to_have_count(count - 1)
    chips(dialog).last.locator(".chip-button").press("Delete")
    expect(chips(dialog)).to_have_count(before)


def test_a_new_address_is_kept_as_a_contact(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    new_quotation(desk)
    dialog = open_composer(desk)
    type_recipients(desk, dialog, "nadia.kept@example.com")
    known = chip(dialog, "nadia.kept@example.com")
    known.locator(".chip-button").press("Enter")
    dialog.get_by_role("menuitem", name="Keep as a contact…").press("Enter")
    form = dialog.get_by_role("dialog", name="Keep as a contact")
    name = form.get_by_label("Name")
    expect(name).to_be_focused()
    name.fill("Nadia Kept")
    form.get_by_label("Kind").select_option("billing")
    form.get_by_role("button", name="Keep", exact=True).press("Enter")
    expect(form).to_be_hidden()
    expect(chip(dialog, "Nadia Kept")).to_contain_text("billing contact")
    expect(chip(dialog, "Nadia Kept").locator(".chip-button")).to_be_focused()
    assert len(addresses(dialog)) == 2


@READERS_AND_SIZES
def test_addresses_stand_side_by_side_in_the_address_book(
    sit_down: Callable[..., Desk], reader: Reader, viewport: dict[str, int]
) -> None:
    desk = sit_down(reader, viewport=viewport)
    page = desk.page
    new_quotation(desk)
    dialog = open_composer(desk)
    dialog.get_by_role("button", name=desk("Addresses"), exact=True).press("Enter")
    book = dialog.get_by_role("dialog", name=desk("Addresses"))
    for kind in ("Billing", "Delivery", "Contact"):
        expect(book.get_by_role("heading", name=desk(kind), exact=True).first).to_be_visible()
    # To Cc, added; then only this one in To; then To is cleared.
    book.locator("[name=book-field][value=cc]").check()
    adds = book.locator("[data-book-add]")
    adds.last.press("Enter")
    expect(adds.last).to_have_attribute("aria-pressed", "true")
    assert len(addresses(dialog, "cc")) == 1
    book.locator("[name=book-field][value=to]").check()
    book.locator("[data-book-only]").last.press("Enter")
    assert addresses(dialog, "cc") == []
    assert len(addresses(dialog, "to")) == 1
    book.get_by_role("button", name=desk("Clear this field")).press("Enter")
    book.locator("[data-book-all]").first.press("Enter")  # everybody who is in no field yet
    expect(book.locator("[data-book-add][aria-pressed=true]").first).to_be_visible()
    book.get_by_role("button", name=desk("Clear this field")).press("Enter")
    assert addresses(dialog, "to") == []
    # Another customer, whose addresses are missing in part.
    search = book.get_by_role("searchbox")
    search.fill("zzzz")
    expect(book).to_contain_text(desk("No customer or contact found."))
    search.fill({"en": "Brightwell", "fr": "Boulangerie"}[reader.language])
    expect(book.get_by_role("heading", level=3).first).to_contain_text(search.input_value())
    expect(book.locator(".book-missing").first).to_be_visible()
    wide, narrow = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= narrow
    book.get_by_role("button", name=desk("Done")).focus()
    page.keyboard.press("Escape")  # closes the book, not the composer
    expect(book).to_be_hidden()
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name=desk("Addresses"), exact=True)).to_be_focused()
