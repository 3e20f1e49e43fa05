"""Who is alive: workers and schedulers say so in Redis every few seconds, and anybody may ask.

RQ's own entries do not tell: a worker that was killed in a long job stays there until the job would have timed out.
The times are those of the Redis server, so that clocks of hosts that differ mislead nobody.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, cast

from flask import Flask, current_app
from redis import Redis
from redis.exceptions import RedisError

from core import clock
from core.jobs import queue_for
from core.kept import kept

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
"""How often a process says that it is alive."""

SILENT_SECONDS = 12.0
"""Who has said nothing for so long is taken for dead."""

OUTDATED_SECONDS = 120.0  # for so long is known who has said that its tables are not there any more
FORGET_SECONDS = 24 * 3600  # a process that was not ended in good order leaves its line for so long
_KEPT_SECONDS = 2.0  # an answer; each page asks
_KEPT_AWAY_SECONDS = 10.0  # the same where the queue is away: asking it may take a second


class Part(StrEnum):
    """What must be alive for mails to leave."""

    WORKER = "worker"
    SCHEDULER = "scheduler"


@dataclass(frozen=True, slots=True)
class Pulse:
    """Who was alive a moment ago.

    Attributes:
        away_since: Since when this process has found the queue away, or None where it answers.
        alive: How many processes of each part live; a part of which none does is not among them.
        seen: When each part was last heard of, as far as the queue remembers.
    """

    away_since: dt.datetime | None = None
    alive: Mapping[Part, int] = field(default_factory=dict)
    seen: Mapping[Part, dt.datetime] = field(default_factory=dict)


@cache
def _host() -> str:
    return socket.gethostname()


def process_name() -> str:
    """Return the name of this process among those of all hosts, short enough for a column."""
    return f"{_host()}:{os.getpid()}"[-60:]


def _key(queue: str) -> str:
    return f"envoi:{queue}:alive"


def _outdated_key(queue: str) -> str:
    return f"envoi:{queue}:outdated"


def tell_outdated() -> None:
    """Say that this process works with tables that are not there any more, and has to be started again."""
    queue: Any = queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]
    with suppress(RedisError, OSError):
        seconds, _microseconds = queue.connection.time()
        queue.connection.zadd(_outdated_key(queue.name), {process_name(): seconds})
        queue.connection.expire(_outdated_key(queue.name), int(OUTDATED_SECONDS))


def outdated_processes() -> list[str]:
    """Return the names of the processes that have said so a short while ago."""
    queue: Any = queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]
    with suppress(RedisError, OSError):
        seconds, _microseconds = queue.connection.time()
        found = queue.connection.zrangebyscore(_outdated_key(queue.name), seconds - OUTDATED_SECONDS, "+inf")
        return sorted(name.decode() for name in found)
    return []


class Heart:
    """Says for one process that it is alive.

    Args:
        connection: To the server of the queue.
        queue: The name of the queue.
        part: What the process is.
        name: Names it among all of its part.
    """

    def __init__(self, connection: Redis, queue: str, part: Part, name: str) -> None:
        self._connection, self._key, self._part = connection, _key(queue), part
        self._field = f"{part}/{name}"
        self._next = 0.0

    def beat(self) -> None:
        """Say so, unless it was said just now.

        Raises:
            RedisError: The queue is away.
        """
        if time.monotonic() < self._next:
            return
        self._connection.hset(self._key, mapping={self._field: self._now(), str(self._part): self._now()})
        self._next = time.monotonic() + BEAT_SECONDS

    def stop(self) -> None:
        """Say that the process ends; Redis may be the reason for it."""
        with suppress(RedisError, OSError):
            self._connection.hset(self._key, str(self._part), self._now())
            self._connection.hdel(self._key, self._field)
            self._forget()

    def others_alive(self, part: Part) -> bool:
        """Return True when a process of a part lives.

        Raises:
            RedisError: The queue is away.
        """
        return part in _read(self._connection, self._key).alive

    def _now(self) -> str:
        seconds, microseconds = self._connection.time()
        return f"{seconds + microseconds / 1e6:.3f}"

    def _forget(self) -> None:
        now = float(self._now())
        said = cast("dict[bytes, bytes]", self._connection.hgetall(self._key))
        old = [name for name, at in said.items() if b"/" in name and now - float(at) > FORGET_SECONDS]
        if old:
            self._connection.hdel(self._key, *cast("list[str]", old))


def _read(connection: Redis, key: str) -> Pulse:
    with connection.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hgetall(key)
        (seconds, microseconds), said = cast("tuple[tuple[int, int], dict[bytes, bytes]]", pipe.execute())
    now = seconds + microseconds / 1e6
    alive: Counter[Part] = Counter()
    seen: dict[Part, dt.datetime] = {}
    for name, at in said.items():
        part, _, process = name.decode().partition("/")
        silent = now - float(at)
        if process and silent < SILENT_SECONDS:
            alive[Part(part)] += 1
        elif not process:
            # By the reader's clock, as every other time that it shows.
            seen[Part(part)] = clock.now() - dt.timedelta(seconds=max(silent, 0))
    return Pulse(None, alive, seen)


def pulse() -> Pulse:
    """Return who is alive; the answer is kept for a moment."""
    return kept("pulse", _ask)


def _ask(before: Pulse | None) -> tuple[Pulse, float]:
    queue: Any = queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]
    try:
        return _read(queue.connection, _key(queue.name)), _KEPT_SECONDS
    except (RedisError, OSError):
        since = before.away_since if before is not None else None
        return Pulse(since or clock.now()), _KEPT_AWAY_SECONDS


def other_hosts() -> list[str]:
    """Return the names of other hosts on which a process was alive a moment ago; [] where the queue is away."""
    queue: Any = queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]
    with suppress(RedisError, OSError):
        seconds, _microseconds = queue.connection.time()
        said = cast("dict[bytes, bytes]", queue.connection.hgetall(_key(queue.name)))
        alive = [name.decode() for name, at in said.items() if seconds - float(at) < SILENT_SECONDS]
        hosts = {name.partition("/")[2].rpartition(":")[0] for name in alive}
        return sorted(hosts - {"", process_name().rpartition(":")[0]})
    return []
