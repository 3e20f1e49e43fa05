"""Copies in the Sent folder of the account by which mails leave: a real SMTP server, a real mailbox (Dovecot)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from flask import Flask
from sqlalchemy import select, update

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.errors import UserError
from core.mail.addresses import parse_address
from core.mail.draft import DraftRecipient, RecipientField
from core.testing.services import SmtpLab
from core.testing.services.limits import LOOPBACK
from modules.mail_config.mailbox_models import SentFolder
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.senders.service import save_own_sender
from modules.mail_config.servers import service as servers
from modules.mail_config.servers.service import save_server
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.erasure import erase_contents
from modules.outbox.inbound.intake import take
from modules.outbox.models import Alert, OutgoingMail, SentCopy
from modules.outbox.sent_copies.service import GIVE_UP, keep_copies, want_again
from modules.outbox.states import MailState
from tests.outbox.coming_back import report
from tests.outbox.conftest import make_ready
from tests.outbox.dovecot import PASSWORD, Dovecot, dovecot_server

pytestmark = [pytest.mark.smtp]

Send = Callable[..., OutgoingMail]
NEWSLETTER = b"From: shop@far.example\nSubject: Sale\n\nBuy now.\n"


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with dovecot_server() as server:
        yield server


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Whose mailbox it is: each test has its own."""
    return re.sub(r"\W+", "-", request.node.name)[:60]


@pytest.fixture
def lab(name: str) -> Iterator[SmtpLab]:
    with SmtpLab(credentials=(name, PASSWORD)) as lab:
        yield lab


def values_of(lab: SmtpLab, dovecot: Dovecot, name: str, **changes: object) -> dict[str, object]:
    return {
        "name": "Lab",
        "host": lab.host,
        "port": lab.port,
        "encryption": Encryption.NONE,
        "username": name,
        "from_filter": "",
        "connections": 1,
        "active": True,
        "sent_copy": True,
        "imap_host": LOOPBACK,
        "imap_port": dovecot.tls_port,
        "imap_encryption": Encryption.TLS,
        "sent_folder": "",
        **changes,
    }


@pytest.fixture
def server(app: Flask, lab: SmtpLab, dovecot: Dovecot, company: object, name: str) -> MailServer:
    """A server whose account has a mailbox, and keeps copies there."""
    app.config["MAIL_CONFIG_CA_FILE"] = dovecot.ca_file
    dovecot.deliver(name, NEWSLETTER)
    return make_ready(save_server(None, values_of(lab, dovecot, name), PASSWORD))


def copies(dovecot: Dovecot, name: str, folder: str = "Sent") -> list[EmailMessage]:
    return [message_from_bytes(octets, policy=policy.default) for octets in dovecot.messages(name, folder)]  # type: ignore[misc]


def row_of(mail: OutgoingMail) -> SentCopy | None:
    db.session.rollback()
    return db.session.get(SentCopy, mail.id, populate_existing=True)


def past(mail: OutgoingMail) -> None:
    """Let the time of whoever has taken up a copy, or of the next look at its mailbox, be over."""
    before = clock.now() - dt.timedelta(seconds=1)
    with transaction() as session:
        session.execute(update(SentCopy).where(SentCopy.next_try_at.is_not(None)).values(next_try_at=before))
        session.execute(update(SentFolder).values(next_look_at=None))


@pytest.mark.both_databases
def test_a_copy_is_what_a_mail_program_would_have_kept(
    server: MailServer, dovecot: Dovecot, name: str, send: Send
) -> None:
    with transaction():
        server.bounce_tokens = True
    make_ready(server)
    hidden = DraftRecipient(parse_address("blind@example.com"), RecipientField.BCC)
    people = [DraftRecipient(parse_address("client@example.com")), hidden]
    mail = send(recipients=people)
    deliver([mail.id])
    assert row_of(mail).kept_at is None, "delivery has waited for nothing"
    assert keep_copies() == 1
    (copy,) = copies(dovecot, name)
    assert (copy["Message-ID"], copy["Subject"]) == (mail.message_id, "A subject")
    assert (copy["To"], copy["Bcc"]) == ("client@example.com", "blind@example.com")
    assert "+" not in f"{copy['From']}{copy['Reply-To']}{copy['Return-Path']}"
    assert dovecot.flags_in(name, "Sent") == {"S"}, "nobody has to read it"
    assert (row_of(mail).kept_at is not None, row_of(mail).folder) == (True, "Sent")
    # Neither a resend nor another look makes two of it.
    assert keep_copies() == 0
    deliver([mail.id])
    assert len(copies(dovecot, name)) == 1


