"""How often somebody may try: sign-ins, and requests for a link, are counted by login and by address."""

from __future__ import annotations

import datetime as dt
import logging

from sqlalchemy import delete, func, select

from core import clock
from core.auth.models import SignInAttempt, User
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.outcomes import printable

logger = logging.getLogger(__name__)

ATTEMPT_WINDOW = dt.timedelta(minutes=15)  # failed sign-ins are counted for so long
ATTEMPTS_PER_LOGIN = 8  # more than a person mistypes, far fewer than a guesser needs
_DEVICE = "device "  # no address begins so
_REQUEST = "link "  # the same
REQUESTS_PER_LOGIN = 3  # emails to somebody who may not have asked for any
LOGINS_PER_REMOTE = 20
"""From one address: who guesses tries many logins, and a person their own. An office may share one, so what somebody
mistypes, however often, counts once."""


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
    try:
        _count(attempt)
    except SignInError:
        note_refusal("too many attempts", login, remote)
        raise
    return attempt


def note_refusal(why: str, login: str, remote: str) -> None:
    """Write a line by which fail2ban finds the address (docs/operating/fail2ban), and that names nobody."""
    user_id = db.session.scalar(select(User.id).where(User.login == login))
    whose = f"user {user_id}" if user_id is not None else "nobody here"
    logger.warning("Sign-in refused from %s: %s (%s).", printable(remote) or "?", why, whose)


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
    times, logins = func.count(), func.count(SignInAttempt.login.distinct())
    limits = [
        (times, SignInAttempt.remote == attempt.remote, ATTEMPTS_PER_LOGIN)
        if known
        else (logins, SignInAttempt.remote == attempt.remote, LOGINS_PER_REMOTE)
    ]
    if not known:
        limits.append((times, SignInAttempt.login == attempt.login, per_login))
    for counted, those, limit in limits:
        count = db.session.scalar(
            select(counted).select_from(SignInAttempt).where(those, SignInAttempt.at > since)
        )
        if (count or 0) > limit:
            with transaction() as session:
                session.execute(delete(SignInAttempt).where(SignInAttempt.id == attempt.id))
            raise SignInError(_l("Too many attempts. Wait a quarter of an hour, then try again."))
