"""Two requests of which the database undoes one: it is done anew where nothing of it was written, else told."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from http import HTTPStatus

import pytest
from flask import Flask, flash, request
from flask.testing import FlaskClient
from sqlalchemy import text

from core.auth.models import User
from core.auth.permissions import public
from core.db import db, on_commit, transaction
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.outbox.models import AlertPreference
from tests.at_once import WAIT_SECONDS, at_once

pytestmark = pytest.mark.both_databases

TURNS = 4


def _posts(app: Flask, *posts: Callable[[], object]) -> list[int]:
    """Post several forms in the same moment; return the codes of the answers."""
    codes: list[int] = []
    assert at_once(app, *(lambda post=post: codes.append(post().status_code) for post in posts)) == [
        None
    ] * len(posts)
    return sorted(codes)


def test_two_windows_that_choose_what_they_are_told(app: Flask, make_user, sign_in) -> None:
    for turn in range(TURNS):
        user = make_user("support", login=f"support{turn}@maison.example.com")
        windows = [sign_in(user) for _ in range(6)]
        codes = _posts(
            app,
            *(
                lambda window=window: window.post("/outbox/alerts/preference", data={"every_failure": "1"})
                for window in windows
            ),
        )
        assert codes == [302] * len(windows)
        assert db.session.get_one(AlertPreference, user.id).every_failure


def test_a_session_that_is_ended_twice_at_once(app: Flask, make_user, sign_in) -> None:
    for turn in range(TURNS):
        window = sign_in(make_user(login=f"seller{turn}@maison.example.com"))
        with window.session_transaction() as session:
            kept = dict(session)

        def copy(kept: dict[str, object] = kept) -> FlaskClient:
            other = app.test_client()
            with other.session_transaction() as session:
                session.update(kept)
            return other

        copies = [copy() for _ in range(6)]
        assert set(_posts(app, *(lambda one=one: one.post("/sign-out") for one in copies))) == {302}


@pytest.fixture
def crossing(app: Flask) -> Callable[[int, int], Callable[[], object]]:
    """Return what posts to a page that changes two rows, the second once the other request has the first."""
    meeting = threading.Barrier(2, timeout=WAIT_SECONDS)
    turns: dict[str, int] = {}
    marks = threading.Lock()

    @app.post("/crossing/<int:first>/<int:second>", endpoint="core.crossing")
    @public
    def change(first: int, second: int) -> str:
        flash("once")
        name = f"{first}-{second}"
        with marks:
            turns[name] = turns.get(name, 0) + 1
        octets = request.files["file"].stream.read()
        with transaction() as session:
            for turn, number in enumerate((first, second)):
                session.execute(
                    text("UPDATE core_partner SET city = city || :mark WHERE id = :id"),
                    {"id": number, "mark": octets.decode()},
                )
                if turn == 0 and turns[name] == 1 and session.get_bind().dialect.name != "sqlite":
                    meeting.wait()
        return f"{len(octets)} octets, turn {turns[name]}"

    def post(first: int, second: int) -> Callable[[], object]:
        return lambda: app.test_client().post(
            f"/crossing/{first}/{second}", data={"file": (io.BytesIO(b"xy"), "a.txt")}
        )

    return post


def test_a_deadlock_is_done_anew_with_all_that_was_posted(app: Flask, crossing) -> None:
    one, other = (save_partner(None, {"name": name, "city": ""}).id for name in ("One", "Other"))
    answers: list[str] = []
    raised = at_once(
        app,
        lambda: answers.append(crossing(one, other)().text),
        lambda: answers.append(crossing(other, one)().text),
    )
    assert raised == [None] * len(raised)
    assert all(answer.startswith("2 octets") for answer in answers)
    for number in (one, other):
        assert db.session.get_one(Partner, number).city == "xyxy"
    if db.engine.dialect.name == "postgresql":
        assert sorted(answer.endswith("turn 2") for answer in answers) == [False, True]


def _twin_row(app: Flask, user: User, before: Callable[[], None]) -> Callable[[], object]:
    """Return a page that writes a row which is there already."""
    with transaction() as session:
        session.add(AlertPreference(user_id=user.id, by_mail=True))

    @app.post("/twin", endpoint="core.twin")
    @public
    def twin() -> str:
        before()
        with transaction() as session:
            session.execute(text("INSERT INTO outbox_alert_preference SELECT * FROM outbox_alert_preference"))
        return ""

    return lambda: app.test_client().post("/twin")


def test_what_was_written_by_half_is_not_done_anew_and_told_in_words(app: Flask, make_user) -> None:
    called: list[int] = []

    def before() -> None:
        with transaction():
            on_commit(lambda: called.append(1))

    answer = _twin_row(app, make_user(), before)()
    assert called == [1]
    assert answer.status_code == HTTPStatus.CONFLICT
    assert "Somebody else was changing the same in that moment" in answer.text


def test_what_stays_refused_is_told_in_words(app: Flask, make_user) -> None:
    called: list[int] = []
    answer = _twin_row(app, make_user(), lambda: called.append(1))()
    assert len(called) > 1
    assert answer.status_code == HTTPStatus.CONFLICT


@pytest.mark.on_database("sqlite")  # only there one lock is for all
def test_a_database_that_stays_locked_is_told_at_once(app: Flask, make_user, monkeypatch) -> None:
    db.session.commit()
    db.engine.dispose()
    monkeypatch.setattr("core.db.base.SQLITE_BUSY_SECONDS", 1)
    holder = db.engine.connect().execution_options(envoi_write=True)
    holder.begin()
    called: list[int] = []

    @app.post("/write", endpoint="core.write")
    @public
    def write() -> str:
        called.append(1)
        with transaction():
            return ""

    try:
        monkeypatch.setattr("core.db.conflicts.PATIENCE_SECONDS", 0.5)
        answer = app.test_client().post("/write")
    finally:
        holder.close()
    assert called == [1], "whoever waited for the lock once does not wait again"
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert app.test_client().post("/write").status_code == HTTPStatus.OK
