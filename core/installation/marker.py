"""The file in the data folder that remembers how far the database was, and notices that it was copied.

A copy of the whole data folder agrees with itself in everything that is written in it. What no copy carries over is
the time of the last change of the file's inode (`ctime`, POSIX.1-2017 §4.9): no program can set it. The file holds the
moment at which it was written; where the two disagree, something else has written, copied or touched the file since.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE = 256
"""Octets: always the same, so that a full disk refuses none of them, and they lie in one block."""

TOLERANCE_NS = 500_000_000
"""Between the clock of the process and that of the file system, which goes in steps of some milliseconds."""

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Marker:
    """What the file says.

    Attributes:
        name: Of the installation.
        generation: How far the database was.
        copied: True where something else than this program has touched the file since it was written.
    """

    name: str
    generation: int
    copied: bool


@contextmanager
def _opened(path: Path, flags: int, lock: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, lock)
        yield descriptor
    finally:
        os.close(descriptor)


def read(path: Path) -> Marker | None:
    """Return what the file says; None where there is none, or nobody can make sense of it."""
    try:
        with _opened(path, os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
            return _read(descriptor)
    except FileNotFoundError:
        return None


def _read(descriptor: int) -> Marker | None:
    try:
        said = json.loads(os.pread(descriptor, SIZE, 0))
        apart = os.fstat(descriptor).st_ctime_ns - int(said["written_ns"]) - int(said["skew_ns"])
        return Marker(str(said["name"]), int(said["generation"]), abs(apart) > TOLERANCE_NS)
    except (ValueError, KeyError, TypeError):
        return None


def write(path: Path, name: str, generation: int, *, anew: bool = False) -> None:
    """Write how far the database is, to the disk; who is further already is left alone.

    Args:
        path: The file; made where there is none.
        name: Of the installation.
        generation: How far its database is.
        anew: True to write it whatever stands there, since a person has said what holds.

    Raises:
        OSError: It cannot be written.
    """
    with _opened(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
        there = _read(descriptor)
        if there is not None and not anew and (there.name, there.copied) == (name, False):
            if there.generation >= generation:
                return
        elif there is not None and not anew:
            return  # it is for whoever compares to say what that means
        # The clock of a file server may differ from ours for good; a process stopped in between is tried again.
        skew = 0
        for attempt in range(_TRIES):
            written = time.time_ns()
            said = {"name": name, "generation": generation, "written_ns": written, "skew_ns": skew}
            os.pwrite(descriptor, json.dumps(said).ljust(SIZE).encode("ascii"), 0)
            apart = os.fstat(descriptor).st_ctime_ns - written
            if abs(apart - skew) <= TOLERANCE_NS // 2:
                break
            skew = apart if attempt >= 1 else 0
        os.fdatasync(descriptor)
