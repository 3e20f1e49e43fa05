"""Which runs, and which of their documents and customers, a person reaches."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, false, or_, select
from sqlalchemy.orm import joinedload

from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db
from core.documents.models import Document
from core.documents.service import readable_by
from core.partners.models import Partner
from core.partners.reach import reachable
from modules.outbox.models import NO_BUNDLE, ItemState, Run, RunItem
from modules.outbox.permissions import READ


def reached(user: User, permission: str = READ) -> ColumnElement[bool]:
    """Return the condition that keeps a query over `Run` to those that a permission of the user reaches."""
    if not user.can(permission):
        return false()
    within = within_reach(user, permission, owner=Run.by_user_id, company=Run.company_id)
    mine = or_(Run.by_user_id == user.id, within)
    # Nobody acts upon what they may not see.
    return mine if permission == READ else and_(mine, reached(user))


def run_for(user: User, run_id: int, permission: str = READ) -> Run | None:
    """Return a run that a permission of the user reaches, or None."""
    query = select(Run).where(Run.id == run_id, reached(user, permission))
    return db.session.scalar(query.options(joinedload(Run.by_user)))


def items_of(run: Run, user: User) -> Select[RunItem]:
    """Return the items of a run whose documents or customers the user may read, and those of which they are gone."""
    if run.of_customers:
        gone = RunItem.partner_id.is_(None)
        readable = select(Partner.id).where(Partner.id == RunItem.partner_id, reachable(user))
    else:
        gone = RunItem.document_id.is_(None)
        readable = select(Document.id).where(Document.id == RunItem.document_id, readable_by(user))
    # A value and no set: of a hundred thousand, those are asked about that a page shows.
    named = readable.correlate(RunItem).scalar_subquery()
    return select(RunItem).where(RunItem.run_id == run.id, or_(gone, named.is_not(None)))


def item_for(user: User, run: Run, item_id: int) -> RunItem | None:
    """Return an item of a run whose document the user may read, or None."""
    return db.session.scalar(items_of(run, user).where(RunItem.id == item_id))


def together_with(item: RunItem, run: Run, user: User) -> list[RunItem]:
    """Return an item with those that go, or are held, in one mail with it, and that the user may read."""
    if not item.bundle:
        return [item]
    same = items_of(run, user).where(RunItem.bundle == item.bundle, RunItem.bundle != NO_BUNDLE)
    return list(db.session.scalars(same.order_by(RunItem.id)))


def neighbors(run: Run, user: User, item: RunItem | None = None) -> tuple[int | None, int | None]:
    """Return the ids of the items before and after one that would get an email too; without one, the first of all."""
    ready = items_of(run, user).where(RunItem.state == ItemState.READY).with_only_columns(RunItem.id)
    here = item.id if item is not None else 0
    before = db.session.scalar(ready.where(RunItem.id < here).order_by(RunItem.id.desc()).limit(1))
    after = db.session.scalar(ready.where(RunItem.id > here).order_by(RunItem.id).limit(1))
    return before, after
