"""Which permission each page needs, and how a permission narrows a query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum, auto
from typing import Any, TypeVar, cast

from flask import abort, current_app, flash, g, has_request_context, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import ColumnElement, and_, exists, false, inspect, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, joinedload

from core.auth.models import Grant, Role, User, user_company, user_role
from core.contract import Scope
from core.db import db
from core.i18n import gettext
from core.web import static
from core.web.errors import SESSION_ENDED

View = TypeVar("View", bound=Callable[..., Any])

PUBLIC = "public"
SIGNED_IN = "signed-in"
_ATTRIBUTE = "envoi_permission"  # set on a view by its decorator; a view without it is closed to everybody
_FROM_ANYWHERE = "envoi_from_anywhere"


def requires(permission: str) -> Callable[[View], View]:
    """Declare the permission that a view needs."""

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, permission)
        return view

    return declare


def public(view: View) -> View:
    """Declare that a view needs no sign-in."""
    return requires(PUBLIC)(view)


def signed_in(view: View) -> View:
    """Declare that every signed-in user may use a view."""
    return requires(SIGNED_IN)(view)


def from_anywhere(view: View) -> View:
    """Declare that a view takes what other sites and programs post, which have no cookie and no token of a form.

    For views whose address alone proves what whoever asks may do, such as the one click of RFC 8058.
    """
    setattr(view, _FROM_ANYWHERE, True)
    return view


def taken_from_anywhere(view: Callable[..., Any]) -> bool:
    """Return True for a view that is declared `from_anywhere`."""
    return getattr(view, _FROM_ANYWHERE, False)


def declared_permission(endpoint: str) -> str | None:
    """Return what the view of an endpoint declares, or None when it declares nothing."""
    view = current_app.view_functions.get(endpoint)
    return cast("str | None", getattr(view, _ATTRIBUTE, None))


def _to_the_sign_in() -> ResponseReturnValue:
    """Answer somebody who has no session, or none any more."""
    if request.headers.get("X-Quiet"):
        return "", 204  # a panel that refreshes by itself; the page may hold what somebody is writing
    if request.headers.get("HX-Request"):
        if request.method != "GET":
            # The page stays, with what was typed into it; the shell's script shows the sentence in a corner.
            return str(SESSION_ENDED), 401, {"Content-Type": "text/plain; charset=utf-8"}
        # htmx swaps what it gets: send the whole window to the sign-in instead.
        target = url_for("core.sign_in", next=request.headers.get("HX-Current-URL", ""))
        return "", 401, {"HX-Redirect": target}
    if request.method == "GET":
        return redirect(url_for("core.sign_in", next=request.full_path.rstrip("?")))
    flash(gettext("Your session has ended. Sign in again."), "warning")
    return redirect(url_for("core.sign_in"))


def guard() -> ResponseReturnValue | None:
    """Refuse a request whose user lacks the permission of the page; runs before every request."""
    # No page: a 404 is nobody's secret, and scripts and styles are needed to sign in.
    if request.endpoint is None or static.is_static(request.endpoint):
        return None
    permission = declared_permission(request.endpoint)
    if permission == PUBLIC:
        return None
    if not current_user.is_authenticated:
        return _to_the_sign_in()
    if permission is None:
        # A view that declares nothing is a mistake of its author; it must not become a hole.
        abort(403)
    if permission != SIGNED_IN and not signed_in_user().can(permission):
        abort(403)
    g.permission = permission
    return None


def signed_in_user() -> User:
    """Return the user of the request.

    Raises:
        werkzeug.exceptions.Unauthorized: Nobody is signed in.
    """
    if not current_user.is_authenticated:
        abort(401)
    return cast("User", current_user._get_current_object())


def acting_user() -> User | None:
    """Return who is signed in, or None where nobody is: in a job, on the command line."""
    return signed_in_user() if has_request_context() and current_user.is_authenticated else None


class _Bound(Enum):
    """The conditions that a permission's reach can put on a row."""

    COMPANY = auto()
    """The company is one of the user's."""
    OWNER = auto()
    """The user owns it."""


# The one place that says what a scope means: queries for rows and for users, and a look at users in memory, ask it.
_BOUNDS: Mapping[Scope, Collection[_Bound]] = {
    Scope.ALL: (),
    Scope.COMPANY: (_Bound.COMPANY,),
    Scope.OWN: (_Bound.COMPANY, _Bound.OWNER),
}


