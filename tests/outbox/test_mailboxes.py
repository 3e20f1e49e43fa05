"""Mailboxes that bounces come to, on a real IMAP server (Dovecot)."""

from __future__ import annotations

import datetime as dt
import imaplib
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.errors import UserError
from core.mail.bounces.model import Nature
from core.mail.draft import Purpose
from core.mail.outcomes import Failure, FailureKind
from core.testing.services.limits import LOOPBACK
from modules.mail_config.models import Encryption
from modules.mail_config.senders.service import route_for
from modules.mail_config.servers.test_advice import mailbox_sentences
from modules.outbox.alerts import service as alerts
from modules.outbox.inbound import mailboxes
from modules.outbox.inbound.failing import problems
from modules.outbox.inbound.mailboxes import read_mailboxes, save_mailbox
from modules.outbox.inbound.mailboxes import test_mailbox as look
from modules.outbox.models import Alert, AnswerFile, InboundMessage, Mailbox, OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.coming_back import answer, report
from tests.outbox.dovecot import PASSWORD, Dovecot, dovecot_server
from tests.outbox.mails import accepted

Send = Callable[..., OutgoingMail]
NEWSLETTER = b"From: shop@far.example\nSubject: Sale\nMessage-ID: <sale.1@far.example>\n\nBuy now.\n"


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with dovecot_server() as server:
        yield server


@pytest.fixture
def mailbox(app: Flask, dovecot: Dovecot, request: pytest.FixtureRequest) -> Mailbox:
    app.config["MAIL_CONFIG_CA_FILE"] = dovecot.ca_file
    return make(dovecot, request.node.name[:40].replace("[", "-").replace("]", ""))


def make(dovecot: Dovecot, user: str, **changes: object) -> Mailbox:
    values = {
        "name": "Bounces",
        "host": LOOPBACK,
        "port": dovecot.tls_port,
        "encryption": Encryption.TLS,
        "username": user,
        "folder": "INBOX",
        "mark_seen": False,
        "delete_reports": False,
        "active": True,
    }
    return save_mailbox(None, values | changes, PASSWORD)


def read_now(mailbox: Mailbox) -> int:
    with transaction():
        mailbox.tried_at = None
    return read_mailboxes()


@pytest.mark.parametrize("encryption", Encryption)
def test_a_bounce_in_the_mailbox_turns_its_mail_red_and_the_mailbox_stays_as_it_was(
    app: Flask, dovecot: Dovecot, send: Send, encryption: Encryption
) -> None:
    app.config["MAIL_CONFIG_CA_FILE"] = dovecot.ca_file
    port = dovecot.tls_port if encryption is Encryption.TLS else dovecot.port
    user = f"ann-{encryption}"
    box = make(dovecot, user, encryption=encryption, port=port)
    mail = accepted(send("ann@far.example"))
    dovecot.deliver(user, NEWSLETTER)
    dovecot.deliver(user, report(mail, ("ann@far.example", "failed")))
    assert read_mailboxes() == 2
    db.session.expire_all()
    assert mail.state is MailState.FAILED
    row = db.session.scalars(select(InboundMessage)).one()
    assert (row.nature, row.mailbox_id) == (Nature.BOUNCE, box.id)
    assert (box.last_uid, box.failing_since) == (2, None)
    assert dovecot.count(user) == 2
    assert not any("S" in flags for flags in dovecot.flags(user))
    assert read_now(box) == 0


def test_only_what_is_about_a_mail_is_marked_as_read_where_that_is_wanted(
    dovecot: Dovecot, send: Send, mailbox: Mailbox
) -> None:
    with transaction():
        mailbox.mark_seen = True
    mail = accepted(send("ann@far.example"))
    dovecot.deliver(mailbox.username, NEWSLETTER)
    dovecot.deliver(mailbox.username, report(mail, ("ann@far.example", "failed")))
    read_mailboxes()
    assert dovecot.flags(mailbox.username) == {"", "S"}
    assert dovecot.count(mailbox.username) == 2


def test_only_reports_about_mails_are_deleted_where_that_is_wanted(
    dovecot: Dovecot, send: Send, mailbox: Mailbox
) -> None:
    with transaction():
        mailbox.delete_reports = mailbox.mark_seen = True
    first, second = accepted(send("ann@far.example")), accepted(send("bob@far.example"))
    dovecot.deliver(mailbox.username, NEWSLETTER)
    dovecot.deliver(mailbox.username, report(first, ("ann@far.example", "failed")))
    dovecot.deliver(mailbox.username, answer(first))
    dovecot.deliver(mailbox.username, report(second, ("bob@far.example", "failed"), number=2))
    assert read_now(mailbox) == 4
    db.session.expire_all()
    assert {first.state, second.state} == {MailState.FAILED}
    assert dovecot.count(mailbox.username) == 2
    assert dovecot.flags(mailbox.username) == {""}
    # What came behind what is gone is found all the same.
    dovecot.deliver(mailbox.username, NEWSLETTER)
    assert read_now(mailbox) == 1
    assert mailbox.failing_since is None


