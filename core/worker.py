"""The RQ worker and the scheduler of periodic jobs."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from types import FrameType
from typing import Any, Self, cast

from flask import Flask
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.client import Pipeline, PubSubWorkerThread
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.cron import CronJob, CronScheduler
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from sqlalchemy.exc import OperationalError

from core import clock, jobs, migrate
from core.config import Settings
from core.installation import service as installation
from core.installation.file_probe import tell_problems as tell_file_problems
from core.logs import told
from core.pulse import BEAT_SECONDS, SILENT_SECONDS, Heart, Part, process_name, pulse
from core.registry import current_registry, resolve_function
from core.schema_watch import SchemaWatch

logger = logging.getLogger(__name__)

MAINTENANCE_SECONDS = 60  # how soon a job of a worker that died is seen
# An idle worker wakes up at this pace; it must be short enough to notice a Redis that was replaced.
WORKER_TTL_SECONDS = 60
RESTART_SECONDS = 1.0  # Redis may be away; asking more often helps nobody
STOP_SECONDS = 6.0  # for the thread beside a worker to end
ANSWER_SECONDS = 5.0  # for Redis; it is asked for nothing that takes long
WATCH_AGAIN_SECONDS = 5.0  # after a watch has failed
LOOK_SECONDS = 0.5
"""How often the scheduler looks for jobs whose moment has come."""


class EnvoiWorker(SimpleWorker):
    """Runs jobs in its own process: the application is loaded once and connections stay open.

    A process is the unit of scale, and of loss: what a killed worker held is found by the leases in the
    database, not by the queue.
    """

    # After Redis comes back, a worker must notice within seconds, not a minute.
    max_connection_wait_time = 5.0

    schema: SchemaWatch | None = None
    """Looked at before each job."""
    refusal = ""
    """Why it does not go on, once it does not."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a job, unless the tables are not those this process was started with: then put it back, and end."""
        with jobs.process_app().app_context():
            self.refusal = self.schema.problem() if self.schema is not None else ""
        if not self.refusal:
            super().execute_job(job, queue)
            return
        queue.push_job_id(job.id, at_front=True)
        self.connection.lrem(queue.intermediate_queue_key, 1, job.id)
        self._stop_requested = True

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Write into the log why a job failed, without what its exception says."""
        logger.error("The job %s (%s) failed.", job.id, job.description, exc_info=exc_info[1])

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: StartedJobRegistry | None = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Keep on the queue why a job failed, as the log says it."""
        error = sys.exc_info()[1]
        why = told(error) if error is not None else exc_string
        super().handle_job_failure(job, queue, started_job_registry, why, execution)

    def procline(self, message: str) -> None:
        """Keep the title of the process; RQ would write into it what it is at, for each job."""

    @property
    def was_told_to_stop(self) -> bool:
        """True when a person or a supervisor has asked it to end."""
        return self._shutdown_requested_date is not None

    def set_shutdown_requested_date(self) -> None:
        """Leave out the note for `rq info` that it was told to end.

        RQ writes it inside the handler of the signal. While Redis is away, that would raise in the middle of the
        job, wherever it is, or hold it up.
        """
        jobs.ending.set()

    def teardown(self) -> None:
        """Say goodbye to Redis; it may be the reason for the end."""
        with suppress(RedisError):
            super().teardown()  # type: ignore[no-untyped-call]
        # Without this it would go on asking after commands for a worker that is no more.
        if (thread := cast("PubSubWorkerThread | None", self.pubsub_thread)) is not None:
            thread.stop()


def _bounded_connection(settings: Settings) -> Redis:
    """Return a connection that gives up on a server that it is cut off from, which else takes a quarter of an hour."""
    return Redis.from_url(
        settings.redis_url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS
    )


