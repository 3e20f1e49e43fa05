"""One commit for all that several threads have to write at a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from core.db.prepared import Batch, Ledger

Part = tuple[int, Callable[[Batch], Any]]
"""The number of a row, and what gives the statements about it to a batch."""


class _Entry:
    """What one thread wants to write, and waits for."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.done = False
        self.results: list[Any] = [None] * len(parts)
        self.error: Exception | None = None


class GroupCommit:
    """A ledger that several threads write to, each waiting for its own commit.

    A commit costs a flush of the disk, however much is in it. Whoever comes while one is under way waits for its end,
    and then one of those who wait writes for all of them: a group grows by itself with the load, and a thread that is
    alone waits for nobody. What a thread was told is durable; of a commit that a crash interrupts, all is there or
    nothing.

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
                # Whoever gets it may find that the one before has written for it.
                with self._commit:
                    if not entry.done:
                        self._write_all()
        finally:
            if not entry.done:
                # Interrupted: what nobody waits for is not to be written any more, unless that is under way.
                with self._list:
                    self._waiting = [other for other in self._waiting if other is not entry]
        if entry.error is not None:
            raise entry.error
        return entry.results

    def close(self) -> None:
        """Give the connection back, once nobody writes."""
        with self._commit:
            self._ledger.close()

    def _write_all(self) -> None:
        with self._list:
            group = list(self._waiting)
        self._write(group)
        with self._list:
            # Those that an interruption leaves behind stay on the list.
            self._waiting = [entry for entry in self._waiting if not entry.done]

    def _write(self, group: Sequence[_Entry]) -> None:
        parts = [
            (row, entry, place, statements)
            for entry in group
            for place, (row, statements) in enumerate(entry.parts)
        ]
        try:
            with self._ledger.transaction() as batch:
                for _row, entry, place, statements in sorted(parts, key=itemgetter(0)):
                    entry.results[place] = statements(batch)
        except self._interrupts:
            raise
        except Exception as error:  # noqa: BLE001 (raised by each who waits for it)
            if len(group) > 1 and not isinstance(error, OperationalError):
                # One of them is at fault; the others shall not suffer from it.
                for entry in group:
                    self._write([entry])
                return
            for entry in group:
                entry.error = error
        for entry in group:
            entry.done = True
