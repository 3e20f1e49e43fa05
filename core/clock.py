"""The only clock. Everything that asks for the time asks here, so that a test can move it."""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """Return the current time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


def today() -> dt.date:
    """Return today's date in UTC."""
    return now().date()
