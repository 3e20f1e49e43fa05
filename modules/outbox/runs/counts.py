"""The numbers of a run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import func, select

from core.db import db
from modules.outbox.models import NO_BUNDLE, HeldReason, ItemState, OutgoingMail, Packing, Run, RunItem
from modules.outbox.states import FAILED, WAITING, MailState


@dataclass(slots=True)
class Counts:
    """The numbers of a run.

    Attributes:
        items: How many documents are in each state.
        held: How many are held for each reason.
        mails: How many of its mails are in each state.
        ready: How many mails what would go makes, as far as is known: they may be parted for their size.
        under_way: How many documents are in mails that are on their way, or wait for another try.
        carried: How many documents are in mails that were not canceled.
    """

    items: dict[ItemState, int] = field(default_factory=dict)
    held: dict[HeldReason, int] = field(default_factory=dict)
    mails: dict[MailState, int] = field(default_factory=dict)
    ready: int = 0
    under_way: int = 0
    carried: int = 0

    def of(self, state: str) -> int:
        """Return how many documents are in a state."""
        return self.items.get(ItemState(state), 0)

    @property
    def total(self) -> int:
        """How many documents there are."""
        return sum(self.items.values())

    @property
    def unsent(self) -> int:
        """How many documents have no mail, and not since a person has left them out."""
        return self.of(ItemState.HELD) + self.of(ItemState.READY) + self.of(ItemState.UNCHECKED)

    @property
    def accepted(self) -> int:
        """How many mails everybody has got."""
        return self.mails.get(MailState.SENT, 0)

    @property
    def failed(self) -> int:
        """How many mails somebody did not get, or perhaps not."""
        return sum(self.mails.get(state, 0) for state in FAILED)

    @property
    def canceled(self) -> int:
        """How many mails were canceled."""
        return self.mails.get(MailState.CANCELED, 0)

    @property
    def moving(self) -> int:
        """How many mails are on their way, or wait for another try."""
        return sum(self.mails.get(state, 0) for state in WAITING)

    @property
    def settled(self) -> int:
        """How many documents have left, or their mails have come to rest otherwise."""
        return self.of(ItemState.SUBMITTED) - self.under_way


def counts_of(run_id: int) -> Counts:
    """Return the numbers of a run, each read from an index."""
    counts = Counts()
    # First: what is added while the items are counted is counted once.
    run = db.session.execute(
        select(Run.packing, Run.item_count, Run.to_add.is_not(None)).where(Run.id == run_id)
    ).first()
    packing, selected, filling = run if run is not None else (Packing.EACH, 0, False)
    rows = db.session.execute(
        select(RunItem.state, RunItem.reason, func.count())
        .where(RunItem.run_id == run_id)
        .group_by(RunItem.state, RunItem.reason)
    )
    for state, reason, count in rows:
        counts.items[state] = counts.items.get(state, 0) + count
        if state is ItemState.HELD and reason is not None:
            counts.held[reason] = count
    if filling and selected > counts.total:
        counts.items[ItemState.UNCHECKED] = counts.of(ItemState.UNCHECKED) + selected - counts.total
    mails = db.session.execute(
        select(OutgoingMail.state, func.count())
        .where(OutgoingMail.run_id == run_id)
        .group_by(OutgoingMail.state)
    )
    counts.mails = dict(mails.all())
    if packing is Packing.EACH:
        counts.ready, counts.under_way = counts.of(ItemState.READY), counts.moving
        counts.carried = counts.of(ItemState.SUBMITTED) - counts.canceled
        return counts
    counts.ready = sum(count for _company, count in mails_by_company(run_id))
    counts.under_way = _documents_in(run_id, WAITING)
    counts.carried = counts.of(ItemState.SUBMITTED) - _documents_in(run_id, {MailState.CANCELED})
    return counts


def results_of(run_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return how many mails of each of some runs were accepted, and how many were not."""
    rows = db.session.execute(
        select(OutgoingMail.run_id, OutgoingMail.state, func.count())
        .where(OutgoingMail.run_id.in_(run_ids))
        .group_by(OutgoingMail.run_id, OutgoingMail.state)
    )
    found: dict[int, Counts] = {}
    for run_id, state, count in rows:
        found.setdefault(run_id or 0, Counts()).mails[state] = count
    return {run_id: (counts.accepted, counts.failed) for run_id, counts in found.items()}


def _documents_in(run_id: int, states: Collection[MailState]) -> int:
    """Return how many documents are in mails of a run that are in some states."""
    mails = select(OutgoingMail.id).where(
        OutgoingMail.run_id == run_id, OutgoingMail.state.in_(sorted(states))
    )
    inside = select(func.count()).where(RunItem.run_id == run_id, RunItem.mail_id.in_(mails))
    return db.session.scalar(inside) or 0


def mails_by_company(run_id: int) -> list[tuple[int | None, int]]:
    """Return how many mails what would go of a run makes, by company."""
    each = (
        select(RunItem.company_id, func.count())
        .where(RunItem.run_id == run_id, RunItem.state == ItemState.READY)
        .group_by(RunItem.company_id)
    )
    alone = dict(db.session.execute(each.where(RunItem.bundle == NO_BUNDLE)).all())
    bundles = (
        select(RunItem.company_id, func.count(RunItem.bundle.distinct()))
        .where(RunItem.run_id == run_id, RunItem.bundle != NO_BUNDLE, RunItem.state == ItemState.READY)
        .group_by(RunItem.company_id)
    )
    together = dict(db.session.execute(bundles).all())
    return [(company, alone.get(company, 0) + together.get(company, 0)) for company in {**alone, **together}]
