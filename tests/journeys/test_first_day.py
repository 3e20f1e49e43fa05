"""From an empty data folder to the first quotation that was sent, by the page of the first steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, expect

from core.testing.services import SmtpLab
from tests.journeys.composing import open_composer, send_off
from tests.journeys.conftest import Desk, in_language
from tests.journeys.house import House, running_house, wait_until
from tests.journeys.variants import NARROW, WIDE
from tests.journeys.words import Reader

CLAIRE = Reader("claire", "fr", "Atelier Dumas")
ADDRESS = "bonjour@fontaine.example.com"
CUSTOMERS = (
    "Nom;E-mail;Ville\nAtelier Dumas;compta@dumas.example.com;Lyon\nMaison Petit;petit@example.com;Nantes\n"
)
PRODUCTS = "Référence;Désignation;Prix HT;TVA\nFON-1;Fontaine en pierre;1 200,00;20\n"


@pytest.fixture
def empty_house(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[House]:
    """A house in which nobody has been."""
    with running_house(tmp_path_factory.mktemp("first"), redis_url, demo=False) as house:
        yield house


def test_the_first_day_ends_with_a_quotation_that_was_sent(
    empty_house: House, new_context: Callable[..., BrowserContext]
) -> None:
    house = empty_house
    page = new_context(locale="fr-FR", viewport=NARROW).new_page()
    desk = Desk(house, page, CLAIRE)

    # Whoever comes first without the link of the terminal finds nothing to take; `envoi up` has printed the link.
    desk.go("/")
    expect(page.locator("main")).to_contain_text("envoi begin")
    link = wait_until("the link", lambda: re.search(r"http://\S+/begin\?\S+", house.log.read_text()))[0]
    page.goto(link)
    desk.field("Your name").fill("Claire Fontaine")
    desk.field("Email address").fill("claire@fontaine.example.com")
    desk.field("Password").fill("une bonne fontaine 7")
    desk.button("Begin").click()
    expect(desk.heading()).to_have_text(desk("First steps"))
    expect(page.locator("html")).to_have_attribute("lang", in_language("fr"))

    # The country brings currency, language, times and taxes; another one others.
    desk.link("Set up the company").click()
    expect(page.locator("#brought")).to_contain_text("TVA 20")
    # Not the list that is there before the scripts are.
    country = page.get_by_role("combobox", name=desk("Country")).and_(page.locator("input"))
    for name, currency, tax in (("Royaume-Uni", "GBP", "VAT 20%"), ("France", "EUR", "TVA 20")):
        country.fill(name)
        country.press("Enter")
        expect(page.locator("#brought")).to_contain_text(tax)
        expect(page.locator("#currency")).to_have_value(currency)
    desk.field("Name").fill("Fontaine & Cie")
    desk.field("VAT number").fill("FR40303265045")
    desk.field("Email address").fill(ADDRESS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    desk.button("Save").click()
    expect(page.locator(".first-step-done")).to_contain_text("Fontaine & Cie")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    # The browser is closed, another one goes on where it stood.
    page.context.close()
    page = new_context(locale="fr-FR", viewport=WIDE).new_page()
    desk = Desk(house, page, CLAIRE)
    desk.go("/")
    desk.field("Email address").fill("claire@fontaine.example.com")
    desk.field("Password").fill("une bonne fontaine 7")
    desk.button("Sign in").click()
    expect(desk.heading()).to_have_text(desk("First steps"))
    expect(page.locator(".first-step-done")).to_have_count(1)

    with SmtpLab(credentials=("envoi", "the right one")) as lab:
        desk.link("Set up the mail server").click()
        expect(page.locator("#for")).to_have_value(ADDRESS)
        for label, value in (
            ("Name", "Serveur"),
            ("Host", "127.0.0.1"),
            ("Port", str(lab.port)),
            ("User name", "envoi"),
            ("Password", "the right one"),
        ):
            desk.field(label).fill(value)
        desk.field("Encryption").select_option("none")
        desk.field("Port").fill(str(lab.port))
        expect(desk.field("Priority")).to_be_hidden()  # what can wait is folded up
        page.locator(".form-actions").get_by_role("button", name=desk("Save"), exact=True).click()
        # The test runs by itself, and is shown step by step.
        expect(page.get_by_role("status")).to_contain_text(
            desk(
                "The server works. It has accepted a test email to %(address)s.",
                address="claire@fontaine.example.com",
            )
        )
        desk.link("Back to the first steps").click()

        desk.link("Invite colleagues").click()
        desk.field("Email addresses").fill("Paul Durand <paul@fontaine.example.com>")
        desk.button("Invite").click()
        expect(page.locator("tbody tr", has_text="Paul Durand")).to_contain_text(
            desk("Invited, not yet come")
        )
        wait_until(
            "the invitation",
            lambda: any(m.recipients == ("paul@fontaine.example.com",) for m in lab.accepted),
        )

        desk.link("Back to the first steps").click()
        for button, name, text in (
            ("Import customers", "clients.csv", CUSTOMERS),
            ("Import products", "articles.csv", PRODUCTS),
        ):
            desk.link(button).click()
            page.locator("input[type=file]").set_input_files(
                {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
            )
            desk.button("Read the file").click()
            desk.button("Compare").click()
            page.once("dialog", lambda dialog: dialog.accept())
            desk.button("Import").click()
            expect(page.locator("main")).to_contain_text(desk("Imported"))
            desk.link("Back to the first steps").click()
        expect(page.locator(".first-step-done")).to_have_count(5)
        expect(page.locator("main")).to_contain_text(
            desk("All is set up. Write your first quotation, and send it by email.")
        )

        desk.go("/sales/quotations/new")
        customer = page.get_by_role("combobox", name=desk("Customer"))
        customer.fill("Atelier")
        customer.press("Enter")
        expect(page.locator("form#editor")).to_contain_text("Atelier Dumas")
        line = page.locator("#lines [data-line]").first
        line.get_by_role("combobox", name=desk("Product")).focus()
        expect(line.locator(".option", has_text="[").first).to_be_visible()  # the list has come
        page.keyboard.type("FON-1")
        expect(line.locator(".option.active")).to_contain_text("Fontaine en pierre")
        page.keyboard.press("Enter")
        expect(line.get_by_label(desk("Description"))).to_have_value("Fontaine en pierre")
        page.keyboard.press("Control+s")
        expect(page.locator("tr.grand")).to_contain_text("440,00")
        composer = open_composer(desk)
        send_off(desk, composer)
        wait_until(
            "the email", lambda: any(m.recipients == ("compta@dumas.example.com",) for m in lab.accepted)
        )
    sent = lab.accepted[-1]
    assert ADDRESS.encode() in sent.data