def test_a_server_that_cannot_delete_single_messages_keeps_what_others_have_marked(
    dovecot: Dovecot, send: Send, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imaplib.IMAP4, "_get_capabilities", _without_uidplus(imaplib.IMAP4._get_capabilities))
    with transaction():
        mailbox.delete_reports = True
    mail = accepted(send("ann@far.example"))
    dovecot.deliver(mailbox.username, NEWSLETTER)
    dovecot.deliver(mailbox.username, report(mail, ("ann@far.example", "failed")))
    read_mailboxes()
    assert dovecot.flags(mailbox.username) == {"", "T"}
    assert mailbox.failing_since is None


def _without_uidplus(told: Callable[[imaplib.IMAP4], None]) -> Callable[[imaplib.IMAP4], None]:
    def tell(connection: imaplib.IMAP4) -> None:
        told(connection)
        connection.capabilities = tuple(one for one in connection.capabilities if one != "UIDPLUS")

    return tell


def test_under_another_uidvalidity_nothing_is_lost_and_nothing_counts_twice(
    dovecot: Dovecot, send: Send, mailbox: Mailbox
) -> None:
    first, second = accepted(send("ann@far.example")), accepted(send("bob@far.example"))
    dovecot.deliver(mailbox.username, report(first, ("ann@far.example", "failed")))
    read_mailboxes()
    before = mailbox.uid_validity
    dovecot.deliver(mailbox.username, report(second, ("bob@far.example", "failed"), number=2))
    dovecot.forget_uids(mailbox.username)
    assert read_now(mailbox) == 2
    db.session.expire_all()
    assert mailbox.uid_validity != before
    assert second.state is MailState.FAILED
    assert [event.verb for event in first.events].count("report") == 1


def test_what_lay_there_for_long_is_left_alone(dovecot: Dovecot, send: Send, mailbox: Mailbox) -> None:
    mail = accepted(send("ann@far.example"))
    dovecot.deliver(mailbox.username, report(mail, ("ann@far.example", "failed")))
    with transaction():
        mailbox.read_from = clock.now() + dt.timedelta(hours=1)
    assert read_mailboxes() == 0
    db.session.expire_all()
    assert mail.state is MailState.SENT


def test_a_long_mailbox_is_read_in_windows_from_where_it_was_left(
    dovecot: Dovecot, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "WINDOW", 3)
    for number in range(10):
        dovecot.deliver(mailbox.username, NEWSLETTER.replace(b"sale.1", b"sale.%d" % number))
    assert read_mailboxes() == 10
    for number in range(4):
        dovecot.deliver(mailbox.username, NEWSLETTER.replace(b"sale.1", b"late.%d" % number))
    assert read_now(mailbox) == 4
    assert read_now(mailbox) == 0


def test_of_a_large_message_the_beginning_decides_and_the_largest_is_told(
    dovecot: Dovecot, send: Send, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailboxes, "SMALL", 4000)
    monkeypatch.setattr(mailboxes, "MAX_MESSAGE", 50_000)
    mail = accepted(send("ann@far.example"))
    asked: list[int] = []
    fetch = mailboxes.ImapMailbox.octets

    def octets(self: mailboxes.ImapMailbox, uid: int, limit: int = 10**6) -> bytes | None:
        asked.append(limit)
        return fetch(self, uid, limit)

    monkeypatch.setattr(mailboxes.ImapMailbox, "octets", octets)
    dovecot.deliver(mailbox.username, NEWSLETTER + b"x" * 70 * 1000)
    dovecot.deliver(mailbox.username, NEWSLETTER + b"x" * 40_000)
    dovecot.deliver(mailbox.username, report(mail, ("ann@far.example", "failed")) + b"x\n" * 10_000)
    read_mailboxes()
    db.session.expire_all()
    assert (mailbox.skipped, mail.state) == (1, MailState.FAILED)
    assert asked == [4000, 4000, 10**6]


def test_a_large_answer_is_read_with_its_file(dovecot: Dovecot, send: Send, mailbox: Mailbox) -> None:
    mail = accepted(send("ann@far.example"))
    dovecot.deliver(mailbox.username, answer(mail, file=("plan.pdf", b"%PDF" * 1_000_000)))
    read_now(mailbox)
    (file,) = db.session.scalars(select(AnswerFile))
    assert file.size == 4_000_000


