"""Who guesses passwords: is counted in time, and locks nobody out of the browser that they use."""

from __future__ import annotations

import threading

import pytest
from flask import Flask

from core.auth import service, throttle
from core.auth.models import SignInAttempt, User
from core.auth.service import SignInError
from core.db import db
from core.errors import UserError
from core.testing.fixtures import PASSWORD
from modules.mail_config.models import Encryption
from modules.mail_config.servers.service import save_server
from tests.at_once import WAIT_SECONDS

LIMIT = throttle.ATTEMPTS_PER_LOGIN


def guess(client, user: User, typed: str = "") -> str:
    return client.post("/sign-in", data={"login": user.login, "password": typed or "wrong"}).text


def test_wrong_passwords_elsewhere_lock_nobody_out_of_their_browser(app, make_user, sign_in):
    user = make_user()
    mine = sign_in(user)
    mine.post("/sign-out")
    stranger = app.test_client()
    for _ in range(LIMIT):
        guess(stranger, user)
    assert "Too many attempts" in guess(stranger, user, PASSWORD)
    assert mine.post("/sign-in", data={"login": user.login, "password": PASSWORD}).status_code == 302


def test_the_own_browser_may_not_guess_for_ever(app, make_user, sign_in):
    user = make_user()
    mine = sign_in(user)
    mine.post("/sign-out")
    for _ in range(LIMIT):
        assert "is wrong" in guess(mine, user)
    assert "Too many attempts" in guess(mine, user, PASSWORD)


def test_a_browser_is_known_for_its_own_user_alone(app, make_user, sign_in):
    eve, boss = make_user(), make_user("administrator")
    mine = sign_in(eve)
    mine.post("/sign-out")
    for _ in range(LIMIT):
        guess(mine, boss)
    assert "Too many attempts" in guess(mine, boss, PASSWORD)
    assert "Too many attempts" in guess(app.test_client(), boss, PASSWORD)


@pytest.mark.parametrize("value", ["", "x", "[1]", "WzEsIngiXQ.AAAA", "é"])
def test_a_cookie_that_somebody_made_is_none(app, make_user, value):
    user = make_user()
    client = app.test_client()
    client.set_cookie("envoi-device", value)
    for _ in range(LIMIT):
        assert "is wrong" in guess(client, user)
    assert "Too many attempts" in guess(client, user, PASSWORD)


def test_strangers_lock_nobody_out_of_changing_the_own_password(app, make_user, sign_in):
    user = make_user()
    client = sign_in(user)
    for _ in range(LIMIT + 1):
        guess(app.test_client(), user)
    new = "an entirely new passphrase"
    assert client.post("/password", data={"current": PASSWORD, "password": new}).status_code == 302


@pytest.mark.both_databases
def test_guesses_that_come_at_once_are_counted(app: Flask, make_user, monkeypatch):
    user = make_user()
    login, looked_at, ready = user.login, [], threading.Barrier(20)
    hasher = service._hasher
    db.session.remove()

    class Slow:
        def verify(self, *args: str) -> bool:
            looked_at.append(args)
            # All that will come are here before the first learns that it was wrong.
            threading.Event().wait(0.5)
            return hasher.verify(*args)

        def __getattr__(self, name: str) -> object:
            return getattr(hasher, name)

    monkeypatch.setattr(service, "_hasher", Slow())
    service._nobodys_hash()

    def attempt(number: int) -> None:
        ready.wait(WAIT_SECONDS)
        with app.app_context(), pytest.raises(SignInError):
            service.sign_in(login, f"guess {number}", f"192.0.2.{number}")

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert len(looked_at) <= LIMIT
    assert db.session.query(SignInAttempt).count() <= LIMIT


@pytest.mark.parametrize(
    "change",
    [
        {"host": "evil.example.com"},
        {"port": 2525},
        {"encryption": Encryption.NONE},
        {"username": "somebody-else"},
        {"host": "MAIL.example.com", "port": 25},
    ],
)
def test_a_stored_password_goes_nowhere_else(app, change):
    values = {
        "name": "x",
        "host": "mail.example.com",
        "port": 587,
        "username": "me",
        "encryption": Encryption.STARTTLS,
    }
    server = save_server(None, values, "secret")
    with pytest.raises(UserError, match="type the password again"):
        save_server(server, {**values, **change}, None)
    assert save_server(server, {**values, **change}, "again").secret


def test_a_stored_password_stays_where_nothing_of_it_changes(app):
    values = {
        "name": "x",
        "host": "mail.example.com",
        "port": 587,
        "username": "me",
        "encryption": Encryption.STARTTLS,
    }
    server = save_server(None, values, "secret")
    assert save_server(server, {**values, "host": "Mail.Example.com", "name": "y"}, None).secret
    assert save_server(server, {**values, "encryption": Encryption.TLS}, None).secret
