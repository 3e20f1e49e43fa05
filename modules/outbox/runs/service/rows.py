"""The rows of a run that still waits for decisions: locked, and looked through again when those change."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, update

from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.jobs import enqueue_after_commit
from modules.outbox.models import ItemState, Run, RunItem, RunState
from modules.outbox.runs import looking

LOOKED_AT_ONCE = 60
"""Documents that the request itself looks through: a few are there at once, the others are a worker's."""


def locked_run(run_id: int) -> Run:
    """Return a run as it is now, locked until the transaction ends."""
    return db.session.get_one(Run, run_id, with_for_update=True, populate_existing=True)


def demand(run: Run, *states: RunState) -> None:
    """Let go on only what is in one of the states.

    Raises:
        UserError: It was started or stopped meanwhile.
    """
    if run.state not in states:
        raise UserError(_l("This has been started, or stopped, meanwhile. Reload the page to see it."))


def look_again(
    run_id: int,
    *conditions: ColumnElement[bool],
    states: Collection[ItemState] = (ItemState.READY, ItemState.HELD),
) -> None:
    """Let some items of a run be looked through again, whoever does it.

    Args:
        run_id: The run.
        conditions: Which of its items.
        states: Of those, the ones that have come to one of these. One that is being looked through at this moment could
            come to any of them by what was known before: it is asked about anew as well.
    """
    with transaction() as session:
        session.execute(
            update(RunItem)
            .where(RunItem.run_id == run_id, RunItem.state.in_([*states, ItemState.UNCHECKED]), *conditions)
            .values(RunItem.unlooked())
        )
        session.expire_all()


def look_anew(run: Run, *conditions: ColumnElement[bool]) -> None:
    """Look through some items of a run again, since what they would get has changed."""
    look_again(run.id, *conditions)
    look_soon(run.id)


def look_soon(run_id: int) -> None:
    """Look at the first items at once, and leave the others to a worker."""
    if not looking.look(run_id, LOOKED_AT_ONCE):
        with transaction():
            enqueue_after_commit("outbox.run", run_id)
