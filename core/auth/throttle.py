"""How often somebody may try: sign-ins, and requests for a link, are counted by login and by address."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import delete, func, select

from core import clock
from core.auth.models import SignInAttempt
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l

ATTEMPT_WINDOW = dt.timedelta(minutes=15)  # failed sign-ins are counted for so long
ATTEMPTS_PER_LOGIN = 8  # more than a person mistypes, far fewer than a guesser needs
_DEVICE = "device "  # no address begins so
_REQUEST = "link "  # the same
REQUESTS_PER_LOGIN = 3  # emails to somebody who may not have asked for any
ATTEMPTS_PER_REMOTE = 40  # a whole office may share an address, so this is generous


class SignInError(UserError):
    """The sign-in failed; the sentence does not tell whether the login exists."""


def count_request(login: str, remote: str) -> str:
    """Count that somebody has asked for a link by which to choose a password, and return the login as it is stored.

    By themselves, so that whoever asks for links locks nobody out of signing in.

    Raises:
        SignInError: There were too many, for this login or from this address, whether or not anybody has it.
    """
    login, remote = plain_login(login), remote.replace("\0", "")
    _count(
        SignInAttempt(login=f"{_REQUEST}{login}"[:254], remote=f"{_REQUEST}{remote}"[:64]),
        per_login=REQUESTS_PER_LOGIN,
    )
    return login


def count_sign_in(login: str, remote: str, device: str) -> SignInAttempt:
    """Count a sign-in, of a browser that is known (`device`) by itself, and return what was counted.

    Raises:
        SignInError: There were too many.
    """
    # What a proxy tells as the remote address may be anything.
    attempt = (
        SignInAttempt(login="", remote=f"{_DEVICE}{device}"[:64])
        if device
        else SignInAttempt(login=login, remote=remote.replace("\0", "")[:64])
    )
    _count(attempt)
    return attempt


def plain_login(login: str) -> str:
    """Return what was typed as a login, as it is stored."""
    # PostgreSQL takes no NUL.
    return login.replace("\0", "").strip().lower()[:254]


def _count(attempt: SignInAttempt, per_login: int = ATTEMPTS_PER_LOGIN) -> None:
    """Write an attempt down before the password is looked at: those that come at once are all counted.

    Raises:
        SignInError: There were too many; this one is not counted, or the lock would last for ever.
    """
    since = clock.now() - ATTEMPT_WINDOW
    with transaction() as session:
        # Swept here, by those who fill the table, so that it needs no job.
        session.execute(delete(SignInAttempt).where(SignInAttempt.at <= since))
        session.add(attempt)
    known = attempt.remote.startswith(_DEVICE)
    limits = [(SignInAttempt.remote == attempt.remote, ATTEMPTS_PER_LOGIN if known else ATTEMPTS_PER_REMOTE)]
    if not known:
        limits.append((SignInAttempt.login == attempt.login, per_login))
    for those, limit in limits:
        count = db.session.scalar(
            select(func.count()).select_from(SignInAttempt).where(those, SignInAttempt.at > since)
        )
        if (count or 0) > limit:
            with transaction() as session:
                session.execute(delete(SignInAttempt).where(SignInAttempt.id == attempt.id))
            raise SignInError(_l("Too many attempts. Wait a quarter of an hour, then try again."))
