"""The rate limiter of a server: each mail gets the next free slot.

A limit of mails a minute, an hour or a day is set by an administrator, or asked for by the server itself in its
replies. Slots follow the virtual scheduling of ITU-T I.371, known as GCRA.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from core import clock
from core.db import transaction
from core.mail.outcomes import Failure
from modules.mail_config.models import MailServer, ServerHealth
from modules.mail_config.servers.health import locked_health

THROTTLE_SECONDS = (30, 60, 120, 300, 600, 1200)
"""How long nothing leaves after the first, second, … request to slow down."""
THROTTLE_FORGOTTEN = dt.timedelta(minutes=30)
"""A server that has not asked for it for so long has forgotten, and so do we, step by step."""
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which only so many mails leave. It slides with use, not with the calendar.

    Attributes:
        name: What the columns of its count begin with.
        length: How long it is.
        most: How many mails.
    """

    name: str
    length: dt.timedelta
    most: int

    def used(self, health: ServerHealth | None) -> int:
        """Return how many mails were counted in the last one."""
        began = getattr(health, f"{self.name}_started_at", None)
        return int(getattr(health, f"{self.name}_count")) if began is not None else 0

    def earliest(self, health: ServerHealth, start: dt.datetime) -> dt.datetime:
        """Return when a mail may leave that wants to at a moment."""
        began: dt.datetime | None = getattr(health, f"{self.name}_started_at")
        is_open = began is not None and start < began + self.length
        if began is None or not is_open or getattr(health, f"{self.name}_count") < self.most:
            return start
        return began + self.length

    def count(self, health: ServerHealth, start: dt.datetime) -> None:
        """Count a mail that leaves at a moment."""
        began: dt.datetime | None = getattr(health, f"{self.name}_started_at")
        if began is None or start >= began + self.length:
            setattr(health, f"{self.name}_started_at", start)
            setattr(health, f"{self.name}_count", 0)
        setattr(health, f"{self.name}_count", getattr(health, f"{self.name}_count") + 1)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limits of a server at a moment.

    Attributes:
        interval: Between two mails; zero for no limit.
        per_hour: Mails in an hour, or None.
        per_day: Mails in 24 hours, or None.
        asked: True when the server itself has asked for it.
    """

    interval: dt.timedelta
    per_hour: int | None
    per_day: int | None
    asked: bool

    @property
    def limited(self) -> bool:
        """True when each mail needs a slot."""
        return self.asked or bool(self.interval) or bool(self.windows)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The numbers that are kept, the shortest time first."""
        given = (("hour", HOUR, self.per_hour), ("day", DAY, self.per_day))
        return tuple(Window(name, length, most) for name, length, most in given if most is not None)


def limit_of(server: MailServer, health: ServerHealth | None, now: dt.datetime) -> RateLimit:
    """Return the limit of a server: its settings, or slower, while it has asked for less.

    A server that asks to slow down gets a mail every two seconds after the first pause, then every four, and so
    on to a minute; each half hour without such a request takes back one step.
    """
    interval = dt.timedelta(minutes=1) / server.rate_per_minute if server.rate_per_minute else dt.timedelta(0)
    steps = throttle_steps(health, now)
    if steps:
        interval = max(interval, dt.timedelta(seconds=min(2**steps, 60)))
    return RateLimit(interval, server.rate_per_hour, server.rate_per_day, steps > 0)


def throttle_steps(health: ServerHealth | None, now: dt.datetime) -> int:
    """Return how many steps a server is slowed down by."""
    if health is None or health.throttled_at is None:
        return 0
    return max(0, health.throttles - max(0, int((now - health.throttled_at) / THROTTLE_FORGOTTEN)))


def reset_slots(server_id: int) -> None:
    """Begin anew, inside the running transaction: moments that were given by another rate mean nothing now."""
    health = locked_health(server_id)
    if health is not None:
        health.next_slot_at = health.hour_started_at = health.day_started_at = None
        health.hour_count = health.day_count = 0


def closed_until(health: ServerHealth, now: dt.datetime) -> dt.datetime | None:
    """Return until when nothing leaves by a server because it has asked for it, or None."""
    if health.throttled_at is None or not health.throttles:
        return None
    pause = THROTTLE_SECONDS[min(health.throttles, len(THROTTLE_SECONDS)) - 1]
    until = health.throttled_at + dt.timedelta(seconds=pause)
    return until if now < until else None


def note_throttle(server_id: int, failure: Failure) -> None:
    """Slow a server down that has asked for it: first a pause, then a slower limit."""
    with transaction():
        health = locked_health(server_id)
        if health is None:
            return
        now = clock.now()
        steps = throttle_steps(health, now)
        pause = dt.timedelta(seconds=THROTTLE_SECONDS[min(steps, len(THROTTLE_SECONDS) - 1)])
        if closed_until(health, now) is not None:
            return  # mails that were on their way already heard the same request
        health.throttles, health.throttled_at = min(steps + 1, len(THROTTLE_SECONDS)), now
        health.throttle_words = failure.diagnostic
        # Mails that have reserved a later moment keep it; new ones come behind the pause.
        # One that says for how long is given as long.
        health.next_slot_at = max(health.next_slot_at or now, now + max(pause, failure.wait or pause))


def reserve(server_id: int) -> dt.datetime:
    """Give a mail the next free moment of a server whose rate is limited, and return it.

    It may lie in the past or now: then the mail may leave at once.
    """
    now = clock.now()
    with transaction() as session:
        health = locked_health(server_id)
        if health is None:
            return now
        server = session.get_one(MailServer, server_id)
        limit = limit_of(server, health, now)
        # Moments that nobody used are lost: saved up, they would leave as a burst.
        start = max(now, health.next_slot_at or now)
        # Twice: the end of a day may lie in an hour that is full.
        for window in limit.windows * 2:
            start = window.earliest(health, start)
        for window in limit.windows:
            window.count(health, start)
        health.next_slot_at = start + limit.interval
        return start
