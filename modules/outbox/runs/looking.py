"""Documents of a run are looked through: would each go, to whom and by which template, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import force_locale
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.service import locale_of_user
from core.db import db, transaction
from modules.outbox.models import ItemState, Run, RunItem
from modules.outbox.runs.bundles import bundle_of, held_bundle_of, hold_without_template
from modules.outbox.runs.drafting import drafts_of, facts_of
from modules.outbox.runs.held import HeldError


def look(run_id: int, limit: int, only: Sequence[int] | None = None) -> bool:
    """Look through some documents of a run; return True when none is left to be looked at.

    Args:
        run_id: The run.
        limit: How many at most.
        only: The items that are looked at, or None for the next ones.
    """
    run = db.session.get(Run, run_id, populate_existing=True)
    user = db.session.get(User, run.by_user_id) if run is not None and run.by_user_id else None
    query = select(RunItem).where(RunItem.run_id == run_id, RunItem.state == ItemState.UNCHECKED)
    if only is not None:
        query = query.where(RunItem.id.in_(only))
    items = list(db.session.scalars(query.order_by(RunItem.id).limit(limit)))
    if run is None or user is None or not items:
        return True
    asked = {item.id: item.asked for item in items}
    found = _found(run, items, user)
    with transaction() as session:
        # The run before its items, as whoever decides about one locks them.
        of = session.get_one(Run, run_id, with_for_update=True, populate_existing=True)
        locked = session.scalars(
            select(RunItem)
            .where(RunItem.id.in_(found), RunItem.state == ItemState.UNCHECKED)
            .order_by(RunItem.id)
            .with_for_update(of=RunItem)
            .execution_options(populate_existing=True)
        )
        # What somebody has decided meanwhile, for one or for all, asks anew: what was found answers something else.
        looked = [item for item in locked if item.asked == asked[item.id]]
        for item in looked:
            seen = found[item.id]
            hold(item, seen.held)
            item.revision, item.bundle = seen.revision, seen.bundle
            item.seen_template, item.seen_recipients = seen.template, seen.recipients
        session.flush()
        with force_locale(locale_of_user(user)):
            hold_without_template(of, looked)
        of.touched_at = clock.now()
    return len(items) < limit and len(looked) == len(items)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found when a document was looked through.

    Attributes:
        held: Why it is held, or None.
        revision: That of the document then.
        template: The template then, as `Destination.seen_template` names it.
        recipients: Whom it would have gone to, as `Destination.seen_recipients` says.
        bundle: What it has in common with those that go in one mail with it, or are held together; or "".
    """

    held: HeldError | None
    revision: int
    template: str = ""
    recipients: str = ""
    bundle: str = ""


def _found(run: Run, items: Sequence[RunItem], user: User) -> dict[int, _Seen]:
    """Return what is found of each item."""
    facts = facts_of(items, user)
    found: dict[int, _Seen] = {}
    with force_locale(locale_of_user(user)):
        drafts = drafts_of(items, facts, run, user)
        for item in items:
            document = facts.documents.get(item.document_id or 0)
            revision = document.revision if document is not None else 0
            made = drafts[item.id]
            if isinstance(made, HeldError):
                bundle = held_bundle_of(document, made) if run.packs else ""
                found[item.id] = _Seen(made, revision, made.seen_template, bundle=bundle)
            else:
                draft, where = made
                bundle = bundle_of(draft, document, where) if run.packs and document is not None else ""
                found[item.id] = _Seen(None, revision, where.seen_template, where.seen_recipients, bundle)
    return found


def hold(item: RunItem, held: HeldError | None) -> None:
    """Say of an item that it is held, and why, or that it would go."""
    item.state = ItemState.READY if held is None else ItemState.HELD
    item.reason = held.reason if held is not None else None
    item.detail = held.detail[:300] if held is not None else ""
    item.bundle = ""
