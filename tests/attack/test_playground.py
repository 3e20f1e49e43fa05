"""The mailbox of the demonstration takes everybody's mails: it shows nobody more than they may read elsewhere."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from sqlalchemy import select

from core import clock
from core.db import db, end_reading, transaction
from core.mail.addresses import Address
from core.mail.draft import DraftRecipient, RecipientField
from modules.outbox import service
from modules.outbox.models import OutgoingMail
from modules.playground.mailbox import current_store
from tests.outbox.conftest import draft

PAGES = ("", "/html", "/source", "/attachments/0")


def capture(subject: str, *recipients: str, message_id: str = "<x@example.com>") -> str:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "us@example.com", recipients[0]
    message["Message-ID"] = message_id
    message.set_content("words")
    message.add_attachment(b"file", maintype="text", subtype="plain", filename="a.txt")
    return current_store().put(message.as_bytes(), "us@example.com", list(recipients)).key


@pytest.fixture
def captured(company, make_user):
    """A mail of somebody, as the mailbox has taken it; returns the key and its sender."""
    seller = make_user()
    made = draft(company, "customer@example.com")
    made.recipients.append(DraftRecipient(Address("blind@example.com"), RecipientField.BCC))
    mail = service.submit(made, seller)
    end_reading()
    return capture(
        "A secret matter", "customer@example.com", "blind@example.com", message_id=mail.message_id
    ), seller


def statuses(client, key: str) -> set[int]:
    found = {client.get(f"/playground/mails/{key}{page}").status_code for page in PAGES}
    end_reading()
    return found


@pytest.mark.both_databases
def test_everybody_sees_what_they_have_sent_and_nobody_that_of_others(app, captured, make_user, sign_in):
    key, seller = captured
    for reader, sees in (
        (seller, True),
        (make_user(login="other@example.com"), False),
        (make_user("cashier"), False),
        (make_user("support"), True),
        (make_user("administrator"), True),
    ):
        browser = sign_in(reader)
        assert ("A secret matter" in browser.get("/playground/mails").text) is sees, reader.login
        assert ("A secret matter" in browser.get("/playground/mails?q=secret").text) is sees
        assert statuses(browser, key) == ({200} if sees else {404})


def test_links_for_passwords_are_for_their_recipient_and_the_administrators(app, company, make_user, sign_in):
    boss = make_user("administrator")
    made = draft(company, boss.login, link="https://example.com/x", link_expires_at=clock.now())
    mail = service.submit(made, None)
    end_reading()
    key = capture("Choose a new password", boss.login, message_id=mail.message_id)
    with transaction():
        db.session.scalars(select(OutgoingMail)).one().encrypted_link = None  # it has left
    assert statuses(sign_in(make_user("support")), key) == {404}
    assert statuses(sign_in(boss), key) == {200}
    own = make_user()
    key = capture("Choose a new password", own.login)
    assert statuses(sign_in(own), key) == {200}
    assert statuses(sign_in(make_user(login="other@example.com")), key) == {404}


def test_what_is_nobodys_is_the_administrators(app, make_user, sign_in):
    key = capture("A test of a server", "somebody@example.com")
    assert statuses(sign_in(make_user("support")), key) == {404}
    assert statuses(sign_in(make_user("administrator")), key) == {200}


def test_pages_are_full_whatever_is_left_out(app, captured, sign_in):
    _key, seller = captured
    for number in range(60):
        capture(f"of others {number}", "x@example.com")
        capture(f"mine {number:02}", seller.login)
    browser = sign_in(seller)
    page = browser.get("/playground/mails").text
    assert page.count("mine ") == 40
    assert "of others" not in page
    assert "mine 59" in page


def test_a_mailbox_that_takes_nothing_is_in_no_menu(app, make_user, sign_in):
    browser = sign_in(make_user("administrator"))
    assert "/playground/mails" not in browser.get("/users").text
    capture("The first one", "x@example.com")
    assert "/playground/mails" in browser.get("/users").text
