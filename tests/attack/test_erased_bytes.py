"""Who reads the disk after something was erased: neither the file of SQLite nor its journal holds it any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask import current_app
from sqlalchemy import text

from core import jobs
from core.db import db, empty_journal, end_reading, transaction
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.message import file_store
from modules.outbox.privacy import retention
from tests.outbox.conftest import draft, with_file

SECRET = "what-nobody-should-find-on-the-disk"


def on_disk() -> list[str]:
    folder = Path(current_app.extensions["envoi_settings"].data_dir)
    return [path.name for path in folder.glob("envoi.db*") if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM core_known_permission WHERE name LIKE :x",
        "UPDATE core_known_permission SET name = 'y' WHERE name LIKE :x",
    ],
)
@pytest.mark.parametrize("end", [empty_journal, retention.apply])
def test_erased_bytes_are_overwritten(app, statement, end):
    with transaction() as session:
        session.execute(text("INSERT INTO core_known_permission (name) VALUES (:x)"), {"x": SECRET})
    assert on_disk()
    empty_journal()
    with transaction() as session:
        session.execute(text(statement), {"x": f"{SECRET}%"})
    end_reading()
    end()
    assert on_disk() == []


def test_a_reader_is_not_waited_for(app):
    with transaction() as session:
        session.execute(text("INSERT INTO core_known_permission (name) VALUES (:x)"), {"x": SECRET})
    with db.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM core_known_permission")).scalar()
        empty_journal()


@pytest.mark.smtp
def test_one_private_mail_leaves_nothing_behind(app, company, lab, server):
    made = replace(draft(company, "walk-in@example.com"), private=True, body_html=f"<div>{SECRET}</div>")
    mail = with_file(made, data=SECRET.encode()) and service.submit(made, None)
    assert on_disk()
    end_reading()
    deliver([mail.id])
    end_reading()
    assert on_disk() == []
    assert not [path for path in file_store().root.rglob("*") if path.is_file()]


@pytest.mark.smtp
def test_what_could_not_be_overwritten_beside_a_reader_is_soon_after(app, company, lab, server):
    made = replace(draft(company, "walk-in@example.com"), private=True, body_html=f"<div>{SECRET}</div>")
    mail = service.submit(made, None)
    end_reading()
    with db.engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM outbox_mail")).scalar()
        deliver([mail.id])
        end_reading()
        assert on_disk()
    jobs.run("outbox.sweep")
    assert on_disk() == []
