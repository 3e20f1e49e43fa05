"""Workers that are killed, stopped, doubled or cut off from the database, at every point of the dialogue.

What is promised, of the mails of one job, when its worker dies while it speaks about one of them:

- before that mail is marked in flight: it is delivered once, by another worker;
- from then on: it is uncertain, and nobody sends it again without being asked;
- the mail before it may share the commit of its outcome with that mark. If the worker dies before, that mail
  is uncertain too, although it was accepted; no other mail is;
- every other mail is delivered once.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from flask import Flask

from core import jobs
from core.config import Settings
from core.db import base, db
from core.testing.fixtures import running_app
from modules.outbox import claims, delivery, service
from modules.outbox import sweep as sweeping
from modules.outbox.models import DeliveryAttempt, OutgoingMail
from tests.outbox.conftest import draft, with_file
from tests.outbox.processes import (
    LEASE_SECONDS,
    WatchedLab,
    Worker,
    acceptances,
    ask,
    eventually,
    hold,
    settled,
    states_of,
    sweep,
    sweep_until,
    terminate_connections,
    unread_bytes,
    workforce,
)

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]


@pytest.fixture
def settings(settings: Settings, redis_url: str) -> Settings:
    return dataclasses.replace(settings, redis_url=redis_url, queue=f"envoi-{secrets.token_hex(6)}")


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    # What a dead worker had is asked for again at once; in real life the sweep gives the queue ten seconds.
    monkeypatch.setattr(sweeping, "GRACE", sweeping.GRACE * 0)
    for app in running_app(settings):
        app.config["OUTBOX_LEASE_SECONDS"] = str(LEASE_SECONDS)
        yield app


@pytest.fixture
def lab() -> Iterator[WatchedLab]:
    with WatchedLab() as lab:
        yield lab


@pytest.fixture
def hire(app: Flask, tmp_path) -> Iterator[Callable[..., Worker]]:
    with workforce(app, tmp_path / "workers") as hire:
        yield hire


@pytest.fixture
def submit(company, monkeypatch) -> Callable[..., list[int]]:
    """Write some mails with two recipients each, and put them on the queue as one job."""

    def submit(count: int = 3, *, size: int = 10, now: bool = True) -> list[int]:
        with monkeypatch.context() as patch:
            # Each is put on the queue by its submission; here they shall go together.
            patch.setattr(service, "enqueue_delivery", lambda _ids: None)
            ids = []
            for number in range(count):
                made = draft(company, f"to{number}@example.com", f"cc{number}@example.com")
                ids.append(service.submit(with_file(made, data=os.urandom(size)), None).id)
        if now:
            assert jobs.enqueue("outbox.deliver_mails", ids)
        return ids

    return submit


# ------------------------------------------------------------------------------------------------------ SIGKILL


@dataclass(frozen=True)
class Point:
    """A point of the dialogue at which the worker is killed.

    Attributes:
        name: In words.
        stage: Verb and stage of the server's hook.
        about: Which of the three mails it is about; its occurrence of the stage is the one that counts.
        occurrence: Which time the stage must come up, of those about this mail.
        states: What the mails are once the lease has ended and another worker has been at work.
        accepted: How often the server has accepted each of them.
        hold_at: When to take the database away from the worker, so that its next commit does not come.
        in_flight: Whether to wait until the mail is marked in flight.
    """

    name: str
    stage: tuple[str, str]
    about: int
    states: str
    accepted: tuple[int, int, int] = (1, 1, 1)
    occurrence: int = 1
    hold_at: tuple[str, str] | None = None
    in_flight: bool = False


BEFORE_THE_BODY = [
    Point("before the greeting", ("CONNECT", "before"), 0, "sent sent sent"),
    Point("before EHLO is answered", ("EHLO", "before"), 0, "sent sent sent"),
    Point("after EHLO", ("MAIL", "before"), 0, "sent sent sent"),
    Point("after MAIL", ("RCPT", "before"), 0, "sent sent sent"),
    Point("after MAIL of the second", ("RCPT", "before"), 1, "uncertain sent sent"),
    Point("after its first RCPT", ("RCPT", "before"), 1, "uncertain sent sent", occurrence=2),
    Point("after its second RCPT, before 354", ("DATA", "before"), 1, "uncertain sent sent"),
    Point(
        "after 354, before it is in flight",
        ("DATA", "invited"),
        1,
        "uncertain sent sent",
        hold_at=("DATA", "before"),
    ),
]
FROM_THE_BODY_ON = [
    Point("in its body", ("DATA", "invited"), 1, "sent uncertain sent", accepted=(1, 0, 1), in_flight=True),
    Point("before its 250", ("DATA", "received"), 1, "sent uncertain sent"),
    Point("before the 250 of the first", ("DATA", "received"), 0, "uncertain sent sent"),
    Point(
        "after the 250, before the commit",
        ("DATA", "after"),
        1,
        "sent uncertain sent",
        hold_at=("DATA", "received"),
    ),
    Point(
        "after the last 250, before the commit",
        ("DATA", "after"),
        2,
        "sent sent uncertain",
        hold_at=("DATA", "received"),
    ),
]


class Assassin:
    """Kills a worker when the server is at a point of the dialogue."""

    def __init__(self, lab: WatchedLab, settings: Settings, ids: list[int], point: Point, victim: Worker):
        self.lab, self.settings, self.ids, self.point, self.victim = lab, settings, ids, point, victim
        self.about = -1
        self.seen: Counter[tuple[int, str, str]] = Counter()
        self.release: Callable[[], None] | None = None
        self.done = threading.Event()
        self.problem: BaseException | None = None
        lab.on_command = self

    def __call__(self, verb: str, arg: str, stage: str) -> None:
        if self.done.is_set():
            return
        if verb == "MAIL" and stage == "before":
            self.about += 1
        about = max(self.about, 0)
        self.seen[about, verb, stage] += 1
        if about != self.point.about:
            return
        if (verb, stage) == self.point.hold_at:
            self.release = hold(self.settings, self.ids[about])
        if (verb, stage) == self.point.stage and self.seen[about, verb, stage] == self.point.occurrence:
            try:
                self.strike(about)
            except BaseException as error:  # noqa: BLE001 (raised in the test's thread)
                self.problem = error
            finally:
                self.done.set()

    def strike(self, about: int) -> None:
        if self.point.in_flight:
            query = f"SELECT in_flight FROM outbox_mail WHERE id = {self.ids[about]}"  # noqa: S608
            eventually(lambda: ask(self.settings, query)[0][0], "the mail is in flight", pause=0.002)
        if self.point.stage == ("DATA", "after"):
            eventually(lambda: not unread_bytes(self.lab.port), "the worker has read the 250", pause=0.002)
        self.victim.kill()

    def wait(self) -> None:
        assert self.done.wait(30), f"{self.point.name}: this point was not reached; {self.lab.verbs()}"
        if self.release is not None:
            self.release()
        if self.problem is not None:
            raise self.problem


def killed_at(points, lab, server, settings, submit, hire):
    """Kill one worker after the other, and return what was not as promised."""
    problems = []
    worker = hire()
    for point in points:
        lab.clear()
        # A body that the buffers of the connection cannot hold, so that it cannot have gone out whole.
        size = 9_000_000 if point.in_flight else 10
        ids = submit(size=size, now=False)
        if point.about == 0:
            # Its connection, kept from the job before, has ended meanwhile.
            lab.hang_up()
        assassin = Assassin(lab, settings, ids, point, worker)
        assert jobs.enqueue("outbox.deliver_mails", ids)
        assassin.wait()
        worker = hire()
        states = sweep_until(ids, settled, f"{point.name}: every mail is settled")
        taken = [
            {acceptances(lab)[mail.message_id, recipient.addr_spec] for recipient in mail.recipients}
            for mail in (db.session.get_one(OutgoingMail, mail_id) for mail_id in ids)
        ]
        db.session.rollback()
        if " ".join(states) != point.states or taken != [{count} for count in point.accepted]:
            problems.append(f"{point.name}: {states}, accepted {taken}; promised {point}")
    return problems


def test_killed_before_the_body_goes_out_a_mail_is_delivered_once(lab, server, settings, submit, hire):
    assert killed_at(BEFORE_THE_BODY, lab, server, settings, submit, hire) == []


def test_killed_from_the_body_on_a_mail_is_uncertain(lab, server, settings, submit, hire):
    assert killed_at(FROM_THE_BODY_ON, lab, server, settings, submit, hire) == []
