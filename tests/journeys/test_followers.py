"""Followers, customers and the signature, by mouse and by keyboard alone, wide and on a telephone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.journeys.composing import hold, new_quotation, until_held
from tests.journeys.conftest import Desk
from tests.journeys.test_pages import complaints
from tests.journeys.test_salesperson import tab_to
from tests.journeys.variants import READERS, opposite_corners
from tests.journeys.words import OLIVER, Reader

# A contact of the reader's customer as it is typed, and as it is called; a colleague of another company.
CONTACT = {"fr": ("ines", "Inès Roussel"), "en": ("PRIYA", "Priya Shah")}
# Of another company; and a colleague who may not read sales documents, whom only the French company has.
STRANGER = {"fr": "Oliver Grant", "en": "Sophie Bernard"}
CASHIER = {"fr": "Camille Petit"}
OTHER = {"fr": ("lefev", "Boulangerie Lefèvre"), "en": ("copper", "The Copper Kettle")}
EVERYWHERE = opposite_corners("reader, width", READERS, [360, 1280])
SitDown = Callable[..., Desk]


@pytest.fixture
def enter(sit_down: SitDown) -> SitDown:
    """Let somebody sign in with a window of some width, in which the check for accessibility may run."""

    def at(reader: Reader, width: int) -> Desk:
        return sit_down(reader, viewport={"width": width, "height": 900}, bypass_csp=True)

    return at


def panel(desk: Desk) -> Locator:
    """Find the followers on the page of a document."""
    return desk.page.get_by_role("region", name=desk("Followers"))


def row(desk: Desk, name: str) -> Locator:
    """Find a follower."""
    return panel(desk).locator(".panel-body > .person-list > li").filter(has_text=name)


def said(desk: Desk) -> Locator:
    """Find what the panel says about what was done last."""
    return panel(desk).get_by_role("status")


def is_done(desk: Desk, message: str, **values: object) -> None:
    """Wait until the panel says that something was done, and the focus is on it."""
    expect(said(desk)).to_contain_text(desk(message, **values))
    expect(said(desk).locator(":focus")).to_have_count(1)


def is_sound(desk: Desk) -> None:
    """Check the page as it is now: width, language, accessibility."""
    assert not list(complaints(desk, desk.reader.language))


@EVERYWHERE
def test_followers_by_keyboard_alone(enter: SitDown, reader: Reader, width: int) -> None:
    desk = enter(reader, width)
    page, keyboard = desk.page, desk.page.keyboard
    new_quotation(desk)
    typed, contact = CONTACT[reader.language]
    expect(row(desk, reader.customer)).to_contain_text(desk("customer"))
    expect(panel(desk).locator(".person-list > li")).to_have_count(2)  # the customer and the owner

    # Added: typed without accents, Enter at once, and the button.
    tab_to(desk, page.get_by_role("combobox", name=desk("Add a follower")))
    keyboard.type(typed)
    keyboard.press("Enter")
    expect(panel(desk).locator(".follower-add .item")).to_have_text(contact)
    keyboard.press("Tab")
    keyboard.press("Enter")
    is_done(desk, "%(name)s follows this document now.", name=contact)
    expect(row(desk, contact)).to_contain_text(desk("by email"))

    # By mail, in the application only, and back.
    tab_to(desk, row(desk, contact).locator("button.follower-how"))
    keyboard.press("Enter")
    is_done(desk, "%(name)s follows in the application only now.", name=contact)
    expect(row(desk, contact)).to_contain_text(desk("in the application only"))
    tab_to(desk, row(desk, contact).locator("button.follower-how"))
    keyboard.press("Space")
    is_done(desk, "%(name)s follows by email now.", name=contact)
    expect(row(desk, contact).locator("button.follower-how")).to_contain_text(desk("by email"))

    # Removed: the focus is on what takes it back.
    tab_to(desk, desk.button("Remove %(name)s", name=contact))
    keyboard.press("Enter")
    is_done(desk, "%(name)s no longer follows this document.", name=contact)
    expect(row(desk, contact)).to_have_count(0)
    expect(page.locator(":focus")).to_contain_text(desk.words.meant("removed", "Undo"))
    keyboard.press("Enter")
    is_done(desk, "%(name)s follows this document now.", name=contact)
    expect(row(desk, contact)).to_have_count(1)

    # Removed for longer: folded away, until somebody adds it again.
    tab_to(desk, desk.button("Remove %(name)s", name=contact))
    keyboard.press("Enter")
    is_done(desk, "%(name)s no longer follows this document.", name=contact)
    page.reload()
    removed = panel(desk).locator(".follower-removed")
    expect(removed.get_by_role("listitem")).to_be_hidden()
    tab_to(desk, removed.locator("summary"))
    keyboard.press("Enter")
    expect(removed.get_by_role("listitem")).to_contain_text(contact)
    is_sound(desk)
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(row(desk, contact)).to_have_count(1)
    expect(removed).to_have_count(0)


def test_what_is_found_after_the_choice_opens_nothing(sit_down: SitDown) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    new_quotation(desk)
    held = hold(page, "**/followers/people?**")
    panel(desk).locator(".follower-add .ts-control").click()
    # Chosen from what the page has, before the server is even asked for more.
    page.locator(".ts-dropdown:visible .option").first.click()
    late = until_held(page, held)
    with page.expect_response(late.request.url):
        late.continue_()
    # The field has taken in what was found; what might open has done so.
    expect(panel(desk).locator(".follower-add .ts-wrapper.loading")).to_have_count(0)
    expect(page.locator(".ts-dropdown:visible")).to_have_count(0)


@EVERYWHERE
def test_followers_by_mouse(enter: SitDown, reader: Reader, width: int) -> None:
    desk = enter(reader, width)
    page = desk.page
    new_quotation(desk)
    contact = CONTACT[reader.language][1]
    field = panel(desk).locator(".follower-add .ts-control")

    # The contacts of the customer are offered before anything is typed.
    field.click()
    offered = page.locator(".ts-dropdown:visible .option")
    expect(offered.filter(has_text=contact)).to_be_visible()
    offered.filter(has_text=contact).click()
    desk.button("Add").click()
    is_done(desk, "%(name)s follows this document now.", name=contact)
    expect(row(desk, contact)).to_be_visible()

    # A colleague who may not read the document is shown, with the reason, and cannot be taken.
    field.click()
    expect(offered.first).to_be_visible()  # whom it offers by itself has come in
    box = page.get_by_role("combobox", name=desk("Add a follower"))
    if cashier := CASHIER.get(reader.language):
        box.press_sequentially(cashier, delay=20)
        expect(offered.filter(has_text=cashier)).to_contain_text(desk("may not read this document"))
        offered.filter(has_text=cashier).click(force=True)
        expect(panel(desk).locator(".follower-add .item")).to_have_count(0)
        box.fill("")
    # Nobody learns who works for another company.
    for unknown in (STRANGER[reader.language], "qqqqqq"):
        box.press_sequentially(unknown)
        expect(page.locator(".ts-dropdown:visible .no-results")).to_have_text(desk("Nothing found"))
        box.fill("")
    box.press("Escape")

    # A new contact on the way: what is wrong is said, and nothing typed is lost.
    panel(desk).locator(".follower-new summary").click()
    name = f"Max {reader.language} {width}"
    taken = row(desk, contact).locator(".small-print").first.inner_text().strip()
    page.locator("#follower-new-name").fill(name)
    page.locator("#follower-new-email").fill(taken)
    desk.button("Make and add").click()
    expect(page.locator("#follower-new-email-errors")).to_have_text(
        desk("%(name)s has this address already.", name=contact)
    )
    expect(page.locator("#follower-new-email")).to_be_focused()
    expect(page.locator("#follower-new-name")).to_have_value(name)
    is_sound(desk)
    page.locator("#follower-new-email").fill(f"max-{reader.language}-{width}@contacts.example.com")
    page.locator("#follower-new-type").select_option("billing")
    desk.button("Make and add").click()
    expect(row(desk, name)).to_contain_text(desk("by email"))
    row(desk, name).get_by_role("link", name=name).click()
    expect(page.locator("main")).to_contain_text(desk("Billing contact"))
    expect(desk.link(reader.customer).first).to_be_visible()


@EVERYWHERE
def test_another_customer_by_keyboard(enter: SitDown, reader: Reader, width: int) -> None:
    desk = enter(reader, width)
    page, keyboard = desk.page, desk.page.keyboard
    _number, path = new_quotation(desk)
    desk.go(f"{path}/edit")
    question = page.get_by_role("group", name=desk("Another customer: who goes on following this document?"))
    expect(question).to_be_hidden()

    typed, other = OTHER[reader.language]
    tab_to(desk, page.get_by_role("combobox", name=desk("Customer")))
    keyboard.type(typed)
    keyboard.press("Enter")
    expect(page.locator("form#editor")).to_contain_text(other)
    expect(question).to_be_visible()
    expect(question).to_contain_text(reader.customer)
    stops = page.get_by_role("radio", name=desk("stops following"), exact=True)
    expect(stops).to_be_checked()
    is_sound(desk)

    # The present one again: nothing to ask. Then the other one after all.
    tab_to(desk, page.get_by_role("combobox", name=desk("Customer")), back=True)
    keyboard.type(reader.customer[:9])
    keyboard.press("Enter")
    expect(page.locator("form#editor .item", has_text=reader.customer)).to_be_visible()
    expect(question).to_be_hidden()
    keyboard.type(typed)
    keyboard.press("Enter")
    expect(question).to_be_visible()
    tab_to(desk, stops)
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    in_application = page.get_by_role(
        "radio", name=desk("goes on following in the application only"), exact=True
    )
    expect(in_application).to_be_checked()
    tab_to(desk, page.locator(".control-actions").get_by_role("button", name=desk("Save")), back=True)
    keyboard.press("Enter")
    expect(row(desk, other)).to_contain_text(desk("by email"))
    expect(row(desk, other)).to_contain_text(desk("customer"))
    expect(row(desk, reader.customer)).to_contain_text(desk("in the application only"))


@EVERYWHERE
def test_a_customer_with_a_main_contact_who_wants_no_mails(
    enter: SitDown, reader: Reader, width: int
) -> None:
    desk = enter(reader, width)
    page = desk.page
    name = f"Journey {reader.language}"
    desk.go("/partners/new")
    desk.field("Name").fill(name)
    desk.button("Save").click()
    expect(desk.heading()).to_have_text(name)
    for contact in ("First", "Second"):
        desk.link("New contact").click()
        desk.field("Name").fill(f"{contact} {name}")
        desk.field("Kind of contact").select_option("delivery")
        desk.field("Main contact").check()
        desk.button("Save").click()
        expect(desk.heading()).to_have_text(name)
    contacts = page.locator("main tbody tr")
    expect(contacts.first).to_contain_text(f"Second {name}")
    expect(contacts.first).to_contain_text(desk("Main contact"))
    expect(contacts.nth(1)).not_to_contain_text(desk("Main contact"))
    contacts.nth(1).get_by_role("link").click()
    desk.button("Make main contact").click()
    expect(contacts.first).to_contain_text(f"First {name}")
    is_sound(desk)

    desk.link("Edit").click()
    desk.field("Emails wanted").select_option("none")
    desk.button("Save").click()
    expect(page.locator(".sheet-title")).to_contain_text(desk("Opted out of emails"))
    is_sound(desk)
    desk.go("/partners")
    page.get_by_role("group", name=desk("Filters")).get_by_role(
        "link", name=desk("Opted out of emails")
    ).click()
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    is_sound(desk)


@EVERYWHERE
def test_the_signature_by_keyboard(enter: SitDown, reader: Reader, width: int) -> None:
    desk = enter(reader, width)
    page, keyboard = desk.page, desk.page.keyboard
    desk.go("/")
    page.locator("header").get_by_role("link", name=desk("Signature"), include_hidden=True).evaluate(
        "link => link.click()"
    )
    expect(desk.heading()).to_have_text(desk("Signature"))
    editor = page.locator("trix-editor")
    tab_to(desk, editor)
    keyboard.press("Control+A")
    keyboard.type("Written by keyboard", delay=20)
    preview = page.get_by_role("region", name=desk("Preview"))
    expect(preview.locator(".signature-shown")).to_have_text("Written by keyboard")
    is_sound(desk)
    tab_to(desk, page.locator("main").get_by_role("button", name=desk("Save")))
    keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text(desk("Your signature was saved."))
    expect(editor).to_have_text("Written by keyboard")

    # Taken away again.
    tab_to(desk, editor)
    keyboard.press("Control+A")
    keyboard.press("Delete")
    expect(preview).to_contain_text(desk("No signature."))
    tab_to(desk, page.locator("main").get_by_role("button", name=desk("Save")))
    keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text(desk("Your emails end without a signature now."))


@pytest.mark.browser_says("net::ERR_FAILED")
def test_the_field_waits_for_the_server_and_says_when_it_is_away(enter: SitDown) -> None:
    desk = enter(OLIVER, 1280)
    page, keyboard = desk.page, desk.page.keyboard
    desk.go("/sales/quotations/new")
    page.route(re.compile(r"/people\?"), lambda route: route.abort())
    tab_to(desk, page.get_by_role("combobox", name="Customer"))
    keyboard.type("copper")
    keyboard.press("Enter")
    expect(page.locator("#toasts").get_by_role("alert").first).to_contain_text("The server cannot be reached")
    expect(page.locator("form#editor .item")).to_have_count(0)
    expect(desk.heading()).to_have_text("New quotation")  # Enter has not posted the form
    page.unroute(re.compile(r"/people\?"))
    keyboard.type(" k")
    keyboard.press("Enter")
    expect(page.locator("form#editor .item")).to_have_text("The Copper Kettle")
