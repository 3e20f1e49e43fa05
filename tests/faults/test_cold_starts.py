"""Several processes that are started on one empty installation at once: one makes the tables, the others wait."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from core import demonstration, migrate
from core.app import create_app
from core.companies.models import Company
from core.config import Settings
from core.db import base, db
from core.documents.models import Document
from core.testing.fixtures import test_settings
from core.testing.services.postgres import create_database

PROCESSES = 8


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an installation whose database has no tables."""
    if request.param == "sqlite":
        yield test_settings(tmp_path / "data")
        return
    url = create_database(request.getfixturevalue("postgres_url"), f"cold_{tmp_path.name[-20:]}".lower())
    yield test_settings(tmp_path / "data", database_url=url)


def _start(settings: Settings, together: Any, said: Any) -> None:
    try:
        # As on a machine that is so busy that the first of them takes longer than anybody waits for a lock.
        base.SQLITE_BUSY_SECONDS = 0.2  # type: ignore[assignment]
        app = create_app(settings)
        together.wait()
        with app.app_context():
            migrate.upgrade(app)
            loaded = demonstration.load_demo(app)
            said.put("loaded" if loaded is not None and not loaded.faults else f"{loaded}")
            db.session.remove()
            db.engine.dispose()
    except BaseException as error:  # noqa: BLE001 (shown by the test)
        said.put("".join(traceback.format_exception(error)))


def test_eight_that_start_at_once_make_one_installation(empty: Settings) -> None:
    processes = multiprocessing.get_context("fork")
    together, said = processes.Barrier(PROCESSES), processes.Queue()
    started = [
        processes.Process(target=_start, args=(empty, together, said), daemon=True) for _ in range(PROCESSES)
    ]
    begun = time.monotonic()
    for one in started:
        one.start()
    answers = sorted(said.get(timeout=100) for _ in started)
    for one in started:
        one.join(10)
    assert answers == ["None"] * (PROCESSES - 1) + ["loaded"], answers
    assert time.monotonic() - begun < 90
    app = create_app(empty, testing=True)
    with app.app_context():
        assert migrate.schema_problems() == []
        assert db.session.scalar(select(func.count()).select_from(Company)) == 2
        numbers = db.session.execute(select(Document.company_id, Document.kind, Document.number)).all()
        assert len(set(numbers)) == len(numbers)
        db.session.remove()
        db.engine.dispose()
