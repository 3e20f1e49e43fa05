"""Workers that are killed, stopped, doubled or cut off from the database, at every point of the dialogue.

What is promised, of the mails of one job, when its worker dies while it speaks about one of them:

- before that mail is marked in flight: it is delivered once, by another worker;
- from then on: it is uncertain, and nobody sends it again without being asked;
- the mail before it may share the commit of its outcome with that mark. If the worker dies before, that mail
  is uncertain too, although it was accepted; no other mail is;
- every other mail is delivered once.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from flask import Flask

from core import clock, jobs
from core.config import Settings
from core.db import base, db
from core.mail.outcomes import FailureKind
from modules.outbox import service
from modules.outbox.delivery import checked_message, claims
from modules.outbox.delivery.run import deliver
from modules.outbox.models import DeliveryAttempt, OutgoingMail
from modules.outbox.service import submission
from tests.outbox.conftest import draft, with_file
from tests.outbox.hurried import *  # noqa: F403 (fixtures)
from tests.outbox.processes import (
    LEASE_SECONDS,
    WAIT_SECONDS,
    WatchedLab,
    Worker,
    acceptances,
    ask,
    eventually,
    hold,
    settled,
    states_of,
    sweep_until,
    terminate_connections,
    unread_bytes,
    workforce,
)

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]


@pytest.fixture
def lab() -> Iterator[WatchedLab]:
    with WatchedLab() as lab:
        yield lab


@pytest.fixture
def hire(app: Flask, server, tmp_path) -> Iterator[Callable[..., Worker]]:
    with workforce(app, tmp_path / "workers") as hire:
        yield hire


@pytest.fixture
def submit(company, monkeypatch) -> Callable[..., list[int]]:
    """Write some mails with two recipients each, and put them on the queue as one job."""

    def submit(count: int = 3, *, size: int = 10, now: bool = True) -> list[int]:
        with monkeypatch.context() as patch:
            # Each is put on the queue by its submission; here they shall go together.
            patch.setattr(submission, "enqueue_delivery", lambda _ids, **_how: None)
            ids = []
            for number in range(count):
                made = draft(company, f"to{number}@example.com", f"cc{number}@example.com")
                data = os.urandom(size if number == 1 else 10)
                ids.append(service.submit(with_file(made, data=data), None).id)
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
        sent_whole: Whether the database comes back, and the worker dies only when it has said all of its next
            transaction: PostgreSQL goes on with that. Its outcome is the true one.
        in_flight: Whether to wait until the mail is marked in flight.
    """

    name: str
    stage: tuple[str, str]
    about: int
    states: str
    accepted: tuple[int, int, int] = (1, 1, 1)
    occurrence: int = 1
    hold_at: tuple[str, str] | None = None
    sent_whole: bool = False
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
WITH_A_TRANSACTION_ON_ITS_WAY = [
    Point(
        "after 354, the mark on its way",
        ("DATA", "invited"),
        1,
        "sent uncertain sent",
        accepted=(1, 0, 1),
        hold_at=("DATA", "before"),
        sent_whole=True,
    ),
    Point(
        "after the last 250, its outcome on its way",
        ("DATA", "after"),
        2,
        "sent sent sent",
        hold_at=("DATA", "received"),
        sent_whole=True,
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

    def __call__(self, verb: str, _arg: str, stage: str) -> None:
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
        if self.point.sent_whole:
            eventually(
                self.victim.waits_for_the_database, "the worker waits for the answer to all it has said"
            )
        self.victim.kill()
        if self.release is not None and not self.point.sent_whole:
            self.victim.end_connections()

    def wait(self) -> None:
        assert self.done.wait(WAIT_SECONDS), (
            f"{self.point.name}: this point was not reached; {self.lab.verbs()}"
        )
        if self.release is not None:
            self.release()
        if self.problem is not None:
            raise self.problem


def killed_at(points, lab, settings, submit, hire):
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


def test_killed_before_the_body_goes_out_a_mail_is_delivered_once(lab, settings, submit, hire):
    assert killed_at(BEFORE_THE_BODY, lab, settings, submit, hire) == []


def test_killed_from_the_body_on_a_mail_is_uncertain(lab, settings, submit, hire):
    assert killed_at(FROM_THE_BODY_ON, lab, settings, submit, hire) == []


@pytest.mark.on_database("postgresql")  # SQLite has no server that could go on without the worker
def test_a_transaction_that_was_sent_whole_comes_though_its_worker_is_killed(lab, settings, submit, hire):
    assert killed_at(WITH_A_TRANSACTION_ON_ITS_WAY, lab, settings, submit, hire) == []


# ------------------------------------------------------------------------------------------------------ SIGSTOP


def once(lab, verb, stage, action):
    """Act the first time that the server is at a stage; return an event that tells that it has happened."""
    happened = threading.Event()

    def hook(said, _arg, at):
        if (said, at) == (verb, stage) and not happened.is_set():
            action()
            happened.set()

    lab.on_command = hook
    return happened


def test_a_worker_stopped_before_the_body_finds_its_mail_taken_and_sends_nothing(lab, submit, hire):
    stopped = hire()
    happened = once(lab, "DATA", "before", stopped.stop)
    ids = submit(2)
    assert happened.wait(WAIT_SECONDS)
    hire()
    assert sweep_until(ids, settled, "another worker has delivered") == ["sent", "sent"]

    stopped.resume()
    eventually(lambda: "was taken away" in stopped.log, "the first worker has seen that it lost its mail")
    # It is still good for work, and whatever it holds it delivers once.
    more = submit(2)
    assert sweep_until(more, settled, "later mails are delivered") == ["sent", "sent"]
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 4
    assert stopped.alive()


def test_a_worker_stopped_after_the_body_leaves_its_mail_uncertain_and_settles_it_later(lab, submit, hire):
    stopped = hire()
    happened = once(lab, "DATA", "received", stopped.stop)
    ids = submit(2)
    assert happened.wait(WAIT_SECONDS)
    hire()
    assert sweep_until(ids, settled, "the lease has ended") == ["uncertain", "sent"]
    mail = db.session.get_one(OutgoingMail, ids[0])
    assert {recipient.state.value for recipient in mail.recipients} == {"uncertain"}
    db.session.rollback()

    stopped.resume()
    eventually(lambda: states_of(ids) == ["sent", "sent"], "the first worker has written what it learned")
    db.session.expire_all()
    mail = db.session.get_one(OutgoingMail, ids[0])
    assert {recipient.state.value for recipient in mail.recipients} == {"accepted"}
    assert (mail.accepted_count, mail.failure_kind, mail.failure_reason) == (2, None, "")
    db.session.rollback()
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 2


def test_what_a_person_has_decided_of_an_uncertain_mail_stands_when_its_worker_comes_back(lab, submit, hire):
    stopped = hire()
    happened = once(lab, "DATA", "received", stopped.stop)
    ids = submit(1)
    assert happened.wait(WAIT_SECONDS)
    sweep_until(ids, settled, "the lease has ended")
    service.mark_uncertain(ids[0], accepted=False)

    stopped.resume()
    eventually(lambda: "decided by a person" in stopped.log, "the first worker has seen the decision")
    assert states_of(ids) == ["failed"]


# ------------------------------------------------------------------------------------------- one mail, two hands


def test_a_mail_that_is_on_the_queue_many_times_is_delivered_once_by_two_workers(lab, submit, hire):
    hire()
    hire()
    ids = submit(6, now=False)
    for _ in range(5):
        assert jobs.enqueue("outbox.deliver_mails", ids)
        assert jobs.enqueue("outbox.deliver_mails", list(reversed(ids)))
        for mail_id in ids:
            assert jobs.enqueue("outbox.deliver_mails", [mail_id])
    eventually(lambda: set(states_of(ids)) == {"sent"} and not jobs.queue_length(), "all has been worked off")
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 6


def test_of_those_who_claim_the_same_mails_at_once_one_gets_each(app, company, submit):
    ids = submit(12, now=False)
    start = threading.Barrier(6)
    got: list[list[int]] = []
    problems: list[BaseException] = []

    def claim(mine: list[int]) -> None:
        try:
            with app.app_context():
                start.wait(WAIT_SECONDS)
                if token := claims.claim(mine):
                    got.append([mail.id for mail in claims.claimed(token)])
        except BaseException as error:  # noqa: BLE001 (raised in the test's thread)
            problems.append(error)

    # In different orders and parts: they must not lock each other either.
    takes = [ids, ids[::-1], ids[:8], ids[4:], ids[::2], ids[::-3]]
    threads = [threading.Thread(target=claim, args=[take]) for take in takes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert problems == []
    assert sorted(mail_id for part in got for mail_id in part) == ids
    assert set(states_of(ids)) == {"sending"}


@pytest.mark.on_database("postgresql")  # SQLite has one writer at a time, and no locks of rows
def test_no_lease_waits_for_who_writes_one_of_its_mails(company, settings, submit, monkeypatch):
    """Or a worker that settles one mail and marks the next waits for its own lease, which waits for it."""
    ids = submit(3, now=False)
    token = claims.claim(ids)
    db.session.remove()

    def leases() -> list[object]:
        return [until for (until,) in ask(settings, "SELECT lease_until FROM outbox_mail ORDER BY id")]

    at_first = leases()
    release = hold(settings, ids[1])
    in_the_end = threading.Timer(10, release)
    in_the_end.start()
    claims.renew([token])
    assert in_the_end.is_alive(), "it waited until the mail was free"
    assert [later > earlier for later, earlier in zip(leases(), at_first, strict=True)] == [True, False, True]

    later = clock.now() + claims.lease()
    monkeypatch.setattr(clock, "now", lambda: later)
    assert claims.take_over_expired() == ([ids[0], ids[2]], [])
    assert in_the_end.is_alive(), "it waited until the mail was free"
    in_the_end.cancel()
    release()
    assert claims.take_over_expired() == ([ids[1]], [])


# ------------------------------------------------------------------------ the database, between 250 and commit


@pytest.mark.parametrize("stage", ["before", "received"], ids=["before the mark", "before the outcome"])
def test_a_locked_database_delays_the_outcome_and_loses_nothing(lab, settings, submit, hire, stage):
    locked: list[float] = []

    def lock() -> None:
        release = hold(settings, ids[0])
        locked.append(time.monotonic())
        threading.Timer(LEASE_SECONDS + 1, release).start()

    hire()
    ids = submit(2, now=False)
    happened = once(lab, "DATA", stage, lock)
    assert jobs.enqueue("outbox.deliver_mails", ids)
    assert happened.wait(WAIT_SECONDS)
    eventually(lambda: states_of(ids) == ["sent", "sent"], "both are sent")
    assert time.monotonic() - locked[0] > LEASE_SECONDS
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 2


@pytest.mark.on_database("sqlite")  # PostgreSQL does not give up waiting for a lock by itself
def test_a_database_that_stays_locked_is_asked_again_and_again(lab, server, settings, submit, monkeypatch):
    # As when somebody holds the lock for longer than a connection waits for it.
    monkeypatch.setattr(base, "SQLITE_BUSY_SECONDS", 0)
    ids = submit(2, now=False)
    db.session.remove()
    db.engine.dispose()

    def lock() -> None:
        threading.Timer(1.5, hold(settings, ids[0])).start()

    happened = once(lab, "DATA", "received", lock)
    assert deliver(ids) == 2
    assert happened.is_set()
    assert states_of(ids) == ["sent", "sent"]
    assert len(lab.accepted) == 2


@pytest.mark.on_database("postgresql")  # SQLite has no connections that could be ended from outside
@pytest.mark.parametrize("stage", ["before", "received", "after"])
def test_a_database_that_ends_every_connection_loses_no_outcome(lab, settings, submit, hire, stage):
    worker = hire()
    ids = submit(3, now=False)
    db.session.remove()
    happened = once(lab, "DATA", stage, lambda: terminate_connections(settings))
    assert jobs.enqueue("outbox.deliver_mails", ids)
    assert happened.wait(WAIT_SECONDS)
    eventually(lambda: states_of(ids) == ["sent"] * 3, "all are sent")
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 3
    assert worker.alive()
    rows = db.session.query(DeliveryAttempt.mail_id).all()
    db.session.rollback()
    assert sorted(mail_id for (mail_id,) in rows) == ids


# ------------------------------------------------------------------------------------------------ a broken mail


def test_a_mail_that_breaks_its_delivery_does_not_keep_the_others_back(lab, server, submit, monkeypatch):
    ids = submit(4, now=False)
    build = checked_message.build_message

    def broken(mail, **how):
        if mail.id == ids[1]:
            raise RuntimeError("A fault of ours.")
        return build(mail, **how)

    monkeypatch.setattr(checked_message, "build_message", broken)
    with pytest.raises(RuntimeError, match="fault of ours"):
        deliver(ids)
    assert states_of(ids) == ["sent", "deferred", "sent", "sent"]
    assert len(lab.accepted) == 3
    db.session.expire_all()
    poison = db.session.get_one(OutgoingMail, ids[1])
    assert poison.failure_kind is FailureKind.INTERNAL_ERROR
    assert poison.failure_reason.startswith("RuntimeError"), "its words may quote what is not kept"
    assert poison.attempts == 1, "it is counted, so it does not go round for ever"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_job_that_is_ended_from_outside_writes_what_it_knows_and_gives_the_rest_back(
    lab, server, submit, monkeypatch, number
):
    ids = submit(3, now=False)
    build = checked_message.build_message

    def out_of_time(mail, **how):
        if mail.id == ids[number]:
            raise jobs.JobTimeoutError("Too long.")
        return build(mail, **how)

    monkeypatch.setattr(checked_message, "build_message", out_of_time)
    with pytest.raises(jobs.JobTimeoutError):
        deliver(ids)
    assert states_of(ids) == ["sent"] * number + ["queued"] * (3 - number)
    monkeypatch.undo()
    deliver(ids)
    assert states_of(ids) == ["sent"] * 3
    assert set(acceptances(lab).values()) == {1}
