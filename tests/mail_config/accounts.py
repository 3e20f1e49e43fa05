"""Fixtures of connected accounts, and what a person does to have one; tests import them into their conftest."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from core import clock
from core.auth.models import User
from core.db import db, transaction
from modules.mail_config.account_models import MailAccount
from tests.mail_config.provider import CLIENT_ID, CLIENT_SECRET, Provider, running_provider

GMAIL = "sophie@gmail.example.com"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider, app: Flask) -> Provider:
    fresh = Provider(port=running.port)
    running.__dict__.update(fresh.__dict__)
    for name in ("GOOGLE", "MICROSOFT"):
        app.config[f"MAIL_CONFIG_{name}_BASE_URL"] = running.base_url
        app.config[f"MAIL_CONFIG_{name}_CLIENT_ID"] = CLIENT_ID
        app.config[f"MAIL_CONFIG_{name}_CLIENT_SECRET"] = CLIENT_SECRET
    return running


@pytest.fixture
def sophie(make_user) -> User:
    return make_user(login=GMAIL)


def leave(
    browser: FlaskClient,
    address: str = GMAIL,
    provider: str = "google",
    at: str = "/mail_config/accounts/{}/connect",
    **data: object,
) -> str:
    """Press the button; return where the person is sent."""
    page = browser.post(at.format(provider), data={"address": address, **data})
    assert page.status_code == 200, page
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


def back(browser: FlaskClient, url: str) -> TestResponse:
    """Come back from the provider, as the browser does; return the page that is shown in the end."""
    parts = urlsplit(url)
    page = browser.get(f"{parts.path}?{parts.query}")
    assert page.status_code == 200
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
    answer = {name: unescape(value) for name, value in fields if name != "csrf_token"}
    return browser.post(parts.path, data=answer, follow_redirects=True)


@pytest.fixture
def account(provider, sophie, sign_in) -> MailAccount:
    """An account that is connected."""
    browser = sign_in(sophie)
    back(browser, provider.consent(leave(browser)))
    return db.session.scalars(select(MailAccount)).one()


def make_old(server_id: int, **values: object) -> None:
    """Let the access token of an account have ended."""
    with transaction() as session:
        row = session.get(MailAccount, server_id)
        row.access_ends_at = clock.now() - dt.timedelta(seconds=1)
        for name, value in values.items():
            setattr(row, name, value)
