"""How many statements something costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock, patch

from sqlalchemy import event

from core import kept
from core.db import db


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements that reach the database while a block runs.

    What is kept for a moment is not asked for anew meanwhile: on a busy machine that moment is over sooner or later,
    and the count would tell how busy it is.
    """
    seen: list[str] = []

    def note(*given: Any) -> None:
        seen.append(given[2])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        with patch.object(kept, "time", Mock(monotonic=lambda: 0.0)):
            yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
