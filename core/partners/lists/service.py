"""The verbs of lists: choose by criteria, pick, drop, reset, save, open, delete.

What somebody is choosing is a row of their own, so that it is there again when the window was closed, in every window
and on every machine, until it is reset. Two sets belong to it: what its criteria *find*, which is asked each time, and
who is *selected*, its members.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext
from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session

from core.auth.models import User
from core.auth.permissions import acting_user, shared_with
from core.db import db, transaction
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.partners.facets import row_id
from core.partners.lists.criteria import How, Step, asked, usable
from core.partners.lists.models import MEMBERS, ListKind, PartnerList
from core.partners.models import MailConsent, Partner
from core.partners.reach import READ, reachable
from core.web.criteria import Choice, Facet

MAX_STEPS = 20
MAX_NAME = 80
_AT_ONCE = 5000  # members that one statement adds by their ids


@dataclass(frozen=True, slots=True)
class Counts:
    """How many customers and contacts some are.

    Attributes:
        total: All of them.
        unwilling: Those who have not agreed to promotional emails.
    """

    total: int
    unwilling: int


# -- which lists there are ---------------------------------------------------------------------------------


def _reached(user: User, permission: str) -> ColumnElement[bool]:
    shared = shared_with(user, permission, owner=PartnerList.owner_id, company=PartnerList.company_id)
    return or_(PartnerList.owner_id == user.id, and_(PartnerList.kind != ListKind.WORKING, shared))


def list_for(user: User, list_id: int, permission: str = READ) -> PartnerList | None:
    """Return a list that is the user's to use, or with `EDIT` to change, or None."""
    return db.session.scalar(select(PartnerList).where(PartnerList.id == list_id, _reached(user, permission)))


def readable_lists(user: User) -> list[PartnerList]:
    """Return the lists that were saved and that a user may use, by name."""
    rows = db.session.scalars(
        select(PartnerList).where(PartnerList.kind != ListKind.WORKING, _reached(user, READ))
    )
    return sorted(rows, key=lambda row: (row.name.casefold(), row.id))


def working_list(user: User) -> PartnerList | None:
    """Return what a user is choosing, or None where they have not begun."""
    row: PartnerList | None = db.session.scalar(_working(user))
    return row


def _working(user: User) -> Any:
    return select(PartnerList).where(PartnerList.kind == ListKind.WORKING, PartnerList.owner_id == user.id)


# -- who is on them ----------------------------------------------------------------------------------------


def steps_of(row: PartnerList | None) -> list[Step]:
    """Return the criteria of a list."""
    return [Step.stored(step) for step in row.steps] if row is not None else []


