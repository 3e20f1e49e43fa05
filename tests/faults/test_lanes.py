"""Several connections at once, when something goes wrong: refused, hung up on, killed, told to end, overtaken."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from core import clock, jobs
from core.db import db, transaction
from core.db.prepared import Batch, Ledger
from modules.mail_config.servers import connection_limit
from modules.outbox import service
from modules.outbox.delivery import claims, lane, run
from modules.outbox.delivery.run import deliver
from modules.outbox.models import DeliveryAttempt, MailAttachment, OutgoingMail
from tests.outbox.conftest import draft
from tests.outbox.far_server import each_went_once, far_server, health
from tests.outbox.hurried import *  # noqa: F403 (fixtures)
from tests.outbox.processes import (
    BODY,
    HANG,
    HELD,
    WAIT_SECONDS,
    eventually,
    settled,
    states_of,
    sweep_until,
    workforce,
)

pytestmark = pytest.mark.smtp

TAKEN = "250 2.0.0 taken"


@pytest.fixture
def submit(company) -> Callable[..., list[int]]:
    def submit(count: int, *, pdfs: bool = False) -> list[int]:
        with transaction() as session:
            ids = [
                service.write_mail(draft(company, f"to{number}@example.com"), None).id
                for number in range(count)
            ]
            if pdfs:
                session.add_all(
                    MailAttachment(
                        mail_id=mail_id, name="a.pdf", media_type="application/pdf", size=0, generated=True
                    )
                    for mail_id in ids
                )
        return ids

    return submit


@pytest.fixture
def in_thread(app: Flask):
    """Deliver in another thread, and see that it ends."""
    threads: list[threading.Thread] = []

    def in_thread(ids: list[int]) -> threading.Thread:
        def work() -> None:
            with app.app_context():
                deliver(ids)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return threads[-1]

    yield in_thread
    for thread in threads:
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()


def take_away(mail_id: int) -> None:
    """End the lease of a mail, and let the sweep take it away."""

    def taken() -> bool:
        with transaction() as session:
            session.get_one(OutgoingMail, mail_id).lease_until = clock.now() - claims.lease()
        return mail_id in claims.take_over_expired()[0]

    eventually(taken, "the sweep has taken it away")


# ------------------------------------------------------------------------------------------- nothing goes twice


def test_a_lane_whose_claim_was_taken_away_does_not_find_it_again_in_what_its_run_takes_anew(
    submit, in_thread
):
    answers = {
        "DATA": ["354 go ahead"] * 5 + [f"{HELD}354 go ahead", "354 go ahead"],
        BODY: [TAKEN] * 5 + [f"{HELD}{TAKEN}"],
    }
    with far_server(offered=3, **answers) as server:
        ids = submit(6)
        job = in_thread(ids)
        eventually(lambda: len(server.accepted) == 5 and server.held == ["DATA"], "one waits for its 354")
        # The outcome of the mail before it waits with it, to share its commit.
        eventually(
            lambda: Counter(states_of(ids)) == {"sent": 4, "sending": 2}, "the others are written down"
        )
        (waiting,) = (mail.id for mail in _sending() if not mail.in_flight)
        take_away(waiting)
        # Lanes that have nothing to do, while another hangs, take more: the same mail, which goes out.
        eventually(lambda: len(server.bodies) == 6, "another lane of the run has taken it anew")
        server.let_go("DATA")
        time.sleep(0.5)
        server.let_go(BODY)
        job.join(WAIT_SECONDS)
        assert states_of(ids) == ["sent"] * 6
        assert each_went_once(server, 6)


# ----------------------------------------------------------------------------------------- a connection that hangs


def test_a_connection_that_hangs_holds_up_no_mail_whose_pdf_is_to_be_made(submit, in_thread, monkeypatch):
    made: list[str] = []

    def render(_mail: OutgoingMail, _position: int) -> bytes:
        made.append(threading.current_thread().name)
        return b"%PDF-1.4"

    monkeypatch.setattr(lane, "render_pdf", render)
    with far_server(offered=3, **{BODY: [TAKEN] * 3 + [HANG, TAKEN]}) as server:
        ids = submit(12, pdfs=True)
        job = in_thread(ids)
        eventually(lambda: Counter(states_of(ids)) == {"sent": 11, "sending": 1}, "the others leave")
        assert server.most_at_once == 3
        assert set(made) == {job.name}, "a time limit ends the job's own thread alone"
        server.let_go(BODY)
        job.join(WAIT_SECONDS)
        assert Counter(states_of(ids)) == {"sent": 11, "uncertain": 1}


def test_a_server_that_hangs_for_all_is_not_asked_again_for_each_mail(app, submit):
    app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"] = "1"
    with far_server(offered=3, DATA=["354 go ahead"] * 6 + [HANG]) as server:
        ids = submit(30)
        deliver(ids)
        # What each lane has begun, and one mail more; a kept connection that dies is made anew once.
        assert sum(line == "DATA" for line in server.said) <= 6 + 2 * 2 * 3
        assert Counter(states_of(ids)) == {"sent": 6, "deferred": 24}


# ------------------------------------------------------------------------------------- a server that refuses one


def test_mails_whose_pdfs_are_to_be_made_leave_although_most_connections_are_refused(submit, monkeypatch):
    monkeypatch.setattr(lane, "render_pdf", lambda _mail, _position: b"%PDF-1.4")
    with far_server(1, offered=4) as server:
        ids = submit(8, pdfs=True) + submit(12)
        deliver(ids)
        assert states_of(ids) == ["sent"] * 20
        assert each_went_once(server, 20)
        assert health().failures == health().throttles == 0


def test_a_first_connection_that_is_refused_because_of_other_workers_slows_nobody_down(submit, monkeypatch):
    monkeypatch.setattr(run, "LONGEST_WAIT_SECONDS", 0.5)
    with far_server(0, offered=4) as server:
        others = [connection_limit.Place(server.id, 60) for _ in range(2)]
        assert all(place.take(4) for place in others)
        ids = submit(3)
        deliver(ids)
        assert states_of(ids) == ["queued"] * 3
        assert (health().connections, health().throttles, health().failures) == (2, 0, 0)
        server.most = 1000
        others[0].leave()
        deliver(ids)
        assert states_of(ids) == ["sent"] * 3


def test_a_first_connection_that_is_refused_while_nobody_has_one_slows_the_server_down(submit):
    with far_server(0, offered=4):
        deliver(submit(3))
        assert (health().connections, health().throttles) == (None, 1)


def test_a_refused_sign_in_counts_at_once_although_others_are_signed_in(submit):
    answers = {
        "EHLO": "250-far.test\r\n250 AUTH PLAIN",
        "AUTH": ["235 2.7.0 ok", "535 5.7.8 the password was changed"],
    }
    with far_server(offered=6, settings={"username": "a", "password": "b"}, **answers) as server:
        ids = submit(30)
        deliver(ids)
        assert health().failures == 1
        assert health().connections is None
        assert {"sent", "deferred"} == set(states_of(ids))
        assert sum(line.startswith("AUTH") for line in server.said) <= 6


@pytest.mark.parametrize(
    ("words", "times", "put_off"),
    [
        ("432 4.3.2 Concurrent connections limit exceeded", 1, 1),
        # A kept connection that ends is made anew once, so one of three lanes hears it twice.
        ("421 4.7.0 Too many concurrent SMTP connections", 4, 0),
    ],
)
def test_a_server_that_says_too_many_connections_to_a_mail_is_offered_fewer(submit, words, times, put_off):
    with far_server(offered=3, MAIL=["250 2.1.0 ok"] * 6 + [words] * times + ["250 2.1.0 ok"]):
        ids = submit(20)
        deliver(ids)
        assert Counter(states_of(ids)) == Counter({"sent": 20 - put_off, "deferred": put_off})
        assert health().connections in {1, 2}
        assert health().connection_words == words
        assert health().throttles == health().failures == 0


# --------------------------------------------------------------------------------------------- told to slow down


def test_lanes_of_a_server_with_a_rate_keep_it_together(submit):
    with far_server(offered=6, settings={"rate_per_minute": 150}):
        ids = submit(7)
        began = time.monotonic()
        deliver(ids)
        assert states_of(ids) == ["sent"] * 7, (
            "none is put off: each lane asks for its moment after the others"
        )
        assert time.monotonic() - began >= 6 * 60 / 150


# ------------------------------------------------------------------------------------------------ told to end


@pytest.mark.both_databases
def test_a_worker_that_is_told_to_end_gives_back_what_it_has_not_begun(app, submit, tmp_path):
    with far_server(offered=2) as server, workforce(app, tmp_path / "workers") as hire:
        ids = submit(60)
        assert jobs.enqueue("outbox.deliver_mails", ids)
        worker = hire()
        eventually(lambda: len(server.accepted) > 6, "mails leave")
        worker.process.terminate()
        assert worker.process.wait(WAIT_SECONDS) == 0, worker.log
        assert set(states_of(ids)) == {"sent", "queued"}
        assert len(server.accepted) < 60
        again = jobs.queue_for(app).scheduled_job_registry
        assert again.count == 1, "they are asked for again, and not only by a sweep"
        db.session.rollback()
        waiting = db.session.query(OutgoingMail).filter_by(state="queued")
        assert all(mail.next_attempt_at >= mail.submitted_at for mail in waiting), (
            "no false alarm that they wait"
        )
        hire()
        sweep_until(ids, settled, "all are settled")
        assert states_of(ids) == ["sent"] * 60
        assert each_went_once(server, 60)


# ------------------------------------------------------------------------------------------- grouped commits


@pytest.mark.both_databases
def test_a_commit_whose_answer_is_lost_is_repeated_and_each_attempt_recorded_once(submit, monkeypatch):
    transaction, lost = Ledger.transaction, list[int]()

    @contextmanager
    def answer_lost(ledger: Ledger) -> Iterator[Batch]:
        with transaction(ledger) as batch:
            yield batch
        lost.append(1)
        if len(lost) % 2:
            raise OperationalError(None, None, Exception("the connection broke after the commit"))

    monkeypatch.setattr(Ledger, "transaction", answer_lost)
    monkeypatch.setattr(claims, "_PAUSE_SECONDS", 0.0)
    with far_server(offered=3) as server:
        ids = submit(8)
        deliver(ids)
        assert states_of(ids) == ["sent"] * 8
        assert each_went_once(server, 8)
        attempts = db.session.scalars(select(DeliveryAttempt.mail_id).order_by(DeliveryAttempt.mail_id)).all()
        assert attempts == ids


# A worker that dies at a commit with marks of several lanes. Commits take a while, so that others come meanwhile.
_KILLED = """
import contextlib, os, signal, sys, time
from core import cli
from core.db.prepared import Batch, Ledger
from modules.outbox.delivery import ledger

