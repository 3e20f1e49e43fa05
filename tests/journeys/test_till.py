"""The till: sold by keyboard and by touch, with the server there and away; receipts by mail, truly and privately."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from playwright.sync_api import BrowserContext, Locator, Page, expect

from core.db.types import DECIMAL_PLACES
from core.demo import PASSWORD
from core.embedded import free_port
from core.mail.mistyped import meant
from core.numbers import marks_of, read_decimal
from tests.journeys.conftest import Desk
from tests.journeys.house import House, running_house, wait_until
from tests.journeys.test_pages import complaints
from tests.journeys.tills import CAMILLE, open_till, ready, sell_one, tickets
from tests.journeys.words import ADMIN
from tests.typed_addresses import ADDRESSES, NO_ADDRESSES, SLIPS
from tests.typed_numbers import CASES, LOCALES, nonsense

# What a browser says by itself while the server is away, and the till says in words of its own.
AWAY = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_FAILED", "status of 401")
NUMBER = re.compile(r"^[A-Z]\d-\d{6}$")


def test_a_sale_by_keyboard_alone_with_change_and_a_discount(enter: Callable[..., Desk]) -> None:
    desk = enter(CAMILLE)
    page, keyboard = open_till(desk), desk.page.keyboard
    expect(page.locator("[data-search]")).to_be_focused()
    keyboard.type("3760001000271")  # a scanner types the barcode, and Enter
    keyboard.press("Enter")
    keyboard.type("cable")  # without its accent
    keyboard.press("Enter")
    lines = page.locator(".till-line")
    expect(lines).to_have_count(2)
    quantity = page.get_by_role("textbox", name=f"{desk('Quantity')} – Câble textile")
    quantity.fill("2,5")
    quantity.press("Tab")
    discount = page.get_by_role("textbox", name=f"{desk('Discount in percent')} – Ampoule LED E27")
    discount.fill("10")
    discount.press("Enter")
    expect(page.locator("[data-total]")).to_have_text("21,26 €")  # 6,86 + 14,40
    assert not list(complaints(desk, "fr"))
    keyboard.press("F9")
    payment = page.locator("[data-payment]")
    expect(payment.locator("[data-amount]")).to_be_focused()
    expect(payment.locator("[data-payment-total]")).to_have_text("21,26 €")
    keyboard.type("1")
    keyboard.press("Enter")
    expect(payment.locator("[data-left]")).to_contain_text("20,26 €")
    keyboard.type("1.050,00")  # grouped, as somebody may type it
    keyboard.press("Enter")
    expect(payment.locator("[data-left]")).to_contain_text(
        "1 029,74 €".replace(" ", "\u202f", 1).replace(" ", "\u00a0")
    )
    payment.get_by_role("button", name=f"{desk('Remove')} – Espèces").last.click()
    keyboard.type("50")
    keyboard.press("Enter")
    expect(payment.locator("[data-left]")).to_contain_text("29,74 €")
    assert not list(complaints(desk, "fr"))
    expect(payment.locator("[data-finish]")).to_be_focused()
    keyboard.press("Enter")
    expect(page.locator("[data-notice=sold]")).to_contain_text("29,74 €")
    expect(lines).to_have_count(0)
    newest = tickets(desk).first
    expect(newest.get_by_role("link").first).to_have_text(NUMBER)
    expect(newest).to_contain_text("21,26 €")
    assert not list(complaints(desk, "fr"))
    newest.get_by_role("link").first.click()
    expect(page.locator("main")).to_contain_text("29,74 €")
    expect(page.locator("main")).to_contain_text("2,5")
    assert not list(complaints(desk, "fr"))


def test_a_scanner_is_heard_wherever_the_focus_is_and_what_was_paid_stays_paid(
    enter: Callable[..., Desk],
) -> None:
    desk = enter(CAMILLE)
    page, keyboard = open_till(desk), desk.page.keyboard
    lines = page.locator(".till-line")

    def scan(barcode: str) -> None:
        keyboard.type(barcode)
        keyboard.press("Enter")

    def quantity(name: str) -> Locator:
        return page.get_by_role("textbox", name=f"{desk('Quantity')} – {name}")

    scan("3760001002107")
    page.get_by_role("button", name=f"{desk('More')} – Lampe de table Galet").click()
    scan("3760001000271")  # the button has the focus
    expect(lines).to_have_count(2)
    expect(quantity("Lampe de table Galet")).to_have_value("2")
    page.locator("[data-categories] button").last.click()
    scan("3760001000035")  # a category has it
    expect(lines).to_have_count(3)
    quantity("Lampe de table Galet").click()
    keyboard.type("3")  # replaces what stands there
    keyboard.press("Enter")
    expect(quantity("Lampe de table Galet")).to_have_value("3")
    scan("3760001000271")
    expect(quantity("Ampoule LED E27")).to_have_value("2")
    quantity("Lampe de table Galet").focus()
    scan("3760001000271")  # even into a quantity
    expect(quantity("Ampoule LED E27")).to_have_value("3")
    expect(quantity("Lampe de table Galet")).to_have_value("3")
    page.locator("body").click(position={"x": 5, "y": 790})
    scan("3760001000271")
    expect(quantity("Ampoule LED E27")).to_have_value("4")

    # So many of it: before a code, a scan, a name or a touch.
    scan("3*3760001000271")
    expect(quantity("Ampoule LED E27")).to_have_value("7")
    scan("0,5*cable")
    expect(quantity("Câble textile")).to_have_value("1,5")
    page.locator("[data-search]").fill("2*ampoule")
    page.locator(".tile").first.click()
    expect(quantity("Ampoule LED E27")).to_have_value("9")
    scan("100000*3760001000271")
    expect(page.locator("[data-notice=number]")).to_contain_text(re.compile("99.?999"))
    # What was taken away by a slip comes back as it was, in its place.
    quantity("Ampoule LED E27").fill("0")
    keyboard.press("Enter")
    expect(lines).to_have_count(2)
    page.locator("[data-notice=removed]").get_by_role("button", name=desk("Bring it back")).click()
    expect(quantity("Ampoule LED E27")).to_have_value("9")
    expect(lines.nth(1)).to_contain_text("Ampoule LED E27")

    # A quantity that cannot be keeps one from paying for another.
    quantity("Lampe de table Galet").fill("-1")
    page.locator("[data-pay]").click()
    expect(page.locator("[data-payment]")).to_be_hidden()
    expect(quantity("Lampe de table Galet")).to_be_focused()
    quantity("Lampe de table Galet").fill("1")
    keyboard.press("Enter")
    page.locator("[data-customer]").fill("nobody of this name")
    keyboard.press("Tab")
    expect(page.locator("[data-notice=noCustomer]")).to_contain_text("nobody of this name")
    page.locator("[data-customer]").fill("roussel")
    keyboard.press("Tab")
    expect(page.locator("[data-customer]")).to_have_value(re.compile("Roussel"))

    # What was taken stays taken: back to the sale, and even over a reload.
    keyboard.press("F9")
    payment = page.locator("[data-payment]")
    payment.get_by_role("button", name="Carte bancaire").click()
    payment.locator("[data-amount]").fill("20")
    keyboard.press("Enter")
    keyboard.press("Escape")
    expect(page.locator("[data-notice=paid]")).to_contain_text("20,00")
    page.reload()
    ready(page)
    expect(lines).to_have_count(3)
    keyboard.press("F9")
    expect(payment.locator("[data-payments] li")).to_have_count(1)
    # Each payment begins with the first method, whatever the last one was.
    expect(payment.get_by_role("button", name="Espèces")).to_have_attribute("aria-pressed", "true")
    keyboard.press("Enter")
    keyboard.press("Enter")
    expect(payment).to_be_hidden()
    expect(page.locator("[data-notice=sold]").get_by_role("link", name=desk("Print"))).to_be_visible()
    expect(lines).to_have_count(0)


def test_the_till_in_english_with_pounds_on_a_telephone(enter: Callable[..., Desk]) -> None:
    desk = enter(ADMIN, 360, has_touch=True)
    desk.prefer(language="en")
    page = open_till(desk, "T1")
    assert not list(complaints(desk, "en"))
    page.locator("[data-categories]").get_by_role("button", name="Care").tap()
    expect(page.locator(".tile")).to_have_count(2)
    # Exact cash in three touches: the product, the payment, done.
    page.locator(".tile", has_text="Hard wax oil").tap()
    page.locator("[data-pay]").tap()
    payment = page.locator("[data-payment]")
    payment.locator("[data-finish]").tap()
    expect(page.locator("[data-notice=sold]")).to_contain_text("Sold: £21.59.")
    page.locator(".tile", has_text="Hard wax oil").tap()
    page.locator("[data-pay]").tap()
    expect(payment.locator("[data-payment-total]")).to_have_text("£21.59")
    # More than is owed says its change before it is taken; a card gives none.
    amount = payment.locator("[data-amount]")
    amount.fill("25")
    expect(payment.locator("[data-left]")).to_have_text("Change: £3.41")
    expect(payment.locator("[data-finish]")).to_be_enabled()
    payment.locator("[data-methods] button").nth(1).tap()
    expect(payment.locator("[data-finish]")).to_be_disabled()
    amount.fill("0")
    payment.locator("[data-add-payment]").tap()
    expect(payment.locator("[data-left]")).to_have_text(
        "An amount is a number above 0, with at most 2 decimals."
    )
    payment.locator("[data-methods] button").first.tap()
    payment.locator("[data-quick]").get_by_role("button", name="£50.00").tap()
    expect(payment.locator("[data-left]")).to_have_text("Change: £28.41")
    assert not list(complaints(desk, "en"))
    payment.locator("[data-finish]").tap()
    sold = page.locator("[data-notice=sold]")
    expect(sold).to_contain_text("Sold: £21.59. Give back £28.41.")
    page.reload()
    ready(page)
    # What is given back is large, and there until something else is rung up.
    expect(sold.locator(".till-change")).to_have_text("£28.41")
    expect(sold.locator(".till-change")).to_have_css("font-size", "32px")
    expect(tickets(desk).first.get_by_role("link").first).to_have_text(NUMBER)
    assert not list(complaints(desk, "en"))
    assert read_alike(page) == []
    assert addresses_read_alike(page)


def read_alike(page: Page) -> list[object]:
    """Let the till read what the tests make up for numbers, and return what it reads otherwise than the office."""
    readings = []
    for locale in LOCALES:
        marks = dataclasses.asdict(marks_of(locale))
        texts = [*((text, DECIMAL_PLACES) for _locale, text, _number in CASES), *nonsense(1000)]
        readings += [(text, places, marks, in_the_office(text, places, locale)) for text, places in texts]
    assert sum(number is not None for *_, number in readings) > len(readings) / 3
    different: list[object] = page.evaluate(
        """async (readings) => {
            const script = document.querySelector('script[src*="/till/till.js"]').src;
            const { readTyped } = await import(script.replace("/till/till.js", "/till/numbers.js"));
            return readings.filter(([text, places, marks, number]) =>
                (readTyped(text, places, marks)?.toString() ?? null) !== number);
        }""",
        readings,
    )
    return different


def addresses_read_alike(page: Page) -> bool:
    """Let the till look at addresses that the office looks at as well."""
    texts = [*(text for text, _address in ADDRESSES), *NO_ADDRESSES]
    read, could_be, slips = page.evaluate(
        """async ([texts, slips]) => {
            const script = document.querySelector('script[src*="/till/till.js"]').src;
            const { cleaned, couldBe, meant } = await import(script.replace("/till/till.js", "/till/address.js"));
            return [texts.map(cleaned), texts.map(couldBe), slips.map((slip) => meant(slip, "en-GB"))];
        }""",
        [texts, SLIPS],
    )
    assert read[: len(ADDRESSES)] == [address for _text, address in ADDRESSES]
    assert could_be == [True] * len(ADDRESSES) + [False] * len(NO_ADDRESSES)
    assert slips == [meant(slip, "en-GB") for slip in SLIPS]
    return True


def in_the_office(text: str, places: int, locale: str) -> str | None:
    try:
        return str(int(read_decimal(text, places, locale).scaleb(places)))
    except ValueError:
        return None


def test_a_receipt_for_a_walk_in_by_touch_on_a_telephone(enter: Callable[..., Desk], house: House) -> None:
    desk = enter(CAMILLE, 360, has_touch=True)
    page = open_till(desk)
    page.locator(".tile").first.tap()
    page.locator("[data-pay]").tap()
    payment = page.locator("[data-payment]")
    address = payment.locator("#payment-address")
    address.fill("jeanne.passage@gmial.com")
    expect(payment.locator("[data-loud]")).to_have_text("jeanne.passage@gmial.com")
    assert not list(complaints(desk, "fr"))
    payment.get_by_role(
        "button", name=desk("Did you mean {address}?").format(address="jeanne.passage@gmail.com")
    ).tap()
    expect(address).to_have_value("jeanne.passage@gmail.com")
    address.fill("jeanne@@")
    address.blur()
    expect(address).to_have_class(re.compile("is-invalid"))
    address.fill("jeanne.passage@walk-in.example.com")
    payment.get_by_role("button", name="Carte bancaire").tap()
    payment.locator("[data-add-payment]").tap()
    payment.locator("[data-finish]").tap()
    expect(payment).to_be_hidden()
    expect(page.locator("[data-notice=sold]")).to_contain_text("jeanne.passage@walk-in.example.com")
    _row, message = wait_until("the receipt", lambda: house.mailbox("jeanne.passage@walk-in.example.com"))[0]
    assert "cashier@" not in str(message["reply-to"])
    (pdf,) = [part for part in message.iter_attachments() if part.get_content_type() == "application/pdf"]
    assert re.fullmatch(r"C1-\d{6}-Atelier_Lumen\.pdf", str(pdf.get_filename()))
    expect(tickets(desk).first.locator(".state")).to_contain_text(desk("sent"))
    assert not list(complaints(desk, "fr"))
    # The server that took it has it; Envoi has nothing of it any more.
    assert_nowhere(house, b"jeanne.passage")
    kept = page.evaluate(
        """async () => {
            const open = indexedDB.open("envoi-till-1");
            const db = await new Promise((done) => { open.onsuccess = () => done(open.result); });
            const all = db.transaction("tickets").objectStore("tickets").getAll();
            return new Promise((done) => { all.onsuccess = () => done(JSON.stringify(all.result)); });
        }"""
    )
    assert "jeanne" not in kept


def assert_nowhere(house: House, words: bytes) -> None:
    """Look for words in everything that Envoi keeps: database, files, log, queue; the mailbox is somebody else's."""

    def left() -> list[str]:
        found = [
            str(path)
            for path in house.data_dir.rglob("*")
            if path.is_file() and "playground" not in path.parts and words in path.read_bytes().lower()
        ]
        if words in house.log.read_bytes().lower():
            found.append("log")
        server = redis.Redis.from_url(house.environ["ENVOI_REDIS_URL"])
        with contextlib.closing(server):
            for key in server.scan_iter(f"*{house.environ['ENVOI_QUEUE']}*"):
                found += [str(key)] if words in (server.dump(key) or b"").lower() else []
            for key in server.scan_iter("rq:job:*"):
                found += [str(key)] if words in repr(server.hgetall(key)).lower().encode() else []
        return found

    wait_until(f"{words!r} to be nowhere: {left()}", lambda: not left())