def test_the_test_shows_what_would_be_made_and_touches_nothing(
    dovecot: Dovecot, send: Send, mailbox: Mailbox
) -> None:
    mail = accepted(send("ann@far.example"))
    dovecot.deliver(mailbox.username, NEWSLETTER)
    dovecot.deliver(mailbox.username, report(mail, ("ann@far.example", "failed")))
    found = look(mailbox)
    assert (found.failure, found.count) == (None, 2)
    newest, oldest = found.seen
    assert (newest.reading.nature if newest.reading else None) is Nature.BOUNCE
    assert newest.match.mail is not None
    assert newest.match.mail.id == mail.id
    assert oldest.match.mail is None
    db.session.expire_all()
    assert (mail.state, mailbox.last_uid) == (MailState.SENT, 0)
    assert db.session.scalars(select(InboundMessage)).all() == []
    assert not any("S" in flags for flags in dovecot.flags(mailbox.username))


def test_a_wrong_password_is_told_and_tried_again_later(dovecot: Dovecot, mailbox: Mailbox) -> None:
    values = {"host": LOOPBACK, "port": dovecot.tls_port, "encryption": Encryption.TLS, "username": "eve"}
    save_mailbox(mailbox, values, "wrong")
    read_mailboxes()
    db.session.expire_all()
    assert mailbox.failure_kind is FailureKind.AUTH_FAILED
    assert "Authentication failed" in mailbox.failure_words
    since = mailbox.failing_since
    assert since is not None
    tried = mailbox.tried_at
    read_mailboxes()
    db.session.expire_all()
    assert (mailbox.tried_at, mailbox.failing_since) == (tried, since)


def test_a_folder_that_is_not_there_is_told(dovecot: Dovecot, mailbox: Mailbox) -> None:
    with transaction():
        mailbox.folder = 'Réponses & "retours"'
    read_mailboxes()
    db.session.expire_all()
    assert mailbox.failure_kind is FailureKind.SERVER_ERROR


def test_a_folder_with_another_name(dovecot: Dovecot, send: Send, mailbox: Mailbox) -> None:
    mail = accepted(send("ann@far.example"))
    dovecot.deliver(mailbox.username, report(mail, ("ann@far.example", "failed")), folder=".R&AOk-ponses")
    with transaction():
        mailbox.folder = "Réponses"
    assert read_mailboxes() == 1


def test_a_saved_password_goes_nowhere_else(mailbox: Mailbox) -> None:
    same = {
        "host": mailbox.host,
        "port": mailbox.port,
        "encryption": mailbox.encryption,
        "username": mailbox.username,
        "folder": "Other",
    }
    save_mailbox(mailbox, same, None)
    assert (mailbox.folder, mailbox.last_uid) == ("Other", 0)
    for change in (
        {"host": "evil.example"},
        {"username": "eve"},
        {"port": 143},
        {"encryption": Encryption.NONE},
    ):
        with pytest.raises(UserError, match="type the password again"):
            save_mailbox(mailbox, same | change, None)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            (
                "Incoming email",
                "The mailbox holds 2 messages.",
                "bounce",
                "none: it is left alone",
                "counted",
            ),
        ),
        (
            "fr",
            (
                "E‑mails entrants",
                "La boîte contient 2 messages.",
                "avis de non-remise",
                "aucun : il y reste",
                "pris en compte",
            ),
        ),
    ],
)
def test_an_administrator_connects_a_mailbox_tests_it_and_sees_what_came(
    app: Flask,
    dovecot: Dovecot,
    send: Send,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
    language: str,
    words: tuple[str, ...],
) -> None:
    app.config["MAIL_CONFIG_CA_FILE"] = dovecot.ca_file
    browser = sign_in(make_user("administrator", language=language))
    mail = accepted(send("ann@far.example"))
    user = f"page-{language}"
    dovecot.deliver(user, NEWSLETTER)
    dovecot.deliver(user, report(mail, ("ann@far.example", "failed")))
    form = {
        "name": "Retours",
        "host": LOOPBACK,
        "port": dovecot.tls_port,
        "encryption": "tls",
        "username": user,
        "password": PASSWORD,
        "folder": "INBOX",
        "active": "y",
    }
    saved = browser.post("/outbox/mailboxes/new", data=form)
    assert saved.status_code == 302
    tested = browser.post(f"{saved.location}/test").text.replace("\u00a0", " ")
    read_mailboxes()
    listed = browser.get("/outbox/mailboxes").text.replace("\u00a0", " ")
    for text in words:
        assert text in tested + listed
    assert PASSWORD not in tested + listed + browser.get(f"{saved.location}/edit").text
    assert browser.post(f"{saved.location}/delete").status_code == 302
    assert db.session.scalars(select(Mailbox)).all() == []
    assert len(db.session.scalars(select(InboundMessage)).all()) == 1


