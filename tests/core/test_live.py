"""What a process knows of changes, and who may ask about which."""

from __future__ import annotations

import pytest
from flask import Flask, g
from sqlalchemy import Column, insert, select

from core.db import db
from core.live import changes, watching
from core.live.changes import Changes, ChangeSource

pytestmark = pytest.mark.both_databases


@pytest.fixture
def steps(app: Flask):
    """A table of the test's own, with a topic for each row."""
    table = db.Table(
        "test_step",
        db.MetaData(),
        db.Column("id", db.Integer, primary_key=True),
        db.Column("topic", db.String(20)),
    )
    table.create(db.engine)

    def rows(connection, condition, limit):
        found = connection.execute(
            select(table.c.id, table.c.topic).where(condition).order_by(table.c.id).limit(limit)
        )
        return [(number, [topic]) for number, topic in found]

    def write(*pairs: tuple[int, str]) -> None:
        with db.engine.begin() as connection:
            connection.execute(insert(table), [{"id": number, "topic": topic} for number, topic in pairs])

    id_column: Column[int] = table.c.id
    yield write, lambda: Changes({"test": ChangeSource(id_column, rows)})  # type: ignore[arg-type]
    table.drop(db.engine)


def test_a_page_hears_of_what_was_committed_after_it_was_made(steps):
    write, process = steps
    write((1, "a"))
    here = process()
    here.look()
    since = here.now
    assert not here.fired(since, ["test:a"])
    write((2, "a"), (3, "b"))
    assert here.look() == ({"test:a", "test:b"}, False)
    assert here.fired(since, ["test:a"])
    assert not here.fired(since, ["test:c"])
    assert not here.fired(here.now, ["test:a", "test:b"])


def test_what_is_committed_after_a_higher_number_is_found_and_told_once(steps):
    write, process = steps
    here = process()
    here.look()
    write((1, "a"), (4, "b"))
    here.look()
    since = here.now
    write((2, "late"))
    assert here.look() == ({"test:late"}, False)
    assert here.fired(since, ["test:late"])
    assert not here.fired(since, ["test:b"])  # it was seen, though its number is higher
    assert not here.fired(here.now, ["test:late"])


def test_a_number_that_nobody_has_used_is_not_waited_for_for_ever(steps, monkeypatch):
    write, process = steps
    monkeypatch.setattr(changes, "OPEN_SECONDS", -1.0)
    here = process()
    here.look()
    write((1, "a"), (3, "b"))
    here.look()
    here.look()
    assert here.now == "test:3"


def test_another_host_answers_for_a_page_of_this_one(steps):
    write, process = steps
    here, there = process(), process()
    here.look()
    there.look()
    write((1, "a"))
    there.look()
    assert there.fired(here.now, ["test:a"])
    assert not here.fired(there.now, ["test:a"])  # it has not looked yet, and says nothing wrong
    here.look()
    assert not here.fired(there.now, ["test:a"])


def test_who_cannot_tell_says_that_it_may_have_changed(steps, monkeypatch):
    write, process = steps
    monkeypatch.setattr(changes, "MOST_AT_ONCE", 3)
    write((1, "a"))
    here = process()
    here.look()
    since = here.now
    assert process().fired("", ["test:z"])  # before its first look
    for nonsense in ("", "test:", "test:x", "other:1", "test:1.x", "test:-1"):
        assert here.fired(nonsense, ["test:z"])
    assert not here.fired("", ["unknown:z"])
    write(*((number, "b") for number in range(2, 10)))
    assert here.look() == (set(), True)
    assert here.fired(since, ["test:z"])


def test_only_what_a_page_was_given_can_be_asked_about(app, make_user, sign_in):
    user = make_user("salesperson")
    with app.test_request_context():
        g._login_user = user
        given = str(watching.watched("outbox", ["m7"])).split('"')[1]
    ask = {"headers": {"X-Quiet": "1"}}
    own = sign_in(user)
    answer = own.post("/changes", data={"since": "", "topics": given}, **ask)
    assert answer.json["fired"] == [0]  # made before anybody has looked
    since = answer.json["now"]
    assert own.post("/changes", data={"since": since, "topics": given}, **ask).json == {
        "now": since,
        "fired": [],
    }
    assert "Set-Cookie" not in answer.headers  # nobody may be there any more
    for wrong in (
        {},
        {"topics": given},
        {"since": "", "topics": given.replace("m7", "m8")},
        {"since": "", "topics": "x"},
    ):
        assert own.post("/changes", data=wrong, **ask).status_code == 400
    assert (
        sign_in(make_user("support")).post("/changes", data={"since": "", "topics": given}, **ask).status_code
        == 400
    )
    assert app.test_client().post("/changes", data={"since": "", "topics": given}, **ask).status_code == 204