def test_a_refused_receipt_is_not_called_sent_and_is_corrected_from_the_ticket(
    enter: Callable[..., Desk], house: House
) -> None:
    desk = enter(CAMILLE)
    page = open_till(desk)
    sell_one(page, "refused+walk-in@example.com")
    # The walk-in may still be there: the till says so by itself.
    refused = page.locator("[data-notice=receipt]")
    expect(refused).to_contain_text(re.compile(r"C1-\d{6}"))
    expect(page.locator("[data-waiting-count]")).to_be_visible()
    # Told until somebody has looked: over the next sale and a reload.
    sell_one(page)
    page.reload()
    ready(page)
    expect(refused).to_contain_text(re.compile(r"C1-\d{6}"))
    refused.get_by_role("button").click()
    expect(refused).to_be_hidden()
    newest = tickets(desk).nth(1)
    expect(newest.locator(".state-danger")).to_contain_text(desk("failed"))
    newest.get_by_role("link").first.click()
    panel = page.get_by_role("region", name=desk("Emails")).or_(page.locator("#mail-panel"))
    expect(panel).to_contain_text(desk("walk-in, address not kept"))
    assert not list(complaints(desk, "fr"))
    assert_nowhere(house, b"refused+walk-in@")
    # From the ticket to the mail, and the address put right: it is kept no more than the first.
    panel.get_by_role("link", name=re.compile(desk("Receipt").lower())).click()
    desk.link("Correct the address").click()
    field = page.get_by_label(desk("Correct address"))
    field.fill("right.now@walk-in.example.com")
    desk.button("Correct and send again").click()
    expect(page.locator(".sheet-title .state").first).to_contain_text(desk("sent"))
    assert house.accepted("right.now@walk-in.example.com") == 1
    assert_nowhere(house, b"right.now@")


