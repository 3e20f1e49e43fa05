"""`envoi up`: every process that an installation on one host needs, started and looked after."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import click
from flask import Flask
from redis.exceptions import RedisError
from sqlalchemy import select

from core import embedded, migrate
from core.auth.models import User
from core.config import Settings, redis_socket
from core.db import db
from core.errors import EnvoiError
from core.mail.outcomes import printable
from core.registry import Registry

logger = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})  # hosts that nobody else can reach
RESTART_SECONDS = 2.0  # a process that ends at once is not started in a tight circle
STOP_SECONDS = 15.0  # for a mail that is being sent to be settled; then the process is killed


@dataclass
class _Child:
    """A process that is started again when it ends by itself."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = field(default=0.0)

    def start(self) -> None:
        # A session of its own: Ctrl-C reaches the supervisor, which ends its children in order.
        self.process = subprocess.Popen(self.command, start_new_session=True)  # noqa: S603 (our own commands)
        self.started = time.monotonic()

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()

    def wait(self, until: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _children(app: Flask) -> list[_Child]:
    """Return the processes of an installation, in the order in which they start."""
    settings: Settings = app.extensions["envoi_settings"]
    envoi = [sys.executable, "-m", "core"]
    # Web last: once the page answers, everything behind it runs.
    children = [_Child("scheduler", [*envoi, "scheduler"])]
    children += [_Child(f"worker {n + 1}", [*envoi, "worker"]) for n in range(settings.workers)]
    registry: Registry = app.extensions["envoi_registry"]
    children += [_Child(name, [*envoi, name]) for module in registry.modules for name in module.processes]
    children.append(_Child("web", [*envoi, "web"]))
    return children


def run_all(app: Flask, *, demo: bool) -> None:
    """Migrate, load demonstration data on the first start, and run everything until told to stop.

    Raises:
        EnvoiError: Redis cannot be started or reached.
    """
    settings: Settings = app.extensions["envoi_settings"]
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _frame: stopping.append(got))
    _demand_free_port(settings)
    redis = _start_redis(settings)
    children: list[_Child] = []
    try:
        with app.app_context():
            migrate.upgrade(app)
            # Its passwords are known to everybody: never on an address that others can reach.
            loaded = migrate.load_demo(app) if demo and settings.host in LOOPBACK else None
            if loaded is not None:
                click.echo("Demonstration data was loaded.")
                for fault in loaded.faults.values():
                    click.echo(printable(fault), err=True)
            _greet(settings)
            db.session.remove()
            db.engine.dispose()
        children = _children(app)
        for child in children:
            child.start()
        while not stopping:
            time.sleep(0.2)
            if redis is not None and redis.poll() is not None:
                click.echo("Redis ended; starting it again.", err=True)
                redis = _start_redis(settings)
            _restart_ended(children)
    finally:
        # Web first, so that nothing new comes in while the worker settles what it has.
        for child in reversed(children):
            child.stop()
        # For all of them together, not for each.
        until = time.monotonic() + STOP_SECONDS
        for child in children:
            child.wait(until)
        if redis is not None:
            redis.terminate()
            redis.wait(STOP_SECONDS)


def _demand_free_port(settings: Settings) -> None:
    """Say at once what the web server would say again and again."""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            words = f"{settings.host}, port {settings.port}, cannot be listened on ({error.strerror})"
            raise EnvoiError(f"{words}: set ENVOI_PORT to a free port.") from error


def _restart_ended(children: list[_Child]) -> None:
    for child in children:
        # One that ends at once, again and again, must not keep the machine busy.
        if child.ended() and time.monotonic() - child.started > RESTART_SECONDS:
            click.echo(f"{child.name} ended; starting it again.", err=True)
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
    embedded.wait_for_redis(settings.redis_url, 10, process)
    return process


def _greet(settings: Settings) -> None:
    """Print the address and, while nobody has changed them, the sign-ins of the demonstration."""
    click.echo(f"\n  Envoi is at {settings.base_url}\n")
    logins = set(db.session.scalars(select(User.login)))
    shown: list[Any] = [login for login in sorted(logins) if login.endswith("@demo.example.com")]
    if shown:
        click.echo("  Sign in with one of these, password “envoi-demo-2026”:")
        for login in shown:
            click.echo(f"    {login}")
        click.echo("")
    sys.stdout.flush()
