"""Mailboxes of connected accounts, on a real IMAP server that asks the provider whose a token is (Dovecot)."""

# ruff: noqa: F811 (fixtures of another folder)

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.mail.outcomes import Advice, FailureKind
from modules.mail_config.account_models import MailAccount
from modules.mail_config.models import MailServer
from modules.mail_config.servers import connecting
from modules.outbox.inbound import waiting
from modules.outbox.inbound.mailboxes import read_account, read_mailboxes
from modules.outbox.inbound.mailboxes import test_mailbox as look
from modules.outbox.models import Mailbox, OutgoingMail
from modules.outbox.states import MailState
from tests.mail_config.accounts import (  # noqa: F401 (fixtures)
    GMAIL,
    back,
    leave,
    make_old,
    provider,
    running,
)
from tests.mail_config.provider import Provider
from tests.outbox.coming_back import report
from tests.outbox.dovecot import Dovecot, dovecot_server
from tests.outbox.mails import accepted
from tests.outbox.test_idle import Bell
from tests.outbox.test_mailboxes import read_now

Send = Callable[..., OutgoingMail]
HOUSE = "/mail_config/servers/accounts/{}/connect"


@pytest.fixture(scope="module")
def dovecot(running: Provider) -> Iterator[Dovecot]:
    with dovecot_server(running.base_url) as server:
        yield server


@pytest.fixture
def boss(
    app: Flask,
    dovecot: Dovecot,
    company: Company,
    make_user: Callable[..., User],
    sign_in: Callable[..., FlaskClient],
) -> FlaskClient:
    app.config["MAIL_CONFIG_CA_FILE"] = dovecot.ca_file
    for name in ("GOOGLE", "MICROSOFT"):
        app.config[f"MAIL_CONFIG_{name}_IMAP_URL"] = f"imaps://localhost:{dovecot.tls_port}"
    return sign_in(make_user("administrator"))


def connected(boss: FlaskClient, provider: Provider, kind: str = "google", **how: object) -> MailAccount:
    back(boss, provider.consent(leave(boss, provider=kind, at=HOUSE, company_id=0, **how)))
    return db.session.scalars(select(MailAccount)).one()


def test_a_bounce_in_the_mailbox_of_an_account_turns_its_mail_red(
    boss: FlaskClient,
    provider: Provider,
    dovecot: Dovecot,
    send: Send,
) -> None:
    account = connected(boss, provider, reads="y")
    assert "Read its mailbox" in boss.get("/outbox/mailboxes").text
    page = boss.post(f"/outbox/mailboxes/of-account/{account.server_id}", follow_redirects=True)
    assert GMAIL in page.text
    box = db.session.scalars(select(Mailbox)).one()
    mail = accepted(send("ann@far.example"))
    dovecot.deliver(GMAIL, report(mail, ("ann@far.example", "failed")))
    tested = boss.post(f"/outbox/mailboxes/{box.id}/test")
    assert "Address unknown" in tested.text
    assert read_mailboxes() == 1
    db.session.expire_all()
    assert mail.state is MailState.FAILED
    # It is read once, and the place where it is follows from the account.
    assert read_account(account.server_id).id == box.id
    assert "Read its mailbox" not in boss.get("/outbox/mailboxes").text
    form = boss.get(f"/outbox/mailboxes/{box.id}/edit").text
    assert 'name="password"' not in form
    assert 'name="host"' not in form
    boss.post(f"/outbox/mailboxes/{box.id}/edit", data={"name": "Answers", "folder": "INBOX", "active": "y"})
    db.session.expire_all()
    assert (box.name, box.host, box.account_id) == ("Answers", "localhost", account.server_id)


