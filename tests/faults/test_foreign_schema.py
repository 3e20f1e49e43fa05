"""A process whose database has other tables than its program refuses to start, or stops, in words."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from core import jobs, migrate
from core.db import db, transaction
from tests.outbox.processes import eventually, states_of

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]


def set_version(version: str) -> None:
    """Let the tables of the outbox be of another release."""
    with transaction() as session:
        session.execute(text("UPDATE core_version_outbox SET version_num = :version"), {"version": version})
    db.session.rollback()


@pytest.mark.parametrize("command", ["worker", "scheduler", "web"])
@pytest.mark.parametrize(
    ("version", "words"),
    [("ffffffffffff", "The tables of outbox are newer than this program"), ("older", "envoi db upgrade")],
)
def test_no_process_starts_on_tables_of_another_release(app: Flask, hire, send, lab, command, version, words):
    older = migrate.ScriptDirectory.from_config(
        migrate.alembic_config(next(m for m in migrate.migrated_modules() if m.name == "outbox"))
    ).get_bases()[0]
    mail = send("a@example.com")
    set_version(older if version == "older" else version)
    process = hire(command, PORT=1)
    eventually(lambda: not process.alive(), "it has ended")
    assert process.process.poll() == 1
    assert words in process.log
    assert "Traceback" not in process.log
    assert not lab.accepted
    assert states_of([mail.id]) == ["queued"]


def test_a_worker_whose_tables_are_migrated_under_it_claims_nothing_more(app: Flask, hire, send, lab):
    working = hire()
    first = send("first@example.com")
    eventually(lambda: states_of([first.id]) == ["sent"], "it works")
    set_version("ffffffffffff")
    second = send("second@example.com")
    eventually(lambda: not working.alive(), "it ends")
    assert working.process.poll() == 1
    assert "The tables of outbox are newer than this program" in working.log
    assert states_of([second.id]) == ["queued"]
    assert len(lab.accepted) == 1
    # What it had taken from the queue is there for the worker that follows.
    assert jobs.queue_length() == 1


def test_an_upgrade_by_an_older_program_changes_nothing(app: Flask):
    set_version("ffffffffffff")
    with pytest.raises(migrate.SchemaError, match="newer than this program"):
        migrate.upgrade(app)


def test_a_table_of_versions_that_is_gone_is_a_sentence(app: Flask):
    watch = migrate.SchemaWatch()
    assert watch.problem() == ""
    with transaction() as session:
        session.execute(text("DROP TABLE core_version_outbox"))
    db.session.rollback()
    assert watch.problem() == "Migrations of outbox have not been applied: run `envoi db upgrade`."
