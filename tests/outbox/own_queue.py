"""Fixtures with a Redis of the test's own, which may be killed, and real workers on it; to be imported with a star."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from core.config import Settings
from core.testing.fixtures import running_app
from core.testing.services import RedisServer
from modules.outbox.delivery import sweep as sweeping
from tests.outbox.processes import LEASE_SECONDS, Worker, workforce

__all__ = ["app", "hire", "in_a_hurry", "redis", "settings"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    own = RedisServer(tmp_path / "redis")
    yield own
    own.stop()


@pytest.fixture
def settings(settings: Settings, redis: RedisServer) -> Settings:
    return dataclasses.replace(settings, redis_url=redis.url, queue=f"envoi-{secrets.token_hex(6)}")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    yield from running_app(settings)


@pytest.fixture
def in_a_hurry(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is looked at after a while be looked at at once, and leases end soon."""
    monkeypatch.setattr(sweeping, "GRACE", sweeping.GRACE * 0)
    monkeypatch.setattr(sweeping, "ASK_AGAIN", sweeping.ASK_AGAIN / 30)
    app.config["OUTBOX_LEASE_SECONDS"] = str(LEASE_SECONDS)
    app.config["OUTBOX_UNDO_SECONDS"] = 0.5


@pytest.fixture
def hire(app: Flask, server: object, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    with workforce(app, tmp_path / "workers") as hire:
        yield hire
