"""A database that crashes in the middle of the work: what a server has answered is not lost."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from core import migrate
from core.config import Settings
from core.db import transaction
from core.testing.fixtures import running_app
from core.testing.fixtures import test_settings as settings_of
from core.testing.services import PostgresServer
from modules.outbox import service
from modules.outbox.delivery import sweep as sweeping
from tests.outbox.conftest import draft
from tests.outbox.processes import (
    LEASE_SECONDS,
    WAIT_SECONDS,
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
            lab.wait_for(crash * MAILS // 3, WAIT_SECONDS)
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

        eventually(all_settled, "every mail is settled", pause=0.2)
        counted = Counter(states_of(ids))
        assert counted == {"sent": MAILS}, "no worker has died, so nobody has to decide anything"
        assert set(acceptances(lab).values()) == {1}
        assert len(lab.accepted) == MAILS
        assert all(worker.alive() for worker in workers)
