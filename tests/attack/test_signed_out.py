"""Who signs out has left: a copied cookie lets nobody in, and other browsers of the same user stay."""

from __future__ import annotations

import datetime as dt

import pytest
from flask import Flask

from core import clock
from core.auth import sessions
from core.auth.models import EndedSession, User
from core.db import db

pytestmark = pytest.mark.both_databases


def cookie_of(client) -> str:
    return client.get_cookie("envoi").value


def with_cookie(app: Flask, value: str):
    client = app.test_client()
    client.set_cookie("envoi", value)
    return client


def lets_in(client) -> bool:
    return client.get("/signature").status_code == 200


def test_a_copied_cookie_lives_no_longer_than_the_session(app, make_user, sign_in):
    client = sign_in(make_user())
    copied = cookie_of(client)
    assert lets_in(with_cookie(app, copied))
    client.post("/sign-out")
    assert not lets_in(with_cookie(app, copied))
    assert not lets_in(client)


def test_a_copy_that_was_renewed_by_itself_ends_too(app, make_user, sign_in):
    client = sign_in(make_user())
    thief = with_cookie(app, cookie_of(client))
    thief.get("/signature")
    client.post("/sign-out")
    assert not lets_in(thief)


def test_other_browsers_of_the_user_stay(app, make_user, sign_in):
    user = make_user()
    here, there = sign_in(user), sign_in(user)
    here.post("/sign-out")
    assert (lets_in(here), lets_in(there)) == (False, True)


def test_a_session_without_a_name_ends_everywhere(app, make_user, sign_in):
    user = make_user()
    client, other = app.test_client(), sign_in(user)
    with client.session_transaction() as session:
        session["_user_id"] = user.get_id()
    copied = cookie_of(client)
    assert lets_in(with_cookie(app, copied))
    client.post("/sign-out")
    assert not lets_in(with_cookie(app, copied))
    assert not lets_in(other)


def test_ended_sessions_are_forgotten_when_their_cookies_are_void(app, make_user, sign_in):
    user = make_user()
    sign_in(user).post("/sign-out")
    for row in db.session.query(EndedSession):
        row.at = clock.now() - 3 * sessions.LIFETIME
    db.session.commit()
    sign_in(user).post("/sign-out")
    assert db.session.query(EndedSession).count() == 1
    assert isinstance(db.session.get(User, user.id), User)
    assert dt.timedelta(hours=12) >= sessions.LIFETIME


def test_the_page_that_follows_tells_scripts_to_clear_what_the_browser_keeps(app, make_user, sign_in):
    client = sign_in(make_user())
    followed = client.post("/sign-out", follow_redirects=True).text
    assert "data-signed-out" in followed
    assert "till/leave.js" in followed
    assert "data-signed-out" not in app.test_client().get("/sign-in").text