def get_ready(app: Flask, *, sends: bool = True) -> SchemaWatch:
    """Make sure that a process may work with its database, and return its watch.

    It waits for a database that is away, and for tables that somebody is about to bring up to date.

    Args:
        app: The application.
        sends: False for a process by which nothing leaves: it has no reason to wait for the queue.

    Raises:
        SchemaError: Its tables are those of a newer release, which this program cannot work with.
    """
    said = ""
    while True:
        try:
            with app.app_context():
                migrate.demand_schema()
                installation.verify()
                if not (sends and installation.must_wait()):
                    tell_file_problems()
                    return SchemaWatch()
            now = "The queue is away, and this host has not seen the database yet. Waiting for it."
        except migrate.SchemaError as error:
            if error.newer:
                raise
            now = f"{error} Waiting for it."
        except OperationalError as error:
            now = f"The database is locked or away ({error.orig}); trying again."
        if now != said:
            logger.warning("%s", now)
        said = now
        time.sleep(RESTART_SECONDS)


class _Vigil:
    """Says beside a worker that it is alive, and does the work of a scheduler while there is none."""

    def __init__(self, app: Flask) -> None:
        settings = app.extensions["envoi_settings"]
        connection = _bounded_connection(settings)
        self._connection = connection
        self._heart = Heart(connection, settings.queue, Part.WORKER, process_name())
        self._stand_in = _new_scheduler(app)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="vigil", daemon=True)
        self._told = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join(STOP_SECONDS)
        self._heart.stop()
        self._connection.close()
        self._stand_in.connection.close()

    def _keep(self) -> None:
        # Not at once: at a start of everything the scheduler may come a moment later.
        look = time.monotonic() + SILENT_SECONDS
        while not self._ended.is_set():
            # Whatever happens here, the next look may fare better; without this thread the worker looks dead.
            try:
                self._heart.beat()
                if time.monotonic() >= look:
                    self._stand_in_if_needed()
            except (RedisError, OSError) as error:
                logger.debug("The queue is away (%s).", type(error).__name__)
            except Exception:
                logger.exception("Looking after the queue beside the worker failed; it goes on.")
            self._ended.wait(BEAT_SECONDS)

    def _stand_in_if_needed(self) -> None:
        if self._heart.others_alive(Part.SCHEDULER):
            self._told = False
            return
        if not self._told:
            self._told = True
            logger.warning("No scheduler is alive; this worker does its work. Start one: `envoi scheduler`.")
        self._stand_in.enqueue_jobs()