transaction, run = Ledger.transaction, Batch.run

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def counted(self, prepared, values):
    self.marks = getattr(self, "marks", 0) + (prepared is ledger._SET_IN_FLIGHT)
    return run(self, prepared, values)

@contextlib.contextmanager
def killed(self):
    with transaction(self) as batch:
        yield batch
        time.sleep(0.05)
        several = getattr(batch, "marks", 0) > 1
        if several and {stage!r} == "before the commit":
            die()
    if several:
        die()

Batch.run, Ledger.transaction = counted, killed
sys.argv = ["envoi", "worker"]
cli.main()
"""


@pytest.mark.both_databases
@pytest.mark.parametrize("stage", ["before the commit", "after the commit"])
def test_killed_at_a_grouped_commit_nothing_goes_twice_and_what_is_not_marked_has_not_gone(
    app, submit, tmp_path, stage
):
    script = tmp_path / "killed.py"
    script.write_text(_KILLED.replace("{stage!r}", repr(stage)))
    with far_server(offered=4) as server, workforce(app, tmp_path / "workers") as hire:
        ids = submit(40)
        assert jobs.enqueue("outbox.deliver_mails", ids)
        worker = hire(script=script)
        assert worker.process.wait(WAIT_SECONDS) == -signal.SIGKILL, worker.log
        worker.end_connections()
        eventually(lambda: not server.at_once, "the server has read all that came")
        gone = b"".join(server.bodies).decode()
        marked, unmarked = (
            {mail.id: mail.message_id in gone for mail in _sending() if mail.in_flight is flying}
            for flying in (True, False)
        )
        assert not any(unmarked.values()), "no text goes out whose mark is not durable"
        assert len(marked) <= 2 * 4
        if stage == "after the commit":
            assert list(marked.values()).count(False) >= 2, (
                "the marks are there, and nothing has gone out yet"
            )
        hire()
        sweep_until(ids, settled, "all are settled")
        uncertain = [one for one, state in zip(ids, states_of(ids), strict=True) if state == "uncertain"]
        assert uncertain == sorted(marked)
        assert set(states_of(ids)) <= {"sent", "uncertain"}
        assert len(server.bodies) == len(set(server.bodies)) == 40 - list(marked.values()).count(False)


def _sending() -> list[OutgoingMail]:
    db.session.rollback()
    return db.session.query(OutgoingMail).filter_by(state="sending").order_by(OutgoingMail.id).all()
