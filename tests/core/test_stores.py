"""Every store keeps the same promise, and files move from one to the other."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import threading
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update

from core import clock
from core.config import Settings, read_settings
from core.db import transaction
from core.embedded import free_port
from core.errors import ConfigError, EnvoiError
from core.file_place import read_place
from core.files import FileMissingError, FileStore, FolderStore, StoreAwayError, open_store
from core.files.copying import clear_left, copy_files, move_files
from core.files.database import CHUNK, DatabaseStore
from core.files.models import StoredChunk
from core.files.opening import adopt, establish, known_mark, named_store
from core.installation import file_probe

DATA = b"%PDF-1.7 a small file"
SHA256 = hashlib.sha256(DATA).hexdigest()
KEY = {"ENVOI_FILES_KEY": "AKIAENVOI", "ENVOI_FILES_SECRET": "a-secret-that-nobody-reads"}


def opened(settings: Settings, text: str, *, marked: bool = True) -> FileStore:
    known = dataclasses.replace(settings, files_key="AKIAENVOI", files_secret=KEY["ENVOI_FILES_SECRET"])
    return open_store(known, read_place(text), marked=marked)


@pytest.fixture(params=["folder", "database", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("bucket"))
    return "database" if request.param == "database" else f"folder:{tmp_path / 'shared'}"


@pytest.fixture
def store(app: Flask, settings: Settings, place: str) -> FileStore:
    return opened(settings, place)


def names(store: FileStore, **options: float) -> list[str]:
    return [name for folder in store.folders() for name, _ in store.names(folder, **options)]


@pytest.mark.both_databases
def test_a_store_keeps_bytes_by_their_hash_until_nobody_wants_them(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    large = bytes(range(256)) * (CHUNK // 100)
    for data in (b"", DATA, large):
        assert store.get(store.put(data)) == data
    assert store.put(DATA) == SHA256
    assert sorted(store.names(SHA256[:2])) == [(SHA256, True)]
    assert list(store.names(SHA256[:2], untouched_for=60)) == []
    before = now

    now += dt.timedelta(hours=1)
    assert list(store.names(SHA256[:2], untouched_for=60)) == [(SHA256, True)]
    assert store.remove(SHA256, unless_touched_after=before - dt.timedelta(seconds=1)) is False
    assert store.touch(SHA256)
    assert store.remove(SHA256, unless_touched_after=before) is False
    now += dt.timedelta(hours=1)
    assert store.put(DATA) == SHA256
    assert store.remove(SHA256, unless_touched_after=now - dt.timedelta(minutes=1)) is False
    assert store.get(SHA256) == DATA
    assert store.remove(SHA256, unless_touched_after=now) is True
    with pytest.raises(FileMissingError, match="not in the store"):
        store.get(SHA256)
    assert store.touch(SHA256) is False
    assert store.remove(SHA256) is True
    assert store.get(hashlib.sha256(large).hexdigest()) == large


def test_who_stores_touches_and_removes_at_once_loses_nothing(app: Flask, store: FileStore) -> None:
    faults: list[Exception] = []

    def together(*acts) -> None:
        ready = threading.Barrier(len(acts))

        def run(act) -> None:
            with app.app_context():
                ready.wait()
                try:
                    act()
                except Exception as error:  # noqa: BLE001 (told below)
                    faults.append(error)

        threads = [threading.Thread(target=run, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for _ in range(5):
        moment = clock.now() - dt.timedelta(hours=1)
        together(
            lambda: store.put(DATA),
            lambda: store.put(DATA),
            lambda moment=moment: store.remove(SHA256, unless_touched_after=moment),
        )
        assert store.get(SHA256) == DATA
        kept: list[bool] = []
        # Whoever has touched it, and was told that it is there, finds it.
        together(
            lambda kept=kept: kept.append(store.touch(SHA256)),
            lambda: store.remove(SHA256, unless_touched_after=clock.now() - dt.timedelta(microseconds=1)),
        )
        if kept == [True]:
            assert store.get(SHA256) == DATA
    assert faults == []


@pytest.mark.both_databases
def test_damage_in_the_database_is_noticed_and_mended_by_the_same_bytes(
    app: Flask, settings: Settings
) -> None:
    store = opened(settings, "database")
    assert isinstance(store, DatabaseStore)
    store.put(DATA)
    with transaction() as session:
        session.execute(update(StoredChunk).values(octets=DATA[:-1]))
    with pytest.raises(FileMissingError, match="damaged"):
        store.get(SHA256)
    store.put(DATA)
    assert store.get(SHA256) == DATA


def test_a_file_that_is_not_there_is_gone_only_from_the_store_of_the_installation(
    app: Flask, settings: Settings, store: FileStore, tmp_path: Path
) -> None:
    mark = establish(store)
    assert establish(store) == mark == known_mark()
    with pytest.raises(FileMissingError, match="not in the store"):
        store.get(SHA256)
    elsewhere = FolderStore(tmp_path / "not-mounted", known_mark)
    for act in (elsewhere.get, elsewhere.touch, elsewhere.remove):
        with pytest.raises(StoreAwayError, match="is another one, or it is not mounted"):
            act(SHA256)
    with pytest.raises(StoreAwayError, match="not-mounted"):
        elsewhere.put(DATA)
    assert not elsewhere.root.exists()
    adopt(elsewhere)
    assert elsewhere.get(elsewhere.put(DATA)) == DATA


def test_an_object_storage_that_is_away_or_has_no_such_bucket_says_so_without_its_key(
    app: Flask,
    settings: Settings,
    object_storage: str,
) -> None:
    for place in (f"s3:http://127.0.0.1:{free_port()}/bucket", f"s3:{object_storage}/no-such-bucket"):
        store = opened(settings, place)
        for act in (store.get, store.touch, store.remove):
            with pytest.raises(StoreAwayError, match="cannot be reached") as caught:
                act(SHA256)
            assert place in str(caught.value)
            assert not any(value in f"{caught.value!r}{store!r}" for value in KEY.values())
        with pytest.raises(StoreAwayError, match="cannot be reached"):
            store.put(DATA)


@pytest.mark.both_databases
def test_files_move_from_store_to_store_with_a_proof_and_go_on_where_they_were(
    app: Flask,
    settings: Settings,
    tmp_path: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = open_store(settings)
    establish(usual)
    kept = {usual.put(b"%d" % number) for number in range(6)}
    folders = sorted({sha256[:2] for sha256 in kept})
    monkeypatch.setattr(FileStore, "folders", lambda _self: folders)
    old: FileStore = opened(settings, "", marked=False)
    for place in ("database", bucket, f"folder:{tmp_path / 'shared'}"):
        new = opened(settings, place, marked=False)
        put, left = type(new).put, [3]

        def interrupted(self: FileStore, data: bytes, put=put, left=left) -> str:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            return put(self, data)

        with monkeypatch.context() as halfway:
            halfway.setattr(type(new), "put", interrupted)
            with pytest.raises(KeyboardInterrupt):
                move_files(old, new, lambda _told: None)
        assert sorted(names(old)) == sorted(kept)
        told: list[str] = []
        moved = move_files(old, new, told.append)
        assert (moved.there, moved.new, moved.damaged) == (6, 4, [])
        assert {new.get(sha256) for sha256 in kept} == {b"%d" % number for number in range(6)}
        # Whoever has not heard of it reads on, and waits before writing.
        unaware = type(old).__new__(type(old))
        unaware.__dict__.update(old.__dict__, _mark_of_installation=known_mark)
        assert unaware.get(next(iter(kept)))
        with pytest.raises(StoreAwayError):
            unaware.put(b"too late")
        with pytest.raises(EnvoiError, match="is not a store that was left"):
            clear_left(new)
        assert clear_left(old) == 6
        assert names(old) == []
        old = new
    with pytest.raises(EnvoiError, match="is not the file store"):
        move_files(opened(settings, "", marked=False), old, lambda _told: None)


def test_a_damaged_file_is_named_and_ends_the_move(app: Flask, settings: Settings, tmp_path: Path) -> None:
    usual = open_store(settings)
    assert isinstance(usual, FolderStore)
    establish(usual)
    usual.path(usual.put(DATA)).write_bytes(b"damaged")
    with pytest.raises(EnvoiError, match=SHA256):
        move_files(usual, named_store(settings, "database"), lambda _told: None)
    usual.put(b"others")
    assert usual.has_mark(known_mark())
    copied = copy_files(usual, FolderStore(tmp_path / "copy"))
    assert (copied.there, copied.damaged) == (1, [SHA256])


def test_hosts_with_two_stores_are_told_apart_even_where_one_is_a_copy_of_the_other(
    app_with_queue: Flask, tmp_path: Path
) -> None:
    settings: Settings = app_with_queue.extensions["envoi_settings"]
    assert file_probe.problems() == []
    assert file_probe.problems() == []
    copy = FolderStore(tmp_path / "copy", known_mark)
    copy.set_mark(known_mark())
    app_with_queue.extensions["envoi_files"] = copy
    (problem,) = file_probe.problems()
    assert "they do not have the same file store" in problem
    assert str(settings.data_dir) in problem
    copy.clear_mark(known_mark())
    (problem,) = file_probe.problems()
    assert "This host does not reach the file store" in problem


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"ENVOI_FILES": "nfs:/srv"}, "must be folder:/path, database, or s3:https://host/bucket"),
        ({"ENVOI_FILES": "folder:here"}, "by its whole path"),
        ({"ENVOI_FILES": "s3:https://s3.example.com"}, "must name a bucket"),
        ({"ENVOI_FILES": "s3:s3.example.com/bucket"}, "must name the object storage"),
        ({"ENVOI_FILES": "s3:https://key:hunter2hunter2@s3.example.com/bucket"}, "ENVOI_FILES_SECRET"),
        ({"ENVOI_FILES": "s3:https://s3.example.com/bucket", "ENVOI_FILES_KEY": "AKIA"}, "Set both"),
    ],
)
def test_a_wrong_place_is_told_at_start_without_secrets(
    tmp_path: Path, variables: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_settings({"ENVOI_DATA_DIR": str(tmp_path), **variables})
    assert "hunter2" not in str(caught.value)
    settings = read_settings({"ENVOI_DATA_DIR": str(tmp_path), "ENVOI_FILES": "database", **KEY})
    assert not any(value in repr(settings) for value in KEY.values())
