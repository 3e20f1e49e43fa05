"""From a quotation to a credit note, as the salesperson does it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from babel.numbers import format_currency
from playwright.sync_api import Locator, expect
from pypdf import PdfReader

from tests.journeys.composing import hold, new_quotation, until_held
from tests.journeys.conftest import Desk
from tests.journeys.variants import BOTH, EITHER
from tests.journeys.words import OLIVER, Reader

# Quantity, discount, unit price of two lines; what the tax is called; what it all comes to.
LINES = {"fr": ("LUM-210", "ETU-001"), "en": ("CHR-001", "OIL-500")}
TAX = {"fr": "TVA 20 %", "en": "VAT 20%"}
CURRENCY = {"fr": "EUR", "en": "GBP"}
LOCALE = {"fr": "fr", "en": "en"}


def spaces_apart(text: str) -> str:
    """Return a text without spaces, which a PDF and a page set differently."""
    return re.sub(r"\s", "", text)


def pdf_text(desk: Desk) -> str:
    """Fetch the PDF of the page with the cookies of the browser, and return what it says."""
    url = desk.link("PDF").get_attribute("href")
    answer = desk.page.context.request.get(f"{desk.house.url}{url}")
    assert answer.ok
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF")
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.body())).pages)


@EITHER
def test_the_list_of_quotations_is_searched_filtered_and_sorted(
    sit_down: Callable[..., Desk], reader: Reader
) -> None:
    desk = sit_down(reader)
    page, rows = desk.page, desk.page.locator("main tbody tr")
    desk.go("/")
    page.get_by_role("navigation", name=desk("Main menu")).get_by_role(
        "button", name=desk("Sales"), exact=True
    ).click()
    desk.link("Quotations").click()
    expect(desk.heading()).to_have_text(desk("Quotations"))
    everything = rows.count()
    assert everything > 2

    search = page.get_by_role("searchbox", name=desk("Search number or customer"))
    search.fill(reader.customer[:10])
    search.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]q=\w"))
    for row in rows.all():
        expect(row).to_contain_text(reader.customer)

    page.get_by_role("searchbox").fill("")
    page.get_by_role("searchbox").press("Enter")
    expect(rows).to_have_count(everything)
    filters = page.get_by_role("group", name=desk("Filters"))
    filters.get_by_role("link", name=desk("Canceled"), exact=True).click()
    expect(filters.locator("[aria-current=true]")).to_contain_text(desk("Canceled"))
    expect(rows).not_to_have_count(everything)
    filters.get_by_role("link", name=desk("Canceled"), exact=True).click()
    expect(rows).to_have_count(everything)

    # The numbers of a column sort as amounts, up and down.
    head = page.get_by_role("columnheader", name=desk("Total"))
    for direction, down in (("descending", True), ("ascending", False)):
        head.get_by_role("link").click()
        expect(head).to_have_attribute("aria-sort", direction)
        shown = [
            Decimal(re.sub(r"[^\d]", "", text)) for text in page.locator("tbody td.number").all_inner_texts()
        ]
        assert shown == sorted(shown, reverse=down)


@BOTH
def test_a_quotation_written_by_keyboard_alone_ends_in_a_credit_note(
    sit_down: Callable[..., Desk], reader: Reader
) -> None:
    desk = sit_down(reader)
    page, keyboard = desk.page, desk.page.keyboard
    desk.go("/sales/quotations")
    new = desk.link("New quotation")
    new.focus()
    keyboard.press("Enter")
    expect(desk.heading()).to_have_text(desk("New quotation"))

    # The customer: typed, chosen from what is offered.
    tab_to(desk, page.get_by_role("combobox", name=desk("Customer")))
    keyboard.type(reader.customer[:9])
    keyboard.press("Enter")  # at once, without waiting for the list
    expect(page.locator("form#editor")).to_contain_text(reader.customer)

    lines = page.locator("#lines [data-line]")
    write_line(desk, 0, LINES[reader.language][0], "3", "10")
    expect(lines).to_have_count(1)
    keyboard.press("Enter")  # in a field of the last line: the next one
    expect(lines).to_have_count(2)
    write_line(desk, 1, LINES[reader.language][1], "2", "")
    unit_price = lines.nth(1).get_by_label(desk("Unit price"))
    tab_to(desk, unit_price, back=True)
    keyboard.press("Control+A")
    keyboard.type("81,50" if reader.language == "fr" else "81.50")
    tax = lines.nth(1).get_by_label(desk("Tax"))
    tab_to(desk, tax)
    keyboard.type(desk("No tax"))
    expect(tax.locator("option:checked")).to_have_text(desk("No tax"))

    # A line that was removed comes back where it was, with all that stood in it.
    described = lines.nth(0).get_by_label(desk("Description")).input_value()
    lines.nth(0).locator("[data-line-remove]").click()
    expect(lines).to_have_count(1)
    desk.button("Bring the removed line back").click()
    expect(lines.nth(0).get_by_label(desk("Description"))).to_have_value(described)
    expect(page.locator("[data-line-restore]")).to_be_hidden()

    price = {"fr": Decimal("96.00"), "en": Decimal("139.50")}[reader.language]
    discounted = price * 3 * Decimal("0.9")
    taxed = (discounted * Decimal("0.2")).quantize(Decimal("0.01"))
    total = discounted + taxed + Decimal("163.00")
    shown = format_currency(total, CURRENCY[reader.language], locale=LOCALE[reader.language])
    grand = page.locator("#totals tr.grand")
    expect(grand).to_contain_text(shown)  # without leaving the page

    keyboard.press("Control+s")
    expect(desk.heading()).to_have_text(re.compile(r"^[A-Z]{1,4}\d+$"))
    number = desk.heading().inner_text()
    expect(page.locator("tr.grand")).to_contain_text(shown)
    expect(page.get_by_role("list", name=desk("State")).locator("[aria-current=step]")).to_have_text(
        desk("Quotation")
    )
    printed = pdf_text(desk)
    assert number in printed
    assert spaces_apart(shown) in spaces_apart(printed)

    desk.button("Confirm").click()
    expect(page.locator(".status-bar [aria-current=step]")).to_have_text(desk("Order"))
    desk.button("Create invoice").click()
    expect(page.locator(".status-bar [aria-current=step]")).to_have_text(desk("Draft"))
    page.once("dialog", lambda dialog: dialog.accept())
    desk.button("Issue").click()
    expect(page.locator(".status-bar [aria-current=step]")).to_contain_text(desk("Issued"))
    expect(desk.link("Edit")).to_have_count(0)  # frozen from now on
    invoice = desk.heading().inner_text()
    assert invoice != number
    printed = pdf_text(desk)
    assert invoice in printed
    assert spaces_apart(shown) in spaces_apart(printed)

    desk.button("Create credit note").click()
    expect(page.locator(".sheet-title")).to_contain_text(desk("Credit note"))
    expect(page.locator("main")).to_contain_text(invoice)
    page.once("dialog", lambda dialog: dialog.accept())
    desk.button("Issue").click()
    expect(page.locator(".status-bar [aria-current=step]")).to_contain_text(desk("Issued"))
    credit_note = desk.heading().inner_text()
    printed = pdf_text(desk)
    assert credit_note in printed
    assert invoice in printed
    assert spaces_apart(shown) in spaces_apart(printed)


def tab_to(desk: Desk, place: Locator, *, back: bool = False) -> None:
    """Press the tabulator until a field has the focus, as somebody without a mouse does."""
    for _ in range(60):
        # One turn of the browser's clock: a choice with search takes the focus over in the next one.
        if place.evaluate(
            "field => new Promise(done => setTimeout(() => done(field === document.activeElement)))"
        ):
            return
        desk.page.keyboard.press("Shift+Tab" if back else "Tab")
    pytest.fail(f"The keyboard does not lead to {place}.")


def write_line(desk: Desk, index: int, code: str, quantity: str, discount: str) -> None:
    """Write a line: product by its code, quantity, discount; the product brings the rest."""
    keyboard = desk.page.keyboard
    line = desk.page.locator("#lines [data-line]").nth(index)
    if index == 0:
        tab_to(desk, line.get_by_role("combobox", name=desk("Product")))
    expect(line.get_by_role("combobox", name=desk("Product"))).to_be_focused()
    expect(line.locator(".option", has_text="[").first).to_be_visible()  # the list has come
    keyboard.type(code)
    expect(line.locator(".option.active")).to_contain_text(code)
    keyboard.press("Enter")
    expect(line.get_by_label(desk("Description"))).not_to_have_value("")
    expect(line.get_by_label(desk("Tax")).locator("option:checked")).to_have_text(TAX[desk.reader.language])
    for label, typed in (("Quantity", quantity), ("Discount", discount)):
        if typed:
            tab_to(desk, line.get_by_label(desk(label)))
            keyboard.press("Control+A")
            keyboard.type(typed)


def test_a_customer_abroad_brings_a_tax_rule_and_the_lines_follow_it(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    desk.go("/sales/quotations/new")
    line = page.locator("#lines [data-line]").first
    line.get_by_label("Description").fill("Desk")
    line.get_by_label("Unit price").fill("100")
    rule, taxes = desk.field("Tax rule").locator("option:checked"), page.locator("#lines").get_by_label("Tax")
    expect(taxes.locator("option:checked")).to_have_text("VAT 20%")
    box = page.get_by_role("combobox", name="Customer")
    box.fill("Sullivan")
    page.get_by_role("option").filter(has_text="Sullivan").first.click()
    expect(rule).to_have_text("Export")
    expect(page.locator("#tax-mention")).to_have_text("Zero-rated export")
    desk.button("Add a line").click()
    expect(taxes.locator("option:checked")).to_have_text(["VAT zero-rated"] * 2)
    # Chosen otherwise by hand, and back with it.
    desk.field("Tax rule").select_option("")
    expect(taxes.locator("option:checked")).to_have_text(["VAT 20%"] * 2)
    desk.field("Tax rule").select_option(label="Export")
    expect(taxes.locator("option:checked")).to_have_text(["VAT zero-rated"] * 2)
    desk.button("Save").first.click()
    expect(page.locator("main")).to_contain_text("Zero-rated export")
    assert "Zero-rated export" in pdf_text(desk)


def test_a_product_is_what_was_typed_however_late_the_answer_comes(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    _number, path = new_quotation(desk)
    desk.go(f"{path}/edit")
    line = page.locator("#lines [data-line]").first
    chosen = line.get_by_label("Description")
    before = chosen.input_value()
    line.get_by_role("combobox", name="Product").focus()
    expect(line.locator(".option", has_text="[").first).to_be_visible()
    held = hold(page, "**/products?**")
    page.keyboard.type("OIL-500")
    page.keyboard.press("Enter")
    # Whoever types slowly has asked for parts of it as well; their answers come last.
    whole = until_held(page, held, "q=OIL-500")
    assert chosen.input_value() == before  # and nothing that was marked before
    price = line.get_by_label("Unit price")
    price.fill("7.77")
    whole.continue_()
    expect(line.locator(".item")).to_contain_text("OIL-500")
    for part in held:
        if part is not whole:
            with page.expect_response(part.request.url):
                part.continue_()
    expect(line.locator(".item")).to_contain_text("OIL-500")
    expect(chosen).not_to_have_value(before)
    expect(price).to_have_value("7.77")  # typed meanwhile


def test_a_document_is_made_once_however_long_the_answer_takes(sit_down: Callable[..., Desk]) -> None:
    desk = sit_down(OLIVER)
    page = desk.page
    new_quotation(desk)
    held = hold(page, "**/duplicate")
    # The browser answers no question while a page is on its way, so the page itself presses once more.
    desk.button("Duplicate").evaluate("button => { setTimeout(() => button.click(), 4500); button.click(); }")
    first = until_held(page, held)
    page.wait_for_timeout(5_000)
    assert len(held) == 1
    first.continue_()
    page.wait_for_load_state()
