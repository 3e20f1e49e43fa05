"""The rate limiter of a server: each mail gets the next free slot.

A limit of mails a minute or a day is set by an administrator, or asked for by the server itself in its replies. Slots
follow the virtual scheduling of ITU-T I.371, known as GCRA.
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
DAY = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limits of a server at a moment.

    Attributes:
        interval: Between two mails; zero for no limit.
        per_day: Mails in 24 hours, or None.
        asked: True when the server itself has asked for it.
    """

    interval: dt.timedelta
    per_day: int | None
    asked: bool

    @property
    def limited(self) -> bool:
        """True when each mail needs a slot."""
        return self.asked or bool(self.interval) or self.per_day is not None


def limit_of(server: MailServer, health: ServerHealth | None, now: dt.datetime) -> RateLimit:
    """Return the limit of a server: its settings, or slower, while it has asked for less.

    A server that asks to slow down gets a mail every two seconds after the first pause, then every four, and so
    on to a minute; each half hour without such a request takes back one step.
    """
    interval = dt.timedelta(minutes=1) / server.rate_per_minute if server.rate_per_minute else dt.timedelta(0)
    steps = throttle_steps(health, now)
    if steps:
        interval = max(interval, dt.timedelta(seconds=min(2**steps, 60)))
    return RateLimit(interval, server.rate_per_day, steps > 0)


def throttle_steps(health: ServerHealth | None, now: dt.datetime) -> int:
    """Return how many steps a server is slowed down by."""
    if health is None or health.throttled_at is None:
        return 0
    return max(0, health.throttles - max(0, int((now - health.throttled_at) / THROTTLE_FORGOTTEN)))


def reset_slots(server_id: int) -> None:
    """Begin anew, inside the running transaction: moments that were given by another rate mean nothing now."""
    health = locked_health(server_id)
    if health is not None:
        health.next_slot_at = health.day_started_at = None
        health.day_count = 0


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
        if limit.per_day is not None:
            if health.day_started_at is None or start >= health.day_started_at + DAY:
                health.day_started_at, health.day_count = start, 0
            if health.day_count >= limit.per_day:
                health.day_started_at += DAY
                start, health.day_count = max(start, health.day_started_at), 0
            health.day_count += 1
        health.next_slot_at = start + limit.interval
        return start
