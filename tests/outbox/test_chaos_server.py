"""A mail server that misbehaves, seen from the outbox: what is shown of every recipient is true.

Two mails, one after the other, to a server that does something wrong; afterwards the server is well, what waits
is let go, and what is uncertain is left alone. Whatever was wrong: nobody got a mail twice, whoever is shown as
accepted got it, whoever got it is shown as accepted or uncertain, and a refusal is one that the server has said.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass, field

import pytest

from core import clock
from core.db import db
from core.mail.outcomes import FailureKind, RecipientState
from modules.mail_config.models import Encryption
from modules.mail_config.servers import circuit_breaker
from modules.outbox import service
from modules.outbox.delivery import connections
from modules.outbox.delivery.run import deliver
from modules.outbox.delivery.sweep import sweep
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.processes import BODY, CLOSE, GREETING, HANG, RoughServer

pytestmark = [pytest.mark.smtp]

PIPELINING = "250-rough.test\r\n250-PIPELINING\r\n250 8BITMIME"
SIGN_IN = "250-rough.test\r\n250-AUTH PLAIN\r\n250 8BITMIME"
OK, GO = "250 2.0.0 ok", "354 go ahead"
TAKEN = "250 2.0.0 taken"
S, P, F, D, U = MailState.SENT, MailState.PARTIAL, MailState.FAILED, MailState.DEFERRED, MailState.UNCERTAIN


@dataclass(frozen=True)
class Case:
    """What the server does, and what becomes of the first and of the second mail at first.

    Attributes:
        name: In words.
        answers: What it answers at a step, each time; see `RoughServer`.
        states: Of the two mails after the first run.
        finally_: Their states once the server is well and what waits was let go.
        kind: What is shown of the first mail.
        server: Settings of the server.
    """

    name: str
    answers: dict[str, object]
    states: tuple[MailState, MailState]
    finally_: tuple[MailState, MailState] = (S, S)
    kind: FailureKind | None = None
    server: dict[str, object] = field(default_factory=dict)


K = FailureKind
CASES = [
    Case("drops after the body without a reply", {BODY: [CLOSE, TAKEN]}, (U, S), (U, S), K.OUTCOME_UNKNOWN),
    Case("falls silent after the body", {BODY: [HANG, TAKEN]}, (U, S), (U, S), K.OUTCOME_UNKNOWN),
    Case("answers the body with garbage", {BODY: ["It works!", TAKEN]}, (U, S), (U, S), K.OUTCOME_UNKNOWN),
    Case("answers the body with another 354", {BODY: [GO, TAKEN]}, (U, S), (U, S), K.OUTCOME_UNKNOWN),
    Case("accepts, then says 421 unasked", {BODY: [f"{TAKEN}\r\n421 4.3.2 bye", TAKEN]}, (S, S)),
    Case("says 421 to the body", {BODY: ["421 4.3.2 bye", TAKEN]}, (D, S), kind=K.SERVER_ERROR),
    Case("hangs at the greeting", {GREETING: [HANG, "220 hi"]}, (D, D), kind=K.TIMEOUT),
    Case("hangs at EHLO", {"EHLO": [HANG, OK]}, (D, D), kind=K.TIMEOUT),
    Case("hangs at MAIL", {"MAIL": [HANG, OK]}, (D, D), kind=K.TIMEOUT),
    Case("hangs at RCPT", {"RCPT": [HANG, OK]}, (D, D), kind=K.TIMEOUT),
    Case("hangs at DATA", {"DATA": [HANG, GO]}, (D, D), kind=K.TIMEOUT),
    Case("closes at RCPT", {"RCPT": [OK, CLOSE, OK]}, (D, S), kind=K.SERVER_ERROR),
    Case("closes at DATA", {"DATA": [CLOSE, GO]}, (D, S), kind=K.SERVER_ERROR),
    Case("garbage at MAIL", {"MAIL": ["\udcff\udcfe", OK]}, (D, S), kind=K.SERVER_ERROR),
    Case("garbage at RCPT", {"RCPT": ["hm", OK]}, (D, S), kind=K.SERVER_ERROR),
    Case("garbage at DATA", {"DATA": ["hm", GO]}, (D, S), kind=K.SERVER_ERROR),
    Case("refuses one, takes the other", {"RCPT": ["550 5.1.1 no", OK]}, (P, S), (P, S), K.RECIPIENT_UNKNOWN),
    Case("puts one off, takes the other", {"RCPT": [OK, "452 4.2.2 full", OK]}, (D, S), kind=K.MAILBOX_FULL),
    Case("refuses one, puts the other off", {"RCPT": ["550 5.1.1 no", "451 4.3.0 no", OK]}, (D, S), (P, S)),
    Case(
        "puts off now, refuses later", {"RCPT": ["451 4.3.0 no", OK, OK, OK, "550 5.1.1 no"]}, (D, S), (P, S)
    ),
    Case("closes between mails", {"MAIL": [OK, CLOSE, OK]}, (S, S)),
    Case("says 421 between mails", {"MAIL": [OK, "421 4.4.2 idle", OK]}, (S, S)),
    Case("answers RSET never", {"MAIL": ["451 4.3.0 later", OK], "RSET": HANG}, (D, S), kind=K.SERVER_ERROR),
    Case("answers RSET with garbage", {"RCPT": ["550 5.1.1 no"] * 2 + [OK], "RSET": "hm"}, (F, S), (F, S)),
    Case("does not offer STARTTLS", {}, (D, D), (D, D), K.TLS_FAILED, {"encryption": Encryption.STARTTLS}),
    Case(
        "offers STARTTLS and fails it",
        {"EHLO": "250-rough.test\r\n250 STARTTLS", "STARTTLS": "454 4.7.0 not now"},
        (D, D),
        (D, D),
        K.TLS_FAILED,
        {"encryption": Encryption.STARTTLS},
    ),
    Case(
        "offers STARTTLS and goes on in the clear",
        {"EHLO": "250-rough.test\r\n250 STARTTLS", "STARTTLS": "220 go\r\n250 ok"},
        (D, D),
        (D, D),
        K.TLS_FAILED,
        {"encryption": Encryption.STARTTLS},
    ),
    *(
        Case(
            f"offers AUTH, then says {answer[:3]}, then is fine",
            {"EHLO": SIGN_IN, "AUTH": [answer, "235 2.7.0 welcome"]},
            (D, D),
            kind=K.AUTH_FAILED,
            server={"username": "envoi", "password": "secret"},
        )
        for answer in ("503 5.5.1 AUTH not allowed", "535 5.7.8 no", "454 4.7.0 Temporary failure")
    ),
    Case(
        "has forgotten the sign-in at the second mail",
        {"EHLO": SIGN_IN, "AUTH": "235 2.7.0 ok", "MAIL": [OK, "530 5.7.0 Authentication required", OK]},
        (S, S),
        server={"username": "envoi", "password": "secret"},
    ),
    Case("wants a sign-in now", {"MAIL": "530 5.7.0 Authentication required"}, (D, D), (D, D), K.AUTH_FAILED),
    Case(
        "wants encryption now",
        {"MAIL": "530 5.7.0 Must issue a STARTTLS command first"},
        (D, D),
        (D, D),
        K.TLS_FAILED,
    ),
]


def reread(mail_id: int) -> OutgoingMail:
    db.session.rollback()
    return db.session.get_one(OutgoingMail, mail_id)


def states(ids: list[int]) -> tuple[MailState, ...]:
    return tuple(reread(mail_id).state for mail_id in ids)


def message_id(body: bytes) -> str:
    return re.search(rb"^Message-ID:\s*(\S+)", body, re.MULTILINE | re.IGNORECASE)[1].decode()


def check_truth(rough: RoughServer, ids: list[int]) -> None:
    """Compare what is shown with the server's own record."""
    taken = Counter(message_id(body) for body in rough.accepted)
    told = Counter(message_id(body) for body in rough.bodies)
    for mail in map(reread, ids):
        recipients = [recipient.state for recipient in mail.recipients]
        if RecipientState.ACCEPTED in recipients:
            assert taken[mail.message_id] >= 1
        if taken[mail.message_id]:
            assert {RecipientState.ACCEPTED, RecipientState.UNCERTAIN} & set(recipients)
        # A second message goes out only for those who were put off, or when the first was not taken.
        assert taken[mail.message_id] <= 1 + (told[mail.message_id] > 1)
        for recipient in mail.recipients:
            if recipient.state is RecipientState.REFUSED:
                assert 500 <= recipient.reply_code < 600, "nobody is refused but by the server's word"
            if recipient.state is not RecipientState.ACCEPTED:
                assert recipient.failure_kind is not None
        assert "\x1b" not in mail.failure_reason
        assert (mail.next_attempt_at > clock.now()) or mail.state is not D


