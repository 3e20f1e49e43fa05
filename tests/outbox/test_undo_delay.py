"""Mails that leave at a moment: about on time, not before, and not at all when they were called back."""

from __future__ import annotations

import datetime as dt

import pytest
from flask import Flask
from redis.exceptions import RedisError
from rq.registry import ScheduledJobRegistry

from core import clock, jobs
from core.db import transaction
from core.worker import EnvoiScheduler
from modules.outbox import service
from modules.outbox.models import OutgoingMail
from tests.outbox.conftest import draft
from tests.outbox.own_queue import *  # noqa: F403 (fixtures)
from tests.outbox.processes import WAIT_SECONDS, acceptances, eventually, states_of, sweep

pytestmark = pytest.mark.smtp

ABOUT_ON_TIME = dt.timedelta(seconds=20)
"""On an idle machine it is within 2 seconds; this one may be busy with other tests. The sweep would take a minute."""


@pytest.fixture
def at_work(hire) -> None:
    """A worker and the scheduler, up and running."""
    hire()
    hire("scheduler")
    eventually(lambda: jobs.queue_length() == 0 and _runs("cron_scheduler"), "the scheduler runs")


def _runs(kind: str) -> bool:
    queue = jobs.queue_for(jobs._process_app[0])
    return bool(list(queue.connection.scan_iter(f"rq:{kind}:*"))) and bool(
        list(queue.connection.scan_iter("rq:worker:*"))
    )


def later(company, seconds: float, address: str = "ann@example.com") -> OutgoingMail:
    """Send as the composer does: so that it can be called back for some seconds."""
    moment = clock.now() + dt.timedelta(seconds=seconds)
    with transaction():
        mail = service.submit(draft(company, address), None, not_before=moment)
        jobs.enqueue_after_commit("outbox.release_mails", [mail.id], at=moment)
    return mail


def waiting(app: Flask) -> int:
    return int(ScheduledJobRegistry(queue=jobs.queue_for(app)).count)


def test_a_mail_leaves_at_its_moment_and_not_before(app, at_work, lab, company):
    mails = [later(company, 2 + number / 10, f"n{number}@example.com") for number in range(4)]
    assert states_of([mail.id for mail in mails]) == ["scheduled"] * 4
    eventually(lambda: len(lab.accepted) == 4, "all have left")
    moments = {f"n{number}@example.com": mail.not_before for number, mail in enumerate(mails)}
    late = [message.at - moments[message.recipients[0]] for message in lab.accepted]
    print(f"late by {[round(delay.total_seconds(), 2) for delay in late]}")  # noqa: T201 (pytest shows it)
    assert all(dt.timedelta() <= delay <= ABOUT_ON_TIME for delay in late), late
    assert waiting(app) == 0


def test_a_mail_that_was_called_back_never_leaves(app, at_work, lab, company):
    undone, other = later(company, 2, "undone@example.com"), later(company, 2.1, "other@example.com")
    assert service.cancel([undone.id]) == [undone.id]
    eventually(
        lambda: lab.accepted and waiting(app) == 0 and jobs.queue_length() == 0, "the moment has passed"
    )
    eventually(lambda: states_of([undone.id, other.id]) == ["canceled", "sent"], "both are settled")
    assert [message.recipients for message in lab.accepted] == [("other@example.com",)]


def test_two_schedulers_at_once_send_once(app, at_work, hire, lab, company):
    hire("scheduler")
    mails = [later(company, 2, f"n{number}@example.com").id for number in range(20)]
    eventually(lambda: states_of(mails) == ["sent"] * 20, "all are sent")
    assert set(acceptances(lab).values()) == {1}
    assert len(acceptances(lab)) == 20


def test_a_scheduler_that_is_killed_is_replaced_at_once(app, hire, lab, company):
    hire()
    killed = hire("scheduler")
    eventually(lambda: _runs("cron_scheduler"), "the scheduler runs")
    mail = later(company, 3)
    killed.kill()
    hire("scheduler")
    (message,) = eventually(lambda: list(lab.accepted), "it has left")
    assert mail.not_before <= message.at < mail.not_before + 2 * ABOUT_ON_TIME


def test_what_a_flushed_queue_has_forgotten_the_sweep_finds(app, hire, lab, company):
    hire()
    mail = later(company, 1)
    jobs.queue_for(app).connection.flushall()
    assert waiting(app) == 0

    def swept() -> bool:
        sweep()
        return states_of([mail.id]) == ["sent"]

    eventually(swept, "the sweep has found it", pause=0.2)
    assert set(acceptances(lab).values()) == {1}


def test_a_queue_that_is_away_keeps_nobody_from_sending_later(app, redis, server, company):
    redis.stop()
    assert not jobs.enqueue("outbox.release_mails", [1], at=clock.now())
    assert states_of([later(company, 10).id]) == ["scheduled"]
    redis.start()


def test_no_job_comes_before_its_moment(app, company):
    """RQ keeps whole seconds: what was asked for at 10.4 s may come at 11, never at 10."""
    moment = clock.now().replace(microsecond=400_000) + dt.timedelta(seconds=5)
    assert jobs.enqueue("outbox.release_mails", [1], at=moment)
    registry = ScheduledJobRegistry(queue=jobs.queue_for(app))
    (job_id,) = registry.get_job_ids()
    assert registry.get_scheduled_time(job_id) == moment.replace(microsecond=0) + dt.timedelta(seconds=1)


def test_what_is_due_is_put_on_the_queue_once(app, company):
    queue = jobs.queue_for(app)
    scheduler = EnvoiScheduler(queue.connection, queue.name)
    jobs.enqueue("outbox.release_mails", [1], at=clock.now() - dt.timedelta(seconds=5))
    jobs.enqueue("outbox.release_mails", [2], at=clock.now() + dt.timedelta(hours=1))
    for _ in range(2):
        scheduler.enqueue_jobs()
    assert [list(job.args) for job in queue.get_jobs()] == [["outbox.release_mails", [1]]]
    assert 0 < scheduler.calculate_sleep_interval() <= 0.5


def test_a_scheduler_without_its_queue_says_so(app, redis):
    queue = jobs.queue_for(app)
    scheduler = EnvoiScheduler(queue.connection, queue.name)
    redis.stop()
    with pytest.raises(RedisError):
        scheduler.enqueue_jobs()
    redis.start()


def test_a_scheduler_waits_for_a_queue_that_goes_away(app, at_work, redis, lab, company):
    mail = later(company, 1)
    redis.stop()
    eventually(lambda: mail.not_before < clock.now(), "its moment has passed while there was no queue")
    redis.start()
    eventually(lambda: states_of([mail.id]) == ["sent"], "it has left all the same")
    after = later(company, 1)
    eventually(lambda: states_of([after.id]) == ["sent"], "and so does the next one")
    assert set(acceptances(lab).values()) == {1}


def test_a_scheduler_that_waits_for_its_queue_ends_when_it_is_told_to(app, hire, redis):
    scheduler = hire("scheduler")
    eventually(lambda: list(jobs.queue_for(app).connection.scan_iter("rq:cron_scheduler:*")), "it runs")
    redis.stop()
    eventually(lambda: "waits for it" in scheduler.log, "it has noticed")
    scheduler.process.terminate()
    assert scheduler.process.wait(WAIT_SECONDS) == 0