def within_reach(
    user: User,
    permission: str,
    *,
    owner: InstrumentedAttribute[Any] | ColumnElement[Any],
    company: InstrumentedAttribute[Any] | ColumnElement[Any],
) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the rows that a permission of the user reaches.

    Args:
        user: Whose reach.
        permission: Name of the permission.
        owner: Column with the id of the owning user.
        company: Column with the id of the company.
    """
    scope = user.scope(permission)
    if scope is None:
        # An unknown permission reaches nothing; a query without a condition would reach everything.
        return false()
    conditions = {
        _Bound.COMPANY: company.in_(
            select(user_company.c.company_id).where(user_company.c.user_id == user.id)
        ),
        _Bound.OWNER: owner == user.id,
    }
    # `and_()` of nothing is deprecated, and the widest reach has no condition.
    return and_(true(), *(conditions[bound] for bound in _BOUNDS[scope]))


def shared_rows(
    user: User, *, owner: InstrumentedAttribute[Any], company: InstrumentedAttribute[Any]
) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the rows of a shared table that are a user's to see.

    Such a row says itself whose it is: one of a company is everybody's who works there, one that only somebody keeps
    is theirs, one with neither is everybody's.

    Args:
        user: Who looks.
        owner: Column with the id of the user who keeps the row, or None.
        company: Column with the id of the company, or None.
    """
    theirs = select(user_company.c.company_id).where(user_company.c.user_id == user.id)
    return or_(company.in_(theirs), and_(company.is_(None), or_(owner.is_(None), owner == user.id)))


def shared_with(
    user: User, permission: str, *, owner: InstrumentedAttribute[Any], company: InstrumentedAttribute[Any]
) -> ColumnElement[bool]:
    """Return the condition of `shared_rows`, as far as a permission goes: one for all companies reaches every row."""
    scope = user.scope(permission)
    if scope is None:
        return false()
    return shared_rows(user, owner=owner, company=company) if _BOUNDS[scope] else true()


def colleagues(user: User) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `User` to those who work for a company of the user."""
    theirs = select(user_company.c.company_id).where(user_company.c.user_id == user.id)
    return User.id.in_(select(user_company.c.user_id).where(user_company.c.company_id.in_(theirs)))


def reaching(
    permission: str, user: ColumnElement[int], *, owner: ColumnElement[Any], company: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Return the condition that keeps a query to the users whom a permission lets reach a row of the same query.

    Args:
        permission: Name of the permission.
        user: Column with the id of the user.
        owner: Column with the id of the owning user.
        company: Column with the id of the company.
    """
    conditions = {
        _Bound.COMPANY: company.in_(select(user_company.c.company_id).where(user_company.c.user_id == user)),
        _Bound.OWNER: owner == user,
    }
    granted = (
        select(Grant.role_id)
        .join(user_role, user_role.c.role_id == Grant.role_id)
        .where(user_role.c.user_id == user, Grant.permission == permission)
    )
    return or_(
        *(
            and_(exists(granted.where(Grant.scope == scope)), *(conditions[bound] for bound in bounds))
            for scope, bounds in _BOUNDS.items()
        )
    )


def load_grants(users: Collection[User]) -> None:
    """Load what some users may, by one query for all of them; without it, each is asked for when the first asks."""
    unknown = [user.id for user in users if "roles" in inspect(user).unloaded]
    if len(unknown) > 1:
        query = select(User).where(User.id.in_(unknown))
        db.session.scalars(query.options(joinedload(User.roles).joinedload(Role.grants))).unique().all()


def who_reaches(
    users: Collection[User], permission: str, *, owner_id: int | None, company_id: int | None
) -> frozenset[int]:
    """Return the ids of those among users whose permission reaches one row, with two queries for all of them.

    Args:
        users: Who is asked about.
        permission: Name of the permission.
        owner_id: The user who owns the row, or None.
        company_id: The company of the row, or None.
    """
    load_grants(users)
    in_company = frozenset(
        db.session.scalars(
            select(user_company.c.user_id).where(
                user_company.c.company_id == company_id,
                user_company.c.user_id.in_([user.id for user in users]),
            )
        )
        if users
        else ()
    )
    there = set()
    for user in users:
        scope = user.scope(permission)
        holds = {_Bound.COMPANY: user.id in in_company, _Bound.OWNER: user.id == owner_id}
        if scope is not None and all(holds[bound] for bound in _BOUNDS[scope]):
            there.add(user.id)
    return frozenset(there)
