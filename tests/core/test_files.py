from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from core import clock
from core.files import FileMissingError, FolderStore, StoreFullError

DATA = b"%PDF-1.7 a small file"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "files")


def files(store: FolderStore) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file())


def test_bytes_are_found_by_their_hash(store: FolderStore) -> None:
    assert store.put(DATA) == SHA256
    assert store.get(SHA256) == DATA
    assert store.path(SHA256) == store.root / SHA256[:2] / SHA256


@pytest.mark.parametrize("data", [b"", b"\0" * 100_000])
def test_any_bytes_can_be_kept(store: FolderStore, data: bytes) -> None:
    assert store.get(store.put(data)) == data


def test_the_same_bytes_are_kept_once(store: FolderStore) -> None:
    store.put(DATA)
    before = store.path(SHA256).stat().st_ino
    assert store.put(DATA) == SHA256
    assert store.path(SHA256).stat().st_ino == before
    assert files(store) == [SHA256]


@pytest.mark.parametrize("damage", [b"", DATA[:-1], DATA[:-1] + b"!"])
def test_damage_is_noticed_and_mended_by_the_same_bytes(store: FolderStore, damage: bytes) -> None:
    store.put(DATA)
    store.path(SHA256).write_bytes(damage)
    with pytest.raises(FileMissingError, match="damaged"):
        store.get(SHA256)
    store.put(DATA)
    assert store.get(SHA256) == DATA


def test_what_is_gone_is_said_to_be_gone(store: FolderStore) -> None:
    with pytest.raises(FileMissingError, match="not in the store"):
        store.get(SHA256)
    store.put(DATA)
    store.remove(SHA256)
    store.remove(SHA256)
    with pytest.raises(FileMissingError, match="not in the store"):
        store.get(SHA256)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", SHA256.upper(), SHA256 + "\n", SHA256[:-1], "g" * 64]
)
def test_what_is_no_hash_names_no_file(store: FolderStore, name: str) -> None:
    for act in (store.path, store.get, store.remove):
        with pytest.raises(FileMissingError, match="is not a SHA-256"):
            act(name)


def no_space(*_arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_nothing_behind(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_space)
        with pytest.raises(StoreFullError, match="No space left on device"):
            store.put(DATA)
    assert files(store) == []
    assert store.get(store.put(DATA)) == DATA


def test_a_disk_that_is_really_full_leaves_nothing_behind(store: FolderStore) -> None:
    # /dev/full answers every write as a full disk does; the store writes where it points.
    if not Path("/dev/full").exists():
        pytest.skip("This machine has no /dev/full.")
    store.put(DATA)
    other = b"x" * 100_000
    target = store.path(hashlib.sha256(other).hexdigest())
    target.parent.mkdir(parents=True, exist_ok=True)
    original = Path.open

    def open_full(path: Path, *arguments: object, **keywords: object) -> object:
        if path.suffix == ".tmp":
            original(path, "xb").close()
            return original(Path("/dev/full"), "wb")
        return original(path, *arguments, **keywords)  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as full:
        full.setattr(Path, "open", open_full)
        with pytest.raises(StoreFullError, match="No space left on device"):
            store.put(other)
    assert files(store) == [SHA256]


def test_a_store_that_cannot_be_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    with pytest.raises(StoreFullError, match="could not be stored: Not a directory"):
        FolderStore(tmp_path / "files").put(DATA)


def test_a_file_appears_whole_or_not_at_all(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append(files(store))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    store.put(DATA)
    before_the_name, after_the_name = seen
    assert [name.endswith(".tmp") for name in before_the_name] == [True]
    assert after_the_name == [SHA256]


def age(store: FolderStore, seconds: float = 3600) -> None:
    """Let the file have been stored some time ago."""
    moment = store.path(SHA256).stat().st_mtime - seconds
    os.utime(store.path(SHA256), (moment, moment))


def a_minute_ago() -> dt.datetime:
    return clock.now() - dt.timedelta(minutes=1)


def test_what_was_stored_or_touched_lately_is_not_removed(store: FolderStore) -> None:
    store.put(DATA)
    assert store.remove(SHA256, unless_touched_after=a_minute_ago()) is False
    age(store)
    assert store.touch(SHA256)
    assert store.remove(SHA256, unless_touched_after=a_minute_ago()) is False
    age(store)
    assert store.put(DATA) == SHA256
    assert store.remove(SHA256, unless_touched_after=a_minute_ago()) is False
    age(store)
    assert store.remove(SHA256, unless_touched_after=a_minute_ago()) is True
    assert files(store) == []


def test_what_is_gone_cannot_be_touched_and_removing_it_is_no_error(store: FolderStore) -> None:
    assert store.touch(SHA256) is False
    assert store.remove(SHA256, unless_touched_after=a_minute_ago()) is True


def test_bytes_stored_while_they_are_being_removed_are_there_afterwards(store: FolderStore) -> None:
    for _ in range(200):
        store.put(DATA)
        age(store)
        together = threading.Barrier(2)

        def remove(together: threading.Barrier = together) -> None:
            together.wait()
            store.remove(SHA256, unless_touched_after=a_minute_ago())

        remover = threading.Thread(target=remove)
        remover.start()
        together.wait()
        store.put(DATA)
        remover.join()
        assert store.get(SHA256) == DATA


def test_the_names_of_a_folder_tell_hashes_from_leftovers(store: FolderStore) -> None:
    store.put(DATA)
    folder = SHA256[:2]
    leftover = store.path(SHA256).with_name(f"{SHA256}.00aa.tmp")
    leftover.write_bytes(b"half")
    assert list(store.names(folder, untouched_for=60)) == []
    assert dict(store.names(folder, untouched_for=-60)) == {SHA256: True, leftover.name: False}
    assert list(store.names("00", untouched_for=-60)) == []
    store.discard_leftover(folder, SHA256)
    store.discard_leftover(folder, leftover.name)
    assert files(store) == [SHA256]