def test_what_some_have_got_is_copied_once_and_what_nobody_has_got_is_not(
    server: MailServer, lab: SmtpLab, dovecot: Dovecot, name: str, send: Send
) -> None:
    nobody, some = send("refused+a@example.com"), send("b@example.com", "refused+c@example.com")
    deliver([nobody.id, some.id])
    keep_copies()
    assert row_of(nobody) is None
    lab.scripted = False
    service.resend([some.id])
    deliver([some.id])
    keep_copies()
    assert len(copies(dovecot, name)) == 1
    db.session.refresh(some)
    assert some.state is MailState.SENT


@pytest.mark.both_databases
def test_what_turns_out_to_have_left_is_copied_then(
    server: MailServer, dovecot: Dovecot, name: str, send: Send
) -> None:
    told, reported, lost = (send(f"drop+{who}@example.com") for who in ("a", "b", "c"))
    deliver([told.id, reported.id, lost.id])
    assert keep_copies() == 0, "nobody knows whether they have left"
    db.session.expire_all()
    assert {mail.state for mail in (told, reported, lost)} == {MailState.UNCERTAIN}
    service.mark_uncertain(told.id, accepted=True)
    service.mark_uncertain(lost.id, accepted=False)
    take(report(reported, ("drop+b@example.com", "relayed")))
    db.session.expire_all()
    assert reported.state is MailState.SENT
    assert keep_copies() == 2
    assert {copy["Message-ID"] for copy in copies(dovecot, name)} == {told.message_id, reported.message_id}
    assert row_of(lost) is None


def test_the_folder_that_the_mailbox_calls_its_own_is_taken_whatever_its_name(
    server: MailServer, dovecot: Dovecot, name: str, send: Send
) -> None:
    dovecot.make_folder(name, "&AMk-l&AOk-ments envoy&AOk-s")
    mail = send("client@example.com")
    deliver([mail.id])
    assert keep_copies() == 1
    assert row_of(mail).folder == "Éléments envoyés"
    assert len(copies(dovecot, name, "&AMk-l&AOk-ments envoy&AOk-s")) == 1


def test_what_is_not_kept_here_is_kept_nowhere_else(
    server: MailServer, dovecot: Dovecot, name: str, send: Send
) -> None:
    private = send("walk-in@example.com", private=True)
    erased = send("client@example.com")
    deliver([private.id, erased.id])
    assert row_of(private) is None
    with transaction() as session:
        erase_contents(session, [erased.id])
    assert row_of(erased) is None
    assert keep_copies() == 0


def test_a_mailbox_that_fails_delays_no_mail_and_is_told_once(
    server: MailServer,
    dovecot: Dovecot,
    name: str,
    send: Send,
    make_user: Callable[..., User],
    sign_in: Callable,
) -> None:
    boss = make_user("administrator")
    with transaction() as session:
        session.execute(update(SentFolder).values(port=1))
    mails = [send("client@example.com") for _ in range(3)]
    deliver([mail.id for mail in mails])
    for _ in range(4):
        past(mails[0])
        assert keep_copies() == 0
    assert keep_copies() == 0, "it is left alone for a while"
    db.session.expire_all()
    assert {mail.state for mail in mails} == {MailState.SENT}
    (alert,) = db.session.scalars(select(Alert)).all()
    assert (alert.user_id, alert.server_id, alert.sent_folder) == (boss.id, server.id, True)
    browser = sign_in(boss)
    assert (
        "No copies reach the Sent folder of “Lab”" in browser.get("/").text
        or browser.get("/outbox/alerts").text
    )
    assert "Copies in the Sent folder of “Lab”" in browser.get("/outbox/alerts").text
    page = browser.get(f"/outbox/mails/{mails[0].id}").text
    assert "not yet in the Sent folder" in page
    assert "The email itself was sent." in page
    assert "No copies reach the Sent folder since" in browser.get(f"/mail_config/servers/{server.id}").text
    # It works again: all are there, each once, and the bell is silent.
    with transaction() as session:
        session.execute(update(SentFolder).values(port=dovecot.tls_port))
    assert browser.post(f"/outbox/mails/{mails[0].id}/sent-copy").status_code == 302
    past(mails[0])
    assert keep_copies() == 3
    assert len(copies(dovecot, name)) == 3
    db.session.expire_all()
    assert db.session.get_one(Alert, alert.id).seen_at is not None
    assert "in the folder “Sent” of the sender" in browser.get(f"/outbox/mails/{mails[0].id}").text
    with pytest.raises(UserError):
        want_again(mails[0])


def test_a_copy_is_given_up_at_last_and_can_be_asked_for_again(
    server: MailServer, dovecot: Dovecot, name: str, send: Send
) -> None:
    mail = send("client@example.com")
    deliver([mail.id])
    with transaction() as session:
        session.execute(update(SentFolder).values(port=1))
        session.execute(update(SentCopy).values(wanted_at=clock.now() - GIVE_UP - dt.timedelta(minutes=1)))
    assert keep_copies() == 0
    assert row_of(mail).next_try_at is None
    with transaction() as session:
        session.execute(update(SentFolder).values(port=dovecot.tls_port))
    want_again(mail)
    assert keep_copies() == 1


