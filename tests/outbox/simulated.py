"""Workers that stop at the two moments that count, so that a test decides what happens there.

A simulated worker runs the real delivery in a thread. It stops before its message is marked in flight, and
again once it is; only one thread of all runs at a time, so what happens is the same each time.
"""

from __future__ import annotations

import email
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from core.db import db
from core.mail.outcomes import Failure, RecipientOutcome
from modules.mail_config.transports.base import Envelope, Submission
from modules.outbox.delivery import claims, lane
from modules.outbox.delivery import run as delivery
from modules.outbox.models import MAILS
from modules.outbox.transitions import acting_as

PATIENCE_SECONDS = 90.0


class Killed(BaseException):
    """The end of a worker that writes nothing any more."""


@dataclass
class Attempt:
    """A message on its way to the server.

    Attributes:
        mail_id: Which mail.
        recipients: The addresses of the envelope.
        token: The claim under which it goes.
        marked: Whether it was marked in flight.
    """

    mail_id: int
    recipients: tuple[str, ...]
    token: str | None
    marked: bool = False


Decision = Callable[[], Submission]


class SimulatedWorker(threading.Thread):
    """A worker that delivers mails and stops at each of them, twice.

    Attributes:
        attempt: What it is doing, or None when it has finished.
        error: What its delivery has ended with.
    """

    current = threading.local()

    def __init__(self, app: Flask, mail_ids: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self._app, self._mail_ids = app, mail_ids
        self._orders: queue.SimpleQueue[Decision] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.attempt: Attempt | None = None
        self.error: BaseException | None = None
        self.dead = False
        self.start()
        self._reports.get(timeout=PATIENCE_SECONDS)

    def run(self) -> None:
        self.current.worker = self
        with self._app.app_context(), acting_as(f"worker {self.name}"):
            try:
                delivery.deliver(self._mail_ids)
            except BaseException as error:  # noqa: BLE001 (the test looks at it)
                self.error = error
        self.attempt = None
        self._reports.put(None)

    # -- what its transport does, in its own thread ---------------------------------------------------------

    is_open = True

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        found = select(MAILS.c.id, MAILS.c.claim_token).where(
            MAILS.c.message_id == str(email.message_from_bytes(message)["Message-ID"])
        )
        with db.engine.connect() as connection:
            row = connection.execute(found).one()
        self.attempt = Attempt(row.id, envelope.recipients, row.claim_token)
        first = self._wait()
        if isinstance(first, Submission):
            return first
        before_body()
        self.attempt.marked = True
        second = self._wait()
        assert isinstance(second, Submission)
        return second

    def _wait(self) -> Any:
        self._reports.put(None)
        return self._orders.get()()

    # -- what the test decides -----------------------------------------------------------------------------

    def _order(self, decision: Callable[[], Any]) -> None:
        self._orders.put(decision)
        self._reports.get(timeout=PATIENCE_SECONDS)

    def go_on(self) -> None:
        """Let it mark its mail in flight, if it still may."""
        self._order(lambda: None)

    def answer(self, *outcomes: RecipientOutcome) -> None:
        """Let the server answer the message that is in flight."""
        self._order(lambda: Submission(outcomes))

    def fail(self, failure: Failure) -> None:
        """Let the attempt fail before its message goes out."""
        self._order(lambda: Submission(failure=failure))

    def interrupt(self, error: BaseException) -> None:
        """Break into the job, as the queue does with one that takes too long."""

        def decision() -> Submission:
            raise error

        self._order(decision)

    def kill(self) -> None:
        """End it; from here on it writes nothing."""
        if self.attempt is not None:
            self.dead = True
            self.interrupt(Killed())
        self.join(PATIENCE_SECONDS)


@contextmanager
def simulated_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let delivery speak to the worker of its thread instead of to a server."""
    patiently = claims.patiently

    def unless_dead(action: Callable[[], Any]) -> Any:
        worker = getattr(SimulatedWorker.current, "worker", None)
        if worker is not None and worker.dead:
            raise Killed
        return patiently(action)

    def connection(_lane: lane.Lane, *_how: object) -> SimulatedWorker:
        worker: SimulatedWorker = SimulatedWorker.current.worker
        return worker

    with monkeypatch.context() as patch:
        patch.setattr(claims, "patiently", unless_dead)
        patch.setattr(lane.Lane, "_connection", connection)
        # A worker that stops here waits for the test, and not for a server.
        patch.setattr(delivery.DeliveryRun, "look", lambda _run: None)
        yield
