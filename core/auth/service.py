"""The verbs of users and roles."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterable, Mapping

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import Flask
from sqlalchemy import column, delete, func, select, table
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from core import clock
from core.auth.granting import refuse_wider_account, refuse_wider_grants
from core.auth.models import Grant, KnownPermission, Role, SignInAttempt, User, user_company
from core.auth.passwords import refuse_weak
from core.auth.throttle import SignInError, count_sign_in, note_refusal, plain_login
from core.contract import Scope
from core.db import db, transaction
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.mail.addresses import normalize
from core.mail.html import clean_html, plain_text
from core.registry import current_registry

_hasher = PasswordHasher()
_COMPANIES = table("core_company", column("id"), column("name"), column("city"))

MAX_SIGNATURE_LENGTH = 10_000  # characters of HTML; it goes into every mail

FIRST_ROLES: Mapping[str, str] = {
    "salesperson": N_("Salesperson"),
    "cashier": N_("Cashier"),
    "support": N_("Support"),
    "administrator": N_("Administrator"),
}


@functools.cache
def _nobodys_hash() -> str:
    """Return what is checked when nobody has the login, so that the time of the answer does not tell who exists."""
    return _hasher.hash(secrets.token_urlsafe(16))


def sign_in(login: str, password: str, remote: str, device: str = "") -> User:
    """Return the user of a login and password.

    Failures of a browser in which this user has signed in before are counted by themselves: whoever guesses elsewhere
    locks out strangers, not the user (OWASP, "Slow down online guessing attacks with device cookies").

    Args:
        login: Email address, any case.
        password: As typed.
        remote: Address of the client, for throttling.
        device: Names a browser that is known to be this user's, or "".

    Raises:
        SignInError: Wrong login or password, a deactivated user, or too many attempts.
    """
    login = plain_login(login)
    attempt = count_sign_in(login, remote, device)
    user: User | None = db.session.scalar(select(User).where(User.login == login))
    nobodys_hash = _nobodys_hash()  # made by the first attempt, whoever it is: its time tells nothing
    try:
        # The same work for a login that nobody has: the time of the answer must not tell who has an account.
        _hasher.verify((user.password_hash if user else "") or nobodys_hash, password)
    except (VerificationError, InvalidHashError):
        user = None
    if user is None or not user.active or user.invited:
        note_refusal("wrong", login, remote)
        raise SignInError(_l("The email address or the password is wrong."))
    with transaction() as session:
        theirs = SignInAttempt.remote == attempt.remote if device else SignInAttempt.login == login
        session.execute(delete(SignInAttempt).where(theirs))
        # The only moment at which the password is at hand, after the parameters have grown.
        if _hasher.check_needs_rehash(user.password_hash):
            user.password_hash = _hasher.hash(password)
    return user


def user_of_session(session_id: str) -> User | None:
    """Return the user whose session cookie holds the id, unless it has been ended."""
    user_id, _, key = session_id.partition(":")
    if not user_id.isascii() or not user_id.isdigit():
        return None
    # By one query: each page asks what its user may.
    user = db.session.get(User, int(user_id), options=[joinedload(User.roles).joinedload(Role.grants)])
    # Looked up for each request: a session ends at once when its user is deactivated or changes the password.
    if user is None or not user.active or not secrets.compare_digest(user.session_key.encode(), key.encode()):
        return None
    return user


def give_password(user: User, password: str, company_ids: Iterable[int] | None = None) -> None:
    """Give a user a password inside the running transaction; every session of theirs ends, and every link is void.

    Args:
        user: Whose.
        password: As typed.
        company_ids: Companies that the user is about to work for, or None for those they work for.

    Raises:
        UserError: It is too weak.
    """
    known = companies_of(user) if company_ids is None else company_ids
    user.password_hash = _checked_password(password, user, known)
    user.session_key, user.invited_at = secrets.token_urlsafe(32), None


def refuse_managing(by: User, user: User) -> None:
    """Raise `UserError` when somebody may not set the password of a user, who may do more than they."""
    present = companies_of(user)
    refuse_wider_account(
        by,
        user,
        roles=user.roles,
        companies=present,
        own_companies=companies_of(by),
        present_companies=present,
    )


def _checked_password(password: str, user: User, company_ids: Iterable[int]) -> str:
    # Companies stand on the floor above; their names are what a guesser tries next to those of the user.
    names = select(_COMPANIES.c.name, _COMPANIES.c.city).where(_COMPANIES.c.id.in_(list(company_ids)))
    with db.session.no_autoflush:  # the address may be somebody else's, which is told elsewhere
        about = [text for row in db.session.execute(names) for text in row]
    refuse_weak(password, user.login, user.name, *about)
    return _hasher.hash(password)


def _roles(codes: Iterable[str]) -> list[Role]:
    wanted = set(codes)
    roles = list(db.session.scalars(select(Role).where(Role.code.in_(wanted))))
    if len(roles) != len(wanted):
        missing = ", ".join(sorted(wanted - {role.code for role in roles}))
        raise UserError(_l("There is no role %(name)s.", name=missing), "roles")
    return roles


def save_user(
    user: User | None,
    *,
    login: str,
    name: str,
    roles: Iterable[str],
    company_ids: Iterable[int],
    language: str = "en",
    country: str | None = None,
    timezone: str = "Europe/Paris",
    password: str | None = None,
    active: bool = True,
    invite: bool = False,
    by: User | None = None,
) -> User:
    """Create or change a user.

    Args:
        user: The user to change, or None for a new one.
        login: Email address.
        name: Shown name.
        roles: Codes of roles.
        company_ids: Companies the user works for; the first becomes the current one of a new user.
        language: `en` or `fr`.
        country: Whose way of writing dates and numbers the pages have, "" for the company's; None to keep it.
        timezone: IANA name.
        password: New password, or None to keep the present one.
        active: False ends every session and forbids the sign-in.
        invite: True for a new user without a password, who chooses one by a link (`core.auth.links`).
        by: Who does it, and hands on no more than they have; None for the command line.

    Raises:
        UserError: The login is invalid or taken, a role is unknown, the password too weak, or it is not for `by` to do.
    """
    login = normalize(login, "login").lower()
    companies = list(dict.fromkeys(company_ids))
    made = False
    with transaction() as session:
        _one_at_a_time(user)
        new_roles = _roles(roles)
        refuse_wider_account(
            by,
            user,
            roles=new_roles,
            companies=companies,
            own_companies=companies_of(by) if by else (),
            present_companies=companies_of(user) if user else (),
        )
        if user is None:
            if not password and not invite:
                raise UserError(_l("A new user needs a password."), "password")
            user = User(
                session_key=secrets.token_urlsafe(32),
                company_id=next(iter(companies), None),
                password_hash="",
                invited_at=None if password else clock.now(),
            )
            made = True
        elif user.active and not active:
            _refuse_losing_last_administrator(user)
            user.session_key = secrets.token_urlsafe(32)
        if not made and "administrator" not in {role.code for role in new_roles}:
            _refuse_losing_last_administrator(user)
        user.login, user.name, user.language, user.timezone = login, name.strip() or login, language, timezone
        user.country = user.country or "" if country is None else country
        user.active, user.roles = active, new_roles
        # Or the user would go on working for a company that was taken away.
        if user.company_id not in companies:
            user.company_id = next(iter(companies), None)
        if password:
            give_password(user, password, companies)
        session.add(user)
        try:
            session.flush()
        except IntegrityError as error:
            raise UserError(_l("Another user has this email address."), "login") from error
        # All anew: the table holds nothing but the pair, so nothing is lost.
        session.execute(delete(user_company).where(user_company.c.user_id == user.id))
        if companies:
            session.execute(
                user_company.insert(), [{"user_id": user.id, "company_id": company} for company in companies]
            )
    return user


def set_active(user: User, *, active: bool, by: User | None = None) -> None:
    """Deactivate a user, which ends every session, or let them sign in again; nothing else of theirs changes.

    Args:
        user: The user.
        active: Whether they may sign in.
        by: Who does it; None for the command line.

    Raises:
        UserError: Nobody who can manage users would be left, or it is not for `by` to do.
    """
    with transaction():
        _one_at_a_time(user)  # before the rest is read: somebody may be taking a role away at this moment
        save_user(
            user,
            login=user.login,
            name=user.name,
            roles=[role.code for role in user.roles],
            company_ids=companies_of(user),
            language=user.language,
            timezone=user.timezone,
            active=active,
            by=by,
        )


def _one_at_a_time(user: User | None) -> None:
    """Let others who change users wait until the running transaction ends."""
    with transaction() as session:
        if user is not None:
            # The user first, as whoever saves the form does: they must not wait for each other.
            session.refresh(user, ["active"], with_for_update={"of": User, "key_share": True})
        # Two administrators who deactivate each other at once would leave nobody.
        session.execute(select(Role.id).where(Role.code == "administrator").with_for_update())


def _refuse_losing_last_administrator(user: User) -> None:
    """Raise `UserError` when nobody but this user could manage users any more."""
    if not any(role.code == "administrator" for role in user.roles):
        return
    others = db.session.scalar(
        select(func.count())
        .select_from(User)
        .join(User.roles)
        .where(Role.code == "administrator", User.active, User.id != user.id)
    )
    if not others:
        raise UserError(_l("This is the last administrator; somebody must remain who can sign in."), "roles")


def save_role(
    role: Role | None, *, code: str, name: str, grants: Mapping[str, Scope], by: User | None = None
) -> Role:
    """Create or change a role.

    Args:
        role: The role to change, or None for a new one.
        code: Identifier of a new role.
        name: Shown name.
        grants: The reach of each granted permission.
        by: Who does it, and grants no more than they have; None for the command line.

    Raises:
        UserError: The code is taken, the administrator's role would lose the management of users, or `by` has not
            what is granted.
    """
    refuse_wider_grants(by, role, grants)
    if role is not None and role.code == "administrator" and "core.user.edit" not in grants:
        raise UserError(_l("Administrators must be able to manage users."))
    known = current_registry().permissions
    with transaction() as session:
        if role is None:
            role = Role(code=code)
        role.name = name
        # Grants of modules that are disabled at the moment are kept for the day they come back.
        kept = {grant.permission: grant.scope for grant in role.grants if grant.permission not in known}
        role.grants = []
        session.add(role)
        try:
            session.flush()
        except IntegrityError as error:
            raise UserError(_l("Another role has this code."), "code") from error
        role.grants = [Grant(permission=p, scope=s) for p, s in {**kept, **grants}.items()]
    return role


def companies_of(user: User) -> list[int]:
    """Return the ids of the companies that the user works for."""
    return list(
        db.session.scalars(select(user_company.c.company_id).where(user_company.c.user_id == user.id))
    )


def set_preferences(
    user: User,
    *,
    language: str | None = None,
    country: str | None = None,
    timezone: str | None = None,
    company_id: int | None = None,
) -> None:
    """Keep the user's language, country, time zone or current company.

    Raises:
        UserError: The user does not work for that company.
    """
    with transaction():
        if language is not None:
            user.language = language
        if country is not None:
            user.country = country
        if timezone is not None:
            user.timezone = timezone
        if company_id is not None:
            if company_id not in companies_of(user):
                raise UserError(_l("You do not work for this company."))
            user.company_id = company_id


def set_signature(user: User, html: str) -> None:
    """Keep what the user's mails end with, cleaned; a signature without any text is none.

    Raises:
        UserError: It is too long.
    """
    if len(html) > MAX_SIGNATURE_LENGTH:
        raise UserError(
            _l("The signature is too long; at most %(max)d characters.", max=MAX_SIGNATURE_LENGTH),
            "signature",
        )
    clean = clean_html(html)
    with transaction():
        # An empty paragraph would put two dashes below every mail.
        user.signature_html = clean if plain_text(clean).strip() else ""


def change_password(user: User, current: str, new: str, remote: str) -> None:
    """Change the password of a user who knows the present one; other sessions end.

    Raises:
        UserError: The present password is wrong, or the new one too short.
    """
    try:
        # By the same door, so that guesses here are counted as well: a browser left open must not become an
        # account.
        sign_in(user.login, current, remote, device=f"of user {user.id}")
    except SignInError as error:
        raise UserError(_l("This is not your current password."), "current") from error
    with transaction():
        give_password(user, new)


def set_password(login: str, password: str) -> None:
    """Give a user a new password; every session of theirs ends.

    Raises:
        UserError: There is no such user, or the password is too short.
    """
    user = db.session.scalar(select(User).where(User.login == login.strip().lower()))
    if user is None:
        raise UserError(_l("There is no user %(login)s.", login=login))
    with transaction():
        give_password(user, password)


def install_roles(app: Flask) -> None:  # noqa: ARG001 (signature of the signal)
    """Give the roles of the first day the permissions that modules declare for them.

    A permission is granted only the first time it is met, so that what an administrator has taken away
    stays away.
    """
    from_modules = current_registry().permissions.values()
    with transaction() as session:
        roles = {role.code: role for role in session.scalars(select(Role))}
        for code, name in FIRST_ROLES.items():
            if code not in roles:
                roles[code] = Role(code=code, name=name)
                session.add(roles[code])
        session.flush()
        met = set(session.scalars(select(KnownPermission.name)))
        for permission in from_modules:
            if permission.name in met:
                continue
            session.add(KnownPermission(name=permission.name))
            for code, scope in permission.granted.items():
                roles[code].grants.append(Grant(permission=permission.name, scope=scope))
