"""Nothing stops in silence: a dead worker, a dead scheduler, a queue that nobody empties are told, and mails leave."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
import time

import pytest
from flask import Flask
from sqlalchemy import update

from core import clock, jobs, pulse
from core.db import db, transaction
from core.kept import forget
from core.pulse import Part
from modules.outbox import service
from modules.outbox.mail_page.waiting_text import waits_for
from modules.outbox.models import MAILS, OutgoingMail
from modules.outbox.restored import service as restored
from modules.outbox.standstill import STANDSTILL, Cause, Standstill, hindrance, problems, standstill
from tests.outbox.conftest import draft
from tests.outbox.processes import Worker, eventually, states_of
from tests.statements import statements

pytestmark = pytest.mark.smtp


def now(_app: Flask) -> Standstill | None:
    """Return what a new request would find."""
    db.session.rollback()
    forget(STANDSTILL)
    forget("pulse")
    return standstill()


def cause(app: Flask) -> Cause | None:
    found = now(app)
    return found.cause if found is not None else None


def let_wait(minutes: float) -> None:
    with transaction() as session:
        session.execute(update(MAILS).values(next_attempt_at=clock.now() - dt.timedelta(minutes=minutes)))


def alive(_app: Flask, *parts: Part) -> bool:
    forget("pulse")
    return set(parts) <= set(pulse.pulse().alive)


@pytest.fixture
def at_work(app: Flask, hire):
    working, scheduling = hire(), hire("scheduler")
    eventually(lambda: alive(app, Part.WORKER, Part.SCHEDULER), "both are alive")
    return working, scheduling


def stop_at_rest(worker: Worker) -> None:
    """Stop a worker where it holds no lock of the database, which would stand in everybody's way."""

    def stopped() -> bool:
        worker.stop()
        place = db.engine.url.database or ""
        with contextlib.closing(sqlite3.connect(place, timeout=0.1, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                worker.resume()
                return False
            other.execute("ROLLBACK")
        return True

    eventually(stopped, "the worker writes nothing")


def test_all_is_well_while_both_are_alive_and_where_nothing_was_ever_started(app, hire):
    assert now(app) is None
    hire()
    hire("scheduler")
    eventually(lambda: alive(app, Part.WORKER, Part.SCHEDULER), "both are alive")
    assert now(app) is None
    assert problems(None) == []


def test_a_worker_that_was_killed_is_told_with_since_when_and_how_many_wait(app, at_work, send):
    killed = clock.now()
    at_work[0].kill()
    send("a@example.com")
    eventually(lambda: cause(app) is Cause.NO_WORKER, "it is told")
    found = now(app)
    assert found is not None
    assert found.since is not None
    # By its last beat, however busy the machine is.
    assert abs(found.since - killed) < dt.timedelta(seconds=30)
    assert found.late == 1
    (words,) = problems(None)
    assert "no sending process is running" in words
    assert "1 email is waiting." in words
    assert "envoi worker" in words


def test_a_worker_that_ended_in_good_order_is_told_at_once(app, at_work):
    at_work[0].process.terminate()
    eventually(lambda: not at_work[0].alive(), "it has ended")
    assert cause(app) is Cause.NO_WORKER


def test_a_scheduler_that_was_killed_is_told_and_a_worker_does_its_work(app, at_work, company, lab):
    at_work[1].kill()
    moment = clock.now() + dt.timedelta(seconds=8)
    with transaction():
        asked = service.submit(draft(company, "asked@example.com"), None, not_before=moment)
        jobs.enqueue_after_commit("outbox.release_mails", [asked.id], at=moment)
        forgotten = service.submit(draft(company, "forgotten@example.com"), None, not_before=moment)
    ids = [asked.id, forgotten.id]
    assert states_of(ids) == ["scheduled"] * 2
    eventually(lambda: cause(app) is Cause.NO_SCHEDULER, "it is told")
    eventually(lambda: states_of(ids) == ["sent"] * 2, "both have left")
    assert len(lab.accepted) == 2
    (words,) = problems(None)
    assert "envoi scheduler" in words


def test_several_schedulers_ask_for_a_periodic_job_once(app, hire):
    for _ in range(3):
        hire("scheduler")
    eventually(lambda: alive(app, Part.SCHEDULER), "they are alive")

    def asked() -> int:
        return [job.args[0] for job in jobs.queue_for(app).get_jobs()].count("outbox.sweep")

    eventually(lambda: asked() > 0, "one of them has asked")
    time.sleep(3)
    assert asked() == 1


def test_a_queue_that_is_away_is_told(app, at_work, send, redis):
    redis.kill()
    mail = send("a@example.com")
    assert now(app) is None, "nobody waits for long yet"
    let_wait(1)
    found = now(app)
    assert found is not None
    assert found.cause is Cause.QUEUE_AWAY
    assert "Redis" in waits_for(db.session.get_one(OutgoingMail, mail.id), outdated=False)


def test_a_queue_that_nobody_empties_is_told_although_all_seem_alive(app, at_work, send):
    stop_at_rest(at_work[0])  # a machine that hangs: alive for as long as its last word counts
    send("a@example.com")
    let_wait(6)
    found = now(app)
    assert found is not None
    assert found.cause is Cause.STUCK
    assert "nobody takes them" in found.title


def test_a_mail_that_would_leave_now_says_at_once_that_nobody_sends(app, send):
    mail = send("a@example.com")
    forget(STANDSTILL)
    assert "no sending process is running" in waits_for(mail, outdated=False)
    found = hindrance()
    assert found is not None
    assert found.cause is Cause.NO_WORKER


def test_the_answer_is_kept_for_a_moment_and_costs_the_pages_between_no_query(app, send):
    send("a@example.com")
    let_wait(1)
    assert now(app) is not None
    with statements() as asked:
        for _ in range(3):
            with app.test_request_context():
                assert standstill() is not None
    assert asked == []


def test_what_is_held_counts_all_that_waits_and_is_told_at_once(app, send):
    send("due@example.com")
    let_wait(1)
    later = send("later@example.com")
    with transaction() as session:
        session.execute(
            update(MAILS)
            .where(MAILS.c.id == later.id)
            .values(next_attempt_at=clock.now() + dt.timedelta(days=1), state="scheduled")
        )
    assert cause(app) is not Cause.HELD
    restored.hold_back()
    found = standstill()
    assert found is not None
    assert (found.cause, found.late) == (Cause.HELD, 2)
    assert "2 emails are waiting." in found.facts
    restored.decide(None, None)
    assert cause(app) is not Cause.HELD


def test_what_is_held_says_so(app, send):
    mail = send("a@example.com")
    restored.hold_back()
    assert cause(app) is Cause.HELD
    assert "restored from a copy" in waits_for(db.session.get_one(OutgoingMail, mail.id), outdated=False)
