"""Several threads that write by one commit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from select import select as select_files

import pytest
from flask import Flask
from sqlalchemy import Engine, bindparam, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from core.db import db
from core.db.group_commit import GroupCommit, Part
from core.db.prepared import Batch, Prepared
from tests.at_once import WAIT_SECONDS

pytestmark = pytest.mark.both_databases


class StopError(Exception):
    """Comes from outside."""


@pytest.fixture
def notes(app: Flask):
    """A table of the test's own, and the statement that adds a number to it."""
    table = db.Table("test_note", db.MetaData(), db.Column("number", db.Integer, primary_key=True))
    table.create(db.engine)
    yield table, Prepared(insert(table).values(number=bindparam("number")), "number")
    table.drop(db.engine)


def together(actions: list[Callable[[], object]]) -> list[object]:
    """Do things in threads at once; return what each returned or raised."""
    results: list[object] = [None] * len(actions)
    start = threading.Barrier(len(actions))

    def do(place: int) -> None:
        start.wait(WAIT_SECONDS)
        try:
            results[place] = actions[place]()
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            results[place] = error

    threads = [threading.Thread(target=do, args=[place]) for place in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    return results


def kept(table, engine: Engine | None = None) -> list[int]:
    with (engine or db.engine).connect() as connection:
        return list(connection.scalars(select(table.c.number).order_by(table.c.number)))


def add(note: Prepared, number: int) -> Part:
    return number, lambda batch: batch.run(note, {"number": number})


def test_what_a_thread_was_told_is_committed(notes):
    table, note = notes
    writer = GroupCommit(db.engine)
    engine, seen = db.engine, list[bool]()

    def write(number: int) -> object:
        (count,) = writer.write(add(note, number))
        seen.append(number in kept(table, engine))
        return int(count)

    assert together([lambda n=n: write(n) for n in range(24)]) == [1] * 24
    assert all(seen)
    assert kept(table) == list(range(24))
    writer.close()


def test_those_who_come_during_a_commit_share_the_next_one(notes, monkeypatch):
    table, note = notes
    writer = GroupCommit(db.engine)
    ledger = writer._ledger
    commits: list[int] = []
    transaction = ledger.transaction
    waits, goes_on = threading.Event(), threading.Event()

    def counted():
        commits.append(1)
        return transaction()

    def slow(batch: Batch) -> None:
        waits.set()
        goes_on.wait(WAIT_SECONDS)
        batch.run(note, {"number": 0})

    monkeypatch.setattr(ledger, "transaction", counted)
    first = threading.Thread(target=lambda: writer.write((0, slow)))
    first.start()
    assert waits.wait(WAIT_SECONDS)
    others = [threading.Thread(target=lambda n=n: writer.write(add(note, n))) for n in range(1, 9)]
    for thread in others:
        thread.start()
    while len(writer._waiting) < 9:
        pass
    goes_on.set()
    for thread in [first, *others]:
        thread.join(WAIT_SECONDS)
    assert len(commits) == 2
    assert kept(table) == list(range(9))
    writer.close()


def test_those_who_come_while_a_transaction_waits_to_begin_are_in_it(notes, monkeypatch):
    """As on SQLite while another process writes."""
    table, note = notes
    writer = GroupCommit(db.engine)
    transaction = writer._ledger.transaction
    commits: list[int] = []
    writers = [threading.Thread(target=lambda n=n: writer.write(add(note, n))) for n in range(4)]

    def waiting():
        commits.append(1)
        for thread in writers[1:]:
            thread.start()
        while len(writer._waiting) < len(writers):
            pass
        return transaction()

    monkeypatch.setattr(writer._ledger, "transaction", waiting)
    writers[0].start()
    for thread in writers:
        thread.join(WAIT_SECONDS)
    assert len(commits) == 1
    assert kept(table) == list(range(4))
    writer.close()


def test_an_error_of_one_is_not_that_of_the_others(notes):
    table, note = notes
    writer = GroupCommit(db.engine)
    writer.write(add(note, 5))
    results = together([lambda n=n: int(*writer.write(add(note, n))) for n in range(12)])
    assert [place for place, result in enumerate(results) if result != 1] == [5]
    assert isinstance(results[5], IntegrityError)
    assert kept(table) == list(range(12))
    writer.close()


def test_an_error_that_is_told_before_all_is_written_is_not_that_of_the_others(notes):
    """As on a busy machine, where the database has refused the first statement while others are still on their way."""
    table, note = notes
    writer = GroupCommit(db.engine)
    writer.write(add(note, 5))
    postgres = db.engine.dialect.name == "postgresql"

    def answered(batch: Batch) -> object:
        count = batch.run(note, {"number": 5})
        if postgres:
            assert select_files([batch._driver.fileno()], [], [], WAIT_SECONDS)[0]
        return count

    with writer._commit:
        results: list[object] = []

        def write(part: Part) -> None:
            try:
                results.append(int(*writer.write(part)))
            except Exception as error:  # noqa: BLE001 (the test looks at it)
                results.append(error)

        parts = [(5, answered), *(add(note, n) for n in (6, 7, 8))]
        threads = [threading.Thread(target=write, args=[part]) for part in parts]
        for thread in threads:
            thread.start()
        while len(writer._waiting) < len(parts):
            pass
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert sorted(map(type, results), key=str) == [int, int, int, IntegrityError]
    assert kept(table) == [5, 6, 7, 8]
    writer.close()


def test_who_is_interrupted_writes_nothing_and_the_others_go_on(notes):
    table, note = notes
    writer = GroupCommit(db.engine, (StopError,))

    def interrupted(_batch: Batch) -> None:
        raise StopError

    with pytest.raises(StopError):
        writer.write((1, interrupted))
    assert not writer._waiting
    assert int(*writer.write(add(note, 1))) == 1
    assert kept(table) == [1]
    writer.close()


def test_a_database_that_is_away_is_told_to_all(notes, monkeypatch):
    table, note = notes
    writer = GroupCommit(db.engine)

    def away():
        raise OperationalError(None, None, Exception("away"))

    with monkeypatch.context() as patch:
        patch.setattr(writer._ledger, "transaction", away)
        results = together([lambda n=n: writer.write(add(note, n)) for n in range(6)])
    assert all(isinstance(result, OperationalError) for result in results)
    assert not kept(table)
    assert together([lambda n=n: int(*writer.write(add(note, n))) for n in range(6)]) == [1] * 6
    writer.close()


def test_a_group_is_written_in_the_order_of_its_rows(notes):
    """So that two who write the same rows at once never wait for each other."""
    table, note = notes
    writer = GroupCommit(db.engine)
    written: list[int] = []

    def noted(number: int) -> Part:
        row, statements = add(note, number)
        return row, lambda batch: (written.append(number), statements(batch))

    # Nobody commits before all have come.
    with writer._commit:
        threads = [threading.Thread(target=writer.write, args=[noted(n), noted(n - 5)]) for n in (9, 6, 8, 7)]
        for thread in threads:
            thread.start()
        while len(writer._waiting) < 4:
            pass
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert written == kept(table) == [1, 2, 3, 4, 6, 7, 8, 9]
    writer.close()
