"""How many connections a server is offered at once, by all workers of all hosts together.

Each open connection has a place in Redis, which its process keeps; the places of one that dies run out. Redis is a
messenger here as well: while it is away, each process counts its own.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Sequence
from typing import cast

from flask import Flask, current_app
from redis.exceptions import RedisError

from core import clock
from core.db import transaction
from core.jobs import queue_for
from core.mail.outcomes import Failure
from core.pulse import Part, pulse
from modules.mail_config.models import MailServer, ServerHealth
from modules.mail_config.servers.health import health_of, locked_health
from modules.mail_config.servers.providers import provider_of

DEFAULT_CONNECTIONS = 5
"""For a server of which nothing is known; hardly any minds so many."""

OWN_CONNECTIONS = 20
"""For a server of the house; Postfix, as it comes, takes 50 from one client (smtpd_client_connection_count_limit)."""

MOST_CONNECTIONS = 50
"""More than any server needs."""

FORGOTTEN = dt.timedelta(minutes=30)
"""After each of these one more connection is tried than the server has let us have."""

# As Postfix, Exim, Exchange and Google say it; 4.3.2 alone says that a system is not accepting messages (RFC 3463).
# So many messages "per connection" or "in this session" are no matter of how many connections there are.
_CONNECTIONS = re.compile(
    r"(?<!per )(?<!this )(?:connection|session)|concurren|simultaneous|thread limit", re.IGNORECASE
)

# By the clock of Redis, so that hosts whose clocks differ agree.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[3] * 1000))
return 1
"""

logger = logging.getLogger(__name__)


def usual_connections(host: str) -> int:
    """Return how many connections at once a host is offered unless an administrator says otherwise."""
    provider = provider_of(host)
    if provider is not None and provider.connections:
        return provider.connections
    return OWN_CONNECTIONS if _is_of_the_house(host) else DEFAULT_CONNECTIONS


def _is_of_the_house(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "." not in host.rstrip(".")
    return address.is_private


def wanted_of(server: MailServer) -> int:
    """Return how many connections at once a server is offered, whatever it says to that."""
    return server.connections or usual_connections(server.host)


def mails_of(server: MailServer) -> int | None:
    """Return after how many mails a connection to a server is ended, or None for no such limit."""
    provider = provider_of(server.host)
    return server.mails_per_connection or (provider.per_connection if provider is not None else None)


def limit_of(server: MailServer, health: ServerHealth | None, now: dt.datetime) -> int:
    """Return how many connections a server may have now: its setting, or fewer while it has taken only so many."""
    wanted = wanted_of(server)
    taken = lowered_to(health, now)
    return min(wanted, taken) if taken is not None else wanted


def lowered_to(health: ServerHealth | None, now: dt.datetime) -> int | None:
    """Return how many connections a server has let us have, grown by what was forgotten since; None for no limit."""
    if health is None or not health.connections or health.connections_at is None:
        return None
    return health.connections + max(0, int((now - health.connections_at) / FORGOTTEN))


def note_too_many(server_id: int, held: int, failure: Failure) -> None:
    """Remember that a server has refused one more connection than all processes have open."""
    with transaction():
        health = locked_health(server_id)
        if health is None:
            return
        now = clock.now()
        known = lowered_to(health, now)
        health.connections = max(1, min(held, known) if known is not None else held)
        health.connections_at, health.connection_words = now, failure.diagnostic
    logger.warning("Mail server %s takes %s connections at once: %s", server_id, held, failure.diagnostic)


def forget_lowered(server_id: int) -> None:
    """Forget, inside the running transaction, what a server has refused: an administrator has set another number."""
    # The row is made by the first failure only.
    health = health_of(server_id)
    if health is not None:
        health.connections = health.connections_at = None
        health.connection_words = ""


def share_of(limit: int) -> int:
    """Return how many of a server's connections this process may use, among all workers that are alive."""
    return -(-limit // pulse().alive.get(Part.WORKER, 1))


def to_keep(limit: int) -> int:
    """Return how many this process may keep open while it does not use them: no other worker waits for their places."""
    return limit // pulse().alive.get(Part.WORKER, 1)


def names_connections(failure: Failure) -> bool:
    """Tell whether a server that wants less says that it is connections of which there are too many."""
    return failure.slows_server and _CONNECTIONS.search(failure.diagnostic) is not None


def places_taken(server_id: int) -> int | None:
    """Return how many connections to a server all processes have, or None while the queue is away."""
    queue = queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]
    try:
        seconds, microseconds = queue.connection.time()
        now = seconds + microseconds / 1e6
        return int(queue.connection.zcount(_key(queue.name, server_id), now, "+inf"))
    except (RedisError, OSError):
        return None


def _key(queue: str, server_id: int) -> str:
    return f"envoi:{queue}:connections:{server_id}"


class Place:
    """A place among the connections to a server, kept in Redis as long as somebody says so.

    Args:
        server_id: Of the server.
        seconds: How long it is kept for a process that says nothing any more.
    """

    def __init__(self, server_id: int, seconds: float) -> None:
        queue = queue_for(cast("Flask", current_app._get_current_object()))  # type: ignore[attr-defined]
        self._redis = queue.connection
        self._key = _key(queue.name, server_id)
        self._name = secrets.token_hex(8)
        self._seconds = seconds
        self._surely_until = 0.0

    def take(self, limit: int) -> bool:
        """Take the place, or keep it for longer; False when it is not ours and others have all that there are."""
        now = time.monotonic()
        if now < self._surely_until:
            return True  # each lane takes its place anew for each claim, many times a second
        try:
            taken = bool(self._redis.eval(_TAKE, 1, self._key, self._name, limit, self._seconds))
        except (RedisError, OSError) as error:
            # Mails that are claimed leave all the same.
            logger.debug("The queue is away (%s); connections are counted here alone.", type(error).__name__)
            return True
        # As often as those in use are kept.
        self._surely_until = now + self._seconds / 3 if taken else 0.0
        return taken

    @staticmethod
    def keep(places: Sequence[Place]) -> None:
        """Keep places for longer, all at once: where Redis hangs, it is waited for once."""
        if not places:
            return
        try:
            with places[0]._redis.pipeline(transaction=False) as pipe:
                for place in places:
                    pipe.eval(_TAKE, 1, place._key, place._name, MOST_CONNECTIONS, place._seconds)
                pipe.execute()
        except (RedisError, OSError) as error:
            logger.debug("The queue is away (%s); places run out.", type(error).__name__)

    def leave(self) -> None:
        """Give the place back; where Redis is away, it runs out by itself."""
        self._surely_until = 0.0
        try:
            self._redis.zrem(self._key, self._name)
        except (RedisError, OSError) as error:
            logger.debug("The queue is away (%s); a place runs out by itself.", type(error).__name__)
