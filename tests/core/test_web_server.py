"""The web server: what it closes, what it keeps, and how it stops. Its limits are made small here."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask, request

from core import web_server
from core.testing.fixtures import test_settings as settings_for
from core.web_server import WebServer
from tests.at_once import WAIT_SECONDS

LIMIT = 1024 * 1024
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WebServer]:
    settings = dataclasses.replace(
        settings_for(tmp_path / "data"), port=0, max_upload_bytes=LIMIT, web_threads=2
    )
    app = Flask(__name__)
    entered, go_on = threading.Event(), threading.Event()
    app.extensions["entered"], app.extensions["go_on"] = entered, go_on

    @app.route("/", methods=["GET", "POST"])
    def length() -> str:
        return str(len(request.get_data()))

    @app.route("/slow")
    def slow() -> str:
        entered.set()
        go_on.wait(WAIT_SECONDS)
        return "answered"

    @app.route("/large")
    def large() -> bytes:
        return b"x" * (32 * 1024 * 1024)

    server = WebServer(app, settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    go_on.set()
    server.stop()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()


@pytest.fixture
def connect(running: WebServer) -> Iterator[Callable[[bytes], socket.socket]]:
    made: list[socket.socket] = []

    def opened(sent: bytes) -> socket.socket:
        made.append(
            socket.create_connection(("127.0.0.1", int(running.effective_port)), timeout=WAIT_SECONDS)
        )
        made[-1].sendall(sent)
        return made[-1]

    yield opened
    for each in made:
        each.close()


def end_of(connection: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    found = b""
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def answer(connection: socket.socket, end: bytes) -> bytes:
    found = b""
    while not found.endswith(end):
        chunk = connection.recv(65536)
        assert chunk, found
        found += chunk
    return found


def test_a_request_that_drips_is_given_up(connect, monkeypatch):
    monkeypatch.setattr(web_server, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(web_server, "REQUEST_OCTETS_A_SECOND", 100)
    dripping = connect(HEAD % 1000)
    until = time.monotonic() + WAIT_SECONDS
    dripping.settimeout(0.05)
    closed = False
    while not closed:
        assert time.monotonic() < until
        try:
            dripping.sendall(b"x")
            closed = dripping.recv(1) == b""
        except TimeoutError:
            continue
        except OSError:
            closed = True


def test_an_upload_that_goes_on_may_take_its_time(connect, monkeypatch):
    monkeypatch.setattr(
        web_server, "REQUEST_SECONDS", 2.0
    )  # it takes longer, but never stands still for so long
    monkeypatch.setattr(web_server, "REQUEST_OCTETS_A_SECOND", 100)
    slow = connect(HEAD % 4000)
    for _ in range(40):
        slow.sendall(b"x" * 100)
        time.sleep(0.06)
    assert answer(slow, b"4000")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_an_idle_connection_is_closed(connect, monkeypatch, sent):
    monkeypatch.setattr(web_server, "IDLE_SECONDS", 0.5)
    end_of(connect(sent))


def test_who_does_not_read_is_closed_and_takes_no_thread(running, connect, monkeypatch):
    deaf = [connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(4)]
    assert answer(connect(HEAD % 0), b"\r\n\r\n0")
    monkeypatch.setattr(web_server, "IDLE_SECONDS", 0.5)
    until = time.monotonic() + WAIT_SECONDS
    while any(channel.total_outbufs_len for channel in list(running.active_channels.values())):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert all(len(end_of(each)) < 32 * 1024 * 1024 for each in deaf)


def test_who_is_being_answered_is_not_given_up(running, connect, monkeypatch):
    monkeypatch.setattr(web_server, "IDLE_SECONDS", 0.2)
    waiting = connect(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(2.5)
    running.app.extensions["go_on"].set()
    assert answer(waiting, b"answered")


def test_who_has_waited_longest_makes_room(running, connect):
    running.connections = 20
    idle = [connect(b"GET / HTTP/1.1\r\n") for _ in range(60)]
    assert answer(connect(HEAD % 0), b"\r\n\r\n0")
    assert end_of(idle[0]) == b""
    assert len(running.active_channels) <= 20


def test_unfinished_uploads_together_take_no_more_than_some_room(running, connect):
    running.most_waiting = 2 * LIMIT
    uploads = [connect(HEAD % LIMIT + b"x" * (LIMIT - 1)) for _ in range(6)]
    until = time.monotonic() + WAIT_SECONDS
    while sum(channel.taken for channel in list(running.active_channels.values())) > 2 * LIMIT or len(
        running.active_channels
    ) == len(uploads):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert answer(connect(HEAD % 0), b"\r\n\r\n0")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD % (3 * LIMIT), b"413"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", b"400"),
    ],
)
def test_what_is_too_large_or_makes_no_sense_is_refused_at_once(connect, sent, status):
    assert end_of(connect(sent)).split()[1] == status


def test_what_is_being_answered_is_answered_before_it_stops(running, connect):
    waiting = connect(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    assert running.app.extensions["entered"].wait(WAIT_SECONDS)
    running.stop()
    time.sleep(0.3)
    running.app.extensions["go_on"].set()
    assert answer(waiting, b"answered")
