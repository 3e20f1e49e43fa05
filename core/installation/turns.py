"""One process at a time: for what several that start at once must not do beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from core.db import db
from core.files import held

_KEY = 0x656E766F6969  # "envoii"; names the lock among those that anybody takes in the same database


@contextmanager
def alone() -> Iterator[None]:
    """Let a block run in one process of an installation at a time, on all hosts; the others wait as long as it takes.

    SQLite's own lock would not do: it is waited for during some seconds only, by whom it reaches first. The lock ends
    with the process that holds it.
    """
    url = db.engine.url
    if url.get_backend_name() == "sqlite":
        folder = Path(url.database).resolve().parent if url.database else None
        if folder is None or url.database == ":memory:":
            yield
            return
        with held(folder, exclusive=True):
            yield
        return
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _KEY})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _KEY})
