"""`envoi up`: every process that an installation on one host needs, started and looked after.

The application is loaded once, and each process is forked from the one that looks after them, so that they share the
memory of what none of them changes. So this one must stay as it is when it has loaded: it connects to no database,
starts no thread and answers nobody. What has to be done before is done by a process of its own (`prepare`).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import click
from flask import Flask
from redis.exceptions import RedisError
from setproctitle import setproctitle
from sqlalchemy import select
from sqlalchemy.orm import configure_mappers

from core import demonstration, embedded, memory, migrate
from core.auth.models import User
from core.begin import administrator
from core.config import EVERYWHERE, Settings, redis_socket
from core.db import db
from core.errors import EnvoiError
from core.mail.outcomes import printable
from core.registry import Registry
from core.web_server import bind

logger = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})  # hosts that nobody else can reach
RESTART_SECONDS = 2.0  # a process that ends at once is not started in a tight circle
MOST_RESTART_SECONDS = 120.0  # it is tried less and less often: a port that is taken stays taken
LIVED_SECONDS = 60.0  # who has lived so long has not ended at once
ANSWER_SECONDS = 60.0  # for the web server to listen, before people are told where it is
STOP_SECONDS = 15.0  # for a mail that is being sent to be settled; then the process is killed
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Command = Callable[[Sequence[str]], None]
"""Runs `envoi` with arguments in this process, with the application that is loaded."""


@dataclass
class _Child:
    """A process that is forked again when it ends by itself.

    Attributes:
        name: What it is called.
        run: What it does.
    """

    name: str
    run: Callable[[], None]
    process: ForkProcess | None = None
    started: float = field(default=0.0)
    failures: int = field(default=0)

    @property
    def pause(self) -> float:
        """How many seconds there are between two starts."""
        return float(min(RESTART_SECONDS * 2**self.failures, MOST_RESTART_SECONDS))

    def start(self) -> None:
        self.process = multiprocessing.get_context("fork").Process(target=self._become, name=self.name)
        # A signal that comes before the process has handlers of its own waits until then.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self.started = time.monotonic()

    def _become(self) -> None:
        # A session of its own: Ctrl-C reaches the supervisor, which ends its children in order.
        os.setsid()
        setproctitle(f"envoi {self.name}")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self.run()

    def ended(self) -> bool:
        return self.process is not None and not self.process.is_alive()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def finish(self) -> int:
        """Wait until the process has ended, and return its exit code."""
        if self.process is None:
            return 0
        self.process.join()
        return self.process.exitcode or 0

    def wait(self, until: float) -> None:
        if self.process is None:
            return
        self.process.join(max(0.1, until - time.monotonic()))
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()


def _children(app: Flask, command: Command, bound: socket.socket) -> list[_Child]:
    """Return the processes of an installation, in the order in which they start."""
    settings: Settings = app.extensions["envoi_settings"]
    registry: Registry = app.extensions["envoi_registry"]

    def beside(name: str) -> None:
        bound.close()  # or who asks would be let in, and left waiting, once the web server has ended
        command([name])

    def web() -> None:
        app.extensions["envoi_web_socket"] = bound
        command(["web"])

    children = [_Child("scheduler", partial(beside, "scheduler"))]
    children += [_Child(f"worker {n + 1}", partial(beside, "worker")) for n in range(settings.workers)]
    children += [
        _Child(name, partial(beside, name)) for module in registry.modules for name in module.processes
    ]
    # Web last: once the page answers, everything behind it runs.
    return [*children, _Child("web", web)]


def run_all(app: Flask, command: Command, *, demo: bool) -> None:
    """Migrate, load demonstration data on the first start, and run everything until told to stop.

    Args:
        app: What all processes share.
        command: See `Command`.
        demo: Whether to load demonstration data.

    Raises:
        EnvoiError: Redis cannot be started or reached, or the port is taken.
        SystemExit: The database could not be prepared; why was said.
    """
    settings: Settings = app.extensions["envoi_settings"]
    stopping: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda got, _frame: stopping.append(got))
    with alone(settings.data_dir), bind(settings) as bound:
        _run_all(app, command, bound, stopping, demo=demo)


@contextlib.contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Keep another `envoi up` from the same data folder.

    Raises:
        EnvoiError: There is one.
    """
    with (data_dir / "up.lock").open("a") as lock:
        try:
            # Not flock, which the children would share: it ends with this process, however that ends.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            words = f"Envoi is running already with the data folder {data_dir}: stop it first"
            raise EnvoiError(f"{words}, or set ENVOI_DATA_DIR to another.") from None
        yield


