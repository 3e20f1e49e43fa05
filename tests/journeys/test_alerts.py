"""The bell, the list behind it, the mail that tells; personal data; the state of mail servers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from playwright.sync_api import expect

from core.embedded import free_port
from tests.journeys.composing import new_quotation, nobody, open_composer, send_off, type_recipients
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.test_pages import complaints
from tests.journeys.variants import EITHER, EITHER_LANGUAGE
from tests.journeys.words import ADMIN, OLIVER, SOPHIE, Reader

NARROW = {"width": 360, "height": 800}
WIDE = {"width": 1280, "height": 900}


def send_to(desk: Desk, *addresses: str) -> str:
    """Send a new quotation to some addresses alone, and return its number."""
    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    nobody(dialog)
    dialog.get_by_label(desk("Subject")).fill(f"{number} to {addresses[0]}")
    type_recipients(desk, dialog, ", ".join(addresses))
    send_off(desk, dialog)
    expect(desk.page.locator("#mail-badge .state")).to_be_visible()
    return number


@EITHER
def test_the_bell_rings_at_the_next_page_and_falls_silent_when_the_reason_was_read(
    sit_down: Callable[..., Desk], reader: Reader
) -> None:
    desk = sit_down(reader, bypass_csp=True)
    page = desk.page
    desk.go("/outbox/alerts")
    if (mark := desk.button("Mark all as read")).is_visible():
        mark.click()
    number = send_to(desk, f"refused+bell-{reader.language}@example.com")
    expect(page.locator("#mail-badge")).to_contain_text(desk("failed"))

    desk.go("/")
    count = page.locator("#alert-bell .bell-count")
    expect(count).to_have_text("1")
    bell = page.locator("#alert-bell button")
    bell.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    entry = page.locator("#alert-bell a", has_text=number)
    expect(entry).to_be_focused()
    expect(entry).to_contain_text(desk("Address unknown"))
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("550 5.1.1")
    # The page says by itself that it was read; the bell is silent without another page.
    expect(count).to_have_count(0)
    desk.go("/")
    expect(count).to_have_count(0)

    # It stays in the list.
    page.locator("#alert-bell a").click()
    expect(desk.heading()).to_have_text(desk("Alerts"))
    expect(page.locator("tbody tr").first).to_contain_text(number)
    expect(page.locator("tbody tr").first).to_contain_text(desk("failed"))
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        assert not list(complaints(desk, reader.language))


def test_on_a_telephone_the_folded_menu_says_that_the_bell_rings(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    send_to(desk, "refused+phone@example.com")
    expect(page.locator("#mail-badge")).to_contain_text("failed")
    page.set_viewport_size(NARROW)
    desk.go("/")
    toggler = page.locator(".navbar-toggler")
    assert toggler.evaluate("button => getComputedStyle(button, '::after').content") == '""'
    toggler.click()
    page.locator("#alert-bell button").click()
    expect(desk.link("All alerts")).to_be_visible()
    desk.link("All alerts").click()
    desk.button("Mark all as read").click()
    expect(page.locator(".bell-count")).to_have_count(0)
    expect(desk.button("Mark all as read")).to_have_count(0)


def test_whoever_wants_it_is_told_by_mail_as_well(sit_down: Callable[..., Desk], house: House) -> None:
    desk = sit_down(SOPHIE)
    page = desk.page
    desk.go("/outbox/alerts")
    by_email = page.get_by_label(
        desk("Tell me by email as well, to %(address)s", address="sophie@demo.example.com")
    )
    by_email.check()
    desk.button("Save").click()
    expect(page.locator("#flashes")).to_contain_text(
        desk("You will also be told by email, to %(address)s.", address="sophie@demo.example.com")
    )
    number = send_to(desk, "refused+told@example.com")
    expect(page.locator("#mail-badge")).to_contain_text(desk("failed"))

    def told() -> str:
        """Return the mail that names the document; others may have got one at this address as well."""
        for _row, message in house.mailbox("sophie@demo.example.com"):
            html = message.get_body(preferencelist=("html",))
            if html is not None and number in html.get_content():
                return str(html.get_content())
        return ""

    text = wait_until("the mail that tells", told)
    assert f"{house.url}/outbox/mails/" in text
    assert "550" not in text  # the words of servers name addresses
    desk.go("/outbox/alerts")
    by_email.uncheck()
    with page.expect_navigation():
        desk.button("Save").click()


# -- personal data -------------------------------------------------------------------------------------


@pytest.fixture
def boss(sit_down: Callable[..., Desk]) -> Iterator[Desk]:
    """The administrator in developer mode, in a page that lets the check for accessibility in."""
    desk = sit_down(ADMIN, bypass_csp=True)
    desk.prefer(developer="1")
    yield desk
    desk.prefer(language=ADMIN.language)


@EITHER_LANGUAGE
def test_an_address_is_shown_handed_over_and_erased(boss: Desk, house: House, language: str) -> None:
    boss.prefer(language=language)
    desk = Desk(house, boss.page, Reader("admin", language))
    page = desk.page
    address = f"jeanne.{language}@example.com"
    mail_id = house.send(
        "S00002", "--only", "--to", f"{address}, other@example.com", "--company", ADMIN.company
    )
    wait_until("the email", lambda: house.mail(mail_id)[0] == "sent")
    desk.go("/")
    desk.button("Configuration").click()
    desk.link("Personal data").click()
    desk.field("Email address").fill("nobody at all")
    desk.button("Show what is known").click()
    expect(page.get_by_role("alert")).to_be_visible()
    desk.field("Email address").fill(address.upper())
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text(desk("What will happen:"))
    for size in (NARROW, WIDE):
        page.set_viewport_size(size)
        assert not list(complaints(desk, language))

    with page.expect_download() as download:
        desk.button("Download").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        data = json.loads(archive.read("personal-data.json"))
        assert f"mails/{mail_id}.eml" in archive.namelist()
    assert [mail["id"] for mail in data["mails"]] == [mail_id]
    assert "other@example.com" not in json.dumps(data)

    questions: list[str] = []
    page.once("dialog", lambda dialog: (questions.append(dialog.message), dialog.dismiss()))
    desk.button("Erase").click()
    assert questions == [desk("Erase this address for good? This cannot be undone.")]
    page.once("dialog", lambda dialog: dialog.accept())
    desk.button("Erase").click()
    expect(page.locator("#flashes")).to_contain_text(desk("The address was erased."))
    expect(page.locator("main")).to_contain_text(desk("Nothing: no email, no contact, no user."))
    desk.go(f"/outbox/mails/{mail_id}?tab=recipients")
    expect(page.locator("main")).to_contain_text("@erased.invalid")
    expect(page.locator("main")).to_contain_text("other@example.com")
    expect(page.locator("main")).not_to_contain_text(address)


# -- servers -------------------------------------------------------------------------------------------


class Door:
    """A port that leads to a server, and that can be shut and opened again."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Refuse connections, and end those there are."""
        listener, self._listener = self._listener, None
        ending, self._open = [*self._open, *([listener] if listener else [])], []
        for end in ending:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def door(house: House) -> Iterator[Door]:
    """A door to the playground's mailbox."""
    door = Door(house.smtp_port)
    door.open()
    yield door
    door.shut()


