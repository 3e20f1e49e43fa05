"""Sessions of browsers: how one begins, and how it ends here as well as in the browser."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets

from flask import current_app, request, session
from flask_login import login_user, logout_user
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import delete
from werkzeug.wrappers import Response

from core import clock
from core.auth.models import EndedSession, User
from core.auth.service import user_of_session
from core.db import db, transaction

# A working day: nobody signs in twice, and a forgotten browser is closed by the next morning.
LIFETIME = dt.timedelta(hours=12)
_NAME = "sid"
_DEVICE_LIFETIME = dt.timedelta(days=365)  # it lets nobody in


def begin(user: User) -> None:
    """Sign a user in; what an anonymous visitor had does not become theirs."""
    session.clear()
    session.permanent = True
    session[_NAME] = secrets.token_urlsafe(16)
    # Made here and not by the first page: two windows that come first at the same moment would each make one, and the
    # forms of one of them would be refused.
    session[str(current_app.config["WTF_CSRF_FIELD_NAME"])] = secrets.token_urlsafe(32)
    login_user(user)


def known_device(login: str) -> str:
    """Return the name of the browser when the user of a login has signed in here before, else ""."""
    try:
        user_id, name = _devices().loads(request.cookies.get(_device_cookie(), ""))
    except (BadSignature, ValueError, TypeError):
        return ""
    user = db.session.get(User, user_id)
    return str(name) if user is not None and user.login == login.strip().lower() else ""


def remember_device(response: Response, user: User) -> None:
    """Let the browser be known as this user's, so that guesses elsewhere do not lock them out here."""
    response.set_cookie(
        _device_cookie(),
        _devices().dumps([user.id, secrets.token_urlsafe(16)]),
        max_age=_DEVICE_LIFETIME,
        secure=bool(current_app.config["SESSION_COOKIE_SECURE"]),
        httponly=True,
        samesite="Lax",
    )


def _devices() -> URLSafeSerializer:
    return URLSafeSerializer(str(current_app.config["SECRET_KEY"]), "known device")


def _device_cookie() -> str:
    return f"{current_app.config['SESSION_COOKIE_NAME']}-device"


def end(user: User) -> None:
    """Sign a user out: from now on no copy of the cookie lets anybody in."""
    name = session.get(_NAME)
    with transaction() as rows:
        # After its lifetime a cookie that was not renewed is none any more.
        rows.execute(delete(EndedSession).where(EndedSession.at < clock.now() - 2 * LIFETIME))
        if name is None:
            # Of a session that was begun before sessions had names: all of them end.
            user.session_key = secrets.token_urlsafe(32)
        else:
            rows.merge(EndedSession(hash=_hash(name)))
    logout_user()
    session.clear()


def user_of_cookie(session_id: str) -> User | None:
    """Return who is signed in by the cookie of the request, unless its session was ended."""
    name = session.get(_NAME)
    if name is not None and db.session.get(EndedSession, _hash(name)) is not None:
        return None
    return user_of_session(session_id)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
