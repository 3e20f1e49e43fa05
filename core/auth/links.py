"""Links by which people choose a password themselves: those who have forgotten theirs, and those who are invited.

A link is signed and stored nowhere. Its stamp is made of what it may change, so it is void once it was used, and with
any other change of the password or the address; inviting somebody again, and withdrawing it, void the former one. It
lets in whoever has it, as the mailbox of the user does (OWASP, "Forgot Password Cheat Sheet").
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from flask import Flask, current_app
from flask_babel import force_locale, gettext
from itsdangerous import BadSignature, URLSafeSerializer
from markupsafe import Markup
from sqlalchemy import delete, select

from core import clock
from core.auth import service
from core.auth.models import SignInAttempt, User
from core.auth.throttle import count_request
from core.db import db, transaction
from core.errors import UserError
from core.i18n import format_datetime
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address
from core.mail.draft import LINK_MARK
from core.registry import current_settings
from core.signals import account_mail_wanted

logger = logging.getLogger(__name__)


class Purpose(StrEnum):
    """What a link is for."""

    RESET = "reset"  # the password was forgotten
    INVITATION = "invitation"  # there is none yet


LIFETIMES = {
    Purpose.RESET: dt.timedelta(hours=1),  # somebody sits and waits for it
    Purpose.INVITATION: dt.timedelta(days=7),  # over a holiday
}


MOST_AT_ONCE = 50
"""How many people are invited by one press: the page waits for all of them."""


class LinkVoidError(UserError):
    """A link that was used, replaced or withdrawn, has expired, or was never made by us."""


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(str(current_app.config["SECRET_KEY"]), "choose a password")


def _stamp(user: User) -> str:
    state = f"{user.login}\0{user.password_hash}\0{user.session_key}"
    return hashlib.sha256(state.encode()).hexdigest()[:32]


def purpose_for(user: User) -> Purpose:
    """Return what a link of a user is for."""
    return Purpose.INVITATION if user.invited else Purpose.RESET


def make_link(user: User, *, by: User | None = None) -> tuple[str, dt.datetime]:
    """Return a link by which a user chooses a password, to be handed over, and until when it is good.

    Args:
        user: Whose password.
        by: Who hands it over, and may not do so for anybody who may do more; None for the user.

    Raises:
        UserError: The user is deactivated, or it is not for `by` to do.
    """
    if not user.active:
        raise UserError(_l("%(name)s is deactivated: activate the user first.", name=user.name))
    if by is not None:
        service.refuse_managing(by, user)
        logger.warning("User %s made a link by which user %s chooses a password.", by.id, user.id)
    expires_at = clock.now() + LIFETIMES[purpose_for(user)]
    token = _serializer().dumps([user.id, _stamp(user), int(expires_at.timestamp())])
    # By the public address, never by the name that a request calls this server: that may be anybody's.
    path = current_app.url_map.bind("envoi.invalid").build("core.choose_password", {"token": token})
    return f"{current_settings().base_url}{path}", expires_at


def user_of_link(token: str) -> User:
    """Return whose password a link lets choose.

    Raises:
        LinkVoidError: It lets nobody do so, or no more.
    """
    try:
        user_id, stamp, expires_at = _serializer().loads(token)
        user = db.session.get(User, user_id)
        if (
            user is not None
            and user.active
            and clock.now().timestamp() < expires_at
            and hmac.compare_digest(_stamp(user), stamp)
        ):
            return user
    except (BadSignature, ValueError, TypeError):
        pass
    raise LinkVoidError(_l("This link was used already, has expired, or was replaced by a newer one."))


def choose_password(token: str, password: str) -> User:
    """Give the user of a link a password; the link is void then, and every session of theirs ends.

    Raises:
        LinkVoidError: The link is void.
        UserError: The password is too weak.
    """
    with transaction() as session:
        found = user_of_link(token)
        # Pressed twice at once: the second waits here, and then finds the link used.
        session.refresh(found, with_for_update={"of": User, "key_share": True})
        user = user_of_link(token)
        service.give_password(user, password)
        # Whoever guesses must not lock out who has just proved to be the user.
        session.execute(delete(SignInAttempt).where(SignInAttempt.login == user.login))
    logger.warning("User %s has chosen a password by a link.", user.id)
    return user


# -- who has forgotten theirs --------------------------------------------------------------------------


def forgotten(login: str, remote: str) -> str:
    """Send a link to whoever has a login; nothing tells whether anybody has.

    Args:
        login: Email address, any case.
        remote: Address of the client, for throttling.

    Returns:
        A sentence why emails do not leave at this moment, or "".

    Raises:
        SignInError: It was asked too often, for this login or from this address.
    """
    login = count_request(login, remote)
    # Who was invited has no password to forget: an invitation is sent again by those who invite.
    theirs = (User.login == login, User.active, User.invited_at.is_(None))
    user = db.session.scalar(select(User).where(*theirs))
    logger.warning("A link for a password was asked for by %s.", f"user {user.id}" if user else "nobody here")
    # Asked in any case: the answer depends on the servers, not on the user.
    hindrance = would_leave()
    if user is not None:
        with transaction():
            _mail(user)
    return hindrance


# -- who is invited ------------------------------------------------------------------------------------


def invite(
    *,
    login: str,
    name: str,
    roles: Iterable[str],
    company_ids: Iterable[int],
    language: str,
    timezone: str,
    by: User | None,
) -> tuple[User, str]:
    """Make a user who chooses the password by a link, and send it.

    Returns:
        The user, and a sentence why the email does not leave at this moment, or "".

    Raises:
        UserError: As `service.save_user`.
    """
    with transaction():
        user = service.save_user(
            None,
            login=login,
            name=name,
            roles=roles,
            company_ids=company_ids,
            language=language,
            timezone=timezone,
            invite=True,
            by=by,
        )
        return user, _mail(user, by)


@dataclass(frozen=True, slots=True)
class Invited:
    """What became of an address that was invited.

    Attributes:
        login: The address.
        problem: Why nobody was invited at it, or "".
        hindrance: Why the email does not leave at this moment, or "".
    """

    login: str
    problem: object = ""
    hindrance: str = ""


def invite_many(
    addresses: Sequence[Address],
    *,
    roles: Sequence[str],
    company_ids: Sequence[int],
    language: str,
    timezone: str,
    by: User,
) -> list[Invited]:
    """Invite several people alike, each for themselves: one that cannot be invited keeps no other from it.

    Args:
        addresses: At most `MOST_AT_ONCE`; who has no name is called as the address does.
        roles: Codes of roles.
        company_ids: Companies that they work for.
        language: Of their pages and of the email.
        timezone: IANA name.
        by: Who invites.

    Raises:
        UserError: There are none, or too many.
    """
    if not addresses:
        raise UserError(_l("Enter at least one address."), "addresses")
    if len(addresses) > MOST_AT_ONCE:
        raise UserError(_l("Invite at most %(count)s people at once.", count=MOST_AT_ONCE), "addresses")
    found: list[Invited] = []
    for address in addresses:
        login = address.addr_spec
        try:
            _user, hindrance = invite(
                login=login,
                name=address.display_name or _name_in(login),
                roles=roles,
                company_ids=company_ids,
                language=language,
                timezone=timezone,
                by=by,
            )
        except UserError as error:
            found.append(Invited(login, problem=_l("%(title)s: %(value)s", title=login, value=error.message)))
        else:
            found.append(Invited(login, hindrance=hindrance))
    return found


def _name_in(login: str) -> str:
    """Return what an address calls whoever it belongs to: Sophie Bernard of `sophie.bernard@…`."""
    words = login.partition("@")[0].replace("_", ".").replace("+", ".").split(".")
    return " ".join(word.capitalize() for word in words if word)[:120] or login


def send_link(user: User, by: User) -> str:
    """Send a user a link by which to choose a password; of an invitation, the former link is void.

    Returns:
        A sentence why the email does not leave at this moment, or "".

    Raises:
        UserError: The user is deactivated, or it is not for `by` to do.
    """
    service.refuse_managing(by, user)
    with transaction():
        if user.invited:
            user.invited_at, user.session_key = clock.now(), secrets.token_urlsafe(32)
        return _mail(user, by)


def invitation_over(user: User) -> bool:
    """Return True when the link of an invitation has expired before anybody came."""
    return user.invited_at is not None and clock.now() >= user.invited_at + LIFETIMES[Purpose.INVITATION]


# -- by email ------------------------------------------------------------------------------------------


def would_leave() -> str:
    """Return a sentence why an email with a link would not leave at this moment, or ""."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    return _answer(
        account_mail_wanted.send(app, user=None, subject="", body_html="", link="", expires_at=None, by=None)
    )


