"""A server that fails is paused, not its mails; one that is throttled slows all of them down."""

from __future__ import annotations

import datetime as dt

import pytest

from core import clock
from core.db import db, transaction
from core.embedded import free_port
from core.mail.outcomes import Failure, FailureKind
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer
from modules.mail_config.senders.service import save_own_sender
from modules.mail_config.servers import circuit_breaker, health
from modules.mail_config.servers.service import save_server
from modules.mail_config.transports.smtp import SmtpConnection
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.delivery.sweep import sweep
from modules.outbox.models import MAILS, OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.processes import CLOSE, GREETING, HANG, RoughServer

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]

NOBODY = type("Nobody", (), {"host": "127.0.0.1", "port": 1})


def reread(mail_id: int) -> OutgoingMail:
    db.session.expire_all()
    return db.session.get_one(OutgoingMail, mail_id)


def states(ids: list[int]) -> list[str]:
    return [reread(mail_id).state.value for mail_id in ids]


def make_due() -> None:
    """Let the time of every waiting mail that is not parked come."""
    with transaction() as session:
        session.execute(
            MAILS.update()
            .where(
                MAILS.c.state == MailState.DEFERRED,
                MAILS.c.next_attempt_at < clock.now() + dt.timedelta(hours=1),
            )
            .values(next_attempt_at=clock.now())
        )


def come_due_and_deliver(ids: list[int]) -> None:
    make_due()
    sweep()
    deliver(ids)


@pytest.fixture
def down(company) -> MailServer:
    """A server that nobody listens at."""
    return make_ready(make_server(type("Nobody", (), {"host": "127.0.0.1", "port": free_port()})))


def test_a_server_that_is_down_costs_its_mails_no_attempt_and_is_paused(down, send):
    ids = [send(f"n{n}@example.com").id for n in range(3)]
    for _ in range(3):
        come_due_and_deliver(ids)
    assert circuit_breaker.paused(down.id)
    for mail in map(reread, ids):
        assert (mail.state, mail.failure_kind, mail.attempts) == (
            MailState.DEFERRED,
            FailureKind.CONNECT_FAILED,
            0,
        )
        assert mail.server_id == down.id
    # The first of each run was really tried, and says so; the others were not.
    assert [len(reread(mail_id).attempt_rows) for mail_id in ids] == [3, 0, 0]
    assert reread(ids[0]).next_attempt_at > clock.now() + dt.timedelta(hours=11)


def test_another_server_stands_in_also_for_the_mail_that_trips_the_breaker(down, send, lab):
    second = make_ready(make_server(lab, name="Second", priority=20))
    ids = [send(f"n{n}@example.com").id for n in range(3)]
    for _ in range(2):
        come_due_and_deliver(ids)
    assert states(ids) == ["deferred"] * 3, "one failure may be chance"
    come_due_and_deliver(ids)
    assert circuit_breaker.paused(down.id)
    assert states(ids) == ["deferred", "sent", "sent"], "those behind it in the run leave at once"
    sweep()
    deliver(ids)
    assert states(ids) == ["sent"] * 3
    assert {reread(mail_id).server_id for mail_id in ids} == {second.id}


def test_from_is_decided_anew_where_the_server_that_stands_in_may_not_send_from_it(down, seller, send, lab):
    save_own_sender(seller, address=seller.login, name="Sophie", own_server=False)
    make_ready(make_server(lab, name="Second", priority=20, from_filter="sales@maison.example.com"))
    ids = [send("n@example.com", by=seller).id]
    for _ in range(3):
        come_due_and_deliver(ids)
        assert reread(ids[0]).sender_address == "", "nobody has been told of it yet"
    sweep()
    deliver(ids)
    mail = reread(ids[0])
    assert mail.state is MailState.SENT
    assert (mail.sender_name, mail.sender_address) == ("Sophie via Maison Test", "sales@maison.example.com")
    assert mail.reply_to_address == seller.login


def test_while_the_server_is_paused_nobody_knocks_and_new_mails_say_why_they_wait(down, send, monkeypatch):
    for _ in range(3):
        come_due_and_deliver([send("a@example.com").id])
    monkeypatch.setattr(
        SmtpConnection, "configure_host", lambda _self: pytest.fail("a paused server was asked")
    )
    mail = send("new@example.com")
    deliver([mail.id])
    mail = reread(mail.id)
    assert (mail.state, mail.failure_kind) == (MailState.DEFERRED, FailureKind.CONNECT_FAILED)
    assert mail.failure_reason
    assert mail.attempt_rows == []
    assert mail.sender_address == "", "who it is from is decided when it leaves"


def pause(server: MailServer, send) -> list[int]:
    ids = [send(f"n{n}@example.com").id for n in range(4)]
    for _ in range(3):
        come_due_and_deliver(ids)
    assert circuit_breaker.paused(server.id)
    return ids


