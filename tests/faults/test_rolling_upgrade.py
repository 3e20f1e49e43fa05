"""Processes of the former release go on while the database is brought up to date, and beside the new ones."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, text

import core
from core import migrate
from core.db import again
from core.embedded import free_port, stop_process
from core.testing.conformance.compatible import losses, tables_as_they_are
from tests.outbox.processes import Worker, acceptances, ask, eventually, states_of

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "eeeeeeeeeeee"
down_revision = "{head}"
branch_labels = None
depends_on = None

def upgrade():
    op.add_column("outbox_mail", sa.Column("postscript", sa.String(20), server_default="", nullable=False))
    op.create_table("outbox_added", sa.Column("id", sa.Integer, primary_key=True))

def downgrade():
    raise NotImplementedError("not here")
"""
MODEL = """
from sqlalchemy import String
from sqlalchemy.orm import mapped_column
OutgoingMail.postscript = mapped_column(String(20), default="new", server_default="", nullable=False)
"""
PROGRAM = """
from core.cli import main
try:
    main(["db", "upgrade"])
except SystemExit as end:
    print("upgraded", end.code, flush=True)
input()
main(["worker"])
"""


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """A copy of the program whose outbox has one migration more."""
    folder, here = tmp_path / "next", Path(core.__file__).parent.parent
    for name in ("core", "modules"):
        shutil.copytree(here / name, folder / name, ignore=shutil.ignore_patterns("testing", "static"))
    for name in ("static", "templates"):
        (folder / name).symlink_to(here / name)
    for static in here.glob("modules/*/static"):
        (folder / static.relative_to(here)).symlink_to(static)
    outbox = next(one for one in migrate.migrated_modules() if one.name == "outbox")
    head = migrate.ScriptDirectory.from_config(migrate.alembic_config(outbox)).get_current_head()
    (folder / "modules/outbox/migrations/9999_add.py").write_text(MIGRATION.format(head=head))
    with (folder / "modules/outbox/models/__init__.py").open("a") as models:
        models.write(MODEL)
    return folder


@contextlib.contextmanager
def started(folder: Path, beside: Worker) -> Iterator[subprocess.Popen[str]]:
    environment = beside.environment | {"PYTHONPATH": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            stop_process(process)


@pytest.mark.smtp
@pytest.mark.both_databases
def test_old_and_new_processes_send_beside_each_other_and_nothing_is_lost(
    app: Flask, hire, send, lab, next_release: Path
) -> None:
    settings = app.extensions["envoi_settings"]
    port = free_port()
    web, old = hire("web", PORT=port), hire()
    ready = f"http://127.0.0.1:{port}/health/ready"
    mails = [send("before@example.com").id]
    eventually(lambda: states_of(mails) == ["sent"], "the old worker works")
    with started(next_release, old) as new:
        assert new.stdin is not None
        assert new.stdout is not None

        def version() -> str:
            return str(ask(settings, "SELECT version_num FROM core_version_outbox")[0][0])

        def send_one_more() -> bool:
            mails.append(again(lambda: send(f"during-{len(mails)}@example.com").id))
            return version() == "eeeeeeeeeeee"

        eventually(send_one_more, "the database is brought up to date under load", pause=0.1)
        assert new.stdout.readline() == "upgraded 0\n"
        mails.append(send("old@example.com").id)
        eventually(lambda: set(states_of(mails)) == {"sent"}, "the old worker goes on")
        with urllib.request.urlopen(ready, timeout=30) as answer:
            assert answer.status == 200
        with pytest.raises(migrate.SchemaError, match="newer than this program"):
            migrate.upgrade(app)
        second = hire()
        new.stdin.write("go on\n")
        new.stdin.flush()
        both = [send(f"both-{n}@example.com").id for n in range(20)]
        eventually(lambda: set(states_of(both)) == {"sent"}, "all are sent")
        for worker in (old, second):
            worker.process.send_signal(signal.SIGTERM)
        eventually(lambda: not old.alive() and not second.alive(), "the old ones end in order")
        last = send("new@example.com").id
        eventually(lambda: states_of([last]) == ["sent"], "the new worker goes on alone")
        assert new.poll() is None
    mails += [*both, last]
    assert set(acceptances(lab).values()) == {1}
    assert len(acceptances(lab)) == len(mails)
    assert "Traceback" not in web.log + old.log + second.log


BEFORE = """
CREATE TABLE t_thing (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, note TEXT, size INTEGER NOT NULL DEFAULT 1);
CREATE TABLE t_other (id INTEGER PRIMARY KEY)
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER TABLE t_thing ADD COLUMN color VARCHAR(9)", ""),
        ("ALTER TABLE t_thing ADD COLUMN color VARCHAR(9) NOT NULL DEFAULT ''", ""),
        ("CREATE TABLE t_more (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)", ""),
        ("CREATE INDEX i ON t_thing (name)", ""),
        ("ALTER TABLE t_thing ADD COLUMN other_id INTEGER REFERENCES t_other (id)", ""),
        ("name VARCHAR(20)>name VARCHAR(40)", ""),
        ("name VARCHAR(20) NOT NULL>name VARCHAR(20)", ""),
        ("DROP TABLE t_other", "t_other is gone"),
        ("ALTER TABLE t_thing DROP COLUMN note", "t_thing.note is gone"),
        ("ALTER TABLE t_thing RENAME COLUMN note TO words", "t_thing.note is gone"),
        ("note TEXT>note TEXT, color TEXT NOT NULL", "color must have a value"),
        ("note TEXT>note TEXT NOT NULL DEFAULT ''", "note must have a value now"),
        ("NOT NULL DEFAULT 1>NOT NULL", "size has lost its default"),
        ("size INTEGER>size TEXT", "size is TEXT instead of INTEGER"),
        ("name VARCHAR(20)>name VARCHAR(10)", "name is shorter"),
        ("CREATE UNIQUE INDEX u ON t_thing (name)", "new rule"),
        ("note TEXT>note TEXT CHECK (note <> '')", "new rule"),
    ],
)
def test_what_former_programs_cannot_live_with_is_found(change: str, words: str) -> None:
    old, _arrow, new = change.partition(">")
    engines = [create_engine("sqlite://") for _ in range(2)]
    for engine, wanted in zip(engines, (BEFORE, BEFORE.replace(old, new) if new else BEFORE), strict=True):
        with engine.begin() as connection:
            for statement in wanted.split(";"):
                connection.execute(text(statement))
            if engine is engines[1] and not new:
                connection.execute(text(change))
    found = " ".join(losses(*(tables_as_they_are(engine, "t_") for engine in engines)))
    for engine in engines:
        engine.dispose()
    assert words in found if words else not found
