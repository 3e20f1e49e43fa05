"""Nobody hands on what they may not do themselves: neither by a role, nor by somebody else's account."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from core.auth.models import Role, User
from core.contract import Scope
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.i18n import ngettext

ADMINISTRATOR = "administrator"
SHOWN = 5  # permissions that a sentence names


def _is_administrator(by: User) -> bool:
    return any(role.code == ADMINISTRATOR for role in by.roles)


def may_hand_on(by: User | None, role: Role) -> bool:
    """Return True when a user may give others a role: when it allows nothing that they may not do themselves.

    Administrators may give every role, as the command line may, where nobody is signed in.
    """
    if by is None or _is_administrator(by):
        return True
    return role.code != ADMINISTRATOR and not _beyond(by, {g.permission: g.scope for g in role.grants})


def refuse_wider_grants(by: User | None, role: Role | None, grants: Mapping[str, Scope]) -> None:
    """Check the new grants of a role.

    Raises:
        UserError: A permission would be given, or reach further, that the user has not, or not so far.
    """
    if by is None or _is_administrator(by):
        return
    if role is not None and role.code == ADMINISTRATOR:
        raise UserError(_l("Only administrators change the role of administrators."))
    present = {grant.permission: grant.scope for grant in role.grants} if role is not None else {}
    wider = {
        name: scope
        for name, scope in grants.items()
        if name not in present or present[name].breadth < scope.breadth
    }
    beyond = _beyond(by, wider)
    if beyond:
        names = ", ".join(sorted(beyond)[:SHOWN])
        raise UserError(
            ngettext(
                "You cannot grant what you may not do yourself: %(names)s.",
                "You cannot grant what you may not do yourself: %(num)s permissions, such as %(names)s.",
                len(beyond),
                names=names,
            )
        )


def refuse_wider_account(
    by: User | None,
    user: User | None,
    *,
    roles: Iterable[Role],
    companies: Collection[int],
    own_companies: Collection[int],
    present_companies: Collection[int],
) -> None:
    """Check what an account would become.

    Args:
        by: Who changes it.
        user: The account, or None for a new one.
        roles: Those it would have.
        companies: Ids of those it would work for.
        own_companies: Ids of those that `by` works for.
        present_companies: Ids of those it works for now.

    Raises:
        UserError: The account may do more than who changes it, whose password they could then set, or it would.
    """
    if by is None or _is_administrator(by):
        return
    if user is not None and not all(may_hand_on(by, role) for role in user.roles):
        raise UserError(_l("This user may do more than you do: ask an administrator to change the account."))
    refused = [role for role in roles if not may_hand_on(by, role)]
    if refused:
        names = ", ".join(role.name for role in refused[:SHOWN])
        raise UserError(
            _l("You cannot give a role that allows more than you may do: %(names)s.", names=names), "roles"
        )
    if not by.can("core.company.edit") and set(companies) - {*own_companies, *present_companies}:
        raise UserError(_l("You cannot add a company that you do not work for."), "companies")


def _beyond(by: User, grants: Mapping[str, Scope]) -> set[str]:
    """Return the names of the permissions that a user has not, or not so far."""
    own = {name: by.scope(name) for name in grants}
    return {
        name for name, scope in grants.items() if (mine := own[name]) is None or mine.breadth < scope.breadth
    }
