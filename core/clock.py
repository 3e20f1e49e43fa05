"""The only clock. Everything that asks for the time asks here, so that a test can move it."""

from __future__ import annotations

import datetime as dt
import zoneinfo


def now() -> dt.datetime:
    """Return the current time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


def in_utc(moment: dt.datetime) -> dt.datetime:
    """Return a moment of somebody else's, in UTC; one that names no zone is meant so."""
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def day_in(timezone: str) -> dt.date:
    """Return the day that it is at a place.

    Half past midnight in Paris is the day before in UTC, and another year once a year: whoever dates something asks for
    the day of the company that issues it, or of the person who reads it.

    Args:
        timezone: IANA name.
    """
    return now().astimezone(zoneinfo.ZoneInfo(timezone)).date()