def revive(server: MailServer, lab: SmtpLab) -> None:
    with transaction():
        server.port = lab.port
        server.tested_fingerprint = server.fingerprint


def test_a_probe_lets_the_mails_leave_by_themselves(down, send, lab):
    ids = pause(down, send)
    revive(down, lab)
    assert circuit_breaker.probe_now(down.id) is None
    assert states(ids) == ["queued"] * 4
    deliver(ids)
    assert states(ids) == ["sent"] * 4
    assert len(lab.accepted) == 4


def test_a_release_that_a_dead_process_has_left_undone_is_made_up_for(down, send, lab):
    ids = pause(down, send)
    revive(down, lab)
    with transaction():
        circuit_breaker.forget_failures(down.id)  # the pause has ended, and nobody has told of it
    assert states(ids) == ["deferred"] * 4
    sweep()
    assert states(ids) == ["queued"] * 4


def test_mails_of_a_paused_server_that_is_switched_off_look_for_another(down, send, lab):
    ids = pause(down, send)
    make_ready(make_server(lab, name="Second", priority=20))
    with transaction():
        down.active = False
    sweep()
    deliver(ids)
    assert states(ids) == ["sent"] * 4


def test_the_sweep_leaves_mails_of_a_paused_server_alone(down, send):
    ids = pause(down, send)
    sweep()
    assert states(ids) == ["deferred"] * 4


def test_a_refused_sign_in_pauses_the_server_after_two(company, send):
    with SmtpLab(credentials=("envoi", "right")) as lab:
        server = make_ready(make_server(lab, username="envoi", password="wrong"))
        ids = [send(f"n{n}@example.com").id for n in range(3)]
        for _ in range(5):
            come_due_and_deliver(ids)
        assert circuit_breaker.paused(server.id)
        assert lab.connections == 2
        assert states(ids) == ["deferred"] * 3
        assert {reread(mail_id).failure_kind for mail_id in ids} == {FailureKind.AUTH_FAILED}


def test_mails_go_by_the_next_server_while_the_first_is_paused(down, send, lab):
    make_ready(make_server(lab, name="Second", priority=20))
    ids = pause(down, send)
    new = send("new@example.com").id
    deliver([new])
    assert states([new]) == ["sent"]
    sweep()
    deliver(ids)
    assert states(ids) == ["sent"] * 4


def test_a_server_that_works_again_before_it_is_paused_is_forgiven(down, send, lab):
    for _ in range(2):
        come_due_and_deliver([send("a@example.com").id])
    assert health.health_of(down.id).failures == 2
    revive(down, lab)
    mail = send("b@example.com")
    deliver([mail.id])
    db.session.expire_all()
    assert health.health_of(down.id).failures == 0


def test_a_mail_that_hangs_its_server_counts_its_own_attempts_and_holds_nobody_up(company, send, app):
    """A content scanner, perhaps, that cannot digest this one: the server itself is well."""
    app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"] = "1.5"
    with RoughServer({"RCPT": [HANG, "250 ok"]}) as rough:
        server = make_ready(make_server(rough))
        poison, *others = [send(f"n{n}@example.com").id for n in range(3)]
        deliver([poison, *others])
        assert (reread(poison).state, reread(poison).attempts) == (MailState.DEFERRED, 1)
        assert health.health_of(server.id) is None
        come_due_and_deliver(others)
    assert states(others) == ["sent", "sent"]


def test_a_server_that_is_restarting_is_paused_and_forgiven_whatever_it_says(company, send, lab):
    with RoughServer({GREETING: "421 4.3.2 Service not available"}) as rough:
        server = make_ready(make_server(rough))
        ids = [send(f"n{n}@example.com").id for n in range(3)]
        for _ in range(3):
            come_due_and_deliver(ids)
        assert circuit_breaker.paused(server.id)
        assert [reread(mail_id).attempts for mail_id in ids] == [0, 0, 0]
        assert circuit_breaker.probe_now(server.id) is not None
    revive(server, lab)
    assert circuit_breaker.probe_now(server.id) is None
    deliver(ids)
    assert states(ids) == ["sent"] * 3


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("530 5.7.0 Authentication required", FailureKind.AUTH_FAILED),
        ("530 5.7.0 Must issue a STARTTLS command first", FailureKind.TLS_FAILED),
    ],
)
def test_a_server_that_suddenly_wants_a_sign_in_is_paused_and_fails_no_mail(company, send, reply, kind):
    with RoughServer({"MAIL": reply}) as rough:
        server = make_ready(make_server(rough))
        ids = [send(f"n{n}@example.com").id for n in range(2)]
        for _ in range(3):
            come_due_and_deliver(ids)
        assert circuit_breaker.paused(server.id)
    assert states(ids) == ["deferred"] * 2
    assert {reread(mail_id).failure_kind for mail_id in ids} == {kind}


