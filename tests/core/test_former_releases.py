"""The data of former releases come into this one, by their backups, and everything can be done with them.

`releases/` has a backup of each: a demonstration with emails that wait, made by the program of that day. A new one is
added when a migration takes away what a former program needs (docs/adr/0019).
"""

from __future__ import annotations

import dataclasses
import gzip
import secrets
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Connection, func, select
from sqlalchemy.orm import class_mapper

from core import migrate
from core.auth.models import Role, User
from core.auth.service import set_password
from core.backup import folder as folders
from core.backup import service as backups
from core.backup.loading import Incoming, load, make_tables
from core.config import Settings
from core.db import Base, db, end_reading
from core.documents.checked import fields_of
from core.documents.locale import speaking
from core.documents.models import Document
from core.installation import service as installation
from core.testing.fixtures import PASSWORD, running_app, test_settings
from core.testing.services import create_database, drop_database
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState

INSTALLATION = "core_installation"
HEAD = "--- "  # before the name of each file; no line of them begins so
RELEASES = sorted(Path(__file__).with_name("releases").glob("*.txt"))


@pytest.fixture(params=RELEASES, ids=lambda path: path.name.partition(".")[0])
def former(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A backup of a former release, whose files stand one after the other in a text."""
    for part in request.param.read_text("utf-8").split(HEAD)[1:]:
        name, _, text = part.partition("\n")
        path = tmp_path / "backup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl":
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text, "utf-8")
    return tmp_path / "backup"


@pytest.fixture
def settings(
    backend: str, tmp_path: Path, former: Path, request: pytest.FixtureRequest
) -> Iterator[Settings]:
    """An installation without tables, with the key of the former one."""
    found = dataclasses.replace(
        test_settings(tmp_path / "new"), secret_key=(former / "keys/secret.key").read_text().strip()
    )
    if backend == "sqlite":
        yield found
        return
    keeper: Connection = request.getfixturevalue("_postgres_keeper")
    name = f"former_{secrets.token_hex(6)}"
    yield dataclasses.replace(
        found, database_url=create_database(request.getfixturevalue("postgres_url"), name)
    )
    drop_database(keeper, name)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    yield from running_app(settings)


def restore(app: Flask, former: Path, manifest: folders.Manifest) -> None:
    """Do as `envoi restore`, and the same with what is from before there were backups."""
    if INSTALLATION in manifest.tables:
        backups.restore(app, former, lambda _told: None)
        return
    make_tables(manifest.versions)
    tables = manifest.tables.items()
    load(
        {
            name: Incoming(list(one.columns), partial(folders.read_table, former, name))
            for name, one in tables
        },
        {name: one.figures for name, one in tables},
        lambda _connection: None,
    )
    migrate.upgrade(app)


@pytest.mark.both_databases
def test_everything_of_a_former_release_is_there_and_can_be_used(app: Flask, former: Path, sign_in) -> None:
    manifest = folders.read_manifest(former)
    shutil.rmtree(former / "keys")
    restore(app, former, manifest)
    assert migrate.plan() == []
    for name in (
        "core_document",
        "core_partner",
        "sales_line",
        "pos_payment",
        "outbox_mail",
        "outbox_recipient",
    ):
        count = db.session.scalar(select(func.count()).select_from(Base.metadata.tables[name]))
        assert count == manifest.tables[name].rows, name
    # Each row can be read by its model: what it holds is what columns of today may hold.
    for mapper in Base.registry.mappers:
        for _row in db.session.scalars(select(class_mapper(mapper.class_))):
            pass
    for document in db.session.scalars(select(Document)):
        with speaking(document):
            assert fields_of(document)
    if INSTALLATION in manifest.tables:
        assert installation.hold() is not None
    mails = list(db.session.scalars(select(OutgoingMail)))
    assert {mail.state for mail in mails} <= {MailState.QUEUED, MailState.SCHEDULED}
    administrator = db.session.scalars(
        select(User).where(User.roles.any(Role.code == "administrator"), User.active)
    ).first()
    assert administrator is not None
    pages = [f"/outbox/mails/{mail.id}" for mail in mails[:2]] + ["/outbox/mails", "/partners"]
    end_reading()
    set_password(administrator.login, PASSWORD)
    client = sign_in(administrator)
    assert {page: client.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)
