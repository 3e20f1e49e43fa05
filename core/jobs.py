"""The queue: jobs by name, put on it after the commit, run inside the application.

The queue is a messenger, never the memory: whatever must happen stands in the database first, and a
sweep asks again for what the queue has lost.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from functools import partial
from typing import Any, cast

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import BaseTimeoutException
from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute

from core import clock, logs
from core.db import end_reading, on_commit
from core.registry import current_registry, resolve_function

logger = logging.getLogger(__name__)

# A request waits no longer than this for the queue; the sweep finds what could not be put on it.
ENQUEUE_TIMEOUT_SECONDS = 1.0
RESULT_TTL_SECONDS = 60  # nobody reads results, the rows say what happened; a minute helps whoever debugs
FAILURE_TTL_SECONDS = 24 * 3600  # a day: the log has it longer

JobTimeoutError = BaseTimeoutException
"""Raised in the middle of a job that has taken too long; nobody but the queue may catch it."""

JobArgument = int | str | list[int]


class ForeignJobError(Exception):
    """A job on the queue is none that Envoi has put there; it is not run."""


class EnvoiJob(Job):
    """A job that calls `run` with plain arguments, and nothing else.

    Redis is a messenger that others may be able to write to. RQ's own job is read by pickle and names functions that
    the worker imports and calls: whoever writes such a job would run code in the worker.
    """

    # What would be called when the job has ended: nothing, whatever stands in Redis.
    success_callback = None
    failure_callback = None
    stopped_callback = None

    def perform(self) -> Any:
        """Run the job.

        Raises:
            ForeignJobError: It is none of ours.
        """
        if self.func_name != RUN or self.instance is not None or self.kwargs:
            raise ForeignJobError(f"The job {self.id} calls {self.func_name!r}, not {RUN}; it was not run.")
        return super().perform()


def queue_on(connection: Redis, name: str) -> Queue:
    """Return a queue whose jobs are ours and written as JSON."""
    return Queue(name, connection=connection, serializer=JSONSerializer, job_class=EnvoiJob)


ending = threading.Event()
"""Set once this worker was told to end: what it has begun is finished, and nothing more is begun."""

# A list, so that the worker's code can be imported before there is an application; one for each process.
_process_app: list[Flask] = []


def bind_process(app: Flask) -> None:
    """Make the application the one in which this process runs its jobs."""
    _process_app[:] = [app]


def process_app() -> Flask:
    """Return the application in which this process runs its jobs."""
    return _process_app[0]


def queue_for(app: Flask) -> Queue:
    """Return the queue of an application, with short timeouts."""
    # One connection pool for the application; a new one for each request would leak sockets.
    queue = app.extensions.get("envoi_queue")
    if queue is None:
        settings = app.extensions["envoi_settings"]
        connection = Redis.from_url(
            settings.redis_url,
            socket_connect_timeout=ENQUEUE_TIMEOUT_SECONDS,
            socket_timeout=ENQUEUE_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        queue = app.extensions["envoi_queue"] = queue_on(connection, settings.queue)
    return cast("Queue", queue)


def enqueue(name: str, *args: JobArgument, front: bool = False, at: dt.datetime | None = None) -> bool:
    """Put a job on the queue, now or at a moment.

    Args:
        name: Name of a declared job.
        args: Plain arguments: ids, never contents.
        front: True to put it before all others.
        at: When the scheduler puts it on the queue: never before, and within about a second after.

    Returns:
        False when the queue cannot be reached; what the job is for must then wait for its sweep.
    """
    spec = current_registry().jobs[name]
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    options = {
        "job_timeout": spec.timeout,
        "result_ttl": RESULT_TTL_SECONDS,
        "failure_ttl": FAILURE_TTL_SECONDS,
        "at_front": front,
        # Short: RQ writes it to its log, where ids of 50 mails help nobody.
        "description": f"{name}{args if len(str(args)) < 80 else '(…)'}",
    }
    try:
        if at is None:
            queue_for(app).enqueue(run, name, *args, **options)
        else:
            # RQ keeps whole seconds and cuts off the rest; a job that came too early would find nothing to do.
            moment = at if not at.microsecond else at.replace(microsecond=0) + dt.timedelta(seconds=1)
            queue_for(app).enqueue_at(moment, run, name, *args, **options)
    except (RedisError, OSError) as error:
        logger.warning("The queue is away (%s); %s waits for the sweep.", type(error).__name__, name)
        return False
    return True


def enqueue_after_commit(
    name: str, *args: JobArgument, front: bool = False, at: dt.datetime | None = None
) -> None:
    """Put a job on the queue, now or at a moment, once the running transaction is committed."""
    on_commit(partial(enqueue, name, *args, front=front, at=at))


def lost(touched_at: InstrumentedAttribute[dt.datetime], after: dt.timedelta) -> ColumnElement[bool]:
    """Return the condition of work in steps whose job is lost: nobody has touched it for so long.

    Touched in the future it was by a clock that was put back.
    """
    now = clock.now()
    return or_(touched_at < now - after, touched_at > now + after)


def queue_length() -> int | None:
    """Return how many jobs wait, or None when the queue cannot be reached."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    try:
        return int(queue_for(app).count)
    except (RedisError, OSError):
        return None


def queue_problem() -> str:
    """Return in a sentence why the queue cannot be used; "" where it can."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    try:
        _ = queue_for(app).count
    except AuthenticationError:
        return "Redis refuses the password of ENVOI_REDIS_URL: mails are kept and wait."
    except (RedisError, OSError):
        return "Redis cannot be reached: mails are kept and wait."
    return ""


def run(name: str, *args: JobArgument) -> None:
    """Run a job; this is the one function that RQ calls.

    A name that no enabled module declares is left alone with a warning: its module was disabled while the
    job was waiting.
    """
    with process_app().app_context(), logs.about(job=name):
        spec = current_registry().jobs.get(name)
        if spec is None:
            logger.warning("No enabled module declares the job %s; it was dropped.", name)
            return
        resolve_function(spec.function)(*args)
        end_reading()


def periodic_jobs() -> list[tuple[str, int]]:
    """Return the name and the interval in seconds of each job that the scheduler repeats."""
    return [(spec.name, spec.every) for spec in current_registry().jobs.values() if spec.every]


RUN = f"{run.__module__}.{run.__qualname__}"
"""The only function that a job may name."""
