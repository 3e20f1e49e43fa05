"""Several connections at once: how many, to whom, and what happens when one hangs, is refused, or all are killed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from core import jobs
from core.db import db, transaction
from core.db.group_commit import GroupCommit
from core.db.prepared import Batch, Count, Ledger, Prepared
from core.mail.outcomes import Failure, FailureKind
from core.pulse import Pulse
from modules.mail_config.models import ServerHealth
from modules.mail_config.servers import connection_limit
from modules.outbox import service
from modules.outbox.delivery import run
from modules.outbox.delivery.run import deliver
from modules.outbox.models import OutgoingMail
from tests.outbox import far_server as far_server_module
from tests.outbox.conftest import draft, make_ready, make_server
from tests.outbox.far_server import TOO_MANY, FarServer, each_went_once, far_server, health
from tests.outbox.hurried import *  # noqa: F403 (fixtures)
from tests.outbox.processes import (
    BODY,
    GREETING,
    HANG,
    LEASE_SECONDS,
    Worker,
    eventually,
    settled,
    states_of,
    sweep_until,
    workforce,
)
from tests.statements import statements

pytestmark = pytest.mark.smtp


@pytest.fixture
def submit(company) -> Callable[..., list[int]]:
    def submit(count: int) -> list[int]:
        with transaction():
            return [
                service.write_mail(draft(company, f"to{number}@example.com"), None).id
                for number in range(count)
            ]

    return submit


# ----------------------------------------------------------------------------------------------- how many at once


@pytest.mark.both_databases
def test_each_further_mail_of_a_claim_costs_five_statements_and_one_commit(app, submit, monkeypatch):
    """The mark, the step, its recipient, the attempt, the state; all else is asked once for all."""
    # What comes with time, on a busy machine, is no mail's.
    app.config["OUTBOX_LEASE_SECONDS"] = "600"
    monkeypatch.setattr(run, "IDLE_SECONDS", 600.0)
    written, committed = list[Prepared](), list[Ledger]()
    run_statement, transaction_of = Batch.run, Ledger.transaction

    def counted(batch: Batch, prepared: Prepared, values: Mapping[str, Any]) -> Count:
        written.append(prepared)
        return run_statement(batch, prepared, values)

    def begun(ledger: Ledger) -> contextlib.AbstractContextManager[Batch]:
        committed.append(ledger)
        return transaction_of(ledger)

    monkeypatch.setattr(Batch, "run", counted)
    monkeypatch.setattr(Ledger, "transaction", begun)

    def cost(mails: int) -> tuple[int, int, int]:
        ids = submit(mails)
        written.clear()
        committed.clear()
        with statements() as asked:
            assert deliver(ids) == mails
        return sum(not text.startswith("BEGIN") for text in asked), len(written), len(committed)

    with far_server(offered=1):
        cost(1)  # what is asked once in a process
        few, more = cost(2), cost(12)
    assert [after - before for before, after in zip(few, more, strict=True)] == [0, 50, 10]
    assert few[0] <= 20
    # SQLite writes an index anew for each of its columns that a statement names, also where its value stays.
    columns = {
        str(parameter) for prepared in written for parameter in prepared.names if "attempts" in prepared.names
    }
    assert not columns & {"server_id", "next_attempt_at", "sender_address"}


@pytest.mark.both_databases
@pytest.mark.parametrize("offered", [1, 8])
def test_as_many_connections_are_used_as_the_server_is_offered_and_each_mail_goes_once(app, submit, offered):
    with far_server(offered=offered) as server:
        ids = submit(40)
        assert deliver(ids) == 40
        assert states_of(ids) == ["sent"] * 40
        assert server.most_at_once == offered
        assert each_went_once(server, 40)


def test_a_server_that_answers_at_once_is_given_few_lanes(app, submit, monkeypatch):
    monkeypatch.setattr(far_server_module, "PAUSE_SECONDS", 0.0)
    # Where a mail costs much, and waiting for the server next to nothing.
    monkeypatch.setattr(run, "WORK_SECONDS", 1.0)
    with far_server(offered=12) as server:
        ids = submit(60)
        deliver(ids)
        assert states_of(ids) == ["sent"] * 60
        assert 1 < server.most_at_once <= run.FEW_LANES


def test_a_single_mail_opens_one_connection(app, submit):
    with far_server(offered=8) as server:
        deliver(submit(1))
        assert server.connections == 1


@pytest.mark.both_databases
def test_mails_that_persons_send_one_by_one_leave_by_several_connections(app, company):
    ids = [service.submit(draft(company, f"one{number}@example.com"), None).id for number in range(24)]
    with far_server(offered=8) as server:
        assert deliver([ids[12]]) == 24
        # Its own first: whoever has sent it may be looking.
        assert server.said[2] == "RCPT TO:<one12@example.com>"
        assert server.most_at_once > 2
        assert states_of(ids) == ["sent"] * 24
        assert each_went_once(server, 24)


def test_a_mail_whose_server_is_down_takes_no_others_along(app, company):
    with far_server(offered=8, **{GREETING: "421 4.3.2 down"}) as server:
        ids = [service.submit(draft(company, "one@example.com"), None).id for _ in range(3)]
        assert deliver(ids[:1]) == 1
        assert server.connections == 1
        assert states_of(ids)[1:] == ["queued"] * 2


def test_connections_are_kept_from_job_to_job(app, submit):
    with far_server(offered=4) as server:
        for _ in range(3):
            deliver(submit(12))
        assert server.connections <= 4 + 1, "one may come back while another lane has not asked yet"
        assert each_went_once(server, 36)


@pytest.mark.both_databases
def test_two_workers_together_open_no_more_than_the_server_is_offered(app, submit, tmp_path):
    # Nobody dies here, and no machine is so busy that places run out.
    app.config["OUTBOX_LEASE_SECONDS"] = "60"
    with far_server(offered=3) as server, workforce(app, tmp_path / "workers") as hire:
        ids = submit(60)
        for start in range(0, 60, 10):
            assert jobs.enqueue("outbox.deliver_mails", ids[start : start + 10])
        for _ in range(2):
            hire(OUTBOX_LEASE_SECONDS=60)
        sweep_until(ids, settled, "all mails are settled")
        assert states_of(ids) == ["sent"] * 60
        assert server.most_at_once <= 3
        assert each_went_once(server, 60)


def test_a_connection_that_nobody_uses_keeps_its_place_as_long_as_it_is_open(app, submit):
    with far_server(offered=3) as server:
        assert deliver(submit(6)) == 6
        kept = server.at_once
        assert kept
        time.sleep(1.5 * LEASE_SECONDS)
        assert server.at_once == connection_limit.places_taken(server.id) == kept


def test_a_connection_that_nobody_uses_is_ended_when_others_wait_for_its_place(app, submit, monkeypatch):
    with far_server(offered=3) as server:
        assert deliver(submit(6)) == 6
        assert server.at_once > 1
        monkeypatch.setattr(connection_limit, "pulse", lambda: Pulse(alive={connection_limit.Part.WORKER: 3}))
        eventually(lambda: server.at_once == 1, "one is left")
        eventually(lambda: connection_limit.places_taken(server.id) == 1, "so is its place")


def test_a_worker_keeps_open_what_no_other_one_waits_for(app, monkeypatch):
    workers = {connection_limit.Part.WORKER: 2}
    monkeypatch.setattr(connection_limit, "pulse", lambda: Pulse(alive=workers))
    assert [connection_limit.share_of(limit) for limit in (1, 3, 20)] == [1, 2, 10]
    assert [connection_limit.to_keep(limit) for limit in (1, 3, 20)] == [0, 1, 10]
    workers.clear()  # who cannot ask counts itself
    assert [connection_limit.to_keep(limit) for limit in (1, 3, 20)] == [1, 3, 20]


def test_places_that_are_kept_do_not_run_out(app):
    places = [connection_limit.Place(7, 1) for _ in range(2)]
    assert all(place.take(2) for place in places)
    for _ in range(4):
        time.sleep(0.4)
        connection_limit.Place.keep(places)
    assert connection_limit.places_taken(7) == 2


def test_each_lane_finds_a_connection_to_the_database(app):
    pool = db.engine.pool
    assert pool.size() + pool._max_overflow >= run.MOST_LANES + 2, "of the lanes, the leases and the writer"


def test_a_place_is_kept_for_its_holder_and_runs_out_with_it(app):
    first, second, third = (connection_limit.Place(7, 0.5) for _ in range(3))
    assert first.take(2)
    assert second.take(2)
    assert not third.take(2)
    assert first.take(2), "who has one keeps it"
    first.leave()
    assert third.take(2)
    eventually(lambda: connection_limit.Place(7, 0.5).take(1), "those who say nothing lose theirs")


def test_a_place_that_was_taken_a_moment_ago_is_not_asked_for_again(app, monkeypatch):
    place, other = (connection_limit.Place(7, 60) for _ in range(2))
    ask, asked = place._redis.eval, list[str]()
    monkeypatch.setattr(place._redis, "eval", lambda *words: (asked.append("once"), ask(*words))[1])
    assert all(place.take(1) for _ in range(3))
    assert len(asked) == 1
    assert not other.take(1)
    place.leave()
    assert other.take(1)
    assert not place.take(1), "it was given back"


def test_without_the_queue_connections_are_counted_here_alone(app, submit, monkeypatch):
    queue = jobs.queue_for(app)
    monkeypatch.setattr(queue.connection, "eval", lambda *_: (_ for _ in ()).throw(ConnectionError()))
    with far_server(offered=3) as server:
        ids = submit(20)
        deliver(ids)
        assert states_of(ids) == ["sent"] * 20
        assert server.most_at_once == 3


def test_what_a_person_sends_leaves_before_a_long_row_that_waits(app, company, submit, seller):
    with far_server(offered=2) as server:
        many = submit(30)
        queue = jobs.queue_for(app)
        for start in range(0, 30, 10):
            assert jobs.enqueue("outbox.deliver_mails", many[start : start + 10])
        urgent = service.submit(draft(company, "urgent@example.com"), seller)
        (first, *_others) = queue.get_jobs()
        assert list(first.args) == ["outbox.deliver_mails", [urgent.id]]
        assert server.connections == 0


# ------------------------------------------------------------------------------------- a server that has had enough


def test_a_server_that_takes_fewer_connections_is_offered_fewer_and_every_mail_leaves(app, submit):
    with far_server(2, offered=6) as server:
        ids = submit(30)
        deliver(ids)
        assert states_of(ids) == ["sent"] * 30
        assert server.most_at_once == 2
        assert each_went_once(server, 30)
        known = health()
        assert known.connections in {1, 2}
        assert known.connection_words == TOO_MANY
        assert known.failures == 0
        assert known.throttles == 0


def test_what_was_refused_is_forgotten_step_by_step(app, company, lab):
    server = make_server(lab, connections=6)
    failure = Failure(FailureKind.RATE_LIMITED, True, detail="too many", slows_server=True)
    connection_limit.note_too_many(server.id, 2, failure)
    known = db.session.get_one(ServerHealth, server.id)
    now = known.connections_at
    half_hours = connection_limit.FORGOTTEN
    assert connection_limit.limit_of(server, known, now) == 2
    assert connection_limit.limit_of(server, known, now + half_hours) == 3
    assert connection_limit.limit_of(server, known, now + 100 * half_hours) == 6
    assert connection_limit.limit_of(server, known, now - half_hours) == 2, "a clock that was put back"


def test_a_server_that_goes_down_under_many_connections_counts_one_failure(app, submit):
    with far_server(offered=5, MAIL=["250 2.1.0 ok"] * 10 + ["421 4.3.2 shutting down"]) as server:
        ids = submit(30)
        deliver(ids)
        assert not {"failed", "uncertain"} & set(states_of(ids))
        server.answers = {}
        known = health()
        assert known is None or known.open_since is None, "one outage is one failure, however many meet it"


# ------------------------------------------------------------------------------------------------- one that hangs


def test_one_connection_that_hangs_holds_up_no_other_mail_not_even_later_ones(app, submit):
    app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"] = "60"
    with far_server(offered=4, **{BODY: ["250 2.0.0 taken"] * 3 + [HANG] + ["250 2.0.0 taken"]}) as server:
        first = submit(12)
        job = threading.Thread(target=_in_app, args=(app, lambda: deliver(first)))
        job.start()
        eventually(lambda: len(server.bodies) > 4, "mails leave beside the one that hangs")
        later = submit(5)
        eventually(lambda: set(states_of(later)) == {"sent"}, "later ones leave while it hangs")
        assert Counter(states_of(first)) == {"sent": 11, "sending": 1}
        server.let_go(BODY)
        job.join(60)
        assert not job.is_alive()
        assert Counter(states_of(first)) == {"sent": 11, "uncertain": 1}


def _in_app(app: Flask, action: Callable[[], object]) -> None:
    with app.app_context():
        action()


def test_a_single_mail_whose_server_hangs_does_not_hold_up_the_mails_of_another(app, company, submit):
    app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"] = "60"
    with FarServer(**{GREETING: HANG}) as ill, FarServer() as well:
        make_ready(make_server(ill, from_filter="ill.example.com", priority=1))
        make_ready(make_server(well, name="Well", connections=3))
        (hanging,) = submit(1)
        with transaction():
            db.session.get_one(OutgoingMail, hanging).sender_address = "a@ill.example.com"
        job = threading.Thread(target=_in_app, args=(app, lambda: deliver([hanging])))
        job.start()
        eventually(lambda: ill.connections, "the server is being asked")
        ids = submit(6)
        eventually(lambda: set(states_of(ids)) == {"sent"}, "the others leave while it hangs")
        assert states_of([hanging]) == ["sending"]
        ill.let_go(GREETING)
        job.join(60)
        assert states_of([hanging]) == ["deferred"]


# ------------------------------------------------------------------------------------------- what ends in a fault


@pytest.mark.both_databases
@pytest.mark.parametrize("offered", [1, 3])
def test_a_database_that_goes_away_keeps_no_connection_from_the_mails_after_it(
    app, submit, monkeypatch, offered
):
    write = GroupCommit.write

    def away(writer: GroupCommit, statements: Callable[..., object]) -> object:
        if len(server.accepted) > 4:
            raise OperationalError(None, None, Exception("away"))
        return write(writer, statements)

    with far_server(offered=offered) as server:
        ids = submit(20)
        with monkeypatch.context() as patch:
            patch.setattr(run.claims, "PATIENCE_SECONDS", 0.0)
            patch.setattr(GroupCommit, "write", away)
            with contextlib.suppress(OperationalError):
                deliver(ids)
        later = submit(6)
        assert deliver(later) == 6
        assert states_of(later) == ["sent"] * 6


# ------------------------------------------------------------------------------------------------------- SIGKILL


@pytest.mark.both_databases
def test_a_worker_killed_with_many_connections_leaves_at_most_two_mails_a_lane_uncertain(
    app, submit, tmp_path
):
    with far_server(offered=4) as server, workforce(app, tmp_path / "workers") as hire:
        ids = submit(60)
        assert jobs.enqueue("outbox.deliver_mails", ids)
        kills = 0
        for _ in range(3):
            worker: Worker = hire()
            goal = len(server.bodies) + 8
            eventually(
                lambda goal=goal: len(server.bodies) >= goal or settled(states_of(ids)), "some have left"
            )
            worker.kill()
            kills += 1
            if settled(states_of(ids)):
                break
            sweep_until(ids, lambda states: "sending" not in states, "its claim has ended")
        hire()
        sweep_until(ids, settled, "all mails are settled")
        states = Counter(states_of(ids))
        assert set(states) <= {"sent", "uncertain"}
        assert states["uncertain"] <= 2 * 4 * kills
        assert states["sent"] >= 60 - 2 * 4 * kills
        assert len(set(server.bodies)) == len(server.bodies), "nothing has gone out twice"


def test_a_job_that_is_ended_from_outside_leaves_nothing_in_limbo(app, submit):
    with far_server(offered=4) as server:
        ids = submit(40)
        held = run.claims.patiently

        class TooLong(jobs.JobTimeoutError):
            pass

        def patiently(action):
            if threading.current_thread() is threading.main_thread() and len(server.accepted) > 8:
                raise TooLong("The job has taken too long.")
            return held(action)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run.claims, "patiently", patiently)
            with pytest.raises(TooLong):
                deliver(ids)
        states = Counter(states_of(ids))
        assert set(states) <= {"sent", "queued", "sending"}
        time.sleep(LEASE_SECONDS)
        sweep_until(ids, lambda states: "sending" not in states, "its claim has ended")
        deliver([one for one, state in zip(ids, states_of(ids), strict=True) if state == "queued"])
        states = Counter(states_of(ids))
        assert states["sent"] + states["uncertain"] == 40
        assert states["uncertain"] <= 1
        assert len(set(server.bodies)) == len(server.bodies)