def work(app: Flask, *, burst: bool = False) -> None:
    """Run jobs until told to stop; with `burst`, until the queue is empty.

    RQ's worker waits for a Redis that goes away while it is idle, but ends when that happens during a job, or
    before it has begun. Then another one takes over in the same process.

    Raises:
        SchemaError: The tables are not those of this program, or were migrated under it.
    """
    jobs.bind_process(app)
    jobs.ending.clear()
    schema = get_ready(app)
    with _Vigil(app):
        while True:
            worker: EnvoiWorker | None = None
            try:
                worker = _new_worker(app)
                worker.schema = schema
                worker.work(burst=burst, logging_level="WARNING")
            except RedisError as error:
                if burst:
                    raise
                logger.warning("The queue is away (%s); trying again.", type(error).__name__)
            finally:
                # RQ's own handlers would speak to the worker that has ended.
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                if worker is not None:
                    worker.connection.close()
            if worker is not None and worker.refusal:
                raise migrate.SchemaError([worker.refusal], newer=True)
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
        self.heart = Heart(connection, queue, Part.SCHEDULER, process_name())
        # Without its lock: two schedulers at once may put a job on the queue twice, which does no harm.
        self._moments.prepare_registries([queue])

    def enqueue_jobs(self) -> list[CronJob]:
        """Enqueue everything that is due and that no other scheduler has enqueued."""
        self._moments.enqueue_scheduled_jobs()  # type: ignore[no-untyped-call]
        due = [job for job in self.get_jobs() if job.should_run()]
        for job in due:
            if self._is_first(job) and not self._ran_itself(str(job.args[0])):
                # Not by RQ's own way, which writes jobs by pickle.
                self._queue.enqueue(jobs.run, *job.args, **job.job_options)
            job.set_enqueue_time(clock.now())
        return due

    def _is_first(self, job: CronJob) -> bool:
        """Return True for the first scheduler, or worker in its place, that comes to a job in its time."""
        key = f"envoi:{self._queue.name}:asked:{job.args[0]}"
        # Shorter than the interval, or the next round of the same scheduler would come too early now and then.
        return bool(self.connection.set(key, "1", nx=True, px=int((job.interval or 1) * 800)))

    def _ran_itself(self, name: str) -> bool:
        """Run a job here that tells, among others, that no worker is alive to run it; False where one is."""
        with jobs.process_app().app_context():
            if not current_registry().jobs[name].without_worker or Part.WORKER in pulse().alive:
                return False
        try:
            jobs.run(name)
        except Exception:
            logger.exception("The job %s failed in the scheduler.", name)
        return True

    def heartbeat(self) -> None:
        """Say that it is alive, to RQ and to whoever asks for the pulse."""
        super().heartbeat()
        self.heart.beat()

    def _request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.was_told_to_stop = True
        super()._request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def register_death(self, pipeline: Pipeline | None = None) -> None:
        """Say goodbye to Redis; it may be the reason for the end."""
        with suppress(RedisError):
            super().register_death(pipeline)
        self.heart.stop()

    def calculate_sleep_interval(self) -> float:
        """Return for how many seconds there is surely nothing to do."""
        return min(super().calculate_sleep_interval(), LOOK_SECONDS)


def _new_scheduler(app: Flask) -> EnvoiScheduler:
    """Return a scheduler that knows the periodic jobs of every enabled module."""
    settings = app.extensions["envoi_settings"]
    scheduler = EnvoiScheduler(_bounded_connection(settings), settings.queue)
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
    return scheduler


@contextmanager
def _watches(app: Flask) -> Iterator[None]:
    """Run what modules have wait for something outside, each in a thread, while a block runs."""
    stopped = threading.Event()
    threads = [
        threading.Thread(target=_watch, args=(app, path, stopped), name=path, daemon=True)
        for module in app.extensions["envoi_registry"].modules
        for path in module.watches
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join(STOP_SECONDS)


def _watch(app: Flask, path: str, stopped: threading.Event) -> None:
    while not stopped.is_set():
        # Whatever happens there, the next turn may fare better, and the scheduler goes on meanwhile.
        try:
            resolve_function(path)(app, stopped)
        except Exception:
            logger.exception("%s failed beside the scheduler; it is begun again.", path)
        stopped.wait(WATCH_AGAIN_SECONDS)


def schedule(app: Flask) -> None:
    """Put jobs on the queue at their time until told to stop: periodic ones, and those asked for at a moment.

    Beside it, what modules declare as `watches` waits for something outside.

    That a periodic job was asked for is kept in Redis for its interval, so a flushed Redis costs at most one more run;
    the jobs asked for at a moment are gone with it, which is why each has its sweep. While Redis is away it waits, as
    workers do: what is due meanwhile is put on the queue when it is back.

    Raises:
        SchemaError: The tables are not those of this program.
    """
    get_ready(app)
    jobs.bind_process(app)
    scheduler = _new_scheduler(app)
    with _watches(app), closing(scheduler.connection):
        while not scheduler.was_told_to_stop:
            try:
                scheduler.start()  # type: ignore[no-untyped-call]
            except (RedisError, OSError) as error:
                if not scheduler.was_told_to_stop:
                    logger.warning(
                        "The queue is away (%s); the scheduler waits for it.", type(error).__name__
                    )
                    with suppress(StopRequested, KeyboardInterrupt):
                        time.sleep(RESTART_SECONDS)
            else:
                return  # told to stop by the keyboard
