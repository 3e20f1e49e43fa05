"""The numbers of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import func, select

from core.db import db
from modules.outbox.models import HeldReason, ItemState, OutgoingMail, RunItem
from modules.outbox.states import FAILED, WAITING, MailState


@dataclass(slots=True)
class Counts:
    """The numbers of a run.

    Attributes:
        items: How many documents are in each state.
        held: How many are held for each reason.
        mails: How many of its mails are in each state.
    """

    items: dict[ItemState, int] = field(default_factory=dict)
    held: dict[HeldReason, int] = field(default_factory=dict)
    mails: dict[MailState, int] = field(default_factory=dict)

    def of(self, state: str) -> int:
        """Return how many documents are in a state."""
        return self.items.get(ItemState(state), 0)

    @property
    def total(self) -> int:
        """How many documents there are."""
        return sum(self.items.values())

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


def counts_of(run_id: int) -> Counts:
    """Return the numbers of a run, each read from an index."""
    counts = Counts()
    rows = db.session.execute(
        select(RunItem.state, RunItem.reason, func.count())
        .where(RunItem.run_id == run_id)
        .group_by(RunItem.state, RunItem.reason)
    )
    for state, reason, count in rows:
        counts.items[state] = counts.items.get(state, 0) + count
        if state is ItemState.HELD and reason is not None:
            counts.held[reason] = count
    mails = db.session.execute(
        select(OutgoingMail.state, func.count())
        .where(OutgoingMail.run_id == run_id)
        .group_by(OutgoingMail.state)
    )
    counts.mails = dict(mails.all())
    return counts
