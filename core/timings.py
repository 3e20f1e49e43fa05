"""How long things take, added up by all processes of an installation in Redis, for whoever watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

from flask import Flask, current_app, has_app_context
from redis.exceptions import RedisError

from core.jobs import queue_for
from core.pulse import pulse

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: each is counted up to the first of these that it does not exceed."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured so far.

    Attributes:
        counts: How many took as long as each of `BOUNDS` at most, but longer than the one before; then the longest.
        seconds: All together.
    """

    counts: tuple[int, ...]
    seconds: float


def _queue() -> Any:
    return queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Measure what is done inside, where it succeeds; a queue that is away forgets it, and holds nobody up."""
    began = monotonic()
    yield
    took = monotonic() - began
    if not has_app_context() or pulse().away_since is not None:
        return
    place = next((n for n, bound in enumerate(BOUNDS) if took <= bound), len(BOUNDS))
    queue = _queue()
    with suppress(RedisError, OSError), queue.connection.pipeline(transaction=False) as pipe:
        pipe.hincrby(f"envoi:{queue.name}:seconds:{what}", str(place), 1)
        pipe.hincrbyfloat(f"envoi:{queue.name}:seconds:{what}", "sum", took)
        pipe.execute()


def timing(what: str) -> Timing:
    """Return what was measured; nothing where the queue is away."""
    queue, said = _queue(), {}
    with suppress(RedisError, OSError):
        said = queue.connection.hgetall(f"envoi:{queue.name}:seconds:{what}")
    counts = tuple(int(said.get(str(place).encode(), 0)) for place in range(len(BOUNDS) + 1))
    return Timing(counts, float(said.get(b"sum", 0)))
