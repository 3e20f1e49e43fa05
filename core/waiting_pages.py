"""Pages that wait for a change: their questions stand aside of the web server's threads until there is an answer.

A page that waits costs an open connection and a few hundred octets, and no thread; the loop does not look at it. One
thread looks for changes, by a statement for all of them (`core.live.changes`), while anybody waits, and by one more
where some show what is worked on (`core.live.states`).
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from core.live.changes import LOOK_SECONDS, current_changes
from core.live.states import outdated
from core.live.watching import PATH, Watched, watched_in
from core.logs import kind_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

HOLD_SECONDS = 45.0
"""So long a question is held back: proxies give up after a minute, some after 50 seconds."""
FEW = 20
"""What so many pages show is told to all of them at once; what more do, to `AT_ONCE` after the other, while nobody else
asks anything: each of them asks for more then."""
AT_ONCE = 3
STAGGER_SECONDS = 0.25
TROUBLE_SECONDS = 5.0
"""Until the next look where the database was away."""
MOST_OCTETS = 256 * 1024  # of a question that is read here


IN_VAIN = "in-vain"
"""The query of a question that was held back for as long as it may be."""


def answering_waiters(app: Flask) -> WSGIApplication:
    """Return an application, before which questions that were held back in vain are answered.

    Five hundred pages that wait ask a dozen times a second. That nothing has changed since is known without looking who
    asks: the topics are signed, and whoever is told of a change is looked at.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]) != (
            "POST",
            PATH,
            IN_VAIN,
        ):
            return app(environ, start_response)
        body = environ["wsgi.input"].read(MOST_OCTETS)
        with app.app_context():
            now = current_changes().now  # first: what comes now is told the next time
            pieces = watched_in(body)
            if not pieces or any(piece.fired() for piece in pieces):
                return app(environ | {"wsgi.input": BytesIO(body)}, start_response)
        said = json.dumps({"now": now, "fired": []}).encode()
        head = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(said))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        start_response("200 OK", head)
        return [said]

    return answer


class Held(Protocol):
    """A connection that can stand aside, as `core.web_server.Channel`."""

    requests: list[Any]
    socket: socket.socket

    def hold(self) -> None:
        """Stand aside."""

    def go_on(self) -> None:
        """Come back, to be answered."""

    @property
    def left(self) -> bool:
        """Whether the other side has gone."""

    def handle_close(self) -> None:
        """Close it."""


class WaitingPages:
    """Those of one web server. All but the thread that looks runs in the server's loop."""

    def __init__(
        self, app: Flask, call: Callable[[Callable[[], None]], None], idle: Callable[[], bool]
    ) -> None:
        """Make it for an application.

        Args:
            app: Whose pages.
            call: Lets the server's loop call something soon, from any thread.
            idle: Says whether nobody is being answered.
        """
        self._soon: deque[Held] = deque()
        self._later: deque[Held] = deque()
        self._idle = idle
        self._app = app
        self._call = call
        self._held: dict[Held, tuple[float, Sequence[Watched]]] = {}
        self._next_turn = 0.0
        self._someone = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop = 0

    def __len__(self) -> int:
        return len(self._held)

    def start(self) -> None:
        """Begin to look for changes; only an application of Envoi has any."""
        self._loop = threading.get_ident()
        if "envoi_registry" in self._app.extensions:
            self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and close what waits: the pages ask the next server."""
        self._ended.set()
        self._someone.set()
        for channel in list(self._held):
            self._close(channel)
        if self._thread is not None:
            self._thread.join(TROUBLE_SECONDS)

    def hold(self, channel: Held) -> bool:
        """Hold back the request of a channel; False where it is another one, or there is something to answer."""
        request = channel.requests[0]
        # A second request that came with the first is handed on by the thread of that one.
        if self._thread is None or threading.get_ident() != self._loop or request.error:
            return False
        # A page that must not wait, since its browser has others that do, says so in the query.
        if (request.command, request.path, request.query) != ("POST", PATH, ""):
            return False
        stream = request.get_body_stream()
        body = stream.read(MOST_OCTETS)
        stream.seek(0)
        with self._app.app_context():
            pieces = watched_in(body)
            if not pieces or any(piece.fired() for piece in pieces):
                return False
        channel.hold()
        self._held[channel] = time.monotonic() + HOLD_SECONDS, pieces
        self._someone.set()
        return True

    @property
    def due(self) -> bool:
        """True while some are to be answered soon."""
        return bool(self._soon or self._later)

    def released(self) -> Iterator[Held]:
        """Return whose turn it is to be answered."""
        turn = list(self._soon)
        self._soon.clear()
        now = time.monotonic()
        if self._later and now >= self._next_turn and self._idle():
            self._next_turn = now + STAGGER_SECONDS
            turn += [self._later.popleft() for _ in range(min(AT_ONCE, len(self._later)))]
        for channel in turn:
            if self._held.pop(channel, None) is not None:
                yield channel

    def tidy(self, now: float) -> None:
        """Answer who has waited long enough, and forget who has gone."""
        for channel, (until, _pieces) in list(self._held.items()):
            if channel.left:
                self._close(channel)
            elif until <= now:
                channel.requests[0].query = IN_VAIN
                self._soon.append(channel)
        if not self._held:
            self._someone.clear()

    def let_go(self) -> bool:
        """Close who has waited longest, to make room for others; False where nobody waits."""
        for channel in self._held:
            self._close(channel)
            return True
        return False

    def _close(self, channel: Held) -> None:
        del self._held[channel]
        channel.handle_close()

    def _tell(self, topics: frozenset[str], everybody: bool) -> None:
        """Let those be answered who show what has changed."""
        concerned = {
            channel: [topic for piece in pieces for topic in (piece.topics | piece.states) & topics]
            for channel, (_until, pieces) in self._held.items()
        }
        shared = Counter(topic for several in concerned.values() for topic in several)
        waiting = {*self._soon, *self._later}
        for channel, several in concerned.items():
            if several and min(shared[topic] for topic in several) <= FEW:
                self._soon.append(channel)
            elif (several or everybody) and channel not in waiting:
                self._later.append(channel)

    def _states(self) -> set[str]:
        """Return what the pages that wait have shown of what is worked on."""
        waiting = list(self._held.values())  # at once: the loop goes on meanwhile
        return {topic for _until, pieces in waiting for piece in pieces for topic in piece.states}

    def _watch(self) -> None:
        while not self._ended.is_set():
            pause = LOOK_SECONDS
            try:
                with self._app.app_context():
                    topics, everybody = current_changes().look()
                    topics |= outdated(self._states())
            except SQLAlchemyError as error:
                logger.warning("Open pages hear of changes later: %s.", kind_of(error))
                pause = TROUBLE_SECONDS
            else:
                if topics or everybody:
                    self._call(partial(self._tell, frozenset(topics), everybody))
            self._ended.wait(pause)
            self._someone.wait()
