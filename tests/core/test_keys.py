"""Keys that encrypt secrets: several at a time, a newer one while everything runs, and what happens without one."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from alembic import command
from flask import Flask
from sqlalchemy import LargeBinary, select, text, update
from sqlalchemy.exc import StatementError
from werkzeug.datastructures import MultiDict

from core import clock, migrate, rotation
from core.config import read_settings
from core.db import Base, Encrypted, Sealed, db, end_reading, transaction
from core.errors import ConfigError, EnvoiError
from core.key_ring import Key, KeyRing, read_keys
from core.registry import current_settings
from core.vault import UnreadableError, decrypt, encrypt, key_ring
from modules.mail_config.models import MailServer
from modules.mail_config.servers.service import save_server
from modules.outbox.compose.autosave import About, contents_of, keep, kept_draft
from modules.outbox.models import KeptDraft
from tests.core.test_cli import envoi


def make_servers(count: int, **changes: object) -> list[int]:
    values = {"host": "smtp.example.com", "port": 587, "username": "anna", **changes}
    made = [save_server(None, {**values, "name": f"Server {n}"}, f"secret {n}") for n in range(count)]
    return [server.id for server in made]


def passwords() -> list[str]:
    db.session.expire_all()
    found = [
        decrypt(secret) for secret in db.session.scalars(select(MailServer.secret).order_by(MailServer.id))
    ]
    end_reading()
    return found


@pytest.mark.both_databases
def test_a_newer_key_encrypts_and_everything_is_read_before_during_and_after(app: Flask, monkeypatch) -> None:
    first = key_ring().newest.name
    ids = make_servers(5)
    with transaction():
        for server in db.session.scalars(select(MailServer)):
            server.tested_fingerprint = server.fingerprint
    (one, *_others) = ids
    # As it was before keys had names.
    plain = decrypt(db.session.get_one(MailServer, one).secret)
    old = Key(current_settings().secret_key).cipher.encrypt(plain.encode())
    with transaction() as session:
        session.execute(update(MailServer).where(MailServer.id == one).values(secret=Sealed(old)))
    db.session.expire_all()
    wanted = passwords()
    monkeypatch.setattr(rotation, "BATCH", 2)
    written: list[int] = []
    write = rotation._write

    def killed(column, batch):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(write(column, batch))
        return written[-1]

    monkeypatch.setattr(rotation, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        rotation.rotate(lambda _told: None)
    monkeypatch.setattr(rotation, "_write", write)
    assert passwords() == wanted, "nothing is in limbo"
    half = rotation.look()
    newest = half.ring.newest.name
    assert (half.counts[newest], half.counts[first], half.unreadable) == (2, 3, [])

    told: list[str] = []
    whole = rotation.rotate(told.append)
    assert "it goes on" in told[0]
    assert whole.ring.newest.name == newest != first
    assert (whole.counts[newest], whole.behind, whole.unreadable) == (5, 0, [])
    assert passwords() == wanted
    tested = [server.ready for server in db.session.scalars(select(MailServer).order_by(MailServer.id))]
    assert tested == [False, True, True, True, True], "what a test has proved is proved yet"
    assert rotation.rotate(told.append).ring.newest.name not in {newest, first}
    assert passwords() == wanted


@pytest.mark.both_databases
def test_whoever_writes_in_the_same_moment_wins(app: Flask, monkeypatch) -> None:
    (server_id,) = make_servers(1)
    write = rotation._write

    def after_somebody_else(column, batch):
        monkeypatch.setattr(rotation, "_write", write)
        with transaction():
            db.session.get_one(MailServer, server_id).secret = encrypt("typed meanwhile")
        return write(column, batch)

    monkeypatch.setattr(rotation, "_write", after_somebody_else)
    assert rotation.rotate(lambda _told: None).behind == 0
    assert passwords() == ["typed meanwhile"]


def test_every_process_has_a_new_key_at_once_and_a_former_one_goes_when_nothing_needs_it(
    app: Flask, monkeypatch
) -> None:
    make_servers(1)
    first = key_ring().newest.name
    rotation.rotate(lambda _told: None)
    second = key_ring().newest.name
    assert current_settings().keys_file.stat().st_mode & 0o777 == 0o600
    rotation.rotate(lambda _told: None)
    with pytest.raises(EnvoiError, match="less than an hour ago"):
        rotation.forget_key(second)
    monkeypatch.setattr(rotation, "SETTLED", rotation.SETTLED * 0)
    for name, why in (
        (first, "secret.key"),
        (key_ring().newest.name, "is the newest"),
        ("00000000", "no key"),
    ):
        with pytest.raises(EnvoiError, match=why):
            rotation.forget_key(name)
    rotation.forget_key(second)
    assert second not in {key.name for key in key_ring().keys}
    assert passwords() == ["secret 0"]


@pytest.mark.both_databases
def test_what_a_missing_key_has_encrypted_is_named(app: Flask, make_user, sign_in) -> None:
    make_servers(2)
    rotation.rotate(lambda _told: None)
    name = key_ring().newest.name
    file = current_settings().keys_file
    kept = file.read_text()
    file.unlink()
    save_server(None, {"name": "Later", "host": "smtp.example.com", "port": 25, "username": "a"}, "readable")
    (found,) = rotation.look().unreadable
    assert (found.key, found.count, list(found.rows)) == (name, 2, ["Server 0", "Server 1"])
    with pytest.raises(UnreadableError, match=name):
        passwords()
    page = sign_in(make_user("administrator")).get("/keys").text
    assert (
        f"The password of the mail server “Server 0”, “Server 1” cannot be read: the key {name} is missing."
        in page
    )
    assert app.test_client().get("/keys").status_code in {302, 403}
    # What can be read is encrypted anew all the same, and the rest is left for whoever finds the key.
    assert rotation.rotate(lambda _told: None).counts.total() == 1
    later = file.read_text()
    file.write_text(later + kept)
    assert rotation.look().unreadable == []
    assert passwords() == ["secret 0", "secret 1", "readable"]
    # Another key of the installation opens nothing of what was encrypted under it.
    other = dataclasses.replace(current_settings(), secret_key="another key, long enough to be one")
    app.extensions["envoi_settings"] = other
    assert rotation.look().unreadable == []


def test_nothing_encrypted_stands_in_a_column_that_a_change_of_keys_would_not_find(app: Flask) -> None:
    columns = rotation.encrypted_columns()
    assert {column.table.name for column in columns} >= {
        "mail_config_server",
        "outbox_recipient",
        "outbox_hook",
    }
    assert all(len(column.table.primary_key) == 1 for column in columns)
    for column in columns:
        named_by = rotation._type_of(column).named_by
        assert not named_by or named_by in column.table.c
    assert not [
        f"{table}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
        and column.name.endswith(("secret", "encrypted", "private_key"))
    ]
    with pytest.raises(TypeError, match="Encrypted"):
        decrypt(bytes(encrypt("text")))  # type: ignore[arg-type]
    with pytest.raises(StatementError, match="Only what"), transaction() as session:
        session.execute(update(MailServer).values(secret=b"plain"))
    shown = repr([Key("x" * 40), KeyRing((Key("x" * 40),)), current_settings()])
    assert "xxxx" not in shown
    assert current_settings().secret_key not in shown


def test_the_command_names_keys_and_shows_none(tmp_path: Path, redis_url: str) -> None:
    assert envoi(tmp_path, "db", "upgrade").code == 0
    first = envoi(tmp_path, "key", "list")
    assert (first.code, len(first.out.splitlines())) == (0, 2)
    done = envoi(tmp_path, "key", "rotate")
    assert (done.code, done.err) == (0, "")
    listed = envoi(tmp_path, "key", "list")
    (key,) = read_keys(tmp_path / "encryption.keys")
    assert listed.out.splitlines()[1].split()[:1] == [key.name]
    # From the environment, the newest first; one that only the file has would be missed.
    wanting = envoi(tmp_path, "key", "list", ENVOI_ENCRYPTION_KEYS="n" * 40)
    assert "lacks keys" in wanting.err
    given = {"ENVOI_ENCRYPTION_KEYS": f"{'n' * 40}, {key.text}"}
    said = envoi(tmp_path, "key", "rotate", **given)
    assert (said.code, said.out.count("ENVOI_ENCRYPTION_KEYS")) == (0, 1)
    assert envoi(tmp_path, "key", "forget", key.name, **given).code == 1
    for one in (done, listed, wanting, said):
        assert key.text not in one.out + one.err
        assert "nnnn" not in one.out + one.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ENVOI_ENCRYPTION_KEYS": "hunter2"}, "at least 32 characters"),
        ({"ENVOI_ENCRYPTION_KEYS": f"{'h' * 32},{'h' * 32}"}, "names a key twice"),
        ({"ENVOI_ENCRYPTION_KEYS": "h" * 32, "ENVOI_ENCRYPTION_KEYS_FILE": "/keys"}, "one place"),
        ({}, "are damaged (line 2)"),
    ],
)
def test_wrong_keys_are_told_and_not_repeated(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    if not settings:
        (tmp_path / "encryption.keys").write_text(
            f"{clock.now():%Y-%m-%dT%H:%M:%SZ} {'h' * 32}\nhunter2hhh\n"
        )
    with pytest.raises(ConfigError) as caught:
        read_settings({"ENVOI_DATA_DIR": str(tmp_path), **settings})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hhh" not in str(caught.value)


@pytest.mark.both_databases
def test_drafts_and_tests_of_servers_survive_the_migrations(app: Flask, make_user) -> None:
    user = make_user()
    (server_id,) = make_servers(1)
    keep(About(None), user, MultiDict({"to_typed": "walk-in@example.com", "token": "a.b"}), private=True)
    end_reading()
    modules = {module.name: module for module in migrate.migrated_modules()}
    command.downgrade(migrate.alembic_config(modules["distribution"]), "base")
    command.downgrade(migrate.alembic_config(modules["outbox"]), "b7d20c4e91a6")
    command.downgrade(migrate.alembic_config(modules["mail_config"]), "c4a9171e5d20")
    contents = db.session.scalar(text("SELECT contents FROM outbox_draft"))
    assert contents.startswith("sealed:gAAAA")
    secret = bytes(db.session.scalar(text("SELECT secret FROM mail_config_server")))
    assert secret.startswith(b"gAAAA")
    proved = ("smtp.example.com", 587, "starttls", "anna", secret, "")
    db.session.execute(
        text("UPDATE mail_config_server SET tested_fingerprint = :now"),
        {"now": hashlib.sha256(repr(proved).encode()).hexdigest()},
    )
    db.session.commit()
    migrate.upgrade(app)
    db.session.expire_all()
    assert db.session.get_one(MailServer, server_id).ready
    assert passwords() == ["secret 0"]
    draft = kept_draft(About(None), user)
    assert isinstance(draft, KeptDraft)
    assert contents_of(draft)["to_typed"] == "walk-in@example.com"
    assert draft.contents == "{}"
    assert isinstance(KeptDraft.__table__.c.encrypted_contents.type, Encrypted)