WAYS = [
    pytest.param(case, ahead, id=f"{case.name}-{'pipelining' if ahead else 'step by step'}")
    for case in CASES
    for ahead in (False, True)
    # A server that says something else to EHLO offers nothing.
    if not (ahead and "EHLO" in case.answers)
]


@pytest.mark.parametrize(("case", "ahead"), WAYS)
def test_whatever_the_server_does_what_is_shown_is_true(app, company, send, monkeypatch, case, ahead):
    # Short where the server hangs, and never so short that a busy machine takes for hanging what is only slow.
    app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"] = "1.5" if HANG in str(case.answers) else "30"
    offset = [dt.timedelta(0)]
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + offset[0])
    answers = {"EHLO": PIPELINING, **case.answers} if ahead else dict(case.answers)
    with RoughServer(answers) as rough:
        server = make_ready(make_server(rough, **case.server))
        ids = [send("ann@example.com", "bob@example.com").id, send("carl@example.com", "dora@example.com").id]
        deliver(ids)
        assert states(ids) == case.states, [reread(one).failure_reason for one in ids]
        assert case.kind is None or reread(ids[0]).failure_kind is case.kind
        check_truth(rough, ids)

        for _ in range(2):
            offset[0] += dt.timedelta(hours=1)
            circuit_breaker.note_success(server.id)
            sweep()
            deliver(ids)
        assert states(ids) == case.finally_
        check_truth(rough, ids)
        bodies = Counter(rough.bodies)
        if U in case.finally_:
            assert set(bodies.values()) == {1}, "what is uncertain is not sent again by itself"
    connections.pool.close()


def test_a_mail_that_is_put_off_again_and_again_keeps_its_delays_whatever_is_said(
    app, company, send, monkeypatch
):
    """A reply about one mail may read like a failure of the server; the mail must not come back every minute."""
    offset = [dt.timedelta(0)]
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + offset[0])
    with RoughServer({"RCPT": "450 4.4.7 Delivery time expired"}) as rough:
        make_ready(make_server(rough))
        mail_id = send("ann@example.com").id
        for _ in range(5):
            deliver([mail_id])
            mail = reread(mail_id)
            assert mail.state is D
            offset[0] += mail.next_attempt_at - clock.now() + dt.timedelta(seconds=1)
            assert service.retry_now([mail_id])
        deliver([mail_id])
        mail = reread(mail_id)
        assert mail.attempts == 6
        assert mail.next_attempt_at > clock.now() + dt.timedelta(hours=5)
        sweep()
        assert reread(mail_id).state is D, "it waits for its hours"
