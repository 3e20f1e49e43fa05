"""Periods that a list of mails can be narrowed to: named ones, and from one day to another. No I/O but the clock."""

from __future__ import annotations

import datetime as dt
import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask_babel import gettext

from core import clock
from core.i18n import N_, format_date
from core.web.listing import Choice

NAMED = {
    "today": N_("Today"),
    "yesterday": N_("Yesterday"),
    "7d": N_("Last 7 days"),
    "30d": N_("Last 30 days"),
    "month": N_("This month"),
}

Bounds = tuple[dt.datetime | None, dt.datetime | None]
_DAY = dt.timedelta(days=1)
_RANGE = re.compile(r"(\d{4}-\d\d-\d\d)?\.\.(\d{4}-\d\d-\d\d)?")
_FIRST_YEAR, _LAST_YEAR = 1970, 9998


def choices() -> list[Choice]:
    """Return the named periods."""
    return [Choice(value, gettext(title)) for value, title in NAMED.items()]


def between(first: str, last: str) -> str:
    """Return the period from one day to another, both included and each possibly "", or "" for none."""
    value = f"{first}..{last}"
    return value if _days(value) is not None else ""


def label(value: str) -> str:
    """Return what a person reads for a period."""
    if value in NAMED:
        return str(gettext(NAMED[value]))
    days = _days(value)
    if days is None:
        return value
    first, last = days
    if first is None:
        return str(gettext("until %(day)s", day=format_date(last, "medium")))
    if last is None:
        return str(gettext("since %(day)s", day=format_date(first, "medium")))
    if first == last:
        return str(format_date(first, "medium"))
    return f"{format_date(first, 'medium')} – {format_date(last, 'medium')}"


def fixed(value: str, timezone: str) -> str:
    """Return a period as days that do not move on with the clock; "" for no period."""
    days = _days(value, timezone)
    if days is None:
        return ""
    first, last = days
    return f"{first or ''}..{last or ''}"


def bounds(value: str, timezone: str) -> Bounds | None:
    """Return the moments from which, and before which, a period lasts; None for no period.

    Args:
        value: A named period, or two days as `2026-01-31..2026-02-28`, of which one may be missing.
        timezone: In which days begin; UTC when its name is not known.
    """
    days = _days(value, timezone)
    if days is None:
        return None
    first, last = days
    zone = _zone(timezone)

    def midnight(day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)

    return midnight(first) if first else None, midnight(last + _DAY) if last else None


def days_of(value: str) -> tuple[str, str]:
    """Return the days of a period as the fields of a form hold them, "" and "" for a named one."""
    match = _RANGE.fullmatch(value)
    return (match[1] or "", match[2] or "") if match else ("", "")


def _days(value: str, timezone: str = "UTC") -> tuple[dt.date | None, dt.date | None] | None:
    if value in NAMED:
        return _named(value, clock.now().astimezone(_zone(timezone)).date())
    match = _RANGE.fullmatch(value)
    if match is None or not any(match.groups()):
        return None
    try:
        first, last = (dt.date.fromisoformat(part) if part else None for part in match.groups())
    except ValueError:
        return None
    if any(day is not None and not _FIRST_YEAR <= day.year <= _LAST_YEAR for day in (first, last)):
        return None
    return (last, first) if first and last and last < first else (first, last)


def _named(value: str, today: dt.date) -> tuple[dt.date, dt.date | None]:
    return {
        "today": (today, today),
        "yesterday": (today - _DAY, today - _DAY),
        "7d": (today - 6 * _DAY, None),
        "30d": (today - 29 * _DAY, None),
        "month": (today.replace(day=1), None),
    }[value]


def _zone(name: str) -> dt.tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return dt.UTC