def test_mailboxes_are_for_administrators(
    make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    assert sign_in(make_user()).get("/outbox/mailboxes").status_code == 403


@pytest.mark.both_databases
def test_whoever_sets_up_mailboxes_is_told_once_of_one_that_is_no_longer_read(
    app: Flask,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
) -> None:
    administrator = make_user("administrator", language="fr")
    seller = make_user()
    browser = sign_in(administrator)
    values = {"name": "Retours", "host": LOOPBACK, "port": 9, "encryption": Encryption.TLS, "username": "ann"}
    box = save_mailbox(None, values, PASSWORD)
    read_now(box)
    # It may pass by itself.
    assert db.session.scalars(select(Alert)).all() == []
    assert "Retours" in problems(app)[0]
    with transaction():
        box.failing_since = clock.now() - dt.timedelta(hours=1)
    for _look in range(3):
        read_now(box)
    (alert,) = db.session.scalars(select(Alert))
    assert (alert.user_id, alert.mailbox_id) == (administrator.id, box.id)
    assert alerts.count_unseen(seller) == 0
    page = browser.get("/outbox/alerts").text.replace("\u00a0", " ")
    assert "La boîte « Retours » ne peut plus être lue" in page
    assert "non lue" in page
    assert "“Retours”" in alerts._line(alert, administrator)
    # Whoever has looked at the mailbox has seen it.
    assert f"&#34;mailbox_id&#34;: {box.id}" in browser.get(f"/outbox/mailboxes/{box.id}").text
    browser.post("/outbox/alerts/seen", data={"mailbox_id": box.id})
    assert alerts.count_unseen(administrator) == 0
    with transaction():
        box.failing_since = clock.now() - dt.timedelta(minutes=30)
        alert.created_at = clock.now() - dt.timedelta(days=1)
    read_now(box)
    assert alerts.count_unseen(administrator) == 1
    # Saved anew it counts as well until it fails again.
    save_mailbox(box, values, PASSWORD)
    assert alerts.count_unseen(administrator) == 0
    assert problems(app) == []
    assert browser.post(f"/outbox/mailboxes/{box.id}/delete").status_code == 302
    assert db.session.scalars(select(Alert)).all() == []


@pytest.mark.parametrize(
    ("language", "before", "offer", "after"),
    [
        (
            "en",
            "come to no mailbox that is read here",
            "Let them come to sales@gmail.com",
            "go to sales@gmail.com",
        ),
        ("fr", "n’arrivent dans aucune boîte lue ici", "Les recevoir à sales@gmail.com", "à sales@gmail.com"),
    ],
)
def test_answers_of_a_company_come_to_the_mailbox_that_is_read(
    company: Company,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
    language: str,
    before: str,
    offer: str,
    after: str,
) -> None:
    browser, seller = sign_in(make_user("administrator", language=language)), make_user()
    # Where it is, its provider says.
    form = {
        "name": "Sales",
        "port": 993,
        "encryption": "tls",
        "username": "sales@gmail.com",
        "folder": "INBOX",
    }
    form |= {"password": PASSWORD, "active": "y"}
    assert browser.post("/outbox/mailboxes/new", data=form).status_code == 302
    assert db.session.scalars(select(Mailbox.host)).all() == ["imap.gmail.com"]
    page = browser.get("/outbox/mailboxes").text
    assert before in page
    assert offer in page
    url = f"/outbox/mailboxes/answers/{company.id}"
    page = browser.post(url, data={"address": "sales@gmail.com"}, follow_redirects=True).text
    assert after in page
    assert before not in page
    for purpose in (Purpose.SINGLE, Purpose.BATCH, Purpose.RECEIPT):
        answers = route_for(company, seller, purpose=purpose).reply_to
        assert answers is not None
        assert answers.addr_spec == "sales@gmail.com"
    # Only to what is read.
    assert browser.post(url, data={"address": "eve@evil.example"}).status_code in {302, 400, 409, 422}
    assert route_for(company, seller).reply_to == answers
    browser.post(url)
    assert route_for(company, seller).reply_to != answers
    assert before in browser.get("/outbox/mailboxes").text


def test_a_provider_that_nobody_knows_wants_its_host(
    make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    form = {
        "name": "Sales",
        "port": 993,
        "encryption": "tls",
        "username": "sales@far.example",
        "folder": "INBOX",
    }
    browser = sign_in(make_user("administrator"))
    page = browser.post("/outbox/mailboxes/new", data=form | {"password": PASSWORD, "active": "y"}).text
    assert "The server of this address is not known here." in page
    assert db.session.scalars(select(Mailbox)).all() == []


def test_a_failed_test_says_what_helps_at_the_provider() -> None:
    refused = Failure(FailureKind.AUTH_FAILED, True, detail="[AUTHENTICATIONFAILED] Invalid credentials")
    said = " ".join(mailbox_sentences(refused, "imap.gmail.com", "sales@far.example"))
    assert "IMAP" in said
    assert "make an app password" in said
    assert "From filter" not in said
