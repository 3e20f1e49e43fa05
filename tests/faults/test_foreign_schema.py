"""A process whose database has tables it cannot work with waits for them, or stops, in words."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from pathlib import Path

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import text

from core import jobs, migrate
from core.checks import checks
from core.db import db, transaction
from core.embedded import free_port
from core.kept import forget
from core.schema_watch import SchemaWatch
from tests.outbox.processes import eventually, states_of

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]


def head_of_outbox() -> str:
    outbox = next(m for m in migrate.migrated_modules() if m.name == "outbox")
    return str(migrate.ScriptDirectory.from_config(migrate.alembic_config(outbox)).get_current_head())


def set_version(version: str) -> None:
    """Let the tables of the outbox be of another release, which former programs cannot work with."""
    with transaction() as session:
        session.execute(text("UPDATE core_version_outbox SET version_num = :version"), {"version": version})
        session.execute(
            text("UPDATE core_oldest_program SET version = :version WHERE module = 'outbox'"),
            {"version": version},
        )
    db.session.rollback()


@pytest.mark.parametrize("command", ["worker", "scheduler", "web"])
def test_no_process_starts_on_tables_of_a_newer_release(app: Flask, hire, send, lab, command):
    mail = send("a@example.com")
    set_version("ffffffffffff")
    process = hire(command, PORT=1)
    eventually(lambda: not process.alive(), "it has ended")
    assert process.process.poll() == 1
    assert "The tables of outbox are newer than this program" in process.log
    assert "Traceback" not in process.log
    assert not lab.accepted
    assert states_of([mail.id]) == ["queued"]


def test_processes_wait_for_tables_that_are_not_brought_up_to_date_yet(app: Flask, hire, send, lab):
    outbox = next(m for m in migrate.migrated_modules() if m.name == "outbox")
    script = migrate.ScriptDirectory.from_config(migrate.alembic_config(outbox))
    head = head_of_outbox()
    mail = send("a@example.com")
    set_version(script.get_bases()[0])
    port = free_port()
    processes = [hire(command, PORT=port) for command in ("worker", "scheduler", "web")]
    words = "Migrations of outbox have not been applied: run `envoi db upgrade`. Waiting for it."
    eventually(lambda: all(words in one.log for one in processes), "all say what they wait for")
    assert not lab.accepted
    set_version(head)
    eventually(lambda: states_of([mail.id]) == ["sent"], "the worker works")
    eventually(lambda: answers(port), "the web server answers")
    assert all(one.alive() and one.log.count(words) == 1 for one in processes)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


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
    watch = SchemaWatch()
    assert watch.problem() == ""
    with transaction() as session:
        session.execute(text("DROP TABLE core_version_outbox"))
    db.session.rollback()
    assert watch.problem() == "Migrations of outbox have not been applied: run `envoi db upgrade`."


@pytest.fixture
def serving(app: Flask, hire):
    """A web process that answers, and what asks it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = hire("web", PORT=port)

    def ask(path: str = "/sign-in", **head: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
        try:
            connection.request("GET", path, headers=head)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    eventually(lambda: ask()[0] == 200, "it answers")
    return process, ask


def test_a_web_process_whose_tables_are_migrated_under_it_says_so_and_does_nothing(app, serving):
    process, ask = serving
    set_version("ffffffffffff")
    eventually(lambda: ask()[0] == 503, "it has noticed")
    code, page = ask("/outbox/mails", **{"Accept-Language": "fr"})
    assert code == 503
    assert "L’application a été mise à jour" in page
    assert "Traceback" not in process.log
    assert "tables of outbox are newer than this program" in process.log
    # A page in place shows the sentence, and files are served: browsers go on showing what they have.
    assert ask("/sign-in", **{"HX-Request": "true"})[1].startswith("It has to be started again")
    assert ask("/static/envoi.css")[0] == 200
    # Whoever looks by the program of the new release is told which process is left.
    set_version(head_of_outbox())
    assert any("works with tables that are not there any more" in sentence for sentence in checks(app))
    # Tables that were put back are its own again.
    eventually(lambda: ask()[0] == 200, "it goes on")


def test_a_web_process_looks_at_its_tables_now_and_then_and_not_for_each_request(app: Flask):
    client = app.test_client()
    watch = SchemaWatch()
    asked: list[int] = []

    def problem() -> str:
        asked.append(1)
        return watch.problem()

    app.extensions["envoi_schema_problem"] = problem
    for _ in range(5):
        assert client.get("/sign-in").status_code == 200
    assert len(asked) == 1
    set_version("ffffffffffff")
    assert client.get("/sign-in").status_code == 200, "not yet"
    forget("schema")
    assert client.post("/sign-in").status_code == 503


def test_a_plan_says_what_an_upgrade_does_and_an_upgrade_waits_for_a_table_no_longer_than_it_is_told(
    app: Flask, backend: str
):
    assert migrate.plan() == []
    modules = {module.name: module for module in migrate.migrated_modules()}
    (last, former, *_more) = migrate.ScriptDirectory.from_config(
        migrate.alembic_config(modules["outbox"])
    ).walk_revisions()
    command.downgrade(migrate.alembic_config(modules["distribution"]), "base")
    command.downgrade(migrate.alembic_config(modules["outbox"]), former.revision)
    planned = [(step.module, step.migration) for step in migrate.plan()]
    assert planned[0] == ("outbox", Path(last.path).stem)
    assert {module for module, _migration in planned} == {"outbox", "distribution"}
    if backend == "postgresql":
        with db.engine.connect() as somebody, somebody.begin():
            somebody.execute(text("LOCK TABLE outbox_draft, outbox_mail IN ACCESS EXCLUSIVE MODE"))
            with pytest.raises(migrate.MigrationError, match="stop the processes of the former release"):
                migrate.upgrade(app, lock_seconds=1)
    migrate.upgrade(app)
    assert migrate.plan() == []
