"""The form of a server: its kind is chosen first, and only what that asks for is shown and read."""

from __future__ import annotations

import pytest

from core.db import db
from core.vault import decrypt
from modules.mail_config.models import Encryption, MailServer
from tests.forms import form_of
from tests.outbox.conftest import make_ready


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


def test_a_server_becomes_one_of_another_kind_and_must_pass_its_test_again(boss):
    values = form_of(boss.get(new()).text, "host")
    given = {**values, "name": "Post", "host": "mail.example.com", "username": "me", "password": "hush"}
    place = boss.post(new(), data=given).location
    server = db.session.query(MailServer).one()
    make_ready(server)
    page = boss.get(f"{place}/edit").text
    assert ">SendGrid</a>" in page
    change = f"{place}/edit?kind=mail_config.sendgrid"
    page = boss.get(change).text
    assert "This server becomes one of another kind" in page
    assert names(page) == {"password"}
    assert "A password is saved" not in page
    answer = boss.post(change, data=form_of(page, "name"))
    assert "Type the key that the provider has given you." in answer.text, "never the password of the other"
    assert boss.post(change, data={**form_of(page, "name"), "password": "SG.key"}).status_code == 302
    db.session.expire_all()
    assert (server.transport, server.host, server.username) == (
        "mail_config.sendgrid",
        "api.sendgrid.com",
        "",
    )
    assert (decrypt(server.secret), server.ready, server.name) == ("SG.key", False, "Post")
    # And back: nothing of the relay is shown, and its key is told to no host.
    back = f"{place}/edit?kind=mail_config.smtp"
    page = boss.get(back).text
    assert "api.sendgrid.com" not in page
    filled = {**form_of(page, "host"), "host": "mail.example.com"}
    assert boss.post(back, data={**filled, "username": "me"}).status_code != 302
    assert boss.post(back, data=filled).status_code == 302
    db.session.expire_all()
    assert (server.transport, server.secret) == ("mail_config.smtp", None)
    assert boss.get(f"{place}/edit?kind=mail_config.gmail").status_code == 404


def test_a_user_has_an_own_server_of_any_kind_that_a_person_may_have(
    app, company, make_user, sign_in, tmp_path
):
    app.config["MAIL_CONFIG_DROP_FOLDER"] = str(tmp_path)
    sophie = make_user(login="sophie@maison.example.com")
    browser = sign_in(sophie)
    mine = "/mail_config/mine/server?kind=mail_config.{}".format
    page = browser.get("/mail_config/mine/server").text
    assert ">Postmark</a>" in page
    assert ">Folder</a>" not in page, "a folder of the house is no person's"
    assert browser.get(mine("drop")).status_code == 404
    page = browser.get(mine("postmark")).text
    assert names(page) == {"password"}
    assert browser.post(mine("postmark"), data={"password": "token"}).status_code == 302
    server = db.session.query(MailServer).one()
    assert (server.transport, server.owner_id) == ("mail_config.postmark", sophie.id)
    assert "Postmark" in browser.get("/mail_config/mine").text