def _mail(user: User, by: User | None = None) -> str:
    """Ask for the mail with a link, inside the running transaction."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    link, expires_at = make_link(user, by=by)
    with force_locale(user.language):
        subject, lines = _words(user, expires_at)
    body = Markup("").join(Markup("<p>{}</p>").format(line) for line in lines)
    return _answer(
        account_mail_wanted.send(
            app, user=user, subject=subject, body_html=str(body), link=link, expires_at=expires_at, by=by
        )
    )


def _answer(answers: Sequence[tuple[object, str]]) -> str:
    if not answers:
        return str(gettext("This installation sends no emails."))
    return next((str(sentence) for _receiver, sentence in answers if sentence), "")


def _words(user: User, expires_at: dt.datetime) -> tuple[str, list[str]]:
    """Return the subject and the paragraphs of the mail, in the language that is set."""
    hello = gettext("Hello %(name)s,", name=user.name.replace(LINK_MARK, ""))
    until = gettext(
        "The link is good until %(when)s, and once only.", when=format_datetime(expires_at, "long")
    )
    if user.invited:
        return gettext("Your access to Envoi"), [
            hello,
            gettext("an account was made for you, with this email address. Choose your password here:"),
            LINK_MARK,
            until,
            gettext("If you do not know what this is about, delete this email: nothing happens without you."),
        ]
    return gettext("Choose a new password"), [
        hello,
        gettext("somebody, probably you, has asked for a new password. Choose it here:"),
        LINK_MARK,
        until,
        gettext(
            "If it was not you, delete this email: your password stays as it is. "
            "Tell your administrator if it happens again."
        ),
    ]
