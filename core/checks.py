"""What `envoi check` looks at: everything that would keep an installation from working, in sentences."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Iterator

from flask import Flask
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core import embedded, loader, migrate, rotation
from core.config import Settings, open_to_others
from core.db import db, end_reading
from core.installation import file_probe
from core.jobs import queue_for, queue_problem
from core.mail.outcomes import printable
from core.pulse import Part, outdated_processes, pulse
from core.registry import current_settings
from core.signals import check_asked

LEAST_FREE = 200_000_000
"""Octets on the disk of the data folder; less is told."""
MOST_APART = 10.0
"""Seconds between two clocks; more is told, since an email would leave too early or its lease end too soon."""


def checks(app: Flask, *, stopped: bool = False) -> list[str]:
    """Return everything that would keep Envoi from working, one sentence each.

    Args:
        app: The application.
        stopped: True where nothing is to run at this moment, so that no worker and no scheduler are missed.
    """
    settings = current_settings()
    return [
        *_of_database(app),
        *loader.unknown_settings(settings),
        *open_to_others(settings),
        *_of_proxies(settings),
        *_of_disk(settings),
        *_of_queue(app, settings, stopped=stopped),
    ]


def _of_database(app: Flask) -> Iterator[str]:
    try:
        found = [problem.sentence for problem in migrate.schema_problems()]
        found += [
            f"The process {printable(name)} works with tables that are not there any more: start it again."
            for name in outdated_processes()
        ]
        if not found:
            found += [sentence for _receiver, said in check_asked.send(app) for sentence in said]
            found += [one.sentence for one in rotation.look().unreadable]
            found += file_probe.problems()
        if db.engine.dialect.name == "postgresql":
            at = db.session.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))
            found += _apart("the database", float(at or 0))
        end_reading()
    except DBAPIError as error:
        db.session.rollback()
        found = [database_problem(error)]
    yield from found


def _of_proxies(settings: Settings) -> Iterator[str]:
    if settings.base_url.startswith("https:") and not settings.trusted_proxies:
        yield (
            "ENVOI_BASE_URL says https, but ENVOI_TRUSTED_PROXIES is 0: whoever signs in has the address of the "
            "proxy, and wrong passwords of some lock out all. Set it to the number of proxies in front."
        )


def _of_disk(settings: Settings) -> Iterator[str]:
    free = shutil.disk_usage(settings.data_dir).free
    if free < LEAST_FREE:
        yield f"The disk of {settings.data_dir} is nearly full: {free // 1_000_000} MB are left."


def _of_queue(app: Flask, settings: Settings, *, stopped: bool) -> Iterator[str]:
    if problem := queue_problem():
        yield problem
        if settings.redis_embedded and (foreign := embedded.foreign_data(settings.data_dir / "redis")):
            yield foreign
        return
    try:
        seconds, microseconds = queue_for(app).connection.time()
        yield from _apart("Redis", seconds + microseconds / 1e6)
    except (RedisError, OSError):
        return  # gone just now
    alive = pulse().alive
    if not stopped and Part.WORKER not in alive:
        yield "No worker is alive, so no email leaves: start one (`envoi worker`)."
    if not stopped and Part.SCHEDULER not in alive:
        yield "No scheduler is alive: workers do its work, a little later. Start it (`envoi scheduler`)."


def _apart(whose: str, at: float) -> list[str]:
    apart = abs(time.time() - at)
    difference = dt.timedelta(seconds=round(apart))
    words = f"The clock of this machine and that of {whose} are {difference} apart: let both follow a time server."
    return [words] if apart > MOST_APART else []


def database_problem(error: DBAPIError) -> str:
    """Return in a sentence why the database could not be used."""
    if "disk is full" in str(error.orig) or "No space left" in str(error.orig):
        return f"{unusable_database(error)} Make room on the disk; nothing that was saved before is lost."
    return f"{unusable_database(error)} If it is there, `envoi db upgrade` makes its tables."


def unusable_database(error: DBAPIError) -> str:
    """Return the same without advice."""
    words = printable(str(error.orig)).strip().partition("\n")[0].rstrip(".")
    return f"The database cannot be used ({words})."
