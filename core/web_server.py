"""The web server: waitress, with limits of time and size for those who send slowly, or nothing at all.

A request reaches one of the threads only when all of it is here, and an answer waits for its reader outside of them.
So connections that stand idle, unfinished heads and bodies that never come cost memory and no thread; how much is
bounded here. An upload may take as long as it needs while it goes on, as Apache's `mod_reqtimeout` has it.
"""

from __future__ import annotations

import logging
import resource
import signal
import socket
import time
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer

from core.config import Settings
from core.errors import EnvoiError
from core.waiting_pages import STAGGER_SECONDS, Held, WaitingPages, answering_waiters

CONNECTIONS = 1000  # at once; beyond, who has waited longest makes room
SPARE_FILES = 200  # for the database, logs and files of the application
IDLE_SECONDS = 30.0  # without one octet in either direction, while nothing is being computed
REQUEST_SECONDS = 20.0  # for all of a request, and more for what has come of it:
REQUEST_OCTETS_A_SECOND = 4096
BODIES = 8  # the largest uploads whose room may be taken by requests that are not complete yet
HEAD_OCTETS = 64 * 1024
STOP_SECONDS = 10.0  # for requests that are being answered when it is told to stop


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when its present request is waited for.

    Attributes:
        since: When the connection was made, or the last complete request came, or the next one began.
        taken: Octets of a request that is not complete.
    """

    request: Any  # what has come of a request that is not complete, or None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.since = time.monotonic()
        self.taken = 0

    def received(self, data: bytes) -> bool:
        """Take what has come."""
        if not self.taken:
            self.since = time.monotonic()
        took: bool = super().received(data)
        if self.request is None:
            self.since, self.taken = time.monotonic(), 0
        else:
            self.taken += len(data)
        return took

    def hold(self) -> None:
        """Stand aside, with a request that nobody answers yet: the loop looks at this connection no more."""
        self.del_channel()

    def go_on(self) -> None:
        """Come back, to be answered."""
        self.set_socket(self.socket, self.server._map)

    @property
    def left(self) -> bool:
        """True when the other side has gone while this stood aside."""
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def handle_close(self) -> None:
        """Close the connection, and the file of a request that is not complete."""
        if self.request is not None:
            self.request.close()
            self.request = None
        super().handle_close()

    @property
    def waits(self) -> bool:
        """True while it is the other side's turn."""
        return not self.requests

    def overdue(self, now: float) -> bool:
        """Return True when the other side has been waited for long enough."""
        if not self.waits:
            return False
        unfinished = self.taken and now > self.since + REQUEST_SECONDS + self.taken / REQUEST_OCTETS_A_SECOND
        return bool(unfinished) or time.time() > self.last_activity + IDLE_SECONDS


class WebServer(TcpWSGIServer):  # type: ignore[misc]
    """Serves an application until it is told to stop."""

    channel_class = Channel

    def __init__(self, app: Flask, settings: Settings, bound: socket.socket | None = None) -> None:
        bound = bound or bind(settings)
        self.app = app
        self.stopping = False
        self.most_waiting = BODIES * settings.max_upload_bytes
        self.connections = _allowed_connections()
        self._next_look = 0.0
        super().__init__(
            answering_waiters(app),
            _sock=bound,
            bind_socket=False,
            sockinfo=(bound.family, socket.SOCK_STREAM, 0, bound.getsockname()),
            sockets=[bound],
            threads=settings.web_threads,
            ident=None,
            # What a proxy says is judged by the application, see `ENVOI_TRUSTED_PROXIES`.
            clear_untrusted_proxy_headers=False,
            # Twice, so that the page of the application explains what is a little too large.
            max_request_body_size=2 * settings.max_upload_bytes,
            max_request_header_size=HEAD_OCTETS,
            recv_bytes=64 * 1024,
            # What is not read yet goes to a file; a thread would wait for the reader beyond this.
            outbuf_high_watermark=1 << 30,
            # Never refused: `_tidy` makes room.
            connection_limit=1 << 30,
            asyncore_use_poll=True,
        )
        self.pages = WaitingPages(app, self.trigger.pull_trigger, self._idle)

    def _idle(self) -> bool:
        return not self.task_dispatcher.queue and not self.task_dispatcher.active_count

    def add_task(self, task: Held) -> None:
        """Let a thread answer a request, or hold it back while there is nothing to answer."""
        if not self.pages.hold(task):
            super().add_task(task)

    def maintenance(self, now: float) -> None:
        """Do nothing: waitress would close a connection only when it can be written to."""

    def stop(self) -> None:
        """End the loop from a signal or another thread."""
        if not self.stopping:
            self.stopping = True
            self.pull_trigger()

    def run(self) -> None:
        """Serve; after `stop`, answer what has been asked and end."""
        self.pages.start()
        while not self.stopping:
            self._tidy()
            for channel in self.pages.released():
                channel.go_on()
                super().add_task(channel)
            self._turn()
        self.pages.stop()
        self.accepting = False
        self.del_channel()
        self.socket.close()
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until and any(
            channel.requests or channel.total_outbufs_len for channel in self.active_channels.values()
        ):
            self._turn()
        self.task_dispatcher.shutdown(timeout=1)
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        self.trigger.close()

    def _turn(self) -> None:
        # The poll of waitress sees no signal before its time is over, so `stop` wakes it.
        timeout = STAGGER_SECONDS if self.pages.due else 1.0
        self.asyncore.loop(timeout=timeout, map=self._map, use_poll=True, count=1)

    def _tidy(self) -> None:
        """Close what has been waited for too long, and whoever has waited longest where there is no room."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + 1.0
            for channel in list(self.active_channels.values()):
                if channel.overdue(now):
                    channel.handle_close()
            self._bound_bodies()
            self.pages.tidy(now)
        while len(self.active_channels) + len(self.pages) >= self.connections:
            waiting = [channel for channel in self.active_channels.values() if channel.waits]
            if not waiting and self.pages.let_go():
                continue
            if not waiting:
                return
            min(waiting, key=lambda channel: channel.since).handle_close()

    def _bound_bodies(self) -> None:
        """Close the largest of unfinished requests while they hold too much of the disk together."""
        unfinished = sorted(self.active_channels.values(), key=lambda channel: channel.taken)
        held = sum(channel.taken for channel in unfinished)
        while held > self.most_waiting:
            largest = unfinished.pop()
            held -= largest.taken
            largest.handle_close()


def _allowed_connections() -> int:
    """Return how many connections may be open, after asking for as many files as that takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, soft - SPARE_FILES))


def bind(settings: Settings) -> socket.socket:
    """Return the socket of the web server; nobody is let in before a server listens on it.

    Raises:
        EnvoiError: The place is taken, or none of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        words = f"{settings.host}, port {settings.port}, cannot be listened on ({error.strerror})"
        raise EnvoiError(f"{words}: set ENVOI_PORT to a free port.") from error
    return bound


def serve_web(app: Flask, bound: socket.socket | None = None) -> None:
    """Serve the application until told to stop by SIGTERM or SIGINT.

    Args:
        app: What answers.
        bound: A socket that was made by `bind`; None for one of its own.

    Raises:
        EnvoiError: As for `bind`.
    """
    # It tells of every request that waits for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = WebServer(app, app.extensions["envoi_settings"], bound)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: server.stop())
    server.run()