def test_the_full_composer_mails_a_ticket_later(enter: Callable[..., Desk], house: House) -> None:
    desk = enter(CAMILLE)
    page = open_till(desk)
    sell_one(page)
    link = tickets(desk).first.get_by_role("link").first
    number = link.inner_text()
    link.click()
    page.get_by_role("link", name=desk("Send by email")).click()
    dialog = page.locator("#dialog")
    expect(dialog.locator("[data-composer][data-ready]")).to_be_attached()
    box = dialog.get_by_role("combobox", name=desk("To"), exact=True)
    box.fill("later.on@walk-in.example.com")
    box.press("Enter")
    dialog.get_by_role("button", name=desk("Send"), exact=True).click()
    _row, message = wait_until("the receipt", lambda: house.mailbox("later.on@walk-in.example.com"))[0]
    assert number in str(message["subject"])
    assert "cashier@" not in str(message["reply-to"]), (
        "a walk-in answers to the company, not to whoever stood there"
    )
    assert_nowhere(house, b"later.on@")


def test_a_known_customer_whose_address_is_there(enter: Callable[..., Desk], house: House) -> None:
    desk = enter(CAMILLE)
    page = open_till(desk)
    page.locator("[data-customer]").fill("Dupont")
    page.locator("[data-customer]").press("Tab")
    expect(page.locator("[data-customer]")).to_have_value(re.compile("^Dupont & Fils"))
    before = house.accepted("contact@dupont.example.com")
    page.locator(".tile").first.click()
    page.keyboard.press("F9")
    expect(page.locator("[data-usual-box]")).to_be_checked()
    expect(page.locator("[data-usual]")).to_contain_text("contact@dupont.example.com")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    wait_until("the receipt", lambda: house.accepted("contact@dupont.example.com") > before)
    expect(page.locator("[data-customer]")).to_have_value("")


