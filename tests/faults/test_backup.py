"""A backup goes into either database, row by row as it was; nothing of it leaves until a person says go."""

from __future__ import annotations

import dataclasses
import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from core import rotation
from core.backup import folder as folders
from core.backup import service as backups
from core.companies.models import Company
from core.config import Settings
from core.db import Base, db, end_reading
from core.documents.models import Document
from core.errors import EnvoiError
from core.file_place import read_place
from core.files import FileStore
from core.files.models import STORE_TABLES
from core.installation import service as installation
from core.key_ring import read_keys
from core.partners.models import Partner
from core.partners.service import save_partner
from core.testing.applications import make_app
from core.testing.fixtures import test_settings
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.models import OutgoingMail
from tests.outbox.conftest import draft, with_file
from tests.outbox.processes import states_of

pytestmark = pytest.mark.smtp


def silent(_told: str) -> None:
    pass


@pytest.fixture
def other(backend: str, tmp_path: Path, settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """An empty installation on the other kind of database, with the keys of this one."""
    if backend == "sqlite":
        found = test_settings(tmp_path / "other", database_url=request.getfixturevalue("_postgres_database"))
    else:
        found = test_settings(tmp_path / "other")
        shutil.copy(request.getfixturevalue("_sqlite_template"), found.data_dir / "envoi.db")
    queue = f"envoi-{secrets.token_hex(6)}"
    return dataclasses.replace(
        found, secret_key=settings.secret_key, redis_url=settings.redis_url, queue=queue
    )


def in_database(settings: Settings) -> Settings:
    """The same, with its files in the database."""
    return dataclasses.replace(settings, files=read_place("database"))


@contextmanager
def entered(settings: Settings) -> Iterator[Flask]:
    end_reading()
    app = make_app(settings)
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()
            if (queue := app.extensions.get("envoi_queue")) is not None:
                queue.connection.close()


def contents() -> dict[str, int]:
    """How many rows each table has."""
    found = {
        name: db.session.scalar(select(func.count()).select_from(table)) or 0
        for name, table in Base.metadata.tables.items()
        if not name.startswith("toy") and name not in STORE_TABLES
    }
    end_reading()
    return found


@pytest.mark.both_databases
def test_what_was_backed_up_is_there_in_the_other_database_and_leaves_on_a_persons_word_alone(
    app: Flask, other: Settings, company, server, lab, send, make_user, tmp_path: Path
) -> None:
    make_user()
    name = "Éléonore “5” \\N 'x'"
    # Numbers and not rows: a row would ask for its values in whatever database is entered.
    partner_id = save_partner(None, {"name": name, "email": "client@example.com", "language": "fr"}).id
    company_id = company.id
    gone = [service.submit(with_file(draft(company, f"gone-{n}@example.com")), None).id for n in range(2)]
    deliver(gone)
    private = service.submit(draft(company, "walk-in@example.com", private=True), None).id
    rotation.rotate(silent)
    waits = service.submit(with_file(draft(company, "waits@example.com")), None).id
    before, sent = contents(), len(lab.accepted)
    manifest = backups.backup(tmp_path / "backup", tmp_path / "keys", silent)
    assert manifest.files == 1
    assert len(manifest.keys) == 1
    # Afterwards everything goes on.
    deliver([private, waits])
    assert len(lab.accepted) == sent + 2
    key = read_keys(tmp_path / "keys" / "encryption.keys")[0].text
    for file in (tmp_path / "backup").rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes()

    with entered(in_database(other)) as restored:
        with pytest.raises(EnvoiError, match=manifest.keys[0]):
            backups.restore(restored, tmp_path / "backup", silent)
        shutil.copy(tmp_path / "keys" / "encryption.keys", other.data_dir / "encryption.keys")
        backups.restore(restored, tmp_path / "backup", silent)
        assert contents() == before
        assert db.session.get_one(Partner, partner_id).name == name
        assert rotation.look().unreadable == []
        assert installation.hold() is not None
        deliver([private, waits])
        assert states_of([*gone, private, waits]) == ["sent", "sent", "queued", "queued"]
        assert len(lab.accepted) == sent + 2
        installation.let_go()
        deliver([private, waits])
        assert states_of([private, waits]) == ["sent", "sent"]
        assert len(lab.accepted) == sent + 4
        # Numbers go on where they were.
        assert save_partner(None, {"name": "New"}).id > partner_id
        assert (
            service.submit(draft(db.session.get_one(Company, company_id), "n@example.com"), None).id > waits
        )
        with pytest.raises(EnvoiError, match="not empty"):
            backups.restore(restored, tmp_path / "backup", silent)


@pytest.mark.both_databases
def test_files_in_the_database_are_copied_with_it(app: Flask, other: Settings, settings: Settings) -> None:
    data, told = bytes(range(256)) * 5000, []
    with entered(in_database(settings)) as here:
        sha256 = here.extensions["envoi_files"].put(data)
        end_reading()
        backups.copy_database(other.database_url, told.append)
    assert "1 files are there" in told[0]
    with entered(in_database(other)) as there:
        assert there.extensions["envoi_files"].get(sha256) == data
    assert not (other.data_dir / "files").exists()


@pytest.mark.both_databases
def test_a_database_is_copied_to_the_other_kind_with_a_proof(
    app: Flask, other: Settings, company, server, send, settings: Settings
) -> None:
    partner_id = save_partner(None, {"name": "Client"}).id
    last = [send(f"a{n}@example.com").id for n in range(3)][-1]
    before = contents()
    told: list[str] = []
    figures = backups.copy_database(other.database_url, told.append)
    assert {name: one.rows for name, one in figures.items() if name in before} == before
    assert "each as it is here" in told[0]
    # The same data folder, on the other database: nothing was restored, and what waits leaves.
    with entered(dataclasses.replace(settings, database_url=other.database_url)):
        assert contents() == before
        assert installation.verify() is None
        assert save_partner(None, {"name": "New"}).id > partner_id
        deliver([last])
        assert states_of([last]) == ["sent"]
        with pytest.raises(EnvoiError, match="in use"):
            backups.copy_database(other.database_url, silent)
    with pytest.raises(EnvoiError, match="not empty"):
        backups.copy_database(other.database_url, silent)


def test_what_is_no_whole_backup_changes_nothing(
    app: Flask, other: Settings, company, tmp_path: Path
) -> None:
    service.submit(with_file(draft(company, "a@example.com")), None)
    good = tmp_path / "good"
    backups.backup(good, None, silent)
    with pytest.raises(EnvoiError, match="not an empty folder"):
        backups.backup(good, None, silent)
    with pytest.raises(EnvoiError, match="must not lie in the backup"):
        backups.backup(tmp_path / "next", tmp_path / "next" / "keys", silent)

    def damaged(name: str) -> Path:
        shutil.copytree(good, tmp_path / name)
        return tmp_path / name

    unfinished = damaged("unfinished")
    (unfinished / folders.MANIFEST).unlink()
    cut = damaged("cut")
    rows = cut / "database" / "core_company.jsonl.gz"
    rows.write_bytes(rows.read_bytes()[:-20])
    other_rows = damaged("other_rows")
    manifest = json.loads((other_rows / folders.MANIFEST).read_text())
    manifest["tables"]["core_company"]["checksum"] = "0" * 32
    (other_rows / folders.MANIFEST).write_text(json.dumps(manifest))
    newer = damaged("newer")
    manifest["versions"]["outbox"] = "ffffffffffff"
    (newer / folders.MANIFEST).write_text(json.dumps(manifest))
    nonsense = damaged("nonsense")
    (nonsense / folders.MANIFEST).write_text('{"format": 1, "tables": []}')
    file = damaged("file")
    (path,) = (one for one in (file / "files").rglob("*") if one.is_file())
    path.write_bytes(b"other bytes")
    with entered(other) as empty:
        for folder, words in (
            (tmp_path / "nothing", "is no backup"),
            (unfinished, "was not finished"),
            (cut, "missing or damaged"),
            (other_rows, "is not what it was"),
            (newer, "newer release"),
            (nonsense, "damaged"),
            (file, "damaged"),
        ):
            with pytest.raises(EnvoiError, match=words):
                backups.restore(empty, folder, silent)
            assert db.session.scalar(text("SELECT count(*) FROM core_company")) == 0, folder
            end_reading()
        backups.restore(empty, good, silent)
        assert db.session.scalar(select(func.count()).select_from(OutgoingMail)) == 1
        store: FileStore = empty.extensions["envoi_files"]
        assert len(list(store.root.glob("*/*"))) == 1
        assert db.session.scalar(select(func.count()).select_from(Document)) == 0
