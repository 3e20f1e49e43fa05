"""Technical › Queue: workers, jobs and schedules, by RQ's own figures."""

from __future__ import annotations

import datetime as dt
import html

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from core import clock, jobs
from core.kept import forget
from core.live.states import outdated, topic_of
from core.queue_figures import QueueAwayError, Registry, figures


@pytest.fixture
def app(app_with_queue):
    return app_with_queue


@pytest.fixture
def admin(make_user, sign_in):
    return sign_in(make_user("administrator"))


def test_what_waits_runs_and_has_failed_is_counted_and_named(app, admin):
    for mail_id in range(60):
        jobs.enqueue("outbox.deliver_mails", [mail_id])
    jobs.enqueue("outbox.sweep", at=clock.now() + dt.timedelta(hours=1))
    queue = jobs.queue_for(app)
    # Another program has put something there; it is not run, and stands among the failed.
    queue.enqueue("os.getcwd", at_front=True)
    (first, *_rest) = queue.job_ids
    worker = SimpleWorker(
        [queue], connection=queue.connection, serializer=JSONSerializer, job_class=jobs.EnvoiJob
    )
    worker.work(burst=True, max_jobs=1, logging_level="CRITICAL")
    found = figures()
    assert found.counts[Registry.QUEUED] == 60
    assert len(found.jobs[Registry.QUEUED]) == 50
    assert found.jobs[Registry.QUEUED][0].words == "outbox.deliver_mails [0]"
    assert found.counts[Registry.SCHEDULED] == 1
    assert found.jobs[Registry.FAILED][0].id == first
    assert "it was not run" in found.jobs[Registry.FAILED][0].why
    page = admin.get("/queue").text
    assert "it was not run" in page
    assert "50 of 60" in page
    assert "outbox.sweep" in page


def test_an_open_page_follows_the_queue(app, admin):
    page = admin.get("/queue").text
    shown = topic_of("core.queue", figures())
    assert f" {shown}." in html.unescape(page)
    assert outdated([shown]) == frozenset()
    jobs.enqueue("outbox.sweep")
    forget("queue_word")  # as after a moment
    assert outdated([shown]) == {shown}


def test_a_queue_that_is_away_is_a_sentence(app, admin, monkeypatch):
    def gone(*_given, **_how):
        raise RedisConnectionError("gone")

    monkeypatch.setattr(type(jobs.queue_for(app).connection), "execute_command", gone)
    with pytest.raises(QueueAwayError):
        figures()
    assert "cannot be reached" in admin.get("/queue").text
    assert outdated([topic_of("core.queue", None)]) == frozenset()


def test_it_is_for_administrators(make_user, sign_in):
    assert sign_in(make_user("support")).get("/queue").status_code == 403
