"""The breaker and the pace of a mail server, by a clock that the test moves."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest

from core import clock
from core.db import db, transaction
from core.embedded import free_port
from core.mail.outcomes import Failure, FailureKind, Reply
from core.signals import mail_server_paused, mail_server_ready
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer, ServerHealth
from modules.mail_config.senders.service import route_for
from modules.mail_config.servers import circuit_breaker, health, rate_limiter
from modules.mail_config.servers.service import save_server
from modules.mail_config.servers.service import test_server as run_test
from tests.outbox.conftest import make_ready, make_server

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]

DOWN = Failure(FailureKind.CONNECT_FAILED, True, detail="ConnectionRefusedError")
REFUSED = Failure(FailureKind.AUTH_FAILED, True, Reply(535, "5.7.8", "5.7.8 wrong"))
SLOWER = Failure(FailureKind.RATE_LIMITED, True, Reply(421, "4.7.0", "4.7.0 slower"), slows_server=True)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.time

    def move(self, **by: float) -> dt.datetime:
        self.time += dt.timedelta(**by)
        return self.time


@pytest.fixture
def time(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(clock, "now", made)
    return made


@pytest.fixture
def lab():
    with SmtpLab() as lab:
        yield lab


@pytest.fixture
def server(lab, company) -> MailServer:
    return make_ready(make_server(lab))


@pytest.fixture
def told(app):
    """Every signal about servers, in order."""
    heard: list[tuple[str, int]] = []

    def paused(_app, server_id):
        heard.append(("paused", server_id))

    def ready(_app, server_id):
        heard.append(("ready", server_id))

    with mail_server_paused.connected_to(paused), mail_server_ready.connected_to(ready):
        yield heard


def known(server: MailServer) -> ServerHealth:
    db.session.expire_all()
    found = health.health_of(server.id)
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------ the breaker


@pytest.mark.parametrize(("failure", "enough"), [(DOWN, 3), (REFUSED, 2)], ids=["down", "sign-in"])
def test_a_server_that_fails_again_and_again_is_paused_once(server, told, time, failure, enough):
    for _ in range(enough - 1):
        circuit_breaker.note_failure(server.id, failure)
    assert not circuit_breaker.paused(server.id)
    assert told == []
    for _ in range(5):
        circuit_breaker.note_failure(server.id, failure)
    assert circuit_breaker.paused(server.id)
    assert told == [("paused", server.id)]
    assert known(server).open_since == time()
    assert (known(server).failure_kind, known(server).failure_words) == (failure.kind, failure.diagnostic)


def test_a_success_between_failures_begins_the_count_anew(server, told):
    for _ in range(4):
        circuit_breaker.note_failure(server.id, DOWN)
        circuit_breaker.note_failure(server.id, DOWN)
        circuit_breaker.note_success(server.id)
    assert not circuit_breaker.paused(server.id)
    assert told == []


def pause(server: MailServer, failure: Failure = DOWN) -> None:
    for _ in range(3):
        circuit_breaker.note_failure(server.id, failure)
    assert circuit_breaker.paused(server.id)


def test_a_probe_that_succeeds_ends_the_pause_and_sends_no_mail(server, lab, told, time):
    pause(server)
    assert circuit_breaker.probe_due() == 0, "it is too early"
    time.move(minutes=1, seconds=1)
    assert circuit_breaker.probe_due() == 1
    assert not circuit_breaker.paused(server.id)
    assert told == [("paused", server.id), ("ready", server.id)]
    assert lab.received == []
    assert lab.verbs()[-2:] == ["MAIL", "QUIT"]
    assert circuit_breaker.probe_due() == 0


def test_probes_that_fail_come_ever_more_rarely(company, told, time):
    nobody = type("Nobody", (), {"host": "127.0.0.1", "port": free_port()})
    server = make_ready(make_server(nobody))
    pause(server)
    waits = []
    for _ in range(7):
        before = time()
        time.time = known(server).next_probe_at
        waits.append(round((time() - before).total_seconds() / 60))
        assert circuit_breaker.probe_due() == 1
    assert waits == [1, 2, 5, 10, 20, 30, 30]
    assert told == [("paused", server.id)]


def test_a_server_that_refuses_the_sign_in_is_not_asked_every_minute(company, time):
    """Providers lock accounts that keep coming with a wrong password."""
    with SmtpLab(credentials=("envoi", "right")) as lab:
        server = make_ready(make_server(lab, username="envoi", password="wrong"))
        pause(server, REFUSED)
        assert known(server).next_probe_at - time() == dt.timedelta(minutes=15)
        failure = circuit_breaker.probe_now(server.id)
        assert failure is not None
        assert failure.kind is FailureKind.AUTH_FAILED
        assert circuit_breaker.paused(server.id)


def test_a_passing_test_ends_the_pause(server, told):
    pause(server)
    report = run_test(server, "somebody@example.com", "sales@maison.example.com")
    assert report.passed
    assert not circuit_breaker.paused(server.id)
    assert told == [("paused", server.id), ("ready", server.id)]


def test_of_two_that_probe_at_once_one_does(server, time):
    pause(server)
    now = time.move(minutes=2)
    assert circuit_breaker._take_probe(server.id, now)
    db.session.expire_all()
    circuit_breaker.note_failure(server.id, DOWN)
    assert circuit_breaker.probe_due() == 0


def test_a_clock_that_is_put_back_does_not_put_off_the_probe(server, time):
    pause(server)
    time.move(days=-30)
    assert circuit_breaker.probe_due() == 1
    assert not circuit_breaker.paused(server.id)


def test_a_server_that_is_gone_troubles_nobody(app, told):
    circuit_breaker.note_failure(4711, DOWN)
    circuit_breaker.note_success(4711)
    rate_limiter.note_throttle(4711, SLOWER)
    assert circuit_breaker.probe_now(4711) is None
    assert told == []


def test_mails_leave_by_the_next_server_while_one_is_paused(server, lab, company):
    second = make_ready(make_server(lab, name="Second", priority=20))
    assert route_for(company, None).server_id == server.id
    pause(server)
    route = route_for(company, None)
    assert (route.server_id, route.problem) == (second.id, None)
    pause(second)
    route = route_for(company, None)
    assert (route.server_id, route.problem) == (server.id, FailureKind.CONNECT_FAILED)


def test_a_server_that_is_switched_on_again_tells_those_who_wait(server, told):
    values = {"host": server.host, "port": server.port}
    save_server(server, {**values, "active": False}, None)
    assert told == []
    save_server(server, {**values, "active": True}, None)
    assert told == [("ready", server.id)]


# -------------------------------------------------------------------------------------------------- the pace


def limit(server: MailServer, **rates: int) -> None:
    with transaction():
        for name, value in rates.items():
            setattr(server, name, value)


def slots(server: MailServer, count: int, time: Clock) -> list[float]:
    """Reserve some moments; return them in seconds from now."""
    return [(rate_limiter.reserve(server.id) - time()).total_seconds() for _ in range(count)]


def test_without_a_limit_there_is_no_waiting(server, time):
    assert not rate_limiter.limit_of(server, None, time()).limited
    assert slots(server, 3, time) == [0, 0, 0]


def test_each_mail_gets_the_next_moment_of_the_rate(server, time):
    limit(server, rate_per_minute=30)
    assert slots(server, 4, time) == [0, 2, 4, 6]
    time.move(seconds=5)
    assert slots(server, 1, time) == [3]
    time.move(hours=1)
    assert slots(server, 2, time) == [0, 2], "what was not used is not made up for"


def test_the_number_of_a_day_is_kept(server, time):
    limit(server, rate_per_day=3)
    day = 24 * 3600
    assert slots(server, 8, time) == [0, 0, 0, day, day, day, 2 * day, 2 * day]


def test_rate_and_number_of_a_day_hold_together(server, time):
    limit(server, rate_per_minute=60, rate_per_day=2)
    day = 24 * 3600
    assert slots(server, 4, time) == [0, 1, day, day + 1]


def test_the_number_of_an_hour_is_kept(server, time):
    limit(server, rate_per_hour=2)
    hour = 3600
    assert slots(server, 5, time) == [0, 0, hour, hour, 2 * hour]
    time.move(hours=5)
    assert slots(server, 3, time) == [0, 0, hour], "what was not used is not made up for"


def test_minute_hour_and_day_hold_together(server, time):
    limit(server, rate_per_minute=60, rate_per_hour=2, rate_per_day=3)
    hour, day = 3600, 24 * 3600
    assert slots(server, 7, time) == [0, 1, hour, day, day + 1, day + hour, 2 * day]


def test_an_hour_that_is_full_runs_on_into_the_next_day(server, time):
    limit(server, rate_per_hour=2, rate_per_day=2)
    assert slots(server, 2, time) == [0, 0]
    time.move(hours=23, minutes=30)
    limit(server, rate_per_hour=2, rate_per_day=4)
    assert slots(server, 3, time) == [0, 0, 3600], "counted anew, by the new numbers"


def test_a_relay_that_says_for_how_long_is_given_as_long(server, time):
    wait = dt.timedelta(minutes=10)
    rate_limiter.note_throttle(server.id, replace(SLOWER, wait=wait))
    assert slots(server, 1, time) == [600]


def test_moments_reserved_at_once_are_all_different(server, app):
    limit(server, rate_per_minute=60)
    server_id = server.id  # read here: the threads have sessions of their own

    def some(_number: int) -> list[dt.datetime]:
        with app.app_context():
            return [rate_limiter.reserve(server_id) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        found = sorted(slot for part in pool.map(some, range(4)) for slot in part)
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert len(found) == 20
    assert min(gaps) >= dt.timedelta(seconds=1)


def test_a_server_that_asks_for_less_gets_a_pause_and_then_less(server, time):
    rate_limiter.note_throttle(server.id, SLOWER)
    found = known(server)
    assert rate_limiter.closed_until(found, time()) == time() + dt.timedelta(seconds=30)
    assert rate_limiter.limit_of(server, found, time()).limited
    assert slots(server, 3, time) == [30, 32, 34]
    time.move(seconds=31)
    assert rate_limiter.closed_until(known(server), time()) is None
    rate_limiter.note_throttle(server.id, SLOWER)
    assert known(server).throttles == 2
    assert rate_limiter.closed_until(known(server), time()) == time() + dt.timedelta(seconds=60)


def test_mails_on_their_way_that_hear_the_same_request_slow_it_down_once(server, time):
    for _ in range(10):
        rate_limiter.note_throttle(server.id, SLOWER)
    assert known(server).throttles == 1


def test_a_slowed_server_comes_back_step_by_step(server, time):
    for _ in range(3):
        rate_limiter.note_throttle(server.id, SLOWER)
        time.move(minutes=3)
    assert rate_limiter.throttle_steps(known(server), time()) == 3
    time.move(minutes=31)
    assert rate_limiter.throttle_steps(known(server), time()) == 2
    time.move(hours=2)
    assert rate_limiter.throttle_steps(known(server), time()) == 0
    assert not rate_limiter.limit_of(server, known(server), time()).limited


def test_a_slower_setting_stays_slower(server, time):
    limit(server, rate_per_minute=1)
    rate_limiter.note_throttle(server.id, SLOWER)
    assert rate_limiter.limit_of(server, known(server), time()).interval == dt.timedelta(minutes=1)
