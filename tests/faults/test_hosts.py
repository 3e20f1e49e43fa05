"""Web, workers, schedulers on hosts of their own, cut off, killed, brought back: nothing is lost, nothing twice."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.companies.models import Company
from core.config import Settings
from core.db import end_reading
from core.embedded import free_port
from core.pulse import Part, pulse
from modules.outbox import service
from tests.hosts import DATABASE, QUEUE, Network, network
from tests.outbox.conftest import draft, make_ready, make_server, with_file
from tests.outbox.processes import acceptances, eventually, settled, states_of

pytestmark = [pytest.mark.smtp, pytest.mark.timeout(600)]


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path / "net") as made:
        try:
            yield made
        finally:
            print(*(host.logs for host in made.hosts), sep="\n")  # noqa: T201 (pytest shows it with a failure)


@pytest.fixture
def settings(net: Network) -> Settings:
    """The settings of the test itself, which submits emails as a page would: one host more."""
    for name in ("web", "workers", "more"):
        net.host(name)
    code, said = net.hosts[0].run("db", "upgrade")
    assert code == 0, said
    return net.settings


def test_hosts_that_die_or_are_cut_off_lose_nothing_and_send_nothing_twice(
    net: Network, app: Flask, company: Company
) -> None:
    web, workers, more = net.hosts
    make_ready(make_server(net.lab, connections=4))
    end_reading()
    asked: list[Any] = []
    what: list[Callable[[], object]] = []

    def on_command(verb: str, _argument: str, stage: str) -> None:
        if (verb, stage) == ("DATA", "received") and what:
            what.pop()()

    net.lab.on_command = on_command

    def submit(count: int) -> list[int]:
        asked.extend(range(count))
        return [
            service.submit(with_file(draft(company, f"n{len(asked)}-{n}@example.com")), None).id
            for n in range(count)
        ]

    def check(ids: Sequence[int]) -> list[str]:
        """Wait until all is settled: each mail was taken once, or a person has to look whether it was."""
        states = eventually(lambda: (found := states_of(ids)) and settled(found) and found, "all is settled")
        assert set(acceptances(net.lab).values()) <= {1}
        return states

    web.environ = {**web.environ, "ENVOI_PORT": str(port := free_port())}
    web.start("web")
    web.start("scheduler")
    more.start("scheduler")
    workers.start("worker")
    eventually(
        lambda: pulse().alive.get(Part.SCHEDULER) == 2 and pulse().alive.get(Part.WORKER) == 1, "alive"
    )
    ready = f"http://{web.address}:{port}/health/ready"

    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(ready, timeout=5) as answer:
                return answer.read().strip() == b"ready"
        except OSError:
            return False

    eventually(is_ready, "the web server answers")
    for host in net.hosts:
        _code, said = host.run("check")
        assert "file store" not in said, said

    # What one host has stored, another one sends.
    ids = submit(10)
    assert set(check(ids)) == {"sent"}

    # The host of the worker dies in the middle of a message.
    what.append(workers.kill)
    ids = submit(20)
    eventually(lambda: not what, "a message has begun")
    workers.start("worker")
    states = check(ids)
    assert states.count("uncertain") <= 4
    assert set(states) <= {"sent", "uncertain"}

    # It is cut off in the middle of a message; another host goes on, and it comes back.
    what.append(workers.cut_off)
    ids = submit(20)
    eventually(lambda: not what, "a message has begun")
    more.start("worker")
    states = check(ids)
    assert set(states) <= {"sent", "uncertain"}
    workers.bring_back()
    assert set(check(submit(10))) == {"sent"}

    # The queue forgets everything, and the scheduler that was asked first is gone: the other one asks again.
    web.kill()
    with_nobody = submit(5)
    net.forget_queue()
    assert set(check(with_nobody)) == {"sent"}

    # One host loses the database, then the queue; the others go on, and it comes back.
    for number in (DATABASE, QUEUE):
        workers.lose(number)
        assert set(check(submit(10))) <= {"sent", "uncertain"}
        workers.find(number)
    more.kill()  # nobody else is there to send
    assert set(check(submit(5))) == {"sent"}
