"""Accounts while others ask at the same time, the provider is away, or a process has died."""

from __future__ import annotations

import datetime as dt

import pytest

from core import clock
from core.db import db, transaction
from core.mail.outcomes import FailureKind
from modules.mail_config.account_models import MailAccount
from modules.mail_config.accounts import tokens
from modules.mail_config.senders.service import own_server
from modules.mail_config.servers import connecting
from modules.mail_config.transports.base import NoTokenError
from tests.at_once import at_once
from tests.mail_config.accounts import make_old
from tests.mail_config.provider import CLIENT_ID, CLIENT_SECRET
from tests.outbox.processes import eventually, workforce


def test_four_lanes_that_ask_at_once_ask_the_provider_once(provider, account, app):
    server_id = account.server_id
    make_old(server_id)
    provider.delay = 0.3
    got = at_once(app, *[lambda: tokens.access_token(server_id)] * 4)
    assert got == [provider.access_tokens[-1]] * 4
    assert provider.refreshes() == 1


_ASKS = """
import time
from pathlib import Path
from core.app import create_app
from modules.mail_config.accounts.tokens import access_token

folder = Path({folder!r})
with create_app().app_context():
    (folder / "ready.{number}").touch()
    while not (folder / "go").exists():
        time.sleep(0.005)
    (folder / "part.{number}").write_text(access_token({server_id}))
    (folder / "part.{number}").rename(folder / "token.{number}")
"""


@pytest.mark.both_databases
def test_four_processes_that_ask_at_once_ask_the_provider_once(provider, account, app, tmp_path):
    server_id = account.server_id
    make_old(server_id)
    db.session.remove()
    provider.delay = 0.3
    with workforce(app, tmp_path / "workers") as hire:
        for number in range(4):
            script = tmp_path / f"asks{number}.py"
            script.write_text(
                _ASKS.replace("{folder!r}", repr(str(tmp_path)))
                .replace("{number}", str(number))
                .replace("{server_id}", str(server_id))
            )
            hire(
                script=script,
                MAIL_CONFIG_GOOGLE_BASE_URL=provider.base_url,
                MAIL_CONFIG_GOOGLE_CLIENT_ID=CLIENT_ID,
                MAIL_CONFIG_GOOGLE_CLIENT_SECRET=CLIENT_SECRET,
            )
        eventually(lambda: len(list(tmp_path.glob("ready.*"))) == 4, "all four are there")
        (tmp_path / "go").touch()
        eventually(lambda: len(list(tmp_path.glob("token.*"))) == 4, "all four have a token")
    assert {path.read_text() for path in tmp_path.glob("token.*")} == {provider.access_tokens[-1]}
    assert provider.refreshes() == 1


def test_who_has_looked_at_the_clock_before_takes_no_turn_of_another(account):
    row = tokens._account(account.server_id)
    earlier = clock.now()
    assert tokens._take_turn(row, earlier + dt.timedelta(seconds=1))
    assert not tokens._take_turn(row, earlier)
    assert tokens._take_turn(row, earlier - 3 * tokens.LEASE), "a clock that was put back"


def test_while_a_token_lasts_nobody_waits_for_the_next(provider, account, app):
    server_id = account.server_id
    with transaction() as session:
        row = session.get(MailAccount, server_id)
        row.access_ends_at = clock.now() + dt.timedelta(minutes=2)
        row.refreshing_until = clock.now() + tokens.LEASE
    assert tokens.access_token(server_id) == provider.access_tokens[0]
    assert provider.refreshes() == 0


@pytest.mark.parametrize(
    "until",
    [dt.timedelta(seconds=-1), tokens.LEASE + dt.timedelta(hours=1)],
    ids=["it died", "the clock was put back"],
)
def test_who_died_while_asking_holds_up_nobody_for_long(provider, account, until):
    make_old(account.server_id, refreshing_until=clock.now() + until)
    assert tokens.access_token(account.server_id) == provider.access_tokens[-1]
    assert provider.refreshes() == 1


def test_a_provider_that_is_away_ends_no_permission(provider, account, app):
    make_old(account.server_id)
    app.config["MAIL_CONFIG_GOOGLE_BASE_URL"] = "http://127.0.0.1:1"
    with pytest.raises(NoTokenError) as caught:
        tokens.access_token(account.server_id)
    assert caught.value.failure.kind is FailureKind.CONNECT_FAILED
    app.config["MAIL_CONFIG_GOOGLE_BASE_URL"] = provider.base_url
    assert tokens.access_token(account.server_id) == provider.access_tokens[-1]


def test_what_comes_after_the_account_was_disconnected_is_not_kept(provider, account, sophie, app):
    server_id = account.server_id
    make_old(server_id)
    provider.delay = 0.5

    def disconnect() -> None:
        while not provider.refreshes():
            pass
        connecting.remove(own_server(db.session.get(type(sophie), sophie_id)))

    sophie_id = sophie.id
    at_once(app, lambda: tokens.access_token(server_id), disconnect)
    assert db.session.get(MailAccount, server_id) is None
    with pytest.raises(NoTokenError):
        tokens.access_token(server_id)
