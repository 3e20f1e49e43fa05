"""Moments as people type them, by the clocks of their own zone."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from babel.dates import format_time
from flask_babel import get_locale, gettext

from core.auth.models import User
from core.errors import UserError


def typed_moment(text: str, user: User) -> dt.datetime:
    """Return a moment as a browser posts it; of an hour that comes twice in autumn, the first.

    Wherever it is shown, `core.web.formats.moment` says which of both it is.

    Args:
        text: Without a zone mostly: then it means the one in which the user reads times.
        user: Who types it.

    Raises:
        UserError: It is none, or the clocks of the user skip it.
    """
    try:
        local = dt.datetime.fromisoformat(text)
        zone = zoneinfo.ZoneInfo(user.timezone)
        moment = (local if local.tzinfo is not None else local.replace(tzinfo=zone)).astimezone(dt.UTC)
        there = moment.astimezone(zone)
    except (ValueError, OverflowError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise UserError(gettext("This is not a date and time.")) from error
    # In the hour that is skipped in spring, Python goes on counting as before: 2:30 would leave at 3:30.
    if local.tzinfo is None and there.replace(tzinfo=None) != local:
        words = gettext(
            "%(time)s does not exist on that day: the clocks are put forward. Choose %(next)s, or another time.",
            time=format_time(local, "short", locale=get_locale()),
            next=format_time(there.replace(tzinfo=None), "short", locale=get_locale()),
        )
        raise UserError(words)
    return moment


def as_typed(moment: dt.datetime | None, user: User) -> str:
    """Return a moment as `datetime-local` writes it in the zone of a user; "" for none."""
    if moment is None:
        return ""
    return moment.astimezone(zoneinfo.ZoneInfo(user.timezone)).strftime("%Y-%m-%dT%H:%M")
