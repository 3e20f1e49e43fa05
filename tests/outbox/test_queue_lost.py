"""The queue is a messenger, never the memory: whatever becomes of Redis, every mail leaves, once."""

from __future__ import annotations

import datetime as dt
import threading

import pytest

from core import clock, jobs
from core.db import db, transaction
from core.testing.services import SmtpLab
from modules.outbox import service
from modules.outbox.delivery import sweep as sweeping
from modules.outbox.models import OutgoingMail
from tests.outbox.many import write
from tests.outbox.own_queue import *  # noqa: F403 (fixtures)
from tests.outbox.processes import (
    WAIT_SECONDS,
    acceptances,
    eventually,
    states_of,
    sweep,
    sweep_until,
)

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases, pytest.mark.usefixtures("in_a_hurry")]


def all_sent(states: list[str]) -> bool:
    return set(states) == {"sent"}


def test_mails_submitted_while_redis_is_away_wait_and_leave_when_it_is_back(lab, redis, send, hire):
    redis.kill()
    ids = [send(f"n{n}@example.com").id for n in range(3)]
    assert states_of(ids) == ["queued"] * 3
    sweep()
    assert states_of(ids) == ["queued"] * 3

    early = hire()
    eventually(lambda: "The queue is away" in early.log, "a worker that came before Redis waits for it")
    redis.start()
    sweep_until(ids, all_sent, "the sweep has asked for them again")
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 3


def test_a_redis_that_forgets_everything_loses_no_mail(lab, redis, send, hire):
    ids = [send(f"n{n}@example.com").id for n in range(3)]
    assert jobs.queue_length() == 3
    redis.forget()
    assert jobs.queue_length() == 0

    hire()
    sweep_until(ids, all_sent, "the sweep has asked for them again")
    assert set(acceptances(lab).values()) == {1}


def test_a_redis_that_forgets_everything_under_a_working_worker_loses_no_mail(lab, redis, send, hire):
    worker = hire()
    forgotten = threading.Event()

    def forget(verb: str, _arg: str, stage: str) -> None:
        if (verb, stage) == ("DATA", "received") and not forgotten.is_set():
            redis.forget()
            forgotten.set()

    lab.on_command = forget
    ids = [send(f"n{n}@example.com").id for n in range(4)]
    assert forgotten.wait(WAIT_SECONDS)
    sweep_until(ids, all_sent, "all are sent")
    assert set(acceptances(lab).values()) == {1}
    assert worker.alive(), worker.log


def test_an_idle_worker_comes_back_within_seconds_of_its_redis(lab, redis, send, hire):
    worker = hire()
    first = send("first@example.com").id
    eventually(lambda: states_of([first]) == ["sent"], "the worker works")

    redis.kill()
    waiting = send("waiting@example.com").id
    eventually(lambda: "could not connect to Redis" in worker.log, "it has noticed")
    redis.start()
    redis.forget()
    sweep_until([waiting], all_sent, "the same worker has taken it")
    assert worker.alive(), worker.log
    assert set(acceptances(lab).values()) == {1}


def test_a_worker_whose_redis_dies_while_it_sends_finishes_and_goes_on_when_it_is_back(
    lab, redis, send, hire
):
    worker = hire()
    killed = threading.Event()

    def kill(verb: str, _arg: str, stage: str) -> None:
        if (verb, stage) == ("DATA", "received") and not killed.is_set():
            redis.kill()
            killed.set()

    lab.on_command = kill
    first = send("first@example.com").id
    assert killed.wait(WAIT_SECONDS)
    eventually(lambda: states_of([first]) == ["sent"], "the outcome does not need Redis")
    waiting = send("waiting@example.com").id

    redis.start()
    redis.forget()
    sweep_until([waiting], all_sent, "the same worker has taken it")
    assert worker.alive(), worker.log
    assert set(acceptances(lab).values()) == {1}

    worker.process.terminate()
    assert worker.process.wait(WAIT_SECONDS) == 0, "it still ends when it is told to"


def test_a_job_for_mails_that_are_gone_or_done_does_no_harm(lab, send, hire):
    done = send("done@example.com").id
    service.cancel([done])
    hire()
    assert jobs.enqueue("outbox.deliver_mails", [done, 999_999])
    assert jobs.enqueue("outbox.deliver_mails", [])
    after = send("after@example.com").id
    eventually(lambda: states_of([after]) == ["sent"], "the worker goes on")
    assert states_of([done]) == ["canceled"]
    assert len(lab.accepted) == 1


def test_what_is_scheduled_or_deferred_comes_back_without_any_memory_of_redis(
    lab: SmtpLab, redis, send, hire
):
    hire()
    mail = send("later+ann@example.com").id
    eventually(lambda: states_of([mail]) == ["deferred"], "it is deferred")
    lab.scripted = False
    redis.forget()
    with transaction():
        row = db.session.get_one(OutgoingMail, mail)
        row.next_attempt_at = row.submitted_at
    sweep_until([mail], all_sent, "it is tried again")
    assert len(lab.accepted) == 1


def test_one_sweep_lets_all_go_that_are_due_however_many(app, company, redis, monkeypatch):
    monkeypatch.setattr(sweeping, "BATCH", 10)
    late = clock.now() - dt.timedelta(hours=1)
    due = [{"state": state, "next_attempt_at": late} for state in ("scheduled", "deferred", "queued")]
    ids = write(company, due * 25)
    later = write(company, [{"state": "scheduled", "next_attempt_at": clock.now() + dt.timedelta(hours=1)}])
    assert sweeping.sweep() == 75
    assert set(states_of(ids)) == {"queued"}
    assert states_of(later) == ["scheduled"]
    # Each of them once, however often the sweep comes by.
    on_queue = [mail_id for job in jobs.queue_for(app).jobs for mail_id in job.args[-1]]
    assert sorted(on_queue) == sorted(ids)
