"""One commit for all that several threads have to write at a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from core.db.prepared import Batch, Ledger

Part = tuple[int, Callable[[Batch], Any]]
"""The number of a row, and what gives the statements about it to a batch."""


TELL_SECONDS = 0.1
"""How long whoever waits does so before it looks by itself: who was to tell it may have been interrupted."""


class _Entry:
    """What one thread wants to write, and waits for."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.done = False
        self.results: list[Any] = [None] * len(parts)
        self.error: Exception | None = None
        self._told = threading.Lock()
        self._told.acquire()

    def wait(self) -> None:
        """Wait until this is written, or until it is its turn to write."""
        self._told.acquire(timeout=TELL_SECONDS)

    def tell(self) -> None:
        """End the wait of its thread, or the next one."""
        with suppress(RuntimeError):  # it was told already
            self._told.release()


class GroupCommit:
    """A ledger that several threads write to, each waiting for its own commit.

    A commit costs a flush of the disk, however much is in it. Whoever comes while one is under way waits for its end,
    and then one of those who wait writes for all of them: a group grows by itself with the load, and a thread that is
    alone waits for nobody. What a thread was told is durable; of a commit that a crash interrupts, all is there or
    nothing. The next group is begun by one of those who wait for it before those of the last one go on, so that the
    disk is flushed while they work.

    Args:
        engine: Of the database.
        interrupts: Errors that come from outside into whatever a thread is doing, such as the time limit of a job. They
            pass through, and are nobody else's.
    """

    def __init__(self, engine: Engine, interrupts: tuple[type[Exception], ...] = ()) -> None:
        self._ledger = Ledger(engine)
        self._interrupts = interrupts
        self._waiting: list[_Entry] = []
        self._list = threading.Lock()
        """Held while the list of those who wait is changed."""
        self._commit = threading.Lock()
        """Held by the one who writes."""

    def write(self, *parts: Part) -> list[Any]:
        """Run statements in a transaction, perhaps together with those of others, and return once it is committed.

        Args:
            parts: Run in the order of their rows, those of others among them: who writes the same rows at once does
                so in the same order, and nobody waits for somebody who waits for them. Each may run on another
                thread, and more than once, so it must bear being repeated.

        Returns:
            What each part has returned; counts are known by now.

        Raises:
            OperationalError: The database is locked or away; nothing of the group is written.
            DBAPIError: What else the driver says, about these statements alone.
        """
        entry = _Entry(parts)
        with self._list:
            self._waiting.append(entry)
        try:
            while not entry.done:
                # One is told, and not all who ask for the lock: each of them would be woken by the one before it.
                if self._commit.locked():
                    entry.wait()
                    continue
                group: Sequence[_Entry] = ()
                with self._commit:
                    # Whoever gets it may find that the one before has written for it.
                    if not entry.done:
                        group = self._write_all()
                self._tell_next()
                for other in group:
                    other.tell()
        finally:
            if not entry.done:
                # Interrupted: what nobody waits for is not to be written any more, unless that is under way.
                with self._list:
                    self._waiting = [other for other in self._waiting if other is not entry]
                self._tell_next()
        if entry.error is not None:
            raise entry.error
        return entry.results

    def close(self) -> None:
        """Give the connection back, once nobody writes."""
        with self._commit:
            self._ledger.close()

    def _tell_next(self) -> None:
        """Let one of those who wait write, for all of them."""
        with self._list:
            following = self._waiting[0] if self._waiting else None
        if following is not None:
            following.tell()

    def _write_all(self) -> Sequence[_Entry]:
        """Write what all who wait have to say, and return them."""
        try:
            return self._write(None)
        finally:
            with self._list:
                # Those that an interruption leaves behind stay on the list.
                self._waiting = [entry for entry in self._waiting if not entry.done]

    def _write(self, only: _Entry | None) -> Sequence[_Entry]:
        """Write what one thread has to say, or what all who wait have."""
        group: Sequence[_Entry] = ()
        try:
            with self._ledger.transaction() as batch:
                # Asked now: on SQLite it begins once others have committed, and more have come meanwhile.
                group = self._those(only)
                parts = [
                    (row, entry, place, statements)
                    for entry in group
                    for place, (row, statements) in enumerate(entry.parts)
                ]
                for _row, entry, place, statements in sorted(parts, key=itemgetter(0)):
                    entry.results[place] = statements(batch)
        except self._interrupts:
            raise
        except Exception as error:  # noqa: BLE001 (raised by each who waits for it)
            group = group or self._those(only)
            if len(group) > 1 and not isinstance(error, OperationalError):
                # One of them is at fault; the others shall not suffer from it.
                for entry in group:
                    self._write(entry)
                return group
            for entry in group:
                entry.error = error
        for entry in group:
            entry.done = True
        return group

    def _those(self, only: _Entry | None) -> Sequence[_Entry]:
        with self._list:
            return list(self._waiting) if only is None else [only]
