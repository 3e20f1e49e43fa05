"""An application with core and the playground alone, for tests with several browsers at once.

No application context stays open around the requests: Flask would share it, and with it `g`, where the
signed-in user of one browser would be taken for that of the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.auth.service import save_user
from core.config import read_settings
from core.db import db
from core.testing.applications import applications

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def bare_app(tmp_path: Path, migrated_file: Callable[..., Path]) -> Iterator[Flask]:
    settings = read_settings({"ENVOI_DATA_DIR": str(tmp_path), "ENVOI_MODULES": "playground"})
    shutil.copy(migrated_file("playground"), tmp_path / "envoi.db")
    with applications.lend(settings) as app:
        yield app
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def browser(bare_app: Flask) -> SignIn:
    return lambda role: browser_of(bare_app, role)


def browser_of(app: Flask, role: str) -> FlaskClient:
    """Return a browser in which `<role>@example.com` is signed in; the user is made at the first time."""
    login = f"{role}@example.com"
    with app.app_context():
        user = db.session.scalar(select(User).where(User.login == login))
        if user is None:
            user = save_user(
                None, login=login, name=role, roles=[role], company_ids=[], password="a-long-password"
            )
        session_id = user.get_id()
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = session_id
    return client
