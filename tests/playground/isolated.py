"""An application with core and the playground alone, for tests with several browsers at once.

No application context stays open around the requests: Flask would share it, and with it `g`, where the
signed-in user of one browser would be taken for that of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core import migrate
from core.app import create_app
from core.auth.models import User
from core.auth.service import save_user
from core.config import read_settings
from core.db import db

SignIn = Callable[[str], FlaskClient]


def isolated_app(data_dir: Path) -> Iterator[Flask]:
    settings = read_settings({"ENVOI_DATA_DIR": str(data_dir), "ENVOI_MODULES": "playground"})
    app = create_app(settings, testing=True)
    app.config["WTF_CSRF_ENABLED"] = False
    with app.app_context():
        migrate.upgrade(app)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


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
