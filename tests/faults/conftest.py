"""A mail server, a company and mails as the tests of the outbox have them, and a Redis of each test's own."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from core import jobs
from core.config import Settings
from core.testing.fixtures import running_app
from core.testing.services import RedisServer
from tests.outbox.conftest import lab, send, server
from tests.outbox.processes import Worker, workforce

__all__ = ["lab", "send", "server"]


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
    for app in running_app(settings):
        yield app
        jobs.queue_for(app).connection.close()


@pytest.fixture
def hire(app: Flask, server: object, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    with workforce(app, tmp_path / "workers") as hire:
        yield hire
