"""What stands on the queue, as RQ itself counts it: workers, jobs by registry, and what is repeated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from flask import Flask, current_app
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from core import clock
from core.errors import EnvoiError
from core.jobs import RUN, EnvoiJob, queue_for

MOST_LISTED = 50
"""How many jobs of each registry are listed."""

LONGEST_WORDS = 100  # a job may be about hundreds of mails
MOST_WORKERS = 200  # lines of killed ones stay for minutes


class Registry(StrEnum):
    """Where a job stands, by RQ's own names."""

    QUEUED = "queued"
    STARTED = "started"
    SCHEDULED = "scheduled"
    DEFERRED = "deferred"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"


class QueueAwayError(EnvoiError):
    """Redis does not answer, or not with what RQ writes there."""


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker, as it last said.

    Attributes:
        name: Host and process.
        state: `idle`, `busy`, `suspended` or another word of RQ.
        job: What it is at, or "".
        heard: When it last said so.
        succeeded: How many jobs have ended well.
        failed: How many have not.
        busy: How long it has worked in all.
    """

    name: str
    state: str
    job: str
    heard: dt.datetime | None
    succeeded: int
    failed: int
    busy: dt.timedelta


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job.

    Attributes:
        id: By which `rq` and the log name it.
        words: Its name with its arguments, which are ids.
        at: When it was put on the queue, or in a registry of its own, when it will be.
        ended: When it ended, or None.
        why: Of one that failed: the last line of what it said.
    """

    id: str
    words: str
    at: dt.datetime | None
    ended: dt.datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it at one moment.

    Attributes:
        queue: The name of the queue.
        workers: Those that RQ knows.
        counts: How many jobs each registry holds.
        jobs: Some of them, those that matter most first.
    """

    queue: str
    workers: Sequence[WorkerLine]
    counts: Mapping[Registry, int]
    jobs: Mapping[Registry, Sequence[JobLine]]


def figures() -> Figures:
    """Return what stands on the queue.

    Raises:
        QueueAwayError: It cannot be asked.
    """
    queue = queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]
    try:
        counts, jobs = {}, {}
        for registry in Registry:
            counts[registry], ids = _ids(queue, registry)
            jobs[registry] = _lines(queue, registry, ids)
        return Figures(queue.name, _workers(queue), counts, jobs)
    except (RedisError, OSError, ValueError, KeyError, TypeError) as error:
        raise QueueAwayError(f"The queue cannot be asked ({type(error).__name__}).") from error


def _ids(queue: Queue, registry: Registry) -> tuple[int, list[str]]:
    if registry is Registry.QUEUED:
        return int(queue.count), list(queue.get_job_ids(0, MOST_LISTED))
    held: Any = getattr(queue, f"{registry}_job_registry")
    # Without cleaning up: who only looks changes nothing. What is to come, the next first; what was, the last.
    latest_first = registry is not Registry.SCHEDULED
    ids = held.get_job_ids(0, MOST_LISTED - 1, desc=latest_first, cleanup=False)
    return int(held.get_job_count(cleanup=False)), list(ids)


def _lines(queue: Queue, registry: Registry, ids: Sequence[str]) -> list[JobLine]:
    found = EnvoiJob.fetch_many(ids, connection=queue.connection, serializer=JSONSerializer)
    return [_line(queue, registry, job) for job in found if job is not None]


def _line(queue: Queue, registry: Registry, job: Job) -> JobLine:
    at, why = job.enqueued_at or job.created_at, ""
    if registry is Registry.SCHEDULED:
        at = queue.scheduled_job_registry.get_scheduled_time(job)
    elif registry is Registry.FAILED:
        result = job.latest_result()
        said = (result.exc_string or "").strip() if result is not None else ""
        why = said.rpartition("\n")[2]
    return JobLine(job.id, _words(job), _in_utc(at), _in_utc(job.ended_at), why)


def _words(job: Job | None) -> str:
    """Return the name of a job of ours with its arguments; of a foreign one what it says of itself."""
    if job is None:
        return ""
    try:
        name, *arguments = job.args if job.func_name == RUN else (job.description,)
    except (DeserializationError, ValueError, TypeError):
        name, arguments = job.description, []
    words = f"{name} {', '.join(str(argument) for argument in arguments)}".strip()
    return words if len(words) <= LONGEST_WORDS else f"{words[: LONGEST_WORDS - 1]}…"


def _workers(queue: Queue) -> list[WorkerLine]:
    found = Worker.all(queue=queue, job_class=EnvoiJob, serializer=JSONSerializer)[:MOST_WORKERS]
    return sorted((_worker(worker, queue) for worker in found), key=lambda line: line.name)


def _worker(worker: Any, queue: Queue) -> WorkerLine:
    job_id = worker.get_current_job_id()
    ids = [job_id] if job_id else []
    (job,) = EnvoiJob.fetch_many(ids, connection=queue.connection, serializer=JSONSerializer) or [None]
    return WorkerLine(
        f"{worker.hostname}:{worker.pid}",
        str(getattr(worker.get_state(), "value", worker.get_state())),
        _words(job),
        _in_utc(worker.last_heartbeat),
        worker.successful_job_count,
        worker.failed_job_count,
        dt.timedelta(seconds=round(worker.total_working_time)),
    )


def _in_utc(moment: dt.datetime | None) -> dt.datetime | None:
    """Return a moment of RQ with its zone; some of its versions leave that out."""
    return None if moment is None else clock.in_utc(moment)