def _run_all(
    app: Flask, command: Command, bound: socket.socket, stopping: Sequence[int], *, demo: bool
) -> None:
    settings: Settings = app.extensions["envoi_settings"]
    redis = _start_redis(settings)
    children: list[_Child] = []
    greeting = _Child("greeting", partial(_greet, app, bound))
    try:
        share(app)
        preparing = _Child("prepare", partial(command, ["prepare", "--demo" if demo else "--no-demo"]))
        preparing.start()
        if code := preparing.finish():
            sys.exit(code)
        children = _children(app, command, bound)
        for child in children:
            child.start()
        greeting.start()
        while not stopping:
            time.sleep(0.2)
            if redis is not None and redis.poll() is not None:
                click.echo("Redis ended; starting it again.", err=True)
                redis = _start_redis(settings)
            _restart_ended(children)
    finally:
        bound.close()
        # Web first, so that nothing new comes in while the worker settles what it has.
        greeting.stop()
        for child in reversed(children):
            child.stop()
        # For all of them together, not for each.
        until = time.monotonic() + STOP_SECONDS
        for child in (*children, greeting):
            child.wait(until)
        if redis is not None:
            redis.terminate()
            redis.wait(STOP_SECONDS)


def share(app: Flask) -> None:
    """Make what every process would make for itself, and keep it where it is, so that it stays shared."""
    configure_mappers()
    with app.app_context():
        migrate.read_versions()
    memory.keep_what_is_loaded()


def prepare(app: Flask, *, demo: bool) -> None:
    """Migrate, load demonstration data into an empty database.

    Args:
        app: The application.
        demo: Whether to load demonstration data.
    """
    settings: Settings = app.extensions["envoi_settings"]
    with app.app_context():
        migrate.upgrade(app)
        # Its passwords are known to everybody: never on an address that others can reach.
        loaded = demonstration.load_demo(app) if demo and settings.host in LOOPBACK else None
        if loaded is not None:
            click.echo("Demonstration data was loaded.")
            for fault in loaded.faults.values():
                click.echo(printable(fault), err=True)


def _restart_ended(children: list[_Child]) -> None:
    for child in children:
        lived = time.monotonic() - child.started
        if not child.ended():
            if lived > LIVED_SECONDS:
                child.failures = 0
        # One that ends at once, again and again, must not keep the machine busy, nor fill its log.
        elif lived > child.pause:
            click.echo(f"{child.name} ended; starting it again.", err=True)
            child.failures = min(child.failures + 1, 10)
            child.start()


def _start_redis(settings: Settings) -> subprocess.Popen[bytes] | None:
    """Start the embedded server unless one was named, or answers already."""
    try:
        embedded.wait_for_redis(settings.redis_url, 0.2)
    except (RedisError, OSError, TimeoutError, EnvoiError):
        if not settings.redis_embedded:
            raise EnvoiError("ENVOI_REDIS_URL names a Redis server that does not answer.") from None
    else:
        return None
    folder = settings.data_dir / "redis"
    process = embedded.start_redis(folder, socket_path=redis_socket(settings.data_dir))
    try:
        embedded.wait_for_redis(settings.redis_url, 10, process, folder)
    except EnvoiError:
        embedded.stop_process(process)
        raise
    return process


def _greet(app: Flask, bound: socket.socket) -> None:
    """Print the address once somebody answers there and, as long as they are there, the demonstration's sign-ins."""
    settings: Settings = app.extensions["envoi_settings"]
    address = bound.getsockname()[:2]
    bound.close()  # this process lets nobody in
    if address[0] in EVERYWHERE:
        address = ("::1" if ":" in address[0] else "127.0.0.1", address[1])
    until = time.monotonic() + ANSWER_SECONDS
    while not _listens(address) and time.monotonic() < until:
        time.sleep(0.1)
    click.echo(f"\n  Envoi is at {settings.base_url}\n")
    with app.app_context():
        logins = set(db.session.scalars(select(User.login)))
        begin = "" if logins else administrator.link()
    if begin:
        click.echo(f"  Nobody can sign in yet. The first administrator begins here:\n    {begin}\n")
    shown: list[Any] = [login for login in sorted(logins) if login.endswith("@demo.example.com")]
    if shown:
        click.echo("  Sign in with one of these, password “envoi-demo-2026”:")
        for login in shown:
            click.echo(f"    {login}")
        click.echo("")
    sys.stdout.flush()


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 1.0).close()
    except OSError:
        return False
    return True
