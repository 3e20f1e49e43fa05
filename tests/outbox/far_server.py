"""A server across a network, for deliveries by several connections at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.db import db
from modules.mail_config.models import ServerHealth
from tests.outbox.conftest import make_ready, make_server
from tests.outbox.processes import RoughServer

PAUSE_SECONDS = 0.02
TOO_MANY = "421 4.7.0 mail.example.com Error: too many connections from 127.0.0.1"


class FarServer(RoughServer):
    """A server that takes a while for each answer, counts the connections at a time, and may refuse one too many.

    Args:
        most: How many connections it takes at once.
        answers: See `RoughServer`.
    """

    def __init__(self, most: int = 1000, **answers: str | list[str]) -> None:
        super().__init__(answers)
        self.most = most
        self.most_at_once = 0
        self._there: list[object] = []
        self._counting = threading.Lock()

    @property
    def at_once(self) -> int:
        """How many connections there are now."""
        return len(self._there)

    def _serve(self, connection) -> None:
        with self._counting:
            self._there.append(connection)
            refused = len(self._there) > self.most
            if not refused:
                self.most_at_once = max(self.most_at_once, len(self._there))
        try:
            if refused:
                connection.sendall(f"{TOO_MANY}\r\n".encode())
                connection.close()
            else:
                super()._serve(connection)
        finally:
            self._leave(connection)

    def _leave(self, connection) -> None:
        with self._counting:
            self._there = [other for other in self._there if other is not connection]

    def _answer(self, connection, step: str, body: bytes = b"") -> str:
        time.sleep(PAUSE_SECONDS)
        if step == "QUIT":
            # Before it is answered: the client that hears it may open another one before this thread goes on.
            self._leave(connection)
        return super()._answer(connection, step, body)


@contextmanager
def far_server(
    most: int = 1000, *, offered: int, settings: dict[str, object] | None = None, **answers: str | list[str]
) -> Iterator[FarServer]:
    """A mail server that is ready, with a number of connections set, and what else is set."""
    with FarServer(most, **answers) as server:
        made = make_ready(make_server(server, connections=offered, **(settings or {})))
        server.id = made.id
        yield server


def health() -> ServerHealth | None:
    """How the one server fares."""
    db.session.rollback()
    return db.session.query(ServerHealth).one_or_none()


def each_went_once(server: FarServer, count: int) -> bool:
    return len(server.accepted) == count == len(set(server.accepted)) == len(server.bodies)
