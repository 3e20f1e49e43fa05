"""How a mail server fares, as its pages show it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from flask_babel import gettext

from core import clock
from modules.mail_config.models import MailServer, ServerHealth
from modules.mail_config.servers import connection_limit, rate_limiter


@dataclass(frozen=True, slots=True)
class Status:
    """The health of a server, as its pages show it.

    Attributes:
        word: In a word or two, translated.
        tone: As the badge macro knows it.
        icon: Name of the icon.
        health: What is known, or None.
        paused: True while nothing leaves by it.
        slow_until: Until when it is sent less because it has asked for that, or None.
        interval: Seconds between two of its mails, where the rate is limited.
        last_slot: When the last of the mails that wait for their turn leaves, or None.
        day_ends: When the mails of 24 hours are counted anew, or None.
        connections: How many connections at once it is offered now.
        fewer: True when it has refused more than these.
    """

    word: str
    tone: str
    icon: str
    health: ServerHealth | None = None
    paused: bool = False
    slow_until: dt.datetime | None = None
    interval: float = 0.0
    last_slot: dt.datetime | None = None
    day_ends: dt.datetime | None = None
    connections: int = 1
    fewer: bool = False


def status_of(server: MailServer, known: ServerHealth | None) -> Status:
    """Return how a server fares."""
    now = clock.now()
    limit = rate_limiter.limit_of(server, known, now)
    steps = rate_limiter.throttle_steps(known, now)
    paused = known is not None and known.open_since is not None
    slow_until = (
        known.throttled_at + steps * rate_limiter.THROTTLE_FORGOTTEN
        if known and known.throttled_at and steps
        else None
    )
    began = known.day_started_at if known is not None else None
    last_slot = None
    if known is not None and known.next_slot_at is not None and limit.limited:
        last_slot = known.next_slot_at - limit.interval
    if not server.active:
        shown = (gettext("off"), "neutral", "circle")
    elif not server.ready:
        shown = (gettext("untested"), "warning", "exclamation-triangle-fill")
    elif paused:
        shown = (gettext("paused"), "danger", "pause-circle-fill")
    elif slow_until is not None:
        shown = (gettext("slowed down"), "warning", "speedometer2")
    else:
        shown = (gettext("in use"), "success", "check-circle-fill")
    return Status(
        *shown,
        health=known,
        paused=paused and server.active,
        slow_until=slow_until,
        interval=limit.interval.total_seconds(),
        last_slot=last_slot if last_slot is not None and last_slot > now else None,
        day_ends=began + rate_limiter.DAY
        if began is not None and began <= now < began + rate_limiter.DAY
        else None,
        connections=(connections := connection_limit.limit_of(server, known, now)),
        fewer=connections < connection_limit.wanted_of(server),
    )