def test_a_sender_that_nobody_uses_does_not_keep_a_server_paused(company, send, lab):
    with RoughServer({"MAIL": "553 5.1.8 not owned by user"}) as rough:
        server = make_ready(make_server(rough))
        for _ in range(3):
            circuit_breaker.note_failure(server.id, Failure(FailureKind.CONNECT_FAILED, True, detail="gone"))
        assert circuit_breaker.probe_now(server.id) is None
        assert not circuit_breaker.paused(server.id)


def test_a_reply_about_a_mail_that_sounds_like_the_server_keeps_the_delays_of_the_mail(company, send):
    with RoughServer({"RCPT": "451 4.4.1 Connection timed out"}) as rough:
        make_ready(make_server(rough))
        mail = send("a@example.com").id
        deliver([mail])
        with transaction():
            reread(mail).next_attempt_at = clock.now() + dt.timedelta(hours=3)
        sweep()
        assert states([mail]) == ["deferred"], "the sweep takes it for one that waits for a paused server"


# ---------------------------------------------------------------------------------------------------- the pace


def test_a_limited_server_sends_no_faster_and_each_mail_knows_when_it_leaves(server, send, lab):
    with transaction():
        server.rate_per_minute = 6
    ids = [send(f"n{n}@example.com").id for n in range(4)]
    before = clock.now()
    deliver(ids)
    assert states(ids) == ["sent", "deferred", "deferred", "deferred"]
    waits = [(reread(mail_id).next_attempt_at - before).total_seconds() for mail_id in ids[1:]]
    assert [round(wait / 10) for wait in waits] == [1, 2, 3]
    mail = reread(ids[1])
    assert (mail.failure_kind, mail.attempts, mail.attempt_rows) == (FailureKind.PACED, 0, [])
    assert len(lab.accepted) == 1


def test_a_mail_whose_moment_has_come_does_not_wait_again(server, send, lab, monkeypatch):
    with transaction():
        server.rate_per_minute = 6
    ids = [send(f"n{n}@example.com").id for n in range(3)]
    deliver(ids)
    later = clock.now() + dt.timedelta(seconds=21)
    monkeypatch.setattr(clock, "now", lambda: later)
    sweep()
    deliver(ids)
    assert states(ids) == ["sent"] * 3
    assert len(lab.accepted) == 3


def test_moments_that_were_missed_are_given_anew(server, send, lab, monkeypatch):
    with transaction():
        server.rate_per_minute = 6
    ids = [send(f"n{n}@example.com").id for n in range(5)]
    deliver(ids)
    later = clock.now() + dt.timedelta(hours=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    sweep()
    deliver(ids)
    assert states(ids) == ["sent", "sent", "deferred", "deferred", "deferred"]


def test_another_rate_begins_anew(server, send, lab):
    with transaction():
        server.rate_per_day = 1
    ids = [send(f"n{n}@example.com").id for n in range(3)]
    deliver(ids)
    assert states(ids) == ["sent", "deferred", "deferred"]
    save_server(server, {"host": server.host, "port": server.port, "rate_per_day": 1000}, None)
    assert service.retry_now(ids) == ids[1:]
    deliver(ids)
    assert states(ids) == ["sent"] * 3


def test_a_server_that_asks_for_less_slows_all_its_mails_down(company, send):
    busy = "421 4.7.0 Too many messages from you, slow down"
    with RoughServer({"MAIL": busy}) as rough:
        server = make_ready(make_server(rough))
        ids = [send(f"n{n}@example.com").id for n in range(3)]
        before = clock.now()
        deliver(ids)
        assert rough.connections == 1
    first, *others = map(reread, ids)
    assert first.state is MailState.DEFERRED
    assert first.failure_kind is FailureKind.RATE_LIMITED
    assert first.attempts == 1
    for mail in others:
        assert (mail.state, mail.failure_kind, mail.attempts) == (MailState.DEFERRED, FailureKind.PACED, 0)
        assert mail.next_attempt_at >= before + dt.timedelta(seconds=29)
    assert not circuit_breaker.paused(server.id)


def test_a_greylisted_mail_slows_nobody_down(server, send, lab):
    first, second = send("later+a@example.com"), send("b@example.com")
    deliver([first.id, second.id])
    assert states([first.id, second.id]) == ["deferred", "sent"]


def test_a_server_that_hangs_up_at_its_greeting_is_paused(company, send):
    with RoughServer({GREETING: CLOSE}) as rough:
        server = make_ready(make_server(rough))
        for _ in range(3):
            come_due_and_deliver([send("a@example.com").id])
        assert circuit_breaker.paused(server.id)
