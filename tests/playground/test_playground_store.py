"""The mailbox keeps whole messages only, newest first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modules.playground.store import MailStore


def put(store: MailStore, number: int) -> str:
    data = f"Subject: mail {number}\r\nFrom: a@x.example\r\n\r\nhello\r\n".encode()
    return store.put(data, "a@x.example", [f"to{number}@y.example"]).key


def subjects(store: MailStore, **page: str) -> list[str]:
    return [row.subject for row in store.page(size=2, **page).rows]


def test_an_empty_mailbox_is_an_empty_page(store: MailStore) -> None:
    page = store.page()
    assert (page.rows, page.more_newer, page.more_older) == ([], False, False)


def test_a_message_comes_back_exactly_as_it_was(store: MailStore) -> None:
    data = b"Subject: x\r\n\r\n\x00\xff.\r\n\n{}\r\n"
    stored = store.put(data, "", ["t\udcff@y.example", "é@y.example"])
    found = store.get(stored.key)
    assert found is not None
    assert found[1] == data
    assert found[0].recipients == ("t\N{REPLACEMENT CHARACTER}@y.example", "é@y.example")
    assert found[0].size == len(data)


def test_pages_by_key_go_forth_and_back(store: MailStore) -> None:
    keys = [put(store, number) for number in range(5)]
    assert keys == sorted(keys)
    first = store.page(size=2)
    assert (first.more_newer, first.more_older) == (False, True)
    assert subjects(store) == ["mail 4", "mail 3"]
    assert subjects(store, after=keys[3]) == ["mail 2", "mail 1"]
    last = store.page(size=2, after=keys[1])
    assert ([row.subject for row in last.rows], last.more_newer, last.more_older) == (["mail 0"], True, False)
    assert subjects(store, before=keys[0]) == ["mail 2", "mail 1"]
    assert store.page(size=2, before=keys[2]).more_newer is False
    put(store, 5)  # what arrives meanwhile moves nothing
    assert subjects(store, after=keys[3]) == ["mail 2", "mail 1"]


@pytest.mark.parametrize("text", ["MAIL 3", "to3@Y", "to3"])
def test_search_finds_subjects_and_addresses(store: MailStore, text: str) -> None:
    for number in range(5):
        put(store, number)
    assert subjects(store, search=text) == ["mail 3"]
    assert subjects(store, search="nothing like it") == []


@pytest.mark.parametrize("key", ["", "x", "../../secret", "20261123T063330123456Z-00000000", "\x00"])
def test_a_key_that_is_none_finds_nothing(store: MailStore, key: str) -> None:
    put(store, 1)
    (store.root.parent / "secret.mail").write_text("{}\n")
    assert store.get(key) is None


def test_strange_files_in_the_folder_are_passed_over(store: MailStore) -> None:
    put(store, 1)
    for name in ("notes.txt", "x.mail", "20261123T063330123456Z-00000000.mail"):
        (store.root / name).write_bytes(b"\xff")
    assert subjects(store) == ["mail 1"]
    assert store.get("20261123T063330123456Z-00000000") is None


def test_what_is_half_written_is_never_shown(store: MailStore) -> None:
    put(store, 1)
    (store.root / "20991123T063330123456Z-00000000.part").write_bytes(b"{}\nhalf")
    assert subjects(store) == ["mail 1"]
    store.sweep()
    assert len(list(store.root.iterdir())) == 1


def test_a_failure_while_writing_leaves_nothing(store: MailStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        put(store, 1)
    assert list(store.root.iterdir()) == []


def test_a_writer_killed_in_the_middle_leaves_only_whole_messages(store: MailStore) -> None:
    program = (
        "import sys; from pathlib import Path; from modules.playground.store import MailStore\n"
        "store = MailStore(Path(sys.argv[1]))\n"
        "while True: store.put(b'Subject: s\\r\\n\\r\\n' + b'x' * 2_000_000, 'a@x', ['b@y'])\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(store.root)])
    try:
        deadline = time.monotonic() + 30
        while len(store.page(size=3).rows) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    rows = store.page(size=1000).rows
    assert len(rows) >= 3
    for row in rows:
        found = store.get(row.key)
        assert found is not None
        assert len(found[1]) == row.size == 2_000_014


def test_delete_all_empties_the_mailbox(store: MailStore) -> None:
    assert store.delete_all() == 0
    put(store, 1)
    put(store, 2)
    assert store.delete_all() == 2
    assert subjects(store) == []


def test_the_list_does_not_read_the_messages(store: MailStore, tmp_path: Path) -> None:
    stored = store.put(b"Subject: big\r\n\r\n" + b"x" * 5_000_000, "a@x", ["b@y"])
    path = store.root / f"{stored.key}.mail"
    os.truncate(path, 2000)  # a list that read the message would notice
    assert subjects(store) == ["big"]
