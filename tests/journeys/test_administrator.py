"""The administrator sets up a mail server that works, users, roles and templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, expect

from core.testing.services import SmtpLab
from tests.journeys.conftest import Desk, in_language
from tests.journeys.house import House, wait_until
from tests.journeys.variants import EITHER_LANGUAGE
from tests.journeys.words import ADMIN, Reader

NAMES = {"en": "English", "fr": "Français"}
LAB = "Lab"
DEMONSTRATION_MAIL = 1


@pytest.fixture
def desk(sit_down: Callable[..., Desk], house: House, language: str) -> Iterator[Desk]:
    """The administrator, who has chosen a language in the menu."""
    desk = sit_down(ADMIN)
    desk.go("/")
    page = desk.page
    if language != ADMIN.language:
        page.get_by_role("button", name="Alix Martin").click()
        page.get_by_role("button", name=NAMES[language]).click()
        expect(page.locator("html")).to_have_attribute("lang", in_language(language))
    yield Desk(house, page, Reader(ADMIN.login, language))
    desk.prefer(language=ADMIN.language)


def menu(desk: Desk, section: str) -> Locator:
    """Open a section of the menu and return what is in it."""
    button = desk.page.get_by_role("navigation", name=desk("Main menu")).get_by_role(
        "button", name=desk(section), exact=True
    )
    button.click()
    return desk.page.locator(".dropdown-menu.show")


def save(desk: Desk) -> None:
    """Press Save at the foot of a form."""
    desk.page.locator(".form-actions").get_by_role("button", name=desk("Save"), exact=True).click()


def edit_server(desk: Desk, name: str) -> None:
    """Open the settings of a mail server."""
    desk.go("/mail_config/servers")
    desk.page.get_by_role("link", name=name, exact=True).click()
    desk.link("Edit").click()


@pytest.fixture
def only_untested_servers(desk: Desk, house: House) -> Iterator[None]:
    """Switch the server of the playground off, and on again; the server of the journey goes."""
    # It leaves some seconds after the start, and must not meet the server of the journey.
    wait_until("the mail of the demonstration", lambda: house.mail(DEMONSTRATION_MAIL)[0] == "sent")
    edit_server(desk, "Playground")
    desk.field("Active").uncheck()
    save(desk)
    expect(desk.page.locator(".sheet-title")).to_contain_text(desk("off"))
    yield
    desk.go("/mail_config/servers")
    while (lab := desk.link(LAB)).count():
        lab.first.click()
        desk.page.once("dialog", lambda dialog: dialog.accept())
        desk.button("Delete").click()
        expect(desk.heading()).to_have_text(desk("Mail servers"))
    edit_server(desk, "Playground")
    desk.field("Active").check()
    save(desk)
    expect(desk.page.locator(".sheet-title")).to_contain_text(desk("tested"))


@EITHER_LANGUAGE
def test_a_mail_waits_for_a_server_until_it_has_passed_its_test(
    desk: Desk, house: House, language: str, request: pytest.FixtureRequest
) -> None:
    page = desk.page
    # The technical menus are there in developer mode only.
    expect(menu(desk, "Configuration").get_by_role("link", name=desk("Mail servers"))).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Alix Martin").click()
    desk.button("Developer mode").click()
    technical = menu(desk, "Configuration")
    expect(technical).to_contain_text(desk("Technical"))
    expect(technical.get_by_role("link", name=desk("Email log"), exact=True)).to_be_visible()
    technical.get_by_role("link", name=desk("Mail servers"), exact=True).click()
    expect(desk.heading()).to_have_text(desk("Mail servers"))
    request.getfixturevalue("only_untested_servers")

    with SmtpLab(credentials=("envoi", "the right one")) as lab:
        desk.go("/mail_config/servers")
        desk.link("New mail server").click()
        for encryption, port in (("tls", "465"), ("starttls", "587"), ("none", "25")):
            desk.field("Encryption").select_option(encryption)
            expect(desk.field("Port")).to_have_value(port)
        for label, value in (
            ("Name", LAB),
            ("Host", "127.0.0.1"),
            ("Port", str(lab.port)),
            ("User name", "envoi"),
            ("Password", "a wrong one"),
            ("Priority", "5"),
        ):
            desk.field(label).fill(value)
        expect(desk.field("Port")).to_have_value(str(lab.port))
        save(desk)
        expect(page.locator("#flashes")).to_contain_text(
            desk("The server was saved. Test it: until it passes, it sends nothing.")
        )
        expect(page.locator(".sheet-title")).to_contain_text(desk("untested: sends nothing"))
        server_url = page.url.removeprefix(house.url)

        # It sends nothing: a mail waits, and says so.
        address = f"patient-{language}@example.com"
        mail_id = house.send("S00003", "--only", "--to", address, "--company", "Harbour & Finch")
        wait_until("the mail to wait", lambda: house.mail(mail_id)[0] == "deferred")
        desk.go(f"/outbox/mails/{mail_id}?tab=reason")
        expect(page.locator(".sheet-title .state")).to_contain_text(desk("waiting"))
        expect(page.locator(".tab-body")).to_contain_text(desk("Mail server untested"))
        expect(page.locator(".tab-body")).to_contain_text(desk("An administrator"))
        assert not lab.received

        # The test walks the dialogue and says in words what is wrong.
        desk.go(server_url)
        desk.button("Test").click()
        report = page.get_by_role("status")
        expect(report).to_contain_text(desk("Sign-in refused"))
        expect(report).to_contain_text(
            desk(
                "The mail server does not accept the sign-in: user name and password, or the key. Correct it, or "
                "connect the account again, then test the server."
            )
        )
        expect(report.locator("pre").first).to_contain_text("535 5.7.8")
        report.get_by_text(desk("Dialogue with the server")).click()
        expect(report.locator("pre").last).to_contain_text("AUTH (secret)")
        expect(page.locator("body")).not_to_contain_text("a wrong one")
        expect(page.locator(".sheet-title")).to_contain_text(desk("untested: sends nothing"))
        assert house.mail(mail_id)[0] == "deferred"

        desk.link("Edit").click()
        expect(desk.field("Password")).to_have_value("")  # never shown
        desk.field("Password").fill("the right one")
        save(desk)
        desk.button("Test").click()
        expect(report).to_contain_text(
            desk(
                "The server works. It has accepted a test email to %(address)s.",
                address="admin@demo.example.com",
            )
        )
        expect(page.locator(".sheet-title")).to_contain_text(desk("tested"))

        # Now the mail leaves by itself.
        desk.go(f"/outbox/mails/{mail_id}")
        expect(page.locator(".sheet-title .state")).to_contain_text(desk("sent"))
        assert [message.recipients for message in lab.accepted] == [("admin@demo.example.com",), (address,)]


@EITHER_LANGUAGE
def test_a_user_is_added_and_a_role_is_changed(
    desk: Desk, sit_down: Callable[..., Desk], language: str
) -> None:
    page = desk.page
    login = f"new-{language}"
    menu(desk, "Configuration").get_by_role("link", name=desk("Users"), exact=True).click()
    desk.link("New").click()
    desk.field("Name").fill(f"Robin {NAMES[language]}")
    desk.field("Email address").fill(f"{login}@demo.example.com")
    desk.field("Password").fill("short")
    for label, choice in (("Roles", desk("Salesperson")), ("Companies", "Harbour & Finch")):
        box = page.get_by_role("combobox", name=desk(label))
        box.fill(choice)
        box.press("Enter")
        box.press("Tab")
    save(desk)
    expect(page.locator("#password-errors")).to_contain_text(
        desk("The password needs at least %(count)s characters.", count=10)
    )
    expect(desk.field("Email address")).to_have_value(f"{login}@demo.example.com")
    expect(page.locator("form").filter(has_text=desk("Who"))).to_contain_text("Harbour & Finch")
    desk.field("Password").fill("envoi-demo-2026")
    save(desk)
    expect(page.locator("#flashes")).to_contain_text(
        desk("%(name)s may sign in now.", name=f"Robin {NAMES[language]}")
    )

    newcomer = sit_down(Reader(login, language))
    newcomer.go("/sales/quotations")
    expect(newcomer.link("New quotation")).to_be_visible()
    assert newcomer.page.goto(f"{newcomer.house.url}/users").status == 403  # type: ignore[union-attr]

    # A role loses a permission; whoever has it loses it at once.
    for choice, count in (("No", 0), ("Own companies", 1)):
        desk.go("/roles")
        desk.link("Salesperson").click()
        desk.field("Write quotations, orders and invoices").select_option(label=desk(choice))
        save(desk)
        expect(page.locator("#flashes")).to_contain_text(
            desk("%(name)s was saved.", name=desk("Salesperson"))
        )
        newcomer.go("/sales/quotations")
        expect(newcomer.link("New quotation")).to_have_count(count)
