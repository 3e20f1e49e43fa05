"""How documents reach their customers: rules, distribute, paper, handed over otherwise, the history; a run by keys."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from io import BytesIO

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from pypdf import PdfReader
from sqlalchemy import select

from core import clock
from core.app import create_app
from core.auth.models import User
from core.companies.models import Company
from core.config import read_settings
from core.db import db, end_reading
from core.partners.service import save_partner
from modules.sales.service import invoices
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.test_pages import complaints
from tests.journeys.test_runs import LINES, quotations
from tests.journeys.variants import BOTH, NARROW, WIDE, opposite_corners
from tests.journeys.words import ADMIN, OLIVER, SOPHIE, Reader


@pytest.fixture(scope="module")
def app(house: House) -> Flask:
    """The application of the house, to write documents that no other journey looks at."""
    return create_app(read_settings(house.environ))


def select_all(page: Page) -> None:
    page.locator("[data-select-all]").check()


def choose(desk: Desk, field: str, words: str) -> None:
    """Take one of the choices of a field in which several are."""
    desk.page.get_by_role("combobox", name=desk(field)).fill(words)
    desk.page.locator(".ts-dropdown:visible .option").filter(has_text=words).first.click()
    desk.page.keyboard.press("Escape")


def draft_invoice(app: Flask, reader: Reader, name: str) -> None:
    """Write an invoice for a new customer."""
    with app.app_context():
        company = db.session.scalars(select(Company).where(Company.name == reader.company)).one()
        seller = db.session.scalars(select(User).where(User.login.startswith(reader.login))).one()
        partner = save_partner(
            None,
            {"name": name, "email": f"office.{reader.language}@example.com", "language": reader.language},
        )
        invoices.create_invoice(company, invoices.InvoiceValues(partner.id, lines=LINES), seller)
        end_reading()


def choose_customer(desk: Desk, name: str) -> None:
    """Type a customer into the field, and take the one that is offered."""
    box = desk.page.get_by_role("combobox", name=desk("Customer"))
    box.fill(name)
    desk.page.get_by_role("option").filter(has_text=name).first.click()


@opposite_corners("reader, viewport", [OLIVER, SOPHIE], [WIDE, NARROW])
def test_documents_go_by_their_rules_on_paper_and_by_hand_and_all_is_in_the_history(
    sit_down: Callable[..., Desk], app: Flask, reader: Reader, viewport: dict[str, int]
) -> None:
    name = f"Rules {reader.language}"
    quotations(app, reader, name, [f"{n}.{reader.language}@example.com" for n in range(3)])

    # The administrator says that the first customer wants paper.
    boss = sit_down(ADMIN)
    boss.go("/distribution/rules")
    boss.link("New rule").click()
    boss.field("Company").select_option(label=reader.company)
    choose_customer(boss, f"{name} 0")
    boss.field("Print").check()
    boss.button("Save").click()
    expect(boss.page.locator("tbody")).to_contain_text(f"{name} 0")
    choose_customer(boss, f"{name} 0")
    boss.button("Show").click()
    expect(boss.page.locator("section.panel").first).to_contain_text(boss("Paper"))

    # Each by its rule: two by email, one on paper.
    desk = sit_down(reader, viewport=viewport, bypass_csp=True)
    page = desk.page
    listed = f"/sales/quotations?q={name.replace(' ', '+')}"
    desk.go(listed)
    select_all(page)
    desk.button("Distribute…").click()
    facts = page.locator("dl.facts dd")
    expect(facts).to_have_count(3)
    assert [re.findall(r"\d+", one)[0] for one in facts.all_inner_texts()] == ["2", "1", "0"]
    assert list(complaints(desk, reader.language)) == []
    desk.button("Distribute").click()
    page.locator("form.run-options .btn-primary").click()
    expect(page.locator("#run-progress")).to_contain_text(desk("done"))

    # What waits for paper becomes one PDF, with its list first; marked, and taken back.
    desk.go(f"/distribution/to-print?q={name.replace(' ', '+')}")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert list(complaints(desk, reader.language)) == []
    select_all(page)
    desk.button("Paper…").click()
    page.get_by_label(desk("In the order of postal codes")).check()
    desk.button("Make the PDF").click()
    pdf = page.get_by_role("link", name=desk("Open the PDF"))
    expect(pdf).to_be_visible()
    octets = page.context.request.get(f"{desk.house.url}{pdf.get_attribute('href')}").body()
    pages = PdfReader(BytesIO(octets)).pages
    assert len(pages) == 2
    assert f"{name} 0" in pages[0].extract_text()
    desk.button("Mark as printed").click()
    expect(page.get_by_text(desk("printed"), exact=True).first).to_be_visible()
    desk.button("Take back").click()
    desk.button("Mark as printed").click()
    expect(page.get_by_text(desk("printed"), exact=True).first).to_be_visible()
    assert list(complaints(desk, reader.language)) == []

    # Handed over at the counter, for all that are selected.
    desk.go(listed)
    select_all(page)
    page.locator("summary", has_text=desk("Handed over…")).click()
    page.locator("#hand-over-way").select_option("counter")
    page.locator("#hand-over-note").fill("=1+1")
    desk.button("Mark").click()
    expect(page.locator("tbody")).to_contain_text(desk("at the counter"))

    # Everything is in the history: all ways, narrowed to one, taken back there.
    desk.go("/distribution/history")
    choose_customer(desk, f"{name} 0")
    desk.button("Show").click()
    lines = page.locator("tbody tr")
    expect(lines).to_have_count(2)
    expect(lines.nth(0)).to_contain_text(desk("Handed over at the counter"))
    expect(lines.nth(1)).to_contain_text(desk("Paper"))
    assert list(complaints(desk, reader.language)) == []
    page.locator("select[name=way]").select_option("handed-over")
    desk.button("Show").click()
    expect(lines).to_have_count(1)
    lines.nth(0).get_by_role("button").click()
    expect(lines.nth(0)).to_contain_text("=1+1 · ")
    expect(lines.nth(0).get_by_role("button")).to_have_count(0)
    assert "way=handed-over" in page.url


@opposite_corners("reader, viewport", [OLIVER, SOPHIE], [NARROW, WIDE])
def test_an_issued_invoice_goes_by_itself_to_whom_its_function_code_names_and_to_the_archive(
    sit_down: Callable[..., Desk], app: Flask, reader: Reader, viewport: dict[str, int]
) -> None:
    name, at = f"By itself {reader.language}", f"accounts.{reader.language}@example.com"
    draft_invoice(app, reader, name)

    # The customer has somebody for invoices.
    desk = sit_down(reader, viewport=viewport, bypass_csp=True)
    page = desk.page
    desk.go(f"/partners?q={name.replace(' ', '+')}")
    page.locator(".row-link").click()
    desk.link("New contact").click()
    desk.field("Name").fill("Accounts")
    desk.field("Email address").fill(at)
    choose(desk, "Function codes", "FACT")
    assert list(complaints(desk, reader.language)) == []
    desk.button("Save").click()
    expect(page.locator("main")).to_contain_text(at)

    # The administrator says that its invoices go there, and to the archive, once they are issued.
    boss = sit_down(ADMIN)
    boss.go("/distribution/rules")
    boss.link("New rule").click()
    boss.field("Company").select_option(label=reader.company)
    choose_customer(boss, name)
    choose(boss, "Email to the contacts with a function code", "FACT")
    boss.field("Archive").check()
    boss.field("Folder of the archive").fill("{year}/" + reader.language)
    boss.field("File name format").fill("{number} {customer}")
    boss.field("Automatic").check()
    boss.button("Save").click()
    expect(boss.page.locator("tbody")).to_contain_text(name)

    # Issued, it waits a while in which it can be stopped; let go, it is sent and archived.
    desk.go(f"/sales/invoices?q={name.replace(' ', '+')}")
    page.locator(".row-link").click()
    page.on("dialog", lambda dialog: dialog.accept())
    desk.button("Issue").click()
    panel = page.locator("section", has=page.locator("#distribution-title"))
    lines = panel.get_by_role("listitem").filter(has_text=desk("by a rule"))
    expect(lines).to_have_count(2)
    assert list(complaints(desk, reader.language)) == []
    number = desk.heading().inner_text().split()[-1]
    lines.filter(has_text=desk("Archive")).get_by_role("button", name=desk("Stop")).click()
    # The page of the document's distribution comes next.
    lines = page.get_by_role("listitem").filter(has_text=desk("by a rule"))
    expect(lines.filter(has_text=desk("Archive")).get_by_role("button")).to_have_count(0)
    assert list(complaints(desk, reader.language)) == []
    lines.filter(has_text=desk("Email")).get_by_role("button", name=desk("Let it go now")).click()
    wait_until("the invoice was accepted", lambda: desk.house.accepted(at) == 1)

    # What was stopped is archived by hand.
    desk.button("Archive").click()
    written = desk.house.data_dir.parent / f"{clock.now().year}" / reader.language
    wait_until("the invoice was archived", lambda: list(written.glob(f"*{name}.pdf")))
    assert number.rpartition("/")[2] in next(written.iterdir()).name

    desk.go("/distribution/history")
    choose_customer(desk, name)
    desk.button("Show").click()
    history = page.locator("tbody tr")
    expect(history).to_have_count(3)
    expect(history.filter(has_text="Accounts")).to_have_count(1)


@BOTH
def test_a_run_by_keys_alone_left_out_given_a_time_paused_continued_stopped_and_resent(
    sit_down: Callable[..., Desk], app: Flask, reader: Reader
) -> None:
    name = f"Keys {reader.language}"
    refused = f"refused+keys.{reader.language}@example.com"
    quotations(app, reader, name, [f"k.{reader.language}@example.com", refused, "out@example.com"])
    desk = sit_down(reader)
    page, keyboard = desk.page, desk.page.keyboard
    page.on("dialog", lambda dialog: dialog.accept())

    def press(words: str) -> None:
        button = desk.button(words)
        button.focus()
        keyboard.press("Enter")

    def prepare() -> None:
        desk.go(f"/sales/quotations?q={name.replace(' ', '+')}")
        every = page.locator("[data-select-all]")
        if first:  # then the tab remembers
            every.focus()
            keyboard.press("Space")
        expect(every).to_be_checked()
        press("Send by email…")

    progress, lines = page.locator("#run-progress"), page.locator("tbody tr")
    first = True
    prepare()
    first = False
    expect(lines).to_have_count(3)
    out = lines.nth(2).get_by_role("button", name=desk("Leave out"))
    out.focus()
    keyboard.press("Enter")
    expect(lines.nth(2)).to_contain_text(desk("Take back in"))

    # At a time of its own it waits, whatever is loaded anew; paused, continued, stopped for good.
    tomorrow = clock.now() + dt.timedelta(days=1)
    page.locator("#run-time").fill(tomorrow.strftime("%Y-%m-%dT09:00"))
    page.locator("form.run-options .btn-primary").focus()
    keyboard.press("Enter")
    expect(progress).to_contain_text(desk("It begins at its time:"))
    page.reload()
    expect(progress).to_contain_text(desk("scheduled"))
    press("Pause")
    expect(progress).to_contain_text(desk("paused"))
    press("Continue")
    expect(progress).to_contain_text(desk("scheduled"))
    press("Stop")
    expect(progress).to_contain_text(desk("stopped"))

    # Begun again, it offers all; what was refused goes again to those alone.
    prepare()
    expect(lines).to_have_count(3)
    page.locator("form.run-options .btn-primary").focus()
    keyboard.press("Enter")
    expect(progress).to_contain_text(desk("done"))
    press("Send again to those who did not get it")
    expect(
        page.get_by_role("status").or_(page.get_by_role("alert")).filter(has_text="1 ").first
    ).to_be_visible()
    desk.link("Not accepted").click()
    expect(lines).to_have_count(1)
    expect(lines.nth(0)).to_contain_text(refused)
    assert desk.house.accepted(f"k.{reader.language}@example.com") == 1
