"""Workers that are killed while they speak to a relay by HTTP: never twice, and uncertain from the body on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from flask import Flask

from core import jobs
from modules.mail_config.servers import service as servers
from modules.outbox import service
from tests.mail_config.http_lab import KEY, HttpLab
from tests.outbox.conftest import draft, make_ready, with_file
from tests.outbox.hurried import *  # noqa: F403 (fixtures)
from tests.outbox.processes import (
    WAIT_SECONDS,
    Worker,
    ask,
    eventually,
    hold,
    settled,
    sweep_until,
    workforce,
)

pytestmark = [pytest.mark.smtp]


@dataclass(frozen=True)
class Point:
    """A point at which the worker is killed.

    Attributes:
        name: In words.
        at: The point of the lab's hook.
        state: What the mail is once another worker has been at work.
        taken: How often the provider has taken it.
        hold_at: Where to take the database away, so that the next commit does not come.
        in_flight: Whether to wait until the mail is in flight.
    """

    name: str
    at: str
    state: str
    taken: int
    hold_at: str = ""
    in_flight: bool = False


POINTS = [
    Point("before the request", "connected", "sent", 1),
    Point("in the body", "headers", "uncertain", 0, in_flight=True),
    Point("after the body, before the answer", "body", "uncertain", 1),
    Point("after the answer, before it is written", "answered", "uncertain", 1, hold_at="body"),
]


@pytest.fixture
def lab() -> Iterator[HttpLab]:
    with HttpLab("tls") as lab:
        yield lab


@pytest.fixture
def hire(app: Flask, company, lab, tmp_path, monkeypatch) -> Iterator[Callable[[], Worker]]:
    make_ready(servers.save_server(None, {"name": "Relay", "transport": "mail_config.sendgrid"}, KEY))
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.ca_file))
    url = f"https://localhost:{lab.port}"
    with workforce(app, tmp_path / "workers") as hire:
        yield lambda: hire(MAIL_CONFIG_SENDGRID_BASE_URL=url)


def test_killed_at_each_point_nobody_gets_a_mail_twice(lab, settings, company, hire):
    lab.verified = company.email.rpartition("@")[2]
    problems = []
    worker = hire()
    for point in POINTS:
        lab.taken.clear()
        # A body that the buffers of the connection cannot hold, so that it cannot have gone out whole.
        data = os.urandom(9_000_000 if point.in_flight else 10)
        mail_id = service.submit(with_file(draft(company, "you@example.org"), data=data), None).id
        done, release = threading.Event(), []

        def strike(at, point=point, worker=worker, mail_id=mail_id, done=done, release=release):
            if done.is_set():
                return
            if at == point.hold_at:
                release.append(hold(settings, mail_id))
            if at == point.at:
                if point.in_flight:
                    query = f"SELECT in_flight FROM outbox_mail WHERE id = {mail_id}"  # noqa: S608
                    eventually(lambda: ask(settings, query)[0][0], "the mail is in flight", pause=0.002)
                worker.kill()
                done.set()

        lab.hook = strike
        assert jobs.enqueue("outbox.deliver_mails", [mail_id])
        assert done.wait(WAIT_SECONDS), f"{point.name}: this point was not reached; {lab.requests}"
        for let_go in release:
            let_go()
        worker = hire()
        (state,) = sweep_until([mail_id], settled, f"{point.name}: the mail is settled")
        if (state, len(lab.taken)) != (point.state, point.taken):
            problems.append(f"{point.name}: {state}, taken {len(lab.taken)} times; promised {point}")
    assert problems == []
