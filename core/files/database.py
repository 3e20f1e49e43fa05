"""Files in the database, in chunks: every host reaches them that reaches the database, and nothing else is needed."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core import clock
from core.db import apart
from core.files.models import StoredChunk, StoredFile
from core.files.store import FileStore, demand_hash, is_hash

CHUNK = 512 * 1024
"""Octets of a row: a file is never in memory twice, and no row is a burden to the database."""

_FILES: Any = StoredFile.__table__
_CHUNKS: Any = StoredChunk.__table__


class DatabaseStore(FileStore):
    """Files in two tables.

    Each call is a transaction of its own, but for SQLite's sake inside the one that writes already.

    Args:
        mark: See `FileStore`.
        engine: Of the database; None for that of the present application.
    """

    def __init__(self, mark: Callable[[], str] | None = None, engine: Engine | None = None) -> None:
        super().__init__(mark)
        self._engine = engine

    @property
    def name(self) -> str:
        """The database."""
        return "database"

    @contextlib.contextmanager
    def _connected(self, *, write: bool = True) -> Iterator[Connection]:
        with apart(write=write, engine=self._engine) as connection:
            yield connection

    def _write(self, sha256: str, data: bytes) -> None:
        with self._connected() as connection:
            # Whoever stores the same at once waits here until it is there, and finds it below.
            _touch_or_insert(connection, sha256)
            # Read, not only looked at: what is damaged is mended by storing the same bytes again.
            if _is_there(connection, sha256, data):
                return
            connection.execute(delete(_CHUNKS).where(_CHUNKS.c.sha256 == sha256))
            for number, start in enumerate(range(0, len(data), CHUNK)):
                row = {"sha256": sha256, "number": number, "octets": data[start : start + CHUNK]}
                connection.execute(insert(_CHUNKS), row)

    def _read(self, sha256: str) -> bytes | None:
        with self._connected(write=False) as connection:
            data = b"".join(_chunks(connection, sha256))
            if data:
                return data
            there = select(_FILES.c.sha256).where(_FILES.c.sha256 == sha256)
            return b"" if connection.scalar(there) is not None else None

    def _touch(self, sha256: str) -> bool:
        with self._connected() as connection:
            done = connection.execute(
                update(_FILES).where(_FILES.c.sha256 == sha256).values(touched_at=clock.now())
            )
            return bool(done.rowcount)

    def _remove(self, sha256: str, unless_touched_after: dt.datetime | None) -> bool:
        # Looked at and removed by one statement: whoever touches it at once comes before, or finds it gone.
        query = delete(_FILES).where(_FILES.c.sha256 == sha256)
        if unless_touched_after is not None:
            query = query.where(_FILES.c.touched_at <= unless_touched_after)
        with self._connected() as connection:
            if connection.execute(query).rowcount:
                return True
            return connection.scalar(select(_FILES.c.sha256).where(_FILES.c.sha256 == sha256)) is None

    def names(self, folder: str, *, untouched_for: float | None = None) -> Iterator[tuple[str, bool]]:
        """Return what lies in a folder; see `FileStore.names`."""
        query = (
            select(_FILES.c.sha256)
            .where(
                _FILES.c.sha256 >= folder, _FILES.c.sha256 < f"{folder}g", func.length(_FILES.c.sha256) == 64
            )
            .order_by(_FILES.c.sha256)
        )
        if untouched_for is not None:
            query = query.where(_FILES.c.touched_at <= clock.now() - dt.timedelta(seconds=untouched_for))
        with self._connected(write=False) as connection:
            found = list(connection.scalars(query))
        return ((name, True) for name in found if is_hash(name))

    def has_mark(self, mark: str) -> bool:
        """Return True when the database bears a mark; see `FileStore.has_mark`."""
        with self._connected(write=False) as connection:
            return connection.scalar(select(_FILES.c.sha256).where(_FILES.c.sha256 == mark)) is not None

    def set_mark(self, mark: str) -> None:
        """Let the database bear a mark; see `FileStore.set_mark`."""
        with self._connected() as connection:
            _touch_or_insert(connection, mark)

    def clear_mark(self, mark: str) -> None:
        """Take a mark from the database; see `FileStore.clear_mark`."""
        with self._connected() as connection:
            connection.execute(delete(_FILES).where(_FILES.c.sha256 == mark))


def _touch_or_insert(connection: Connection, name: str) -> None:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    now = clock.now()
    statement = dialect.insert(_FILES).values(sha256=name, touched_at=now)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[_FILES.c.sha256], set_={"touched_at": now})
    )


def _chunks(connection: Connection, sha256: str) -> Iterator[bytes]:
    """Yield the bytes of a file, a chunk at a time, without letting the driver fetch all at once."""
    query = select(_CHUNKS.c.octets).where(_CHUNKS.c.sha256 == demand_hash(sha256)).order_by(_CHUNKS.c.number)
    result = connection.execute(query, execution_options={"yield_per": 8})
    for (octets,) in result:
        yield bytes(octets)


def _is_there(connection: Connection, sha256: str, data: bytes) -> bool:
    at, whole = 0, True
    for octets in _chunks(connection, sha256):
        whole = whole and data[at : at + len(octets)] == octets
        at += len(octets)
    return whole and at == len(data)