def test_a_refused_token_is_renewed_once_and_one_that_is_withdrawn_is_told(
    boss: FlaskClient,
    provider: Provider,
    dovecot: Dovecot,
) -> None:
    account = connected(boss, provider)
    box = read_account(account.server_id)
    dovecot.deliver(GMAIL, b"From: a@b.example\n\nx")
    provider.access_tokens.append("another")  # ours is no longer good
    assert look(box).failure is None
    assert provider.refreshes() == 1
    make_old(account.server_id)
    provider.refresh_tokens.clear()
    failure = look(box).failure
    assert failure is not None
    assert (failure.kind, failure.advice) == (FailureKind.AUTH_FAILED, Advice.RECONNECT)


def test_where_the_permission_has_ended_its_page_leads_to_the_provider(
    boss: FlaskClient, provider: Provider
) -> None:
    account = connected(boss, provider)
    box = read_account(account.server_id)
    make_old(account.server_id)
    provider.refresh_tokens.clear()
    assert read_mailboxes() == 0
    page = boss.get(f"/outbox/mailboxes/{box.id}").text
    assert f"/mail_config/servers/accounts/google/connect?server={account.server_id}" in page


def test_who_waits_at_it_signs_in_with_a_token_too_and_stays_while_that_changes(
    app: Flask,
    boss: FlaskClient,
    provider: Provider,
    dovecot: Dovecot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.1)
    asked = Bell()
    monkeypatch.setattr(waiting, "enqueue", lambda _name, **_how: asked())
    read_account(connected(boss, provider).server_id)
    stopped = threading.Event()
    thread = threading.Thread(target=waiting.wait_at_mailboxes, args=(app, stopped), daemon=True)
    thread.start()
    assert asked.wait_for(1)
    dovecot.deliver(GMAIL, b"From: a@b.example\n\ny")
    assert asked.wait_for(2)
    assert asked.count == 2  # one connection all the time
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()


def test_an_account_that_is_no_longer_connected_is_told_and_a_password_may_take_its_place(
    boss: FlaskClient,
    provider: Provider,
) -> None:
    account = connected(boss, provider)
    box = read_account(account.server_id)
    connecting.remove(db.session.get_one(MailServer, account.server_id))
    db.session.expire_all()
    assert box.account is None
    assert read_now(box) == 0
    assert "no longer connected" in box.failure_words
    assert 'name="password"' in boss.get(f"/outbox/mailboxes/{box.id}/edit").text


@pytest.mark.parametrize(("reads", "asked"), [({}, False), ({"reads": "y"}, True)])
def test_microsoft_is_asked_for_the_mailbox_only_where_that_is_wanted(
    boss: FlaskClient,
    provider: Provider,
    reads: dict[str, str],
    asked: bool,
) -> None:
    url = leave(boss, provider="microsoft", at=HOUSE, company_id=0, **reads)
    (scope,) = parse_qs(urlsplit(url).query)["scope"]
    assert ("IMAP.AccessAsUser.All" in scope) is asked
    back(boss, provider.consent(url))
    page = boss.get("/outbox/mailboxes").text
    assert ("may not be read yet" in page) is not asked
    account = db.session.scalars(select(MailAccount)).one()
    boss.post(f"/outbox/mailboxes/of-account/{account.server_id}", follow_redirects=True)
    assert (db.session.scalar(select(Mailbox)) is not None) is asked


def test_a_box_that_was_not_ticked_at_the_provider_saves_nothing(
    boss: FlaskClient, provider: Provider
) -> None:
    provider.scope = "openid email https://outlook.office.com/SMTP.Send"
    page = back(boss, provider.consent(leave(boss, provider="microsoft", at=HOUSE, company_id=0, reads="y")))
    assert "The permission to read the mailbox is missing" in page.text
    assert db.session.scalar(select(MailAccount)) is None


def test_without_smtp_no_mailbox_is_read(boss: FlaskClient, provider: Provider) -> None:
    page = boss.post(
        HOUSE.format("google"), data={"address": GMAIL, "company_id": 0, "api": "y", "reads": "y"}
    )
    assert "choose one of the two" in page.text