def is_paused(desk: Desk) -> bool:
    """Return whether the page of the server says, asked again, that it is paused."""
    desk.page.reload()
    return desk.page.locator(".server-pause").is_visible()


@EITHER_LANGUAGE
def test_a_server_that_fails_is_paused_and_says_so_until_it_works_again(
    boss: Desk, house: House, door: Door, language: str
) -> None:
    boss.prefer(language=language)
    desk = Desk(house, boss.page, Reader("admin", language))
    page = desk.page
    company, name = "Harbour & Finch", f"Fragile {language}"
    desk.go("/mail_config/servers/new")
    desk.field("Name").fill(name)
    desk.field("Host").fill("smtp.gmail.com")
    expect(page.locator("#provider-hint")).to_contain_text("500")
    desk.field("Host").fill("127.0.0.1")
    expect(page.locator("#provider-hint p")).to_have_count(0)
    desk.field("Port").fill(str(door.port))
    desk.field("Encryption").select_option("none")
    desk.field("Priority").fill("1")
    desk.field("Company").select_option(label=company)
    desk.field("Emails a minute").fill("6000")
    with page.expect_navigation():
        desk.button("Save").click()
    server_path = page.url.removeprefix(house.url)
    desk.button("Test").click()
    expect(page.locator(".alert-success", has_text="admin@demo.example.com")).to_be_visible()
    expect(page.locator(".sheet-title")).to_contain_text(desk("in use"))

    door.shut()
    mails = []
    desk.go(server_path)

    def paused_by_another_mail() -> bool:
        mails.append(house.send("S00002", "--only", "--to", "late@example.com", "--company", company))
        return is_paused(desk)

    wait_until("the pause", paused_by_another_mail)
    expect(page.locator(".server-pause")).to_contain_text(desk("Server unreachable"))
    for size in (NARROW, WIDE):
        page.set_viewport_size(size)
        assert not list(complaints(desk, language))
    desk.button("Try now").click()
    expect(page.locator("#flashes .alert-warning")).to_be_visible()
    expect(page.locator(".server-pause")).to_be_visible()
    desk.go("/outbox/alerts")
    expect(page.locator("tbody tr", has_text=name)).to_contain_text(desk("paused"))
    desk.go("/mail_config/servers")
    expect(page.locator("tr.failed", has_text=name)).to_be_visible()
    # A test that fails is not told as a mail that waits.
    desk.go(server_path)
    desk.button("Test").click()
    expect(page.locator(".alert-danger", has_text=desk("Server unreachable")).last).to_be_visible()
    untested = page.locator(".sheet-title .state")
    expect(untested).to_have_text(desk("untested: sends nothing"))

    door.open()
    desk.button("Test").click()
    expect(page.locator(".alert-success")).to_be_visible()
    expect(page.locator(".server-pause")).to_have_count(0)
    for mail_id in mails:
        wait_until("what waited", partial(lambda one: house.mail(one)[0] == "sent", mail_id))
    desk.go("/outbox/alerts")
    expect(page.locator("tbody tr", has_text=name)).to_contain_text(desk("works again"))
    desk.go(server_path)
    page.once("dialog", lambda dialog: dialog.accept())
    desk.button("Delete").click()
    expect(page.locator("#flashes .alert-success")).to_be_visible()
