"""What a real server accepts and cannot deliver: Exim returns it, Dovecot holds it, and the mail tells the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.mail.bounces.model import Action
from core.mail.outcomes import FailureKind, RecipientState
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer
from modules.outbox.dead_addresses import dead_among
from modules.outbox.delivery.run import deliver
from modules.outbox.inbound.mailboxes import read_mailboxes
from modules.outbox.mail_page.came_back import came_back
from modules.outbox.models import Alert, Mailbox, MailRecipient, OutgoingMail, RecipientNotice
from modules.outbox.states import MailState
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.dovecot import Dovecot, dovecot_server
from tests.outbox.exim import LOCAL_DOMAIN, OUR_DOMAIN, Exim, exim_server
from tests.outbox.test_mailboxes import make

pytestmark = pytest.mark.smtp

Send = Callable[..., OutgoingMail]
PATIENCE = 60  # seconds: "red within a minute"


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with dovecot_server() as server:
        yield server


@pytest.fixture(scope="module")
def exim(dovecot: Dovecot) -> Iterator[Exim]:
    with SmtpLab() as next_hop, exim_server(dovecot.maildir("bounces"), next_hop.port) as server:
        yield server


@pytest.fixture
def mailbox(app: Flask, dovecot: Dovecot) -> Mailbox:
    app.config["MAIL_CONFIG_CA_FILE"] = dovecot.ca_file
    return make(dovecot, "bounces")


@pytest.fixture
def server(exim: Exim, company: Company) -> MailServer:
    return make_ready(make_server(exim, bounce_address=f"bounces@{OUR_DOMAIN}", bounce_tokens=True))


def sent(send: Send, *addresses: str, by: User | None = None) -> OutgoingMail:
    mail = send(*addresses, by=by, delivery_receipt=True)
    deliver([mail.id])
    db.session.expire_all()
    assert mail.state is MailState.SENT  # all of it is accepted
    return mail


def read_until(mailbox: Mailbox, condition: Callable[[], bool]) -> None:
    """Read the mailbox until something is so; nobody else does it here."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "Nothing came back that says so."
        with transaction():
            mailbox.tried_at = None
        if not read_mailboxes():
            time.sleep(0.1)
        db.session.expire_all()


def told(mail: OutgoingMail) -> list[Action]:
    return sorted(
        db.session.scalars(
            select(RecipientNotice.action)
            .join(MailRecipient, MailRecipient.id == RecipientNotice.recipient_id)
            .where(MailRecipient.mail_id == mail.id)
        )
    )


def test_what_a_server_has_accepted_and_returns_turns_red_with_its_reason(
    mailbox: Mailbox, server: MailServer, seller: User, send: Send
) -> None:
    unknown = sent(send, "refused+ann@far.example", by=seller)
    two = sent(send, "full+bob@far.example", "cy@far.example")
    spam = sent(send, "spam+dan@far.example")
    read_until(
        mailbox, lambda: {unknown.state, spam.state, two.state} <= {MailState.FAILED, MailState.PARTIAL}
    )
    kinds = [mail.recipients[0].failure_kind for mail in (unknown, two, spam)]
    assert kinds == [FailureKind.RECIPIENT_UNKNOWN, FailureKind.MAILBOX_FULL, FailureKind.SPAM_SUSPECTED]
    ann, bob = unknown.recipients[0], two.recipients[0]
    assert (ann.state, ann.reply_code, ann.enhanced_code) == (RecipientState.BOUNCED, 550, "5.0.0")
    assert "there is no such mailbox here" in ann.diagnostic
    assert (bob.state, two.recipients[1].state) == (RecipientState.BOUNCED, RecipientState.ACCEPTED)
    assert two.state is MailState.PARTIAL
    assert db.session.scalars(select(Alert.mail_id)).all() == [unknown.id]
    assert set(dead_among(["refused+ann@far.example", "full+bob@far.example"])) == {"refused+ann@far.example"}


def test_a_delay_alarms_nobody_and_who_gives_up_leaves_the_address_alone(
    mailbox: Mailbox, server: MailServer, seller: User, send: Send
) -> None:
    mail = sent(send, "later+ann@far.example", by=seller)
    given_up = sent(send, "later+bob@given.up.example", by=seller)
    read_until(mailbox, lambda: given_up.state is MailState.FAILED and Action.DELAYED in told(mail))
    assert (mail.state, mail.recipients[0].state) == (MailState.SENT, RecipientState.ACCEPTED)
    assert "still tries" in came_back(mail)[mail.recipients[0].id][0].text
    bob = given_up.recipients[0]
    assert (bob.state, bob.failure_kind) == (RecipientState.BOUNCED, FailureKind.RATE_LIMITED)
    assert "the address may be right" in came_back(given_up)[bob.id][-1].text
    assert db.session.scalars(select(Alert.mail_id)).all() == [given_up.id]
    assert not dead_among(["later+bob@given.up.example"])


def test_a_receipt_says_delivered_only_where_a_mailbox_has_it(
    mailbox: Mailbox, server: MailServer, send: Send
) -> None:
    here, onward = sent(send, f"ann@{LOCAL_DOMAIN}"), sent(send, "ann@far.example")
    read_until(mailbox, lambda: bool(told(here) and told(onward)))
    assert (told(here), told(onward)) == ([Action.DELIVERED], [Action.RELAYED])
    assert {here.state, onward.state} == {MailState.SENT}
