"""Who sends from where: a user's own sender, and the administrator's table."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from playwright.sync_api import expect

from tests.journeys.composing import new_quotation, open_composer, send_off
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.variants import BOTH, EITHER_LANGUAGE
from tests.journeys.words import ADMIN, Reader
from tests.mail_config.provider import Provider
from tests.outbox.dovecot import PASSWORD, Dovecot, dovecot_server


@pytest.fixture
def desk(sit_down: Callable[..., Desk], reader: Reader) -> Iterator[Desk]:
    """Somebody who sends, and whose emails are from the company again afterwards."""
    desk = sit_down(reader)
    yield desk
    desk.go("/mail_config/mine")
    desk.field("Send from").fill("")
    desk.button("Save").click()
    expect(desk.page.locator("#flashes")).to_contain_text(desk("Your sender was saved."))


@BOTH
def test_a_user_sends_from_the_own_address(desk: Desk, house: House, reader: Reader) -> None:
    page, own = desk.page, f"{reader.login}@demo.example.com"
    desk.go("/sales/quotations")
    page.locator(".navbar .dropdown-toggle").last.click()
    desk.link("My email").click()
    expect(desk.heading()).to_have_text(desk("My email"))
    desk.field("Send from").fill("nobody")
    desk.button("Save").click()
    expect(page.get_by_role("alert")).to_contain_text("nobody")
    desk.field("Send from").fill(own)
    desk.button("Save").click()
    expect(page.locator("#flashes")).to_contain_text(desk("Your sender was saved."))
    way = page.get_by_role("region", name=desk("How they leave"))
    expect(way).to_contain_text(own)
    expect(way).to_contain_text("Playground")

    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    expect(dialog.locator(".compose-route summary")).to_contain_text(own)
    send_off(desk, dialog)

    def from_here() -> list[EmailMessage]:
        # Each company counts its own documents: the other may have written about one of this number.
        return [message for _row, message in house.mailbox(number) if own in str(message["From"])]

    (message,) = wait_until("the email", from_here)
    assert message["Reply-To"] is None


@BOTH
def test_a_user_connects_the_own_account(desk: Desk, google: Provider, reader: Reader) -> None:
    page, own = desk.page, f"{reader.login}@demo.example.com"
    google.email = own

    def at_the_provider() -> None:
        desk.link("Connect %(name)s", name="Gmail").click()
        expect(desk.field("Address of the account")).to_have_value(own)
        desk.field("Send without SMTP").check()
        desk.button("Go on to %(provider)s", provider="Google").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(own)

    desk.go("/mail_config/mine")
    at_the_provider()
    page.get_by_role("link", name="Deny").click()
    expect(page.locator("#flashes")).to_contain_text(
        desk("You have not agreed at %(provider)s, so nothing was connected.", provider="Google")
    )
    at_the_provider()
    page.get_by_role("link", name="Allow").click()
    # The test begins by itself, and shows its steps.
    report = page.locator("#test [role=status]")
    expect(report).to_contain_text(
        desk("The server works. It has accepted a test email to %(address)s.", address=own)
    )
    expect(report.get_by_role("listitem").first).to_contain_text(desk("Sign in at the server"))
    expect(page.get_by_role("region", name=desk("How they leave"))).not_to_contain_text("Playground")
    taken = len(google.messages)

    number, _path = new_quotation(desk)
    dialog = open_composer(desk)
    expect(dialog.locator(".compose-route summary")).to_contain_text(own)
    send_off(desk, dialog)

    def has_come() -> bool:
        # What this user sent in an earlier journey, and was put off, leaves by the account as well.
        new = [message_from_bytes(message, policy=policy.default) for message in google.messages[taken:]]
        return any(number in str(message["Subject"]) for message in new)

    wait_until("the email", has_come)

    desk.go("/mail_config/mine")
    page.once("dialog", lambda dialog: dialog.accept())
    desk.button("Disconnect").click()
    expect(desk.link("Connect %(name)s", name="Gmail")).to_be_visible()
    assert not google.refresh_tokens


def _copies_kept(house: House, subject: str) -> int:
    query = (
        "SELECT count(*) FROM outbox_sent_copy c JOIN outbox_mail m ON m.id = c.mail_id "
        "WHERE c.kept_at IS NOT NULL AND m.subject LIKE ?"
    )
    with contextlib.closing(sqlite3.connect(house.data_dir / "envoi.db", timeout=60)) as database:
        return int(database.execute(query, (f"%{subject}%",)).fetchone()[0])


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with dovecot_server() as server:
        yield server


@BOTH
def test_a_user_keeps_copies_in_the_own_mailbox(
    desk: Desk, house: House, dovecot: Dovecot, reader: Reader
) -> None:
    page, own = desk.page, f"{reader.login}@demo.example.com"
    dovecot.deliver(own, b"Subject: Sale\r\n\r\nBuy now.\r\n")
    desk.go("/mail_config/mine")
    desk.field("Send from").fill(own)
    page.get_by_label(desk("my own mail server")).check()
    desk.button("Save").click()
    # The form of the server comes by itself; of a mailbox it asks once a copy is wanted.
    expect(desk.heading()).to_have_text(desk("My mail server"))
    expect(desk.field("Host of the mailbox (IMAP)")).to_be_hidden()
    desk.field("Keep a copy in the Sent folder of this mailbox").check()
    desk.field("Host").fill("127.0.0.1")
    desk.field("Port").fill(str(house.smtp_port))
    page.locator("#encryption").select_option("none")
    desk.field("User name").fill(own)
    desk.field("Password").fill(PASSWORD)
    desk.button("Save").click()
    expect(page.get_by_role("alert").last).to_contain_text("imap.")
    desk.field("Host of the mailbox (IMAP)").fill("127.0.0.1")
    desk.field("Port of the mailbox").fill(str(dovecot.port))
    page.locator("#imap_encryption").select_option("none")
    desk.field("Password").fill(PASSWORD)
    desk.button("Save").click()
    desk.button("Test").click()
    report = page.locator("#test [role=status]")
    expect(report).to_contain_text(
        desk("A copy of the test email lies in the folder “%(name)s”.", name="Sent")
    )

    number, _path = new_quotation(desk)
    send_off(desk, open_composer(desk))
    wait_until("the copy", lambda: len(dovecot.messages(own, "Sent")) == 2)
    copy = message_from_bytes(dovecot.messages(own, "Sent")[-1], policy=policy.default)
    assert number in str(copy["Subject"])
    wait_until("the copy is written down", lambda: _copies_kept(house, number))
    page.locator("#mail-panel li", has_text=number).get_by_role("link").first.click()
    expect(page.locator("#mail-view .facts")).to_contain_text(
        desk("in the folder “%(name)s” of the sender", name="Sent")
    )
    desk.go("/mail_config/mine")
    page.once("dialog", lambda dialog: dialog.accept())
    desk.button("Delete").click()
    expect(desk.link("Set up another mail server")).to_be_visible()


@EITHER_LANGUAGE
def test_an_administrator_sets_the_sender_of_batches_and_asks_who_sends_from_where(
    sit_down: Callable[..., Desk], language: str
) -> None:
    desk = sit_down(ADMIN)
    desk.prefer(language=language)
    desk = Desk(desk.house, desk.page, Reader(ADMIN.login, language))
    page = desk.page
    desk.go("/mail_config/senders")
    cell = page.locator(".sender-matrix tbody tr", has_text="Atelier Lumen").locator("td").nth(2)
    cell.get_by_role("link").click()
    desk.field("Send from").fill("news@atelier-lumen.example.com")
    desk.button("Save").click()
    expect(cell).to_contain_text("news@atelier-lumen.example.com")
    desk.field("User").select_option(label="Sophie Bernard")
    desk.field("Company").select_option(label="Atelier Lumen")
    desk.field("Purpose").select_option(label=desk("Batches"))
    desk.button("Explain").click()
    expect(page.get_by_role("status")).to_contain_text("news@atelier-lumen.example.com")
    cell.get_by_role("link").click()
    desk.field("Send from").fill("")
    desk.button("Save").click()
    expect(cell).not_to_contain_text("news@")
    desk.prefer(language=ADMIN.language)


@EITHER_LANGUAGE
def test_a_server_is_added_by_typing_an_address(sit_down: Callable[..., Desk], language: str) -> None:
    desk = sit_down(ADMIN)
    desk.prefer(language=language)
    desk = Desk(desk.house, desk.page, Reader(ADMIN.login, language))
    desk.go("/mail_config/servers/new")
    desk.field("An email address of yours, or the host").fill("sales@orange.fr")
    desk.button("Fill in").click()
    expect(desk.field("Host")).to_have_value("smtp.orange.fr")
    expect(desk.field("Port")).to_have_value("465")
    expect(desk.field("User name")).to_have_value("sales@orange.fr")
    expect(desk.page.locator("#provider-hint")).to_contain_text("Orange")
    desk.prefer(language=ADMIN.language)
