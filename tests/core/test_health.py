"""What programs ask that watch an installation: alive, ready, figures; cheap, and nothing about anybody."""

from __future__ import annotations

import dataclasses
import re

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from core.db import db, end_reading
from core.kept import forget
from core.metrics import Metric, written
from core.testing.fixtures import running_app
from core.timings import timed, timing
from modules.outbox import service
from tests.outbox.conftest import draft, lab, server  # noqa: F401 (fixtures)
from tests.statements import statements

TOKEN = "a token of 16 letters".replace(" ", "-")

pytestmark = pytest.mark.smtp


@pytest.fixture
def app(settings):
    yield from running_app(dataclasses.replace(settings, metrics_token=TOKEN))


def figures(page: str) -> dict[str, float]:
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.]+', line) for line in lines), page
    return {name: float(figure) for name, _blank, figure in (line.rpartition(" ") for line in lines)}


@pytest.mark.both_databases
def test_figures_tell_what_waits_and_are_for_whoever_has_the_token(app: Flask, company, server) -> None:  # noqa: F811
    for n in range(3):
        service.submit(draft(company, f"secret-{n}@example.com"), None)
    end_reading()
    client = app.test_client()
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    with statements() as asked:
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    said = figures(answer.text)
    assert said['envoi_mails{state="queued"}'] + said['envoi_mails{state="scheduled"}'] == 3
    assert (said["envoi_mails_submitted"], said["envoi_attempts_made"]) == (3, 0)
    assert said['envoi_processes{part="worker"}'] == 0
    assert (said["envoi_database_up"], said["envoi_queue_up"], said["envoi_servers"]) == (1, 0, 1)
    assert said["envoi_database_bytes"] > 0
    assert "secret" not in answer.text
    assert len(asked) <= 7, asked
    with statements() as again:
        client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert not again


def test_a_process_is_alive_without_its_database_and_not_ready(app: Flask, monkeypatch) -> None:
    client = app.test_client()
    assert (client.get("/health/live").status_code, client.get("/health/live").text) == (200, "alive\n")
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.text) == (200, "ready; queue away, emails wait\n")

    def away(*_given, **_how):
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(db.session, "execute", away)
    monkeypatch.setattr(db.session, "scalar", away)
    assert client.get("/health/live").status_code == 200
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.text) == (503, "not ready: database away\n")
    said = figures(client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text)
    assert said["envoi_database_up"] == 0
    monkeypatch.undo()
    app.extensions["envoi_schema_problem"] = lambda: "Other tables."
    assert client.get("/health/ready").text == "not ready: tables of another release\n"
    assert client.get("/health/live").status_code == 200
    assert client.get("/sign-in").status_code == 503


@pytest.mark.smtp
def test_how_long_pdfs_take_is_added_up(app_with_queue: Flask) -> None:
    forget("pulse")
    for _ in range(2):
        with timed("pdf"):
            pass
    said = figures(written([Metric("envoi_pdf_seconds", "x", timing=timing("pdf"))]))
    assert said['envoi_pdf_seconds_bucket{le="0.1"}'] == said["envoi_pdf_seconds_count"] == 2
    assert said['envoi_pdf_seconds_bucket{le="+Inf"}'] == 2
    assert 0 < said["envoi_pdf_seconds_sum"] + 0.001 < 1
