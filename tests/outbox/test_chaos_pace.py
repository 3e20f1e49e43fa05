"""The pace of a server under any traffic and any crash: moments are never closer than they may be."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import clock
from core.db import transaction
from core.mail.outcomes import Failure, FailureKind, Reply
from modules.mail_config.models import ServerHealth
from modules.mail_config.servers import health, rate_limiter
from tests.outbox.conftest import make_ready, make_server

NOON = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
SLOWER = Failure(FailureKind.RATE_LIMITED, True, Reply(421, "4.7.0", "slower"), slows_server=True)
STEPS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 7, 45, 600, 7200]), st.booleans()), max_size=25)


@pytest.fixture
def limited(company):
    return make_ready(make_server(type("Nobody", (), {"host": "127.0.0.1", "port": 1})))


def begin(server, per_minute: int | None, per_day: int | None) -> None:
    with transaction() as session:
        session.query(ServerHealth).delete()
        server.rate_per_minute, server.rate_per_day = per_minute, per_day


@settings(max_examples=60)
@given(per_minute=st.integers(1, 120), per_day=st.one_of(st.none(), st.integers(1, 10)), steps=STEPS)
def test_moments_are_never_closer_than_the_interval_and_never_too_many(
    limited, monkeypatch, per_minute, per_day, steps
):
    time = [NOON]
    monkeypatch.setattr(clock, "now", lambda: time[0])
    begin(limited, per_minute, per_day)
    slots: list[dt.datetime] = []
    for seconds, slower in steps:
        time[0] += dt.timedelta(seconds=seconds)
        if slower:
            rate_limiter.note_throttle(limited.id, SLOWER)
        slots.append(rate_limiter.reserve(limited.id))
        assert slots[-1] >= time[0]
        assert slots[-1] >= (rate_limiter.closed_until(health.health_of(limited.id), time[0]) or time[0])
    interval = dt.timedelta(minutes=1) / per_minute
    for earlier, later in pairwise(slots):
        assert later - earlier >= interval
    if per_day is not None:
        first = slots[:1]
        while first:
            day = [slot for slot in slots if first[0] <= slot < first[0] + rate_limiter.DAY]
            assert len(day) <= per_day
            first = [slot for slot in slots if slot >= first[0] + rate_limiter.DAY][:1]


@settings(max_examples=40)
@given(waits=st.lists(st.integers(0, 5400), min_size=1, max_size=20))
@example(waits=[0, 30, 60, 120])  # asked again just after the end of a pause that was shorter than the next
def test_a_server_that_asks_again_and_again_is_never_asked_more_often_and_is_forgiven(
    limited, monkeypatch, waits
):
    time = [NOON]
    monkeypatch.setattr(clock, "now", lambda: time[0])
    begin(limited, None, None)
    for seconds in waits:
        time[0] += dt.timedelta(seconds=seconds)
        before = health.health_of(limited.id)
        steps = rate_limiter.throttle_steps(before, time[0])
        rate_limiter.note_throttle(limited.id, SLOWER)
        assert steps <= rate_limiter.throttle_steps(health.health_of(limited.id), time[0]) <= steps + 1
    known = health.health_of(limited.id)
    assert rate_limiter.closed_until(known, time[0]) is not None
    longest = dt.timedelta(seconds=max(rate_limiter.THROTTLE_SECONDS))
    assert rate_limiter.reserve(limited.id) <= time[0] + longest
    time[0] += rate_limiter.THROTTLE_FORGOTTEN * len(rate_limiter.THROTTLE_SECONDS)
    assert not rate_limiter.limit_of(limited, health.health_of(limited.id), time[0]).limited
