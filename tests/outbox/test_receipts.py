"""Delivery receipts (RFC 3461): asked for where the server offers them, told where it does not, else not a word."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.db import db
from core.mail.outcomes import RecipientState
from modules.mail_config.models import Encryption
from modules.mail_config.transports.base import Envelope, ServerAccess
from modules.mail_config.transports.receipts import OFFERED_NONE, mail_parameters, recipient_parameters
from modules.mail_config.transports.smtp import SmtpConnection
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.mail_page.timeline import story_of
from modules.outbox.states import MailState
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.processes import RoughServer

pytestmark = pytest.mark.smtp

PLAIN = "250-rough.test\r\n250 8BITMIME"
DSN = "250-rough.test\r\n250-DSN\r\n250 8BITMIME"
AHEAD = "250-rough.test\r\n250-PIPELINING\r\n250-DSN\r\n250 8BITMIME"
UTF8 = "250-rough.test\r\n250-SMTPUTF8\r\n250-DSN\r\n250 8BITMIME"
MESSAGE = b"Subject: x\r\n\r\nHello\r\n"
ASKED = "NOTIFY=SUCCESS,FAILURE,DELAY"
A, R = RecipientState.ACCEPTED, RecipientState.REFUSED


@pytest.fixture
def hand_over() -> Callable:
    """Hand a message over to a rough server; return the submission and the lines that were said."""

    def hand_over(ehlo: str, *recipients: str, receipt: bool = True, **answers: str | list[str]):
        with RoughServer({"EHLO": ehlo, **answers}) as server:
            connection = SmtpConnection(ServerAccess(server.host, server.port, Encryption.NONE, timeout=5.0))
            envelope = Envelope("from@example.com", recipients, receipt, "1+a=b@x.test")
            submission = connection.submit(MESSAGE, envelope, lambda: None)
            connection.close()
        said = [line for line in server.said if line.startswith(("MAIL", "RCPT"))]
        return submission, said

    return hand_over


@pytest.mark.parametrize("ehlo", [DSN, AHEAD])
def test_a_server_that_offers_receipts_is_asked_for_each_recipient(hand_over, ehlo):
    submission, said = hand_over(ehlo, "ann+x=y@example.com", "bob@example.com")
    assert said == [
        "MAIL FROM:<from@example.com> RET=HDRS ENVID=1+2Ba+3Db@x.test",
        f"RCPT TO:<ann+x=y@example.com> {ASKED} ORCPT=rfc822;ann+2Bx+3Dy@example.com",
        f"RCPT TO:<bob@example.com> {ASKED} ORCPT=rfc822;bob@example.com",
    ]
    assert [outcome.state for outcome in submission.outcomes] == [A, A]
    assert not submission.no_receipt


def test_a_server_that_offers_none_gets_the_mail_without_a_word_of_it_and_that_is_told(hand_over):
    submission, said = hand_over(PLAIN, "ann@example.com")
    assert said == ["MAIL FROM:<from@example.com>", "RCPT TO:<ann@example.com>"]
    assert [outcome.state for outcome in submission.outcomes] == [A]
    assert submission.no_receipt
    assert any(OFFERED_NONE in line for line in submission.transcript)


@pytest.mark.parametrize("ehlo", [PLAIN, DSN, AHEAD])
def test_without_the_wish_nothing_changes(hand_over, ehlo):
    submission, said = hand_over(ehlo, "ann@example.com", receipt=False)
    assert said == ["MAIL FROM:<from@example.com>", "RCPT TO:<ann@example.com>"]
    assert not submission.no_receipt
    assert not any(OFFERED_NONE in line for line in submission.transcript)


@pytest.mark.parametrize("ehlo", [DSN, AHEAD])
def test_those_left_for_another_transaction_are_asked_for_too(hand_over, ehlo):
    submission, said = hand_over(
        ehlo,
        "ann@example.com",
        "bob@example.com",
        RCPT=["250 2.1.5 ok", "452 4.5.3 too many recipients", "250 2.1.5 ok"],
    )
    assert [outcome.state for outcome in submission.outcomes] == [A, A]
    assert said[-2:] == [
        "MAIL FROM:<from@example.com> RET=HDRS ENVID=1+2Ba+3Db@x.test",
        f"RCPT TO:<bob@example.com> {ASKED} ORCPT=rfc822;bob@example.com",
    ]


def test_addresses_in_other_scripts_are_named_by_rfc_6533(hand_over):
    _submission, said = hand_over(UTF8, "用户+a@例子.example", "bob@bücher.example")
    assert said == [
        "MAIL FROM:<from@example.com> RET=HDRS ENVID=1+2Ba+3Db@x.test",
        f"RCPT TO:<bob@xn--bcher-kva.example> {ASKED} ORCPT=rfc822;bob@xn--bcher-kva.example",
        "MAIL FROM:<from@example.com> SMTPUTF8 RET=HDRS ENVID=1+2Ba+3Db@x.test",
        f"RCPT TO:<用户+a@例子.example> {ASKED} ORCPT=utf-8;用户\\x{{2B}}a@例子.example",
    ]


def test_without_smtputf8_the_others_are_served_and_asked_for(hand_over):
    submission, said = hand_over(DSN, "用户@例子.example", "bob@bücher.example")
    assert [outcome.state for outcome in submission.outcomes] == [R, A]
    assert "SMTPUTF8" in submission.outcomes[0].failure.diagnostic
    assert said[1:] == [f"RCPT TO:<bob@xn--bcher-kva.example> {ASKED} ORCPT=rfc822;bob@xn--bcher-kva.example"]


def test_without_smtputf8_and_without_receipts_both_are_told(hand_over):
    submission, _said = hand_over(PLAIN, "用户@例子.example", "bob@example.com")
    assert [outcome.state for outcome in submission.outcomes] == [R, A]
    assert submission.no_receipt


@pytest.mark.parametrize(
    ("envelope_id", "parameters"),
    [
        ("abc@x.test", " RET=HDRS ENVID=abc@x.test"),
        ("", " RET=HDRS"),
        ("a b\r\nRCPT TO:<x>", " RET=HDRS ENVID=a+20b+0D+0ARCPT+20TO:<x>"),
        (f"abc@{'x' * 120}.test", " RET=HDRS ENVID=abc"),
        ("é@x.test", " RET=HDRS ENVID=@x.test"),
    ],
)
def test_the_name_of_an_envelope_is_encoded_and_short(envelope_id, parameters):
    assert mail_parameters(envelope_id) == parameters


def test_no_address_breaks_out_of_its_parameter():
    assert "\r" not in recipient_parameters("a\r\nRCPT TO:<x>@example.com")
    assert "\n" not in recipient_parameters("é\r\nDATA@example.com")
    assert " " not in recipient_parameters('"john smith"@example.com').removeprefix(f" {ASKED} ")


@pytest.mark.both_databases
def test_the_story_of_a_mail_says_that_its_server_offers_none(lab, server, send):
    mail = send("ann@example.com", delivery_receipt=True)
    other = send("bob@example.com")
    deliver([mail.id, other.id])
    db.session.expire_all()
    assert mail.state is MailState.SENT
    assert story_of(mail)[-1].detail == "Sent without asking for a delivery receipt: the server offers none."
    assert story_of(other)[-1].detail == ""
    assert OFFERED_NONE in mail.attempt_rows[0].transcript


def test_a_resend_to_one_asks_for_that_one_alone(company, send):
    with RoughServer({"EHLO": DSN, "RCPT": ["250 ok", "450 4.2.1 later", "250 ok"]}) as rough:
        make_ready(make_server(rough))
        mail = send("ann@example.com", "bob@example.com", delivery_receipt=True)
        deliver([mail.id])
        service.retry_now([mail.id])
        deliver([mail.id])
        asked = [line for line in rough.said if line.startswith("RCPT")]
    assert [line.partition(">")[0] for line in asked] == [
        "RCPT TO:<ann@example.com",
        "RCPT TO:<bob@example.com",
        "RCPT TO:<bob@example.com",
    ]
    assert all(ASKED in line for line in asked)
    assert len(set(rough.accepted)) == 1