def members_of(row: PartnerList) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Partner` to the members of a list."""
    return Partner.id.in_(select(MEMBERS.c.partner_id).where(MEMBERS.c.list_id == row.id))


def those_of(row: PartnerList, user: User) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Partner` to whom a list means for a user who uses it now."""
    meant = asked(steps_of(row), user) if row.kind is ListKind.DYNAMIC else members_of(row)
    return and_(_writable(user), meant)


def found_by(row: PartnerList | None, user: User) -> ColumnElement[bool]:
    """Return the condition for whom the criteria of a list find, without those who are selected already."""
    if row is None:
        return false()
    selected = exists().where(MEMBERS.c.list_id == row.id, MEMBERS.c.partner_id == Partner.id)
    return and_(_writable(user), asked(steps_of(row), user), ~selected)


def selected_of(row: PartnerList | None, user: User) -> ColumnElement[bool]:
    """Return the condition for whom somebody has selected."""
    return and_(_writable(user), members_of(row)) if row is not None else false()


def _writable(user: User) -> ColumnElement[bool]:
    return and_(Partner.active, reachable(user))  # one that was merged is archived


def count(condition: ColumnElement[bool]) -> Counts:
    """Return how many customers and contacts a condition keeps."""
    unwilling = case((Partner.consent == MailConsent.PROMOTIONAL, 0), else_=1)
    total, others = db.session.execute(
        select(func.count(), func.coalesce(func.sum(unwilling), 0)).select_from(Partner).where(condition)
    ).one()
    return Counts(int(total), int(others))


# -- choosing ----------------------------------------------------------------------------------------------


def _locked(session: Session, user: User) -> PartnerList:
    """Return what a user is choosing, locked, and begun where it was not."""
    row: PartnerList | None = session.scalar(
        _working(user).with_for_update().execution_options(populate_existing=True)
    )
    if row is None:
        row = PartnerList(kind=ListKind.WORKING, owner_id=user.id, name="", steps=[])
        session.add(row)
        session.flush()
    return row


def add_step(user: User, name: str, how: How, values: dict[str, Any]) -> None:
    """Add a criterion behind the others.

    Raises:
        UserError: There is no such criterion for the user, or there are too many.
    """
    if name not in usable(user):
        raise UserError(_l("This criterion is not available any more."))
    with transaction() as session:
        row = _locked(session, user)
        if len(row.steps) >= MAX_STEPS:
            raise UserError(_l("A list has %(most)s criteria at most.", most=MAX_STEPS))
        row.steps = [*row.steps, Step(secrets.token_hex(4), how, name, values).as_row()]


def remove_step(user: User, key: str) -> None:
    """Remove a criterion; one that is gone already is gone."""
    with transaction() as session:
        row = _locked(session, user)
        row.steps = [step for step in row.steps if step["key"] != key]


def pick(user: User, ids: Sequence[int] | None = None) -> int:
    """Select those who were found, or of them those of some ids; return how many."""
    with transaction() as session:
        row = _locked(session, user)
        some = true() if ids is None else Partner.id.in_(ids)
        return _add(session, row, and_(found_by(row, user), some))


def _add(session: Session, row: PartnerList, condition: ColumnElement[bool]) -> int:
    """Put those on a list whom a condition keeps and who are not on it; return how many."""
    there = exists().where(MEMBERS.c.list_id == row.id, MEMBERS.c.partner_id == Partner.id)
    # Read first, and written without a look at the list: the plan for an empty list would walk it anew for each row,
    # while it grows.
    ids = list(session.scalars(select(Partner.id).where(condition, ~there)))
    for start in range(0, len(ids), _AT_ONCE):
        some = select(literal(row.id), Partner.id).where(Partner.id.in_(ids[start : start + _AT_ONCE]))
        session.execute(insert(MEMBERS).from_select(["list_id", "partner_id"], some))
    return len(ids)


def drop(user: User, ids: Sequence[int] | None = None) -> int:
    """Select some no more, or nobody; return how many are gone."""
    with transaction() as session:
        row = _locked(session, user)
        some = true() if ids is None else MEMBERS.c.partner_id.in_(ids)
        result: Any = session.execute(delete(MEMBERS).where(MEMBERS.c.list_id == row.id, some))
        return int(result.rowcount)


def add_members(user: User, ids: Sequence[int]) -> int:
    """Select customers and contacts by their ids, beside those who are selected; return how many are new."""
    with transaction() as session:
        row = _locked(session, user)
        parts = [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]
        return sum(_add(session, row, and_(_writable(user), Partner.id.in_(some))) for some in parts)


def reset(user: User) -> None:
    """Begin anew: no criterion, nobody found, nobody selected."""
    with transaction() as session:
        row = session.scalar(_working(user).with_for_update())
        if row is not None:
            session.delete(row)


# -- keeping -----------------------------------------------------------------------------------------------


def save(
    user: User, name: str, kind: ListKind, *, company_id: int | None, owner_id: int | None
) -> PartnerList:
    """Save what a user is choosing under a name: its criteria, or who is selected.

    Raises:
        UserError: The name is missing or taken, or there is nothing to save.
    """
    with transaction() as session:
        row = _locked(session, user)
        name = checked_name(user, name)
        if kind is ListKind.DYNAMIC and not row.steps:
            raise UserError(_l("Add a criterion first: a dynamic list is made of them."), "kind")
        made = PartnerList(kind=kind, name=name, company_id=company_id, owner_id=owner_id, steps=[])
        if kind is ListKind.DYNAMIC:
            made.steps = list(row.steps)
        session.add(made)
        session.flush()
        if kind is ListKind.FIXED and not _add(session, made, selected_of(row, user)):
            raise UserError(_l("Select somebody first: a fixed list is made of who is selected."), "kind")
    return made


def checked_name(user: User, name: str, present: PartnerList | None = None) -> str:
    """Return a name for a list, without blanks that nobody sees.

    Raises:
        UserError: It is empty, or another list has it.
    """
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME:
        raise UserError(_l("A name is needed."), "name")
    taken = {row.name.casefold() for row in readable_lists(user) if present is None or row.id != present.id}
    if name.casefold() in taken:
        raise UserError(_l("There is a list of this name already."), "name")
    return name


def open_list(user: User, row: PartnerList) -> None:
    """Take a saved list to what a user is choosing: its criteria in place of theirs, or its members beside theirs."""
    with transaction() as session:
        working = _locked(session, user)
        if row.kind is ListKind.DYNAMIC:
            working.steps = list(row.steps)
            return
        _add(session, working, those_of(row, user))


def delete_list(row: PartnerList) -> None:
    """Delete a list; mailings that were made of it stay."""
    with transaction() as session:
        session.delete(row)


# -- the list of customers narrowed to one -----------------------------------------------------------------


def title_of(row: PartnerList) -> str:
    """Return what a list is called."""
    return row.name or str(gettext("Being selected"))


def _named(value: str) -> PartnerList | None:
    user = acting_user()
    return list_for(user, row_id(value) or 0) if user is not None else None


def _choices() -> Sequence[Choice]:
    user = acting_user()
    if user is None:
        return ()
    working = working_list(user)
    rows = [*([working] if working is not None else []), *readable_lists(user)]
    return [Choice(str(row.id), title_of(row)) for row in rows]


def _condition(value: str) -> ColumnElement[bool]:
    user, row = acting_user(), _named(value)
    # One that is gone is nobody: left out, it would be everybody.
    return those_of(row, user) if user is not None and row is not None else false()


def list_named(value: str) -> str:
    """Return the name under which the list is kept that the list of customers is narrowed to, or ""."""
    row = _named(value)
    return row.name if row is not None else ""


def _label(value: str) -> str:
    """Return the name of the list that the list of customers is narrowed to."""
    row = _named(value)
    return title_of(row) if row is not None else str(gettext("a list that is gone"))


LIST_FACET = Facet("list", N_("List"), _choices, _condition, _label)
"""Narrows the list of customers to those of a list of recipients: what works there works with any list."""
