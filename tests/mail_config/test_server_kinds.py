"""The form of a server: its kind is chosen first, and only what that asks for is shown and read."""

from __future__ import annotations

import pytest

from core.db import db
from core.vault import decrypt
from modules.mail_config.models import Encryption, MailServer
from tests.forms import form_of


@pytest.fixture
def boss(make_user, sign_in, company):
    return sign_in(make_user("administrator"))


def new(kind=None):
    return f"/mail_config/servers/new?kind=mail_config.{kind}" if kind else "/mail_config/servers/new"


def names(page):
    return {name for name in ("host", "port", "encryption", "username", "password", "ca_certificate", "forget")
            if f'name="{name}"' in page}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (None, {"host", "port", "encryption", "username", "password", "ca_certificate"}),
        ("smtp", {"host", "port", "encryption", "username", "password", "ca_certificate"}),
        ("sendgrid", {"password"}),
        ("postmark", {"password"}),
        ("drop", set()),
    ],
)
def test_only_what_a_kind_asks_for_is_shown(app, boss, tmp_path, kind, fields):
    app.config["MAIL_CONFIG_DROP_FOLDER"] = str(tmp_path)
    answer = boss.get(new(kind))
    assert answer.status_code == 200
    assert names(answer.text) == fields
    assert 'aria-current="page"' in answer.text
    assert ('name="for"' in answer.text) is (kind in {None, "smtp"})


@pytest.mark.parametrize("kind", ["drop", "nothing", "smtp.x"])
def test_a_kind_that_is_not_offered_has_no_form(boss, kind):
    """The folder is offered only where the installation names one."""
    assert boss.get(new(kind)).status_code == 404
    assert ">Folder</a>" not in boss.get(new()).text


def test_a_relay_is_set_up_by_its_key_alone(boss):
    page = boss.get(new("sendgrid")).text
    assert "API key" in page
    values = {**form_of(page, "name"), "name": "Relay"}
    # What its kind does not ask for is not read, whoever posts it.
    answer = boss.post(new("sendgrid"), data={**values, "password": "", "host": "evil.example", "port": "25"})
    assert "Type the key that the provider has given you." in answer.text
    answer = boss.post(new("sendgrid"), data={**values, "password": "SG.secret", "host": "evil.example"})
    assert answer.status_code == 302
    server = db.session.query(MailServer).one()
    assert (server.transport, server.host) == ("mail_config.sendgrid", "api.sendgrid.com")
    assert (server.encryption, server.username) == (Encryption.TLS, "")
    assert decrypt(server.secret) == "SG.secret"
    page = boss.get(answer.location).text
    assert "SendGrid" in page
    assert "api.sendgrid.com:" not in page
    assert "SG.secret" not in page
    assert "API key" in page
    assert "SendGrid" in boss.get("/mail_config/servers").text


def test_a_relay_is_edited_without_typing_its_key_again(boss):
    values = form_of(boss.get(new("postmark")).text, "name")
    place = boss.post(new("postmark"), data={**values, "name": "Relay", "password": "token"}).location
    page = boss.get(f"{place}/edit").text
    assert names(page) == {"password"}
    assert boss.post(f"{place}/edit", data={**form_of(page, "name"), "name": "Other"}).status_code == 302
    server = db.session.query(MailServer).one()
    assert (server.name, decrypt(server.secret), server.transport) == (
        "Other",
        "token",
        "mail_config.postmark",
    )
