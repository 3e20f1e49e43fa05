"""An import that is killed in the middle goes on where it was, and imports no row twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from core import clock
from core.auth.models import User
from core.db import db, end_reading, transaction
from core.imports import service
from core.imports.models import Import, ImportRow, ImportState, Undone
from core.jobs import queue_for
from core.partners.imports import subject
from core.partners.imports.judging import MatchBy
from core.partners.models import Partner

ROWS = 450


@pytest.fixture
def app(app_with_queue: Flask) -> Flask:
    return app_with_queue


def _read(user: User) -> Import:
    lines = "".join(f"N-{number};Customer {number}\n" for number in range(ROWS))
    return service.read_file("partners", f"Number;Name\n{lines}".encode(), "many.csv", user)


@pytest.mark.both_databases
def test_a_killed_import_goes_on_and_does_nothing_twice(
    app: Flask, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    of = _read(make_user("salesperson"))
    number = of.id
    queue = queue_for(app)
    service.check(of, of.mapping, MatchBy.NUMBER)
    assert of.state is ImportState.CHECKING, "more than a person waits for"
    assert queue.count == 1
    service.work(number)
    assert db.session.get_one(Import, number).state is ImportState.CHECKED
    service.start(db.session.get_one(Import, number))

    class KilledError(BaseException):
        """The process ends here."""

    saved = subject.save_partner
    calls = []

    def dies(*args: object) -> Partner:
        calls.append(args)
        if len(calls) == 250:
            raise KilledError
        return saved(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(subject, "save_partner", dies)
    with pytest.raises(KilledError):
        service.work(number)
    monkeypatch.setattr(subject, "save_partner", saved)
    db.session.rollback()
    assert db.session.scalar(select(func.count(Partner.id))) == 200, (
        "whole steps, and nothing of the one that died"
    )
    end_reading()
    # Redis was emptied as well: the sweep finds it.
    queue.empty()
    service.sweep()
    assert queue.count == 0, "somebody may still be working on it"
    monkeypatch.setattr(clock, "now", lambda: dt.datetime.now(dt.UTC) + service.LOST_AFTER * 2)
    service.sweep()
    assert queue.count == 1
    service.work(number)
    service.work(number)  # a second job of the same
    assert db.session.get_one(Import, number).state is ImportState.DONE
    assert db.session.scalar(select(func.count(Partner.id))) == ROWS
    assert db.session.scalar(select(func.count(func.distinct(Partner.number)))) == ROWS
    service.undo(db.session.get_one(Import, number))
    service.step(number)
    service.step(number)
    db.session.rollback()
    service.work(number)
    assert db.session.scalar(select(func.count(Partner.id))) == 0
    undone = db.session.scalars(select(func.distinct(ImportRow.undone))).all()
    assert undone == [Undone.TAKEN_BACK]


def test_what_a_crash_left_half_read_and_what_is_over_is_deleted(
    app: Flask, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user("salesperson")
    half, old = _read(user), _read(user)
    with transaction():
        half.state = ImportState.READING
    monkeypatch.setattr(clock, "now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=2))
    service.sweep()
    assert db.session.scalars(select(Import.id)).all() == [old.id]
    monkeypatch.setattr(clock, "now", lambda: dt.datetime.now(dt.UTC) + service.KEPT_FOR * 1.1)
    service.sweep()
    assert db.session.scalars(select(ImportRow.id)).all() == []
    assert app is not None


def test_an_import_of_somebody_who_may_not_any_more_stops(app: Flask, make_user: Callable[..., User]) -> None:
    user = make_user("salesperson")
    of = _read(user)
    service.check(of, of.mapping, MatchBy.NUMBER)
    with transaction():
        user.active = False
    service.work(of.id)
    db.session.expire_all()
    assert of.state is ImportState.FAILED
    assert app is not None
