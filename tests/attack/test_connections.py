"""Who opens connections and sends little: the site goes on answering everybody else.

The server is the one that people run, `envoi web`, and the connections are real.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.embedded import die_with_parent, free_port
from core.web_server import CONNECTIONS

START_SECONDS = 180.0
ANSWER_SECONDS = 20.0
"""How long a page may take on a machine that is busy; an attack that works stops the site for minutes."""


@dataclass(frozen=True)
class Site:
    """`envoi web`, running."""

    port: int
    process: subprocess.Popen[bytes]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS)

    def answers(self, path: str = "/sign-in", method: str = "GET", body: bytes | None = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            response.read()
            return response.status


def _ready(site: Site) -> bool:
    try:
        return site.answers() == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(_sqlite_template, folder / "envoi.db")
    port = free_port()
    environment = {
        **os.environ,
        "ENVOI_DATA_DIR": str(folder),
        "ENVOI_PORT": str(port),
        "ENVOI_MAX_UPLOAD_MB": "1",
    }
    process = subprocess.Popen([*die_with_parent(), sys.executable, "-m", "core", "web"], env=environment)
    site = Site(port, process)
    try:
        until = time.monotonic() + START_SECONDS
        while not _ready(site):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        yield site
    finally:
        process.terminate()
        process.wait(90)


@pytest.fixture
def open_many(site: Site) -> Iterator[Callable[..., list[socket.socket]]]:
    """Open connections that send something and stay."""
    with contextlib.ExitStack() as stack:

        def opened(count: int, sent: bytes, receive_buffer: int = 0) -> list[socket.socket]:
            sockets = []
            for _ in range(count):
                made = stack.enter_context(site.connect())
                if receive_buffer:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
                made.sendall(sent)
                sockets.append(made)
            return sockets

        yield opened


HEAD = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FORM = HEAD + b"Content-Type: application/x-www-form-urlencoded\r\n"
SLOW = {
    "nothing": b"",
    "one line": b"GET /sign-in HTTP/1.1\r\n",
    "an unfinished head": HEAD + b"X-More: ",
    "three octets of many": FORM + b"Content-Length: 500000\r\n\r\nabc",
    "an unfinished chunk": FORM + b"Transfer-Encoding: chunked\r\n\r\n1000\r\nabc",
    "a file that does not come": HEAD
    + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 500000\r\n\r\n--x\r\n",
    "who waits to be told to go on": FORM + b"Expect: 100-continue\r\nContent-Length: 500000\r\n\r\n",
    "a kept connection": b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "two at once, one unfinished": b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HEAD,
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW.keys())
def test_the_site_answers_beside_connections_that_stand_idle(site, open_many, sent):
    open_many(64, sent)
    for _ in range(3):
        assert site.answers() == 200


def test_the_site_answers_beside_those_who_do_not_read(site, open_many):
    request = b"GET /static/vendor/bootstrap/bootstrap.min.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    open_many(40, request * 20, receive_buffer=1024)
    assert site.answers() == 200


def test_the_site_answers_beside_more_connections_than_it_keeps(site, open_many):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 300
    if hard != resource.RLIM_INFINITY and hard < wanted + 100:
        pytest.skip("this machine allows too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 100), hard))
    open_many(wanted, b"GET /sign-in HTTP/1.1\r\n")
    for _ in range(3):
        assert site.answers() == 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
