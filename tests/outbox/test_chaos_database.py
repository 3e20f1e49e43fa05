"""A database that crashes or cannot write, in the middle of the work: what a server has answered is not lost."""

from __future__ import annotations

import contextlib
import resource
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from core import jobs, migrate
from core.config import Settings
from core.db import db, transaction
from core.testing.fixtures import running_app
from core.testing.fixtures import test_settings as settings_of
from core.testing.services import PostgresServer
from modules.outbox import delivery, service
from modules.outbox import sweep as sweeping
from tests.outbox.conftest import draft
from tests.outbox.processes import (
    LEASE_SECONDS,
    Worker,
    acceptances,
    eventually,
    settled,
    states_of,
    sweep,
    workforce,
)

pytestmark = [pytest.mark.smtp]

MAILS = 60


class TestCrash:
    """PostgreSQL that crashes while two workers are at it, and comes back."""

    @pytest.fixture
    def postgres(self, tmp_path: Path) -> Iterator[PostgresServer]:
        server = PostgresServer(tmp_path / "postgres", durable=True)
        yield server
        server.stop()

    @pytest.fixture
    def settings(self, tmp_path: Path, postgres: PostgresServer, redis_url: str) -> Settings:
        return settings_of(
            tmp_path / "data",
            database_url=postgres.url,
            redis_url=redis_url,
            queue=f"envoi-{secrets.token_hex(6)}",
        )

    @pytest.fixture
    def app(self, settings: Settings, monkeypatch) -> Iterator[Flask]:
        monkeypatch.setattr(sweeping, "GRACE", sweeping.GRACE * 0)
        for app in running_app(settings):
            migrate.upgrade(app)
            app.config["OUTBOX_LEASE_SECONDS"] = str(LEASE_SECONDS)
            yield app
            jobs.queue_for(app).connection.close()

    @pytest.fixture
    def hire(self, app: Flask, server, tmp_path: Path) -> Iterator[Callable[..., Worker]]:  # noqa: ARG002 (it must be there)
        with workforce(app, tmp_path / "workers") as hire:
            yield hire

    def test_a_database_that_crashes_while_mails_leave_loses_none_and_doubles_none(
        self, lab, postgres, company, make_user, sign_in, hire
    ):
        browser = sign_in(make_user("support"))
        lab.on_command = lambda _verb, _arg, stage: time.sleep(0.004 if stage == "before" else 0)
        with transaction():
            ids = [
                service.submit(draft(company, f"a{n}@example.com", f"b{n}@example.com"), None).id
                for n in range(MAILS)
            ]
        workers = [hire(), hire()]
        for crash in (1, 2):
            lab.wait_for(crash * MAILS // 3, 30)
            assert len(lab.accepted) < MAILS, "the crash came too late to mean anything"
            postgres.crash()
            assert browser.get("/outbox/mails").status_code == 503
            postgres.start()
        assert browser.get("/outbox/mails").status_code == 200

        def all_settled() -> bool:
            with contextlib.suppress(OperationalError):
                sweep()
                return settled(states_of(ids))
            return False

        eventually(all_settled, "every mail is settled", timeout=40, pause=0.2)
        counted = Counter(states_of(ids))
        assert counted == {"sent": MAILS}, "no worker has died, so nobody has to decide anything"
        assert set(acceptances(lab).values()) == {1}
        assert len(lab.accepted) == MAILS
        assert all(worker.alive() for worker in workers)


@pytest.fixture
def disk(app: Flask) -> Iterator[Callable[[bool], None]]:
    """Fill the disk, and make room again: while it is full, no file of this process grows beyond 8 KB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with db.engine.connect() as connection:
        # The log is begun anew, so that whatever is committed must make it grow.
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def fill(full: bool) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192 if full else soft, hard))

    yield fill
    fill(False)


def test_a_disk_that_fills_up_between_the_answer_and_its_record_delays_the_outcome(lab, server, send, disk):
    ids = [send(f"n{n}@example.com").id for n in range(2)]
    full = threading.Event()

    def fill(verb: str, _arg: str, stage: str) -> None:
        if (verb, stage) == ("DATA", "received") and not full.is_set():
            full.set()
            disk(True)
            threading.Timer(1.5, disk, [False]).start()

    lab.on_command = fill
    begun = time.monotonic()
    assert delivery.deliver(ids) == 2
    assert time.monotonic() - begun > 1.5, "the disk was full indeed"
    assert states_of(ids) == ["sent", "sent"]
    assert set(acceptances(lab).values()) == {1}
    assert len(lab.accepted) == 2


def test_a_page_that_cannot_be_saved_says_that_nothing_was_changed(company, make_user, sign_in, send, disk):
    seller = make_user()
    mail_id = send("ann@example.com", by=seller).id
    browser = sign_in(seller)
    disk(True)
    answer = browser.post(f"/outbox/mails/{mail_id}/cancel")
    disk(False)
    assert answer.status_code == 503
    assert "Nothing was changed" in answer.text
    assert states_of([mail_id]) == ["queued"]
    assert browser.post(f"/outbox/mails/{mail_id}/cancel").status_code == 302
    assert states_of([mail_id]) == ["canceled"]
