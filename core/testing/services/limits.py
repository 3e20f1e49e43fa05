"""What the servers for tests have in common: where they listen, how long they are waited for."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"
START_SECONDS = 120.0
POLL_SECONDS = 0.02


class ServiceError(RuntimeError):
    """A server for tests did not start, or something went wrong inside it."""
