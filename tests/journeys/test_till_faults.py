"""The till when something goes wrong or changes under it: lost answers, a server that is ill, two tabs, time."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import sqlite3
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Route, expect

from core import clock
from tests.journeys.composing import hold, until_held
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.tills import CAMILLE, open_till, ready, sell_one, tickets
from tests.journeys.words import ADMIN

ILL = ("ERR_FAILED", "status of 500")


@contextlib.contextmanager
def database(house: House) -> Iterator[sqlite3.Connection]:
    """The database of the house, for what happens behind its back."""
    connection = sqlite3.connect(house.data_dir / "envoi.db", timeout=60)
    with contextlib.closing(connection), connection:
        yield connection


def clients(house: House) -> list[str]:
    """Return what the tickets were called by the tills that made them, in their order."""
    with database(house) as connection:
        return [row[0] for row in connection.execute("SELECT client_id FROM pos_ticket ORDER BY document_id")]


@pytest.mark.browser_says(*ILL)
def test_an_answer_that_is_lost_a_server_that_is_ill_and_a_double_press_cost_and_double_nothing(
    enter: Callable[..., Desk], house: House
) -> None:
    desk = enter(CAMILLE)
    page = open_till(desk)
    before = len(clients(house))

    def lose(route: Route) -> None:
        route.fetch()  # the server has written it, and the till does not learn of it
        route.abort()

    # The till tries again by itself; held, so that it cannot have come through before anybody has looked.
    held = hold(page, "**/pos/till/1/tickets")
    page.route("**/pos/till/1/tickets", lose, times=1)
    sell_one(page)
    again = until_held(page, held)
    expect(page.locator("[data-waiting-count]")).to_be_visible()
    again.continue_()
    page.unroute("**/pos/till/1/tickets")
    expect(page.locator("[data-waiting-count]")).to_be_hidden()
    assert len(clients(house)) == before + 1

    # Ill at one ticket: it is set aside and seen, and the next ones go on.
    page.route("**/pos/till/1/tickets", lambda route: route.fulfill(status=500, body=""), times=3)
    sell_one(page)
    sell_one(page)
    newest, ill = (tickets(desk).nth(n) for n in (0, 1))
    expect(ill.locator(".state-danger")).to_have_text(re.compile(desk("needs a look")))
    expect(ill).to_contain_text("500")
    expect(newest.get_by_role("link").first).to_be_visible()
    assert len(clients(house)) == before + 2
    ill.get_by_role("button", name=desk("Try again")).click()
    expect(ill.get_by_role("link").first).to_be_visible()
    page.keyboard.press("Escape")

    page.locator(".tile").first.click()
    page.keyboard.press("F9")
    page.keyboard.press("Enter")
    page.evaluate(
        "() => { const done = document.querySelector('[data-finish]'); done.click(); done.click(); }"
    )
    expect(page.locator("[data-payment]")).to_be_hidden()
    wait_until("the ticket", lambda: len(clients(house)) == before + 4)
    assert len(set(clients(house))) == len(clients(house))


def test_a_tab_that_was_duplicated_finishes_no_sale_twice(enter: Callable[..., Desk], house: House) -> None:
    desk = enter(CAMILLE)
    page = open_till(desk)
    before = len(clients(house))
    page.locator(".tile").first.click()
    with page.expect_popup() as opened:
        page.evaluate("window.open(location.href)")  # as a duplicated tab, it has what the first one had
    twin = opened.value
    ready(twin)
    expect(twin.locator(".till-line")).to_have_count(1)
    for tab in (page, twin):
        tab.bring_to_front()
        tab.locator("[data-search]").focus()
        tab.keyboard.press("F9")
        tab.keyboard.press("Enter")
        tab.keyboard.press("Enter")
        expect(tab.locator("[data-payment]")).to_be_hidden()
    expect(twin.locator("[data-notice=sold]")).to_contain_text(
        desk("This sale was finished already: look under Receipts.")
    )
    wait_until("the ticket", lambda: len(clients(house)) == before + 1)


@pytest.fixture
def settings(enter: Callable[..., Desk]) -> Iterator[Desk]:
    """The settings of the tills of Atelier Lumen before an administrator; afterwards they are as they were."""
    desk = enter(ADMIN)
    desk.prefer(company="1")
    desk.go("/pos/settings")
    yield desk
    desk.go("/pos/settings")
    desk.field("Offer to email the receipt").check()
    desk.field("Email template of receipts").select_option(value="")
    desk.field("Paper of receipts").select_option(label="Roll, 80 mm")
    # The other company's would be saved, if its turn came before the answer.
    with desk.page.expect_navigation():
        desk.button("Save").click()
    desk.prefer(company="2")


def test_settings_of_the_company_reach_the_till_and_its_receipts(
    settings: Desk, enter: Callable[..., Desk], house: House
) -> None:
    desk = settings
    expect(desk.heading()).to_have_text("Till settings of Atelier Lumen")
    desk.field("Offer to email the receipt").uncheck()
    desk.field("Email template of receipts").select_option(label="Receipt: sending")
    desk.field("Paper of receipts").select_option(label="A4")
    desk.button("Save").click()
    expect(desk.page.locator("#flashes")).to_contain_text("The settings were saved.")

    till = enter(CAMILLE)
    page = open_till(till)
    page.locator("[data-customer]").fill("Dupont")
    page.locator("[data-customer]").press("Tab")
    page.locator(".tile").first.click()
    page.keyboard.press("F9")
    payment = page.locator("[data-payment]")
    expect(payment.locator("[data-usual-box]")).not_to_be_checked()
    expect(payment.locator("#payment-format")).to_have_value("a4")
    payment.locator("#payment-format").select_option("roll58")
    payment.locator("[data-usual-box]").check()
    payment.locator("[data-amount]").press("Enter")
    page.keyboard.press("Enter")
    expect(payment).to_be_hidden()
    newest = tickets(till).first
    expect(newest.locator(".state-success")).to_contain_text(till("sent"))
    newest.get_by_role("link").first.click()
    expect(page.get_by_role("combobox", name=till("Receipt"))).to_have_value("roll58")


def test_with_the_server_there_a_register_is_opened_before_it_sells(enter: Callable[..., Desk]) -> None:
    desk = enter(ADMIN)
    page = desk.page
    desk.go("/pos/registers/new")
    desk.field("Code").fill("T9")
    desk.field("Name").fill("Second counter")
    desk.field("Company").select_option(label="Harbour & Finch")
    desk.button("Save").click()
    card = page.locator(".register-card", has_text="T9 –")
    path = str(card.get_by_role("link", name="Open").get_attribute("href"))
    desk.go(f"/pos/till/{re.findall('[0-9]+', path)[0]}")
    ready(page)
    notice = page.locator("[data-notice=session]")
    expect(notice).to_contain_text("This till is not open.")
    page.locator(".tile").first.click()
    page.keyboard.press("F9")
    expect(notice.get_by_role("link")).to_be_focused()
    expect(page.locator("[data-payment]")).to_be_hidden()
    # What was rung up is still there when it is open.
    page.keyboard.press("Enter")
    expect(desk.field("Cash in the drawer")).to_be_focused()
    expect(page.locator(".input-group-text")).to_have_text("£")
    page.keyboard.type("100")
    page.keyboard.press("Enter")
    ready(page)
    expect(notice).to_be_hidden()
    expect(page.locator(".till-line")).to_have_count(1)
    page.keyboard.press("F9")
    expect(page.locator("[data-payment]")).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(tickets(desk).first).to_contain_text("T9-000001")
    page.keyboard.press("Escape")
    # The journeys have this company's first register for themselves.
    desk.go("/pos/registers")
    card.get_by_role("link", name="Edit").click()
    desk.field("Active").uncheck()
    desk.button("Save").click()


@pytest.mark.browser_says("Service Worker registration blocked")
def test_a_till_learns_who_sells_what_things_cost_and_that_yesterday_is_still_open(
    enter: Callable[..., Desk], house: House
) -> None:
    desk = enter(CAMILLE, service_workers="block")
    page = desk.page
    # A counter whose clock is years behind: nothing is said about the session for that.
    page.clock.install(time=dt.datetime(2019, 3, 4, 12, tzinfo=dt.UTC))

    def few(route: Route) -> None:
        """Of very many products the till gets the first only."""
        answer = route.fetch()
        data = answer.json()
        data["products"] = [one for one in data["products"] if one["name"].startswith("Ampoule")]
        route.fulfill(
            response=answer, json={**data, "more_products": True, "more_customers": True, "customers": []}
        )

    page.route("**/pos/till/1/data", few)
    open_till(desk)
    expect(page.locator("[data-notice=session]")).to_be_hidden()
    expect(page.locator(".tile")).to_have_count(1)
    page.locator("[data-search]").fill("cable")
    page.clock.run_for(1000)
    expect(page.locator(".tile")).to_have_text(re.compile("Câble textile"))
    page.keyboard.press("Enter")
    expect(page.locator(".till-line")).to_contain_text("Câble textile")
    page.locator("[data-customer]").fill("dupont")
    page.locator("[data-customer]").press("Tab")
    expect(page.locator("[data-customer]")).to_have_value(re.compile("^Dupont & Fils"))

    # A shift that has ended on the server ends here with the next ticket.
    page.evaluate(
        """async () => {
            const open = indexedDB.open("envoi-till-1");
            const db = await new Promise((done) => { open.onsuccess = () => done(open.result); });
            const put = db.transaction("values", "readwrite").objectStore("values");
            const get = put.get("data");
            const data = await new Promise((done) => { get.onsuccess = () => done(get.result); });
            const token = { id: 99, name: "Ended Shift", token: "ended", under: data.user.id };
            await new Promise((done) => { put.put(token, "cashier").onsuccess = done; });
        }"""
    )
    page.reload()
    ready(page)
    expect(page.locator("[data-cashier-name]")).to_have_text("Ended Shift")
    page.locator("[data-pay]").click()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("[data-cashier-name]")).to_have_text("Camille Petit")

    # Six minutes later a price is another one, and the session is one of yesterday.
    price = page.locator(".tile-price").first
    before = price.inner_text()
    yesterday = (clock.now() - dt.timedelta(days=1, hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with database(house) as connection:
        connection.execute("UPDATE core_product SET unit_price = unit_price * 2 WHERE name LIKE 'Ampoule%'")
        (opened,) = connection.execute(
            "SELECT opened_at FROM pos_session WHERE register_id = 1 AND state = 'open'"
        ).fetchone()
        connection.execute(
            "UPDATE pos_session SET opened_at = ? WHERE register_id = 1 AND state = 'open'", (yesterday,)
        )
    try:
        page.clock.run_for("06:00")
        expect(price).not_to_have_text(before)
        expect(page.locator("[data-notice=session]")).to_contain_text(
            desk(
                "This session was opened on {date} and is still open: close it and count the cash."
            ).partition("{")[0]
        )
    finally:
        with database(house) as connection:
            connection.execute(
                "UPDATE core_product SET unit_price = unit_price / 2 WHERE name LIKE 'Ampoule%'"
            )
            connection.execute(
                "UPDATE pos_session SET opened_at = ? WHERE opened_at = ?", (opened, yesterday)
            )


KEPT = """async () => {
  const ours = (name) => name.startsWith("envoi-till-");
  const databases = (await indexedDB.databases()).map((one) => one.name).filter(ours);
  const rows = [];
  for (const name of databases) {
    const opened = await new Promise((done) => {
      const asked = indexedDB.open(name);
      asked.onsuccess = () => done(asked.result);
    });
    for (const store of opened.objectStoreNames)
      rows.push(...await new Promise((done) => {
        const asked = opened.transaction(store).objectStore(store).getAll();
        asked.onsuccess = () => done(asked.result.map((row) => [store, row.state ?? ""]));
      }));
    opened.close();
  }
  const names = [...Object.keys(localStorage), ...Object.keys(sessionStorage), ...(await caches.keys())];
  return { rows, names: names.filter(ours) };
}"""


@pytest.mark.browser_says("ERR_INTERNET_DISCONNECTED", "ERR_FAILED")
def test_after_a_sign_out_only_what_the_server_does_not_have_stays_in_the_browser(
    sit_down: Callable[..., Desk],
) -> None:
    desk = sit_down(CAMILLE)
    page = open_till(desk)
    sell_one(page)
    expect(page.locator("[data-waiting-count]")).to_be_hidden()
    page.route("**/pos/till/1/tickets", lambda route: route.abort())
    sell_one(page)
    expect(page.locator("[data-waiting-count]")).to_be_visible()
    before = page.evaluate(KEPT)
    assert {store for store, _state in before["rows"]} == {"values", "tickets"}
    assert before["names"]
    desk.go("/pos/registers")
    page.locator("[data-sign-out] button").evaluate("button => button.click()")
    expect(page.locator("body[data-signed-out=done]")).to_be_attached()
    assert page.evaluate(KEPT) == {"rows": [["tickets", "waiting"]], "names": []}