def test_a_cashier_takes_over_by_pin(enter: Callable[..., Desk]) -> None:
    desk = enter(ADMIN)
    desk.prefer(language="en")
    page = open_till(desk)
    page.locator("[data-show-cashier]").click()
    dialog = page.locator("[data-cashier-dialog]")
    dialog.locator("select").select_option(label="Camille Petit")
    dialog.locator("[data-cashier-pin]").fill("1357")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("This PIN is wrong.")
    dialog.locator("[data-cashier-pin]").fill("2468")
    page.keyboard.press("Enter")
    expect(page.locator("[data-cashier-name]")).to_have_text("Camille Petit")
    sell_one(page)
    tickets(desk).first.get_by_role("link").first.click()
    expect(page.locator(".sheet-facts")).to_contain_text("Camille Petit")


def test_a_ticket_is_refunded_and_the_register_counted_and_closed(enter: Callable[..., Desk]) -> None:
    desk = enter(CAMILLE)
    page = open_till(desk, "C2")
    sell_one(page)
    tickets(desk).first.get_by_role("link").first.click()
    desk.link("Refund").click()
    quantity = page.get_by_role("textbox", name=re.compile(f"^{desk('Taken back')}"))
    quantity.fill("2")
    expect(page.locator("#refund-sum")).to_have_text("–")
    desk.button("Refund").click()
    expect(page.locator("#flashes")).to_contain_text(desk("The quantity returned is more than was sold."))
    desk.link("Take everything back").click()
    expect(quantity).to_have_value("1")
    expect(page.locator("#refund-sum")).to_contain_text("€")
    quantity.fill("0,5")
    expect(page.locator("#refund-sum")).to_contain_text(re.compile("[1-9]"))
    quantity.fill("1")
    assert not list(complaints(desk, "fr"))
    desk.button("Refund").click()
    expect(desk.heading()).to_have_text(NUMBER)
    expect(page.locator("main")).to_contain_text(desk("Takes back from"))
    page.locator(".sheet-facts").get_by_role("link", name=re.compile("^C2")).click()
    # A till that is still open elsewhere is told, and what it sells is not lost.
    other = desk.page.context.new_page()
    other.goto(page.url)
    other.goto(f"{desk.house.url}/pos/registers")
    other.locator(".register-card", has_text="C2 –").get_by_role("link", name=desk("Sell")).click()
    ready(other)
    desk.field("Cash counted").fill("99,50")
    desk.button("Close the till").click()
    expect(page.get_by_role("alert")).to_contain_text("-0,50")
    desk.field("Note").fill("une pièce manque")
    desk.button("Close the till").click()
    expect(page.locator("#flashes")).to_contain_text(desk("The till is closed."))
    expect(page.locator("main")).to_contain_text("-0,50")
    expect(other.locator("[data-notice=session]")).to_contain_text("Camille Petit")
    sell_one(other)
    expect(other.locator("[data-waiting-count]")).to_be_hidden()

    def opened_by_itself() -> bool:
        # Nothing waits on the till before the sale is kept there, nor once it is sent: asked until it has come.
        page.goto(f"{desk.house.url}/pos/sessions?f=open")
        return desk("Opened by itself") in page.locator("main").inner_text()

    wait_until("the session that opened by itself", opened_by_itself)


