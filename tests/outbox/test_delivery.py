"""The way of a mail, on a real SMTP server, on both databases."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace

import pytest

from core import clock
from core.db import db, transaction
from core.embedded import free_port
from core.mail.outcomes import FailureKind, RecipientState
from core.testing.services import SmtpLab
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.servers import connection_limit
from modules.mail_config.servers.providers import provider_of
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, make_ready, make_server, with_file

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]


def reread(mail: OutgoingMail) -> OutgoingMail:
    db.session.expire_all()
    return db.session.get_one(OutgoingMail, mail.id)


def states(mail: OutgoingMail) -> dict[str, str]:
    return {recipient.addr_spec.partition("@")[0]: recipient.state.value for recipient in mail.recipients}


def test_a_mail_whose_recipients_are_all_accepted_is_sent(lab, server, send):
    mail = send("Ann <ann@example.com>", "bob@example.com")
    assert mail.state is MailState.QUEUED

    assert deliver([mail.id]) == 1

    mail = reread(mail)
    assert mail.state is MailState.SENT
    assert (mail.accepted_count, mail.recipient_count) == (2, 2)
    (message,) = lab.accepted
    assert message.envelope_from == "sales@maison.example.com"
    assert list(message.recipients) == ["ann@example.com", "bob@example.com"]
    parsed = email.message_from_bytes(message.data, policy=email.policy.default)
    assert parsed["Message-ID"] == mail.message_id
    assert parsed["To"] == "Ann <ann@example.com>, bob@example.com"
    assert parsed["From"] == "Maison Test <sales@maison.example.com>"
    assert "Hello" in parsed.get_body(("plain",)).get_content()
    assert "<strong>you</strong>" in parsed.get_body(("html",)).get_content()


def test_one_refused_of_two_is_partial_and_names_the_reason(lab, server, send):
    mail = send("ann@example.com", "refused+bob@example.com")
    deliver([mail.id])
    mail = reread(mail)
    assert mail.state is MailState.PARTIAL
    assert states(mail) == {"ann": "accepted", "refused+bob": "refused"}
    assert mail.failure_kind is FailureKind.RECIPIENT_UNKNOWN
    bob = mail.recipients[1]
    assert (bob.reply_code, bob.enhanced_code) == (550, "5.1.1")
    assert "550" in bob.diagnostic
    assert [list(message.recipients) for message in lab.accepted] == [["ann@example.com"]]


def test_a_resend_reaches_only_those_who_did_not_get_it_with_the_same_octets(lab, server, company):
    mail = service.submit(with_file(draft(company, "ann@example.com", "later+bob@example.com")), None)
    deliver([mail.id])
    assert reread(mail).state is MailState.DEFERRED

    assert service.retry_now([mail.id]) == [mail.id]
    deliver([mail.id])
    assert [list(message.recipients) for message in lab.accepted] == [["ann@example.com"]]

    lab.scripted = False
    service.retry_now([mail.id])
    deliver([mail.id])
    mail = reread(mail)
    assert mail.state is MailState.SENT
    first, second = lab.accepted
    assert list(second.recipients) == ["later+bob@example.com"]
    assert first.data == second.data


def test_a_corrected_address_is_the_only_one_served(lab, server, send, customer):
    mail = send("ann@example.com", "refused+bob@example.com")
    deliver([mail.id])
    mail = reread(mail)
    service.correct_recipient(mail.recipients[1], "bob@example.com")
    assert service.resend([mail.id]) == [mail.id]
    deliver([mail.id])
    assert reread(mail).state is MailState.SENT
    assert [list(message.recipients) for message in lab.accepted] == [
        ["ann@example.com"],
        ["bob@example.com"],
    ]


def test_a_corrected_address_is_served_with_those_who_wait(lab, server, send):
    mail = send("later+ann@example.com", "refused+bob@example.com")
    deliver([mail.id])
    mail = reread(mail)
    assert mail.state is MailState.DEFERRED
    service.correct_recipient(mail.recipients[1], "bob@example.com")
    lab.scripted = False
    assert service.retry_now([mail.id]) == [mail.id]
    deliver([mail.id])
    assert reread(mail).state is MailState.SENT
    assert list(lab.accepted[0].recipients) == ["later+ann@example.com", "bob@example.com"]


def test_a_second_press_of_resend_does_nothing(lab, server, send):
    mail = send("refused+bob@example.com")
    deliver([mail.id])
    assert service.resend([mail.id]) == [mail.id]
    assert service.resend([mail.id]) == []


def test_a_second_claim_gets_nothing(lab, server, send):
    mail = send("ann@example.com")
    assert deliver([mail.id]) == 1
    assert deliver([mail.id]) == 0
    assert len(lab.accepted) == 1


@pytest.mark.parametrize(
    ("address", "state", "kind"),
    [
        ("refused+x@example.com", MailState.FAILED, FailureKind.RECIPIENT_UNKNOWN),
        ("full+x@example.com", MailState.FAILED, FailureKind.MAILBOX_FULL),
        ("spam+x@example.com", MailState.FAILED, FailureKind.SPAM_SUSPECTED),
        ("big+x@example.com", MailState.FAILED, FailureKind.MESSAGE_TOO_LARGE),
        ("later+x@example.com", MailState.DEFERRED, FailureKind.RATE_LIMITED),
        ("garbage+x@example.com", MailState.DEFERRED, FailureKind.SERVER_ERROR),
        ("drop+x@example.com", MailState.UNCERTAIN, FailureKind.OUTCOME_UNKNOWN),
    ],
)
def test_each_way_a_server_can_fail_has_its_state_and_kind(lab, server, send, address, state, kind):
    mail = send(address)
    deliver([mail.id])
    mail = reread(mail)
    assert (mail.state, mail.failure_kind) == (state, kind)
    assert mail.failure_reason
    assert len(mail.attempt_rows) == 1
    if state is MailState.DEFERRED:
        assert mail.next_attempt_at > clock.now()


def test_an_untested_server_sends_nothing_and_the_mail_says_so(lab, company, send):
    make_server(lab)
    mail = send("ann@example.com")
    deliver([mail.id])
    mail = reread(mail)
    assert (mail.state, mail.failure_kind) == (MailState.DEFERRED, FailureKind.SERVER_UNTESTED)
    assert mail.attempts == 0
    assert lab.accepted == []


def test_without_a_server_the_mail_waits(company, send):
    mail = send("ann@example.com")
    deliver([mail.id])
    assert reread(mail).failure_kind is FailureKind.SERVER_MISSING


def test_a_server_that_is_not_there_defers_the_mail(lab, company, send):
    make_ready(make_server(lab, port=free_port()))
    mail = send("ann@example.com")
    deliver([mail.id])
    mail = reread(mail)
    assert (mail.state, mail.failure_kind) == (MailState.DEFERRED, FailureKind.CONNECT_FAILED)
    assert mail.recipients[0].state is RecipientState.DEFERRED


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(company, send):
    with SmtpLab(security="tls") as lab:
        make_ready(make_server(lab, encryption=Encryption.TLS))
        mail = send("ann@example.com")
        deliver([mail.id])
    mail = reread(mail)
    assert (mail.state, mail.failure_kind) == (MailState.DEFERRED, FailureKind.TLS_FAILED)
    assert lab.accepted == []


def test_many_mails_share_a_connection_and_each_has_its_outcome(lab, server, send):
    mails = [send(f"{'refused+' if n % 3 == 0 else ''}n{n}@example.com") for n in range(9)]
    assert deliver([mail.id for mail in mails]) == 9
    found = [reread(mail).state for mail in mails]
    assert found == [MailState.FAILED if n % 3 == 0 else MailState.SENT for n in range(9)]
    assert len(lab.accepted) == 6


def test_a_connection_is_ended_after_as_many_mails_as_the_server_allows(lab, server, send):
    with transaction():
        server.mails_per_connection = 2
    mails = [send(f"a{number}@example.com") for number in range(5)]
    assert deliver([mail.id for mail in mails]) == 5
    assert [taken.connection for taken in lab.accepted] == [1, 1, 2, 2, 3]


def test_what_its_provider_allows_by_one_connection_is_usual(app, monkeypatch):
    known = replace(provider_of("smtp.gmail.com"), per_connection=7)
    monkeypatch.setattr(connection_limit, "provider_of", lambda _host: known)
    server = MailServer(host="smtp.gmail.com")
    assert connection_limit.mails_of(server) == 7
    server.mails_per_connection = 3
    assert connection_limit.mails_of(server) == 3
