"""Fixtures of an application with a real queue, whose dead workers are replaced at once; to be imported with a star."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator

import pytest
from flask import Flask

from core.config import Settings
from core.testing.fixtures import running_app
from modules.outbox.delivery import connections
from modules.outbox.delivery import sweep as sweeping
from tests.outbox.processes import LEASE_SECONDS

__all__ = ["app", "settings"]


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
        connections.pool.close()