def test_where_copies_are_no_longer_wanted_none_is_made_and_nothing_waits(
    server: MailServer, lab: SmtpLab, dovecot: Dovecot, name: str, send: Send
) -> None:
    mail = send("client@example.com")
    deliver([mail.id])
    save_server(server, values_of(lab, dovecot, name, sent_copy=False), None)
    assert keep_copies() == 0
    assert row_of(mail) is None
    assert server.ready, "how mails leave has not changed"


# -- the settings ----------------------------------------------------------------------------------------


def test_the_test_puts_a_copy_there_and_its_failure_stops_no_mail(
    server: MailServer, dovecot: Dovecot, name: str, make_user: Callable[..., User], sign_in: Callable
) -> None:
    browser = sign_in(make_user("administrator"))
    test = {"from_address": "post@example.com", "recipient": "me@example.com"}
    page = browser.post(f"/mail_config/servers/{server.id}/test", data=test).text
    assert "A copy of the test email lies in the folder “Sent”." in page
    assert "Find the folder of sent emails" in page
    assert len(copies(dovecot, name)) == 1
    with transaction() as session:
        session.execute(update(SentFolder).values(folder="Nowhere"))
    page = browser.post(f"/mail_config/servers/{server.id}/test", data=test).text
    assert "Emails leave, but no copy is kept" in page
    assert "The mailbox has no folder of sent emails by this name" in page
    db.session.expire_all()
    assert server.ready
    report = servers.test_server(server, "refused+me@example.com", "post@example.com")
    assert not report.copy_steps, "what was not sent is not copied"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"host": "smtp.gmail.com"}, "sent_copy", "Gmail itself keeps a copy"),
        ({"host": "smtp.office365.com"}, "sent_copy", "Microsoft 365 itself keeps a copy"),
        ({"username": ""}, "sent_copy", "user name and password are needed"),
        ({"imap_host": ""}, "imap_host", "It is often imap."),
        ({"imap_host": "https://imap.example.com"}, "imap_host", "without “https://”"),
        ({"imap_host": "elsewhere.example.com"}, "password", "type the password again"),
        ({"imap_encryption": Encryption.NONE}, "password", "type the password again"),
    ],
)
def test_what_cannot_be_has_its_own_sentence(
    server: MailServer,
    lab: SmtpLab,
    dovecot: Dovecot,
    name: str,
    changes: dict[str, object],
    field: str,
    words: str,
) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        save_server(server, values_of(lab, dovecot, name, **changes), None)
    assert caught.value.field == field


def test_the_mailbox_of_a_known_provider_is_known(company: object, lab: SmtpLab, dovecot: Dovecot) -> None:
    values = values_of(lab, dovecot, "sophie@orange.fr", host="smtp.orange.fr", imap_host="", imap_port=None)
    row = save_server(None, {**values, "encryption": Encryption.TLS}, "secret").sent_folder
    assert row is not None
    assert (row.host, row.port, row.encryption) == ("imap.orange.fr", 993, Encryption.TLS)


def test_a_user_keeps_copies_in_the_own_mailbox(
    app: Flask,
    lab: SmtpLab,
    dovecot: Dovecot,
    company: object,
    name: str,
    make_user: Callable[..., User],
    sign_in: Callable,
    send: Send,
) -> None:
    app.config["MAIL_CONFIG_CA_FILE"] = dovecot.ca_file
    dovecot.deliver(name, NEWSLETTER)
    sophie = make_user(login="sophie@maison.example.com")
    save_own_sender(sophie, address="sophie@maison.example.com", name="", own_server=True)
    browser = sign_in(sophie)
    given = {
        **values_of(lab, dovecot, name, sent_copy="y"),
        "password": PASSWORD,
        "encryption": "none",
        "imap_encryption": "tls",
    }
    assert browser.post("/mail_config/mine/server", data=given).status_code == 302
    page = browser.post("/mail_config/mine/server/test", data={}).text
    assert "A copy of the test email lies in the folder “Sent”." in page
    mine, others = send("client@example.com", by=sophie), send("client@example.com")
    deliver([mine.id, others.id])
    keep_copies()
    assert [copy["Message-ID"] for copy in copies(dovecot, name)][1:] == [mine.message_id]
    assert "Copies of what is sent go to the folder “Sent”" in browser.get("/mail_config/mine").text


def test_a_mailbox_on_this_machine_is_spoken_to_only_where_that_is_allowed(
    app: Flask, server: MailServer, send: Send
) -> None:
    mail = send("client@example.com")
    deliver([mail.id])
    app.config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"] = 0
    assert keep_copies() == 0
    assert row_of(mail).failure_advice == "host_forbidden"