# -- without the server --------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, redis_url: str) -> tuple[Path, str, tuple[int, int]]:
    return tmp_path, redis_url, (free_port(), free_port())


@contextlib.contextmanager
def standing_still(house: House) -> Iterator[None]:
    """Stop the processes of a house where they stand, as a machine that hangs does."""
    ids = [house.process.pid]
    for process_id in ids:
        tasks = Path(f"/proc/{process_id}/task").iterdir()
        ids += [int(child) for task in tasks for child in (task / "children").read_text().split()]
    for process_id in ids:
        os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        for process_id in ids:
            os.kill(process_id, signal.SIGCONT)


def sign_in(context: BrowserContext, house: House) -> Page:
    page = context.new_page()
    page.goto(f"{house.url}/sign-in")
    page.locator("[name=login]").fill("cashier@demo.example.com")
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("banner")).to_be_visible()
    return page


def rows(house: House) -> list[tuple[str, str]]:
    """Return number and client id of the tickets that the server has, in their order."""
    database = sqlite3.connect(f"file:{house.data_dir / 'envoi.db'}?mode=ro", uri=True)
    with contextlib.closing(database):
        query = "SELECT number, client_id FROM pos_ticket JOIN core_document ON id = document_id ORDER BY sequence"
        return [(str(number), str(client)) for number, client in database.execute(query)]


