"""Which topics have changed since when: the newest rows of each source, as one process knows them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from flask import current_app
from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.orm import InstrumentedAttribute

from core.db import db
from core.registry import current_registry, resolve

LOOK_SECONDS = 0.3
"""So often a process looks for changes while pages wait for them."""
MOST_AT_ONCE = 2000  # rows of one look; after more of them whatever anybody asks about may have changed
MOST_KEPT = 10_000  # rows that are remembered for pages that were made before them
OPEN_SECONDS = 60.0
"""So long a number that was skipped is waited for: its transaction is not committed yet, or never will be."""
MOST_OPEN = 100

Row = tuple[int, Sequence[str]]
"""The id of a row, and the topics that have changed with it."""


@dataclass(frozen=True, slots=True)
class ChangeSource:
    """A table that gets a row with each change, in the same transaction, and whose ids grow.

    Attributes:
        id: The column of the ids.
        rows: Returns the rows for which a condition on this table holds, by their ids, so many at most. Topics are
            short words of letters and digits, such as `m12`.
    """

    id: InstrumentedAttribute[int]
    rows: Callable[[Connection, ColumnElement[bool], int], Sequence[Row]]


class Tail:
    """The newest rows of one source.

    On PostgreSQL a row may be committed after others with a higher number: numbers that were skipped are waited for.

    Attributes:
        last: The highest id that was seen; None before the first look.
        floor: What has changed up to here is not known any more.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.last: int | None = None
        self.floor = 0
        self._open: dict[int, float] = {}
        self._rows: deque[Row] = deque()
        self._ids: dict[str, list[int]] = {}

    @property
    def mark(self) -> str:
        """Up to where everything was seen, as `fired` takes it: the highest id, and those before it that were not."""
        return ".".join(map(str, [self.last, *sorted(self._open)]))

    def look(self, connection: Connection, source: ChangeSource) -> tuple[set[str], bool]:
        """Read what was committed since the last look; return the topics, and whether there is more than that."""
        if self.last is None:
            self.last = self.floor = connection.scalar(select(func.max(source.id))) or 0
            return set(), True
        rows = list(source.rows(connection, source.id > self.last, MOST_AT_ONCE))
        now = time.monotonic()
        self._open = {number: until for number, until in self._open.items() if until > now}
        if self._open:
            rows += source.rows(connection, source.id.in_(sorted(self._open)), MOST_OPEN)
        if len(rows) >= MOST_AT_ONCE:
            self._forget()
            return self.look(connection, source)
        self._take(rows, now + OPEN_SECONDS)
        return {topic for _number, topics in rows for topic in topics}, False

    def _take(self, rows: Sequence[Row], until: float) -> None:
        known = self.last or 0
        seen = {number for number, _topics in rows}
        self.last = max(known, *seen) if seen else known
        between = range(max(known + 1, self.last - MOST_AT_ONCE), self.last)
        skipped = [number for number in between if number not in seen]
        self._open |= dict.fromkeys(skipped, until)
        self._open = {number: end for number, end in self._open.items() if number not in seen}
        for number in sorted(self._open)[:-MOST_OPEN]:
            del self._open[number]
        for row in rows:
            self._rows.append(row)
            for topic in row[1]:
                self._ids.setdefault(topic, []).append(row[0])
        while len(self._rows) > MOST_KEPT:
            number, topics = self._rows.popleft()
            self.floor = max(self.floor, number)
            for topic in topics:
                self._ids[topic].remove(number)
                if not self._ids[topic]:
                    del self._ids[topic]

    def fired(self, mark: str, topics: Iterable[str]) -> bool:
        """Return True when one of the topics has changed since a mark, or may have."""
        try:
            seen, *skipped = map(int, mark.split("."))
        except ValueError:
            return True
        if seen < self.floor:
            return True
        return any(
            number > seen or number in skipped for topic in topics for number in self._ids.get(topic, ())
        )


class Changes:
    """What a process knows of all sources."""

    def __init__(self, sources: Mapping[str, ChangeSource]) -> None:
        self._sources = sources
        self._tails = {name: Tail() for name in sources}
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._now = ""

    @property
    def now(self) -> str:
        """Up to where everything is known that a page made from now on shows; it costs nothing, "" before a look."""
        return self._now

    def look(self, *, after: float = 0.0) -> tuple[set[str], bool]:
        """Read what was committed since the last look.

        Args:
            after: Only where that look was so many seconds ago.

        Returns:
            The topics that have changed, and whether any other may have changed as well.
        """
        fired: set[str] = set()
        more = False
        with self._lock:
            if not self._sources or time.monotonic() < self._looked + after:
                return fired, more
            with db.engine.connect() as connection:
                for name, source in self._sources.items():
                    topics, uncertain = self._tails[name].look(connection, source)
                    fired |= {f"{name}:{topic}" for topic in topics}
                    more |= uncertain
            self._now = " ".join(f"{name}:{tail.mark}" for name, tail in self._tails.items())
            self._looked = time.monotonic()
        return fired, more

    def fired(self, since: str, topics: Iterable[str]) -> bool:
        """Return True when one of the topics has changed since what `now` has said, here or on another host.

        It is True as well where nobody can tell: the page then asks once for nothing.
        """
        if since == self._now != "":
            return False
        marks = dict(part.split(":", 1) for part in since.split() if ":" in part)
        wanted: dict[str, list[str]] = {}
        for topic in topics:
            name, _, rest = topic.partition(":")
            wanted.setdefault(name, []).append(rest)
        with self._lock:
            return any(
                self._tails[name].fired(marks.get(name, ""), several)
                for name, several in wanted.items()
                if name in self._tails
            )


def current_changes() -> Changes:
    """Return what this process knows of the sources that the enabled modules declare."""
    extensions = current_app.extensions
    if "envoi_changes" not in extensions:
        sources: dict[str, ChangeSource] = {}
        for module in current_registry().modules:
            if module.changes is not None:
                declared = resolve(module.changes)
                sources |= {module.name: declared} if isinstance(declared, ChangeSource) else declared
        extensions["envoi_changes"] = Changes(sources)
    return cast("Changes", extensions["envoi_changes"])
