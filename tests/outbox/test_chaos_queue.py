"""A queue that is away, read-only, full or silent: the mails wait in the database, and nobody else waits."""
# ruff: noqa: F811 (fixtures of other files are named like the arguments that ask for them)

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from core.db import db
from core.testing.services import RedisServer
from modules.outbox import service
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.many import write
from tests.outbox.own_queue import *  # noqa: F403 (fixtures)
from tests.outbox.pages import opened
from tests.outbox.processes import WAIT_SECONDS, acceptances, eventually, states_of, sweep_until
from tests.outbox.test_composer import (  # noqa: F401 (fixtures)
    browser,
    order,
    quotation,
    seller,
    url,
)
from tests.outbox.test_queue_lost import all_sent

pytestmark = [pytest.mark.smtp, pytest.mark.usefixtures("in_a_hurry")]

PATIENCE_OF_A_PERSON = 10
"""Seconds of waiting, not of work: a queue that is silent costs a person one time limit, not one for each mail."""


@dataclass(frozen=True)
class Illness:
    """What can be the matter with a Redis, and how it passes."""

    name: str
    begin: Callable[[RedisServer], object]
    end: Callable[[RedisServer], object]


ILLNESSES = [
    Illness("killed", RedisServer.kill, RedisServer.start),
    Illness("silent", RedisServer.stall, RedisServer.resume),
    Illness(
        "read-only",
        lambda redis: redis.command("REPLICAOF", "127.0.0.1", "1"),
        lambda redis: redis.command("REPLICAOF", "NO", "ONE"),
    ),
    Illness(
        "without the replicas it wants",
        lambda redis: redis.configure("min-replicas-to-write", "3"),
        lambda redis: redis.configure("min-replicas-to-write", "0"),
    ),
    Illness(
        "full",
        lambda redis: redis.configure("maxmemory", "1"),
        lambda redis: redis.configure("maxmemory", "0"),
    ),
]
each_illness = pytest.mark.parametrize("illness", ILLNESSES, ids=lambda illness: illness.name)


@each_illness
def test_while_the_queue_is_ill_mails_wait_and_pages_answer_and_afterwards_all_leave_once(
    lab,
    redis,
    send,
    hire,
    browser,
    quotation,
    illness,
):
    worker = hire()
    first = send("first@example.com").id
    eventually(lambda: states_of([first]) == ["sent"], "the worker works")
    form = opened(browser, quotation)

    illness.begin(redis)
    begun = time.monotonic()
    answer = browser.post(url(quotation), data=form)
    assert time.monotonic() - begun < PATIENCE_OF_A_PERSON
    assert answer.status_code == 302
    ids = list(db.session.scalars(select(OutgoingMail.id).order_by(OutgoingMail.id)))
    assert states_of(ids) == ["sent", "queued"]
    service.cancel([ids[1]])  # its PDF is another test's business
    waiting = [send(f"n{n}@example.com").id for n in range(2)]
    assert states_of(waiting) == ["queued"] * 2
    assert worker.alive(), worker.log

    illness.end(redis)
    sweep_until(waiting, all_sent, "they leave when it is well again")
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 3
    assert worker.alive(), worker.log
    worker.process.terminate()
    assert worker.process.wait(WAIT_SECONDS) == 0, worker.log


@each_illness
def test_a_person_who_resends_many_does_not_wait_for_each_job(redis, company, illness):
    ids = write(company, [{"state": MailState.CANCELED}] * (6 * service.CHUNK))
    illness.begin(redis)
    begun, worked = time.monotonic(), time.thread_time()
    assert service.resend(ids) == ids
    waited = time.monotonic() - begun - (time.thread_time() - worked)
    assert waited < PATIENCE_OF_A_PERSON
    illness.end(redis)


@each_illness
def test_a_worker_told_to_end_while_its_queue_is_ill_finishes_its_mail_and_ends(
    lab,
    redis,
    send,
    hire,
    illness,
):
    worker = hire()
    told, go_on = threading.Event(), threading.Event()

    def tell(verb: str, _arg: str, stage: str) -> None:
        if (verb, stage) == ("DATA", "received") and not told.is_set():
            illness.begin(redis)
            worker.process.send_signal(signal.SIGTERM)
            told.set()
            go_on.wait(WAIT_SECONDS)

    lab.on_command = tell
    mail_id = send("ann@example.com").id
    assert told.wait(WAIT_SECONDS)
    # A second word would be an order to drop everything; one must do, and the server takes its time.
    time.sleep(2.5)
    go_on.set()
    eventually(lambda: states_of([mail_id]) == ["sent"], "it has written what the server said")
    if illness.name != "silent":
        assert worker.process.wait(WAIT_SECONDS) == 0, worker.log
    illness.end(redis)
    assert worker.process.wait(WAIT_SECONDS) == 0, worker.log
    assert len(lab.accepted) == 1
