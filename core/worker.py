"""The RQ worker and the scheduler of periodic jobs."""

from __future__ import annotations

import logging

from flask import Flask
from redis import Redis
from rq import Queue, SimpleWorker
from rq.cron import CronScheduler

from core import jobs

logger = logging.getLogger(__name__)

MAINTENANCE_SECONDS = 60
# An idle worker wakes up at this pace; it must be short enough to notice a Redis that was replaced.
WORKER_TTL_SECONDS = 60


class EnvoiWorker(SimpleWorker):
    """Runs jobs in its own process: the application is loaded once and connections stay open.

    A process is the unit of scale, and of loss: what a killed worker held is found by the leases in the
    database, not by the queue.
    """

    # After Redis comes back, a worker must notice within seconds, not a minute.
    max_connection_wait_time = 5.0


def work(app: Flask, *, burst: bool = False) -> None:
    """Run jobs until told to stop; with `burst`, until the queue is empty."""
    settings = app.extensions["envoi_settings"]
    jobs.bind_process(app)
    with app.app_context():
        connection = Redis.from_url(settings.redis_url)
        worker = EnvoiWorker(
            [Queue(settings.queue, connection=connection)],
            connection=connection,
            maintenance_interval=MAINTENANCE_SECONDS,
            worker_ttl=WORKER_TTL_SECONDS,
        )
        worker.log_job_description = False
    worker.work(burst=burst, logging_level="WARNING")


def schedule(app: Flask) -> None:
    """Put the periodic jobs on the queue, each at its interval, until told to stop.

    The times are kept in this process, so a flushed Redis costs at most one interval. Two schedulers at
    once do no harm: every periodic job may run twice.
    """
    settings = app.extensions["envoi_settings"]
    scheduler = CronScheduler(Redis.from_url(settings.redis_url), logging_level="WARNING")
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
                ttl=max(every * 2, 60),
                name=name,
            )
    scheduler.start()  # type: ignore[no-untyped-call]
