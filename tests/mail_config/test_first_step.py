"""The mail server on the first day: tested, or the mailbox of the playground, which production must not keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.begin.steps import Step, lead, steps_for
from core.db import db, transaction
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.servers.playground import in_production
from modules.mail_config.servers.service import save_server
from tests.forms import form_of


def step_of(user: User) -> Step:
    return next(step for step in steps_for(user) if step.name == "mail_config.server")


@pytest.mark.both_databases
def test_the_playground_is_a_server_to_try_with_and_told_in_production(
    app: Flask,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boss = make_user("administrator")
    assert not step_of(boss).done
    assert [link.post for link in step_of(boss).links] == [False, True]
    client = sign_in(boss)
    for _ in range(2):
        assert client.post("/mail_config/servers/playground").location == "/first-steps"
    db.session.expire_all()
    server = db.session.scalars(select(MailServer)).one()
    assert server.ready
    assert step_of(boss).done
    assert "reach nobody" in step_of(boss).told

    assert in_production(app) == []  # nobody else reaches this machine
    reached = replace(app.extensions["envoi_settings"], base_url="https://envoi.example.com")
    monkeypatch.setitem(app.extensions, "envoi_settings", reached)
    assert "envoi.example.com" in in_production(app)[0]
    with transaction():
        server.active = False
    assert in_production(app) == []
    assert not step_of(boss).done


def test_on_the_first_day_only_what_a_provider_tells_is_asked_and_the_test_runs_by_itself(
    app: Flask, make_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]
) -> None:
    boss = make_user("administrator")
    with transaction():
        lead(boss)
    client = sign_in(boss)
    usual = client.get("/mail_config/servers/new").text
    assert "More settings" not in usual
    client.get("/first-steps")
    page = client.get("/mail_config/servers/new?for=sales@orange.fr").text
    assert page.index("More settings") < page.index('name="priority"')
    form = form_of(page, "host")
    assert form["host"] == "smtp.orange.fr"
    # What is folded up and wrong is shown.
    wrong = client.post("/mail_config/servers/new", data={**form, "password": "x", "priority": "-1"})
    assert '<details class="mt-3" open>' in wrong.text
    saved = client.post("/mail_config/servers/new", data={**form, "password": "x"})
    shown = client.get(saved.location).text
    assert 'hx-trigger="load"' in shown
    assert "has not passed its test yet" in step_of(boss).told
    assert app is not None


def test_a_tested_server_is_a_step_that_is_done(app: Flask, make_user: Callable[..., User]) -> None:
    boss = make_user("administrator")
    server = save_server(
        None,
        {
            "name": "House", "transport": "mail_config.smtp", "host": "smtp.example.com", "port": 587,
            "encryption": Encryption.STARTTLS,
        },
        None,
    )  # fmt: skip
    assert not step_of(boss).done
    with transaction():
        server.tested_fingerprint = server.fingerprint
    assert step_of(boss).done
    assert steps_for(make_user("salesperson")) != []
    assert not [step for step in steps_for(make_user("cashier")) if step.name == "mail_config.server"]
    assert app is not None