@pytest.mark.browser_says(*AWAY)
def test_the_till_goes_on_selling_while_the_server_is_away(
    shop: tuple[Path, str, tuple[int, int]], new_context: Callable[..., BrowserContext]
) -> None:
    folder, redis_url, ports = shop
    context = new_context(locale="fr-FR")
    with running_house(folder, redis_url, ports=ports) as house:
        page = sign_in(context, house)
        page.goto(f"{house.url}/pos/till/1")
        ready(page)
        expect(page.locator("[data-till][data-offline]")).to_be_attached()
        other = context.new_page()
        other.goto(f"{house.url}/pos/till/1")
        ready(other)
        before = rows(house)
        page.wait_for_function("async () => (await (await caches.open('envoi-till-1')).keys()).length > 15")

        # It stands still: no connection is refused, and no answer comes. The page says so, after a reload too.
        connection = page.locator("[data-connection]")
        with standing_still(house):
            expect(connection).to_have_attribute("data-state", "offline")
            page.reload()
            ready(page)
            expect(connection).to_have_attribute("data-state", "offline")
            sell_one(page)
            expect(page.locator("[data-waiting-count]")).to_be_visible()
        expect(page.locator("[data-waiting-count]")).to_be_hidden()
        expect(connection).to_have_attribute("data-state", "online")
        before = rows(house)

    # The house is really gone. Two tabs sell, one with a receipt; both are reloaded, one is closed.
    sell_one(page, "away@walk-in.example.com")
    expect(connection).to_have_attribute("data-state", "offline")
    sell_one(other)
    expect(page.locator("[data-waiting-count]")).to_be_visible()
    page.locator("[data-search]").fill("ampoule")
    page.keyboard.press("Enter")
    page.reload()
    ready(page)
    expect(page.locator(".till-line")).to_have_count(1)  # the sale that was being rung up is there as well
    page.locator("[data-search]").focus()
    page.keyboard.press("F9")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("[data-payment]")).to_be_hidden()
    page.close()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{ports[0]}/pos/till/1")
    ready(page)
    page.locator("[data-show-tickets]").click()
    expect(page.locator("[data-tickets] .state-info")).to_have_count(3)

    with running_house(folder, redis_url, ports=ports) as house:
        expect(page.locator("[data-tickets] .state-info")).to_have_count(0)
        expect(page.locator("[data-connection]")).to_have_attribute("data-state", "online")
        wait_until("the receipt", lambda: house.mailbox("away@walk-in.example.com"))
        other.reload()
        ready(other)
        expect(other.locator("[data-waiting-count]")).to_be_hidden()
        after = rows(house)
        assert after[: len(before)] == before
        assert [number for number, _client in after[len(before) :]] == ["C1-000005", "C1-000006", "C1-000007"]
        assert len({client for _number, client in after}) == len(after)
        assert house.accepted("away@walk-in.example.com") == 1
        assert_nowhere(house, b"away@walk-in")
