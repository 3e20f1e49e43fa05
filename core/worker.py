"""The RQ worker and the scheduler of periodic jobs."""

from __future__ import annotations

import logging
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import cast

from flask import Flask
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.client import Pipeline, PubSubWorkerThread
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import SimpleWorker
from rq.cron import CronJob, CronScheduler
from rq.exceptions import StopRequested
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from core import clock, jobs

logger = logging.getLogger(__name__)

MAINTENANCE_SECONDS = 60  # how soon a job of a worker that died is seen
# An idle worker wakes up at this pace; it must be short enough to notice a Redis that was replaced.
WORKER_TTL_SECONDS = 60
RESTART_SECONDS = 1.0  # Redis may be away; asking more often helps nobody
LOOK_SECONDS = 0.5
"""How often the scheduler looks for jobs whose moment has come."""


class EnvoiWorker(SimpleWorker):
    """Runs jobs in its own process: the application is loaded once and connections stay open.

    A process is the unit of scale, and of loss: what a killed worker held is found by the leases in the
    database, not by the queue.
    """

    # After Redis comes back, a worker must notice within seconds, not a minute.
    max_connection_wait_time = 5.0

    @property
    def was_told_to_stop(self) -> bool:
        """True when a person or a supervisor has asked it to end."""
        return self._shutdown_requested_date is not None

    def set_shutdown_requested_date(self) -> None:
        """Leave out the note for `rq info` that it was told to end.

        RQ writes it inside the handler of the signal. While Redis is away, that would raise in the middle of the
        job, wherever it is, or hold it up.
        """

    def teardown(self) -> None:
        """Say goodbye to Redis; it may be the reason for the end."""
        with suppress(RedisError):
            super().teardown()  # type: ignore[no-untyped-call]
        # Without this it would go on asking after commands for a worker that is no more.
        if (thread := cast("PubSubWorkerThread | None", self.pubsub_thread)) is not None:
            thread.stop()


def work(app: Flask, *, burst: bool = False) -> None:
    """Run jobs until told to stop; with `burst`, until the queue is empty.

    RQ's worker waits for a Redis that goes away while it is idle, but ends when that happens during a job, or
    before it has begun. Then another one takes over in the same process.
    """
    jobs.bind_process(app)
    while True:
        worker: EnvoiWorker | None = None
        try:
            worker = _new_worker(app)
            worker.work(burst=burst, logging_level="WARNING")
        except RedisError as error:
            if burst:
                raise
            logger.warning("The queue is away (%s); trying again.", type(error).__name__)
        finally:
            # RQ's own handlers would speak to the worker that has ended.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if burst or (worker is not None and worker.was_told_to_stop):
            return
        time.sleep(RESTART_SECONDS)


def _new_worker(app: Flask) -> EnvoiWorker:
    """Return a worker with a connection of its own to Redis."""
    settings = app.extensions["envoi_settings"]
    with app.app_context():
        # By default the client would keep trying for up to a minute, ever more rarely, and say nothing.
        retry = Retry(ConstantBackoff(RESTART_SECONDS / 2), 3)
        connection = Redis.from_url(settings.redis_url, retry=retry)
        worker = EnvoiWorker(
            [jobs.queue_on(connection, settings.queue)],
            connection=connection,
            job_class=jobs.EnvoiJob,
            serializer=JSONSerializer,
            maintenance_interval=MAINTENANCE_SECONDS,
            worker_ttl=WORKER_TTL_SECONDS,
        )
        # Our own log lines say what was done, with less noise.
        worker.log_job_description = False
    return worker


class EnvoiScheduler(CronScheduler):
    """Puts the periodic jobs on the queue, and those that were asked for at a moment."""

    # RQ has a scheduler for each, and would run the second one in a process of its own beside a worker; that
    # process outlives a worker that was killed, and the next one waits for its lock.

    def __init__(self, connection: Redis, queue: str) -> None:
        super().__init__(connection, logging_level="WARNING")
        self._queue = jobs.queue_on(connection, queue)
        self._moments = RQScheduler([queue], connection, logging_level="WARNING", serializer=JSONSerializer)
        self.was_told_to_stop = False
        # Without its lock: two schedulers at once may put a job on the queue twice, which does no harm.
        self._moments.prepare_registries([queue])

    def enqueue_jobs(self) -> list[CronJob]:
        """Enqueue everything that is due."""
        self._moments.enqueue_scheduled_jobs()  # type: ignore[no-untyped-call]
        due = [job for job in self.get_jobs() if job.should_run()]
        for job in due:
            # Not by RQ's own way, which writes jobs by pickle.
            self._queue.enqueue(jobs.run, *job.args, **job.job_options)
            job.set_enqueue_time(clock.now())
        return due

    def _request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.was_told_to_stop = True
        super()._request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def register_death(self, pipeline: Pipeline | None = None) -> None:
        """Say goodbye to Redis; it may be the reason for the end."""
        with suppress(RedisError):
            super().register_death(pipeline)

    def calculate_sleep_interval(self) -> float:
        """Return for how many seconds there is surely nothing to do."""
        return min(super().calculate_sleep_interval(), LOOK_SECONDS)


def schedule(app: Flask) -> None:
    """Put jobs on the queue at their time until told to stop: periodic ones, and those asked for at a moment.

    The times of the periodic ones are kept in this process, so a flushed Redis costs at most one interval; the
    others are gone with it, which is why each has its sweep. Two schedulers at once do no harm: every job may
    run twice. While Redis is away it waits, as workers do: what is due meanwhile is put on the queue when it is back.
    """
    settings = app.extensions["envoi_settings"]
    scheduler = EnvoiScheduler(Redis.from_url(settings.redis_url), settings.queue)
    with app.app_context():
        for name, every in jobs.periodic_jobs():
            timeout = app.extensions["envoi_registry"].jobs[name].timeout
            scheduler.register(
                jobs.run,
                settings.queue,
                args=(name,),
                interval=every,
                job_timeout=timeout,
                result_ttl=jobs.RESULT_TTL_SECONDS,
                # A job that waited for longer than its interval is not worth running twice in a row.
                ttl=max(every * 2, 60),
                name=name,
            )
    while not scheduler.was_told_to_stop:
        try:
            scheduler.start()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            if not scheduler.was_told_to_stop:
                logger.warning("The queue is away (%s); the scheduler waits for it.", type(error).__name__)
                with suppress(StopRequested, KeyboardInterrupt):
                    time.sleep(RESTART_SECONDS)
        else:
            return  # told to stop by the keyboard
