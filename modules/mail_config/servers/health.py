"""The row that remembers how a server fares, so that neither a crash nor an emptied queue forgets it.

Every worker on every host sees the same. `circuit_breaker` and `rate_limiter` write it.
"""

from __future__ import annotations

from sqlalchemy import select

from core.db import db
from modules.mail_config.models import MailServer, ServerHealth


def health_of(server_id: int) -> ServerHealth | None:
    """Return how a server has fared, or None when nothing is known against it."""
    return db.session.get(ServerHealth, server_id, populate_existing=True)


def locked_health(server_id: int) -> ServerHealth | None:
    """Return the health of a server for a change, making its row first; None when the server is gone."""
    session = db.session
    # The server's own row is the lock: it is there, whereas the row of its health may not be yet.
    if not session.scalar(select(MailServer.id).where(MailServer.id == server_id).with_for_update()):
        return None
    health = session.get(ServerHealth, server_id, populate_existing=True)
    if health is None:
        health = ServerHealth(
            server_id=server_id, failures=0, probes=0, throttles=0, hour_count=0, day_count=0
        )
        session.add(health)
    return health
