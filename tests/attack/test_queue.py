"""Whoever may write to Redis: nothing that they put there is run, and the worker goes on with what is ours."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
from flask import Flask
from rq import Callback, Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from core import jobs, worker
from core.registry import current_registry


class Payload:
    """What pickle turns into a call when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def app(app_with_queue: Flask) -> Flask:
    return app_with_queue


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder that is there once somebody's code has run."""
    return tmp_path / "trap"


def work(app: Flask) -> None:
    worker.work(app, burst=True)


def ours(app: Flask) -> Job:
    assert jobs.enqueue("outbox.sweep")
    return jobs.queue_for(app).get_jobs()[-1]


def put_raw(app: Flask, data: bytes, **fields: object) -> None:
    """Write a job into Redis as anybody could, past all our code."""
    queue = jobs.queue_for(app)
    job = Job.create(
        "os.mkdir", args=["x"], connection=queue.connection, serializer=JSONSerializer, origin=queue.name
    )
    job.save()
    queue.connection.hset(job.key, mapping={"data": data, "status": "queued", **fields})
    queue.connection.rpush(queue.key, job.id)


def expect_only_ours(app: Flask, trap: Path) -> None:
    job = ours(app)
    work(app)
    assert not trap.exists(), "somebody's code has run"
    assert job.get_status(refresh=True) == "finished", "and what is ours is done"


def test_a_pickle_is_not_read(app, trap):
    put_raw(app, pickle.dumps(("core.jobs.run", None, (Payload(trap),), {})))
    expect_only_ours(app, trap)


def test_a_job_by_the_usual_way_of_rq_is_not_run(app, trap):
    queue = jobs.queue_for(app)
    Queue(queue.name, connection=queue.connection).enqueue(os.mkdir, str(trap))
    expect_only_ours(app, trap)


@pytest.mark.parametrize(
    "call",
    [
        lambda trap: ("os.mkdir", None, [str(trap)], {}),
        lambda trap: ("core.jobs.os.mkdir", None, [str(trap)], {}),
        lambda trap: ("core.jobs.run", None, ["outbox.sweep"], {"dir_fd": str(trap)}),
        lambda trap: ("mkdir", str(trap), [], {}),
    ],
)
def test_a_job_that_names_another_function_is_not_run(app, trap, call):
    put_raw(app, json.dumps(call(trap)).encode())
    expect_only_ours(app, trap)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"[]", b'"core.jobs.run"', b"[1,2,3,4]", b"null", b"[" * 100_000]
)
def test_a_job_that_is_nonsense_costs_itself_alone(app, trap, data):
    put_raw(app, data)
    expect_only_ours(app, trap)


@pytest.mark.parametrize("moment", ["success", "failure", "stopped"])
def test_nothing_is_called_when_a_job_has_ended(app, trap, moment):
    name = "outbox.sweep" if moment == "success" else "outbox.deliver_mails"
    data = json.dumps(("core.jobs.run", None, [name] if moment == "success" else [name, "no ids", 1], {}))
    put_raw(app, data.encode(), **{f"{moment}_callback_name": f"{__name__}.spring"})
    spring.trap = trap  # type: ignore[attr-defined]
    expect_only_ours(app, trap)


def spring(*_args: object) -> None:
    spring.trap.mkdir()  # type: ignore[attr-defined]


def test_the_attack_would_have_gone_through_with_rqs_own_job(app, trap):
    """What is tried here does work on a worker that runs what it is told."""
    spring.trap = trap  # type: ignore[attr-defined]
    queue = jobs.queue_for(app)
    plain = Queue("plain", connection=queue.connection)
    plain.enqueue(len, "abc", on_success=Callback(spring))
    worker.SimpleWorker([plain], connection=queue.connection).work(burst=True, logging_level="ERROR")
    assert trap.exists()


def test_a_name_that_no_module_declares_is_dropped(app, trap):
    put_raw(app, json.dumps(("core.jobs.run", None, ["os.mkdir", str(trap)], {})).encode())
    expect_only_ours(app, trap)
    assert "os.mkdir" not in current_registry().jobs
