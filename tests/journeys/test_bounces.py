"""What comes back: an accepted email turns red by itself, and an administrator connects the mailbox of bounces."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import expect

from core.testing.services.limits import LOOPBACK
from tests.journeys.conftest import Desk
from tests.journeys.house import House, wait_until
from tests.journeys.test_mail_page import flash, is_in, sent_to
from tests.journeys.variants import BOTH
from tests.journeys.words import ADMIN, Reader
from tests.outbox.coming_back import answer, report
from tests.outbox.dovecot import PASSWORD, dovecot_server


def message_id_at(house: House, address: str) -> str:
    """Return the Message-ID of the mail that the playground has taken for an address."""
    ((_, message),) = wait_until("the mail", partial(house.mailbox, address))
    return str(message["Message-ID"])


@BOTH
def test_an_accepted_mail_that_bounces_turns_red_and_goes_to_the_right_address(
    sit_down: Callable[..., Desk], house: House, tmp_path: Path, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    wrong, right = f"gone-{reader.language}@example.com", f"found-{reader.language}@example.com"
    mail_id = sent_to(desk, wrong, f"Bounced {reader.language}")
    wait_until("its acceptance", partial(is_in, house, mail_id, "sent"))
    bounce = tmp_path / "bounce.eml"
    bounce.write_bytes(report(None, (wrong, "failed"), message_id=message_id_at(house, wrong)))
    assert house.cli("inbound", str(bounce)).strip() == "counted"

    desk.go(f"/outbox/mails/{mail_id}")
    expect(page.locator(".tab-body")).to_contain_text(desk("Address unknown"))
    expect(page.locator(".tab-body")).to_contain_text("User unknown")
    expect(page.locator(".sheet-title .state")).to_contain_text(desk("bounced"))
    desk.link("Correct the address").click()
    page.get_by_label(desk("Correct address")).fill(right)
    desk.button("Correct and send again").click()
    expect(flash(page)).to_be_visible()
    wait_until("the second acceptance", partial(is_in, house, mail_id, "sent"))
    assert house.accepted(right) == 1


def test_an_administrator_connects_a_mailbox_and_sees_what_lies_there(
    sit_down: Callable[..., Desk], house: House
) -> None:
    with dovecot_server() as dovecot:
        dovecot.deliver("boxer", b"From: shop@far.example\nSubject: Sale\n\nBuy now.\n")
        dovecot.deliver("boxer", report(None, ("nobody@far.example", "failed")))
        desk = sit_down(ADMIN)
        page = desk.page
        desk.go("/outbox/mailboxes")
        desk.link("New mailbox").first.click()
        for label, value in (
            ("Name", "Bounces of the journey"),
            ("Host", LOOPBACK),
            ("Port", str(dovecot.port)),
            ("User name", "boxer"),
            ("Password", PASSWORD),
        ):
            desk.field(label).fill(value)
        desk.field("Encryption").select_option("none")
        desk.button("Save").click()
        expect(flash(page)).to_contain_text("The mailbox was saved.")
        desk.button("Test").click()
        expect(page.get_by_role("status")).to_contain_text("The mailbox holds 2 messages.")
        expect(page.locator("#test tbody tr").first).to_contain_text("Address unknown")
        page.once("dialog", lambda dialog: dialog.accept())
        desk.button("Delete").click()
        expect(page.locator(".ledger, .empty").first).not_to_contain_text("Bounces of the journey")


@BOTH
def test_an_answer_comes_home_and_is_answered_in_the_same_thread(
    sit_down: Callable[..., Desk], house: House, tmp_path: Path, reader: Reader
) -> None:
    desk = sit_down(reader)
    page = desk.page
    address = f"answers-{reader.language}@example.com"
    mail_id = sent_to(desk, address, f"Answered {reader.language}")
    wait_until("its acceptance", partial(is_in, house, mail_id, "sent"))
    message_id = message_id_at(house, address)
    came = tmp_path / "answer.eml"
    text = "Yes, please.\n\nOn Monday, Maison <sales@maison.example.com> wrote:\n> The offer.\n"
    octets = answer(
        None, text, sender=f"Ann <{address}>", more=f"In-Reply-To: {message_id}\n", number=mail_id
    )
    came.write_bytes(octets)
    assert house.cli("inbound", str(came)).strip() == "answer"

    desk.go("/")
    page.locator("#alert-bell button").click()
    page.locator(".bell-menu a", has_text=desk("Answer from %(name)s", name="Ann")).first.click()
    turn = page.locator(".turn-theirs")
    expect(turn).to_contain_text("Yes, please.")
    expect(turn.get_by_text("The offer.")).to_be_hidden()
    turn.get_by_text(desk("Quoted text")).click()
    expect(turn.get_by_text("The offer.")).to_be_visible()
    turn.get_by_role("link", name=desk("Reply")).click()
    editor = page.locator("trix-editor")
    expect(editor).to_contain_text("Yes, please.")
    editor.press("Control+Home")
    editor.press_sequentially("You are welcome.")
    desk.button("Send").click()
    expect(page.locator(".turn")).to_have_count(3)
    expect(page.locator(".turn").last).to_contain_text("You are welcome.")

    def replied() -> str:
        found = [str(one["In-Reply-To"]) for _, one in house.mailbox(address) if one["In-Reply-To"]]
        return found[0] if found else ""

    assert wait_until("the reply", replied) == f"<answer.{mail_id}@far.example>"
