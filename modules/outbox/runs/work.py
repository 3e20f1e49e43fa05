"""What a worker does for runs, in steps: add what was selected, look it through, write mails, cancel, come to an end.

Each step is short and commits; what a step has read before its transaction is compared inside of it. So a run may be
worked on by two workers, a worker may die at any moment, and the queue may be emptied: nothing is written twice and
nothing is lost. `resume_lost` asks again for what nobody works on.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from core import clock
from core.auth.models import User
from core.db import db, end_reading, transaction
from core.installation import service as installation
from core.jobs import enqueue, enqueue_after_commit, lost
from modules.outbox import service
from modules.outbox.models import ItemState, OutgoingMail, Run, RunItem, RunState
from modules.outbox.runs import filling
from modules.outbox.runs.counts import counts_of
from modules.outbox.runs.looking import look
from modules.outbox.runs.telling import tell
from modules.outbox.runs.writing import write_some
from modules.outbox.states import CANCELABLE, MailState

LOOKED_AT = 50
"""Documents that are looked through between two looks at the run."""
STEPS_A_JOB = 8
"""After so many steps a job lets other jobs pass: single mails, and those of the run itself."""
ON_THE_WAY = 200
"""With so many mails on the queue a run waits, so that it can be paused, and others have their turn."""
CANCELED_AT_ONCE = 200
LOOK_AGAIN = dt.timedelta(seconds=2)
KEEP_DRAFTS = dt.timedelta(days=30)
"""A run that nobody has started is forgotten so long after it was last touched."""
LOST_AFTER = dt.timedelta(seconds=30)
"""A run that nobody has touched for so long has lost its job."""

_MOVING = (MailState.QUEUED, MailState.SENDING)


def work(run_id: int) -> None:
    """Go on with a run until it waits for something, or has had its turn; runs as a job."""
    for _ in range(STEPS_A_JOB):
        again = _step(run_id)
        end_reading()
        if again is None:
            return
        if isinstance(again, dt.datetime):
            enqueue("outbox.run", run_id, at=again)
            return
    enqueue("outbox.run", run_id)


def _step(run_id: int) -> dt.datetime | bool | None:
    """Do the next step of a run; return False to go on, when to look again, or None where there is nothing to do."""
    run = db.session.get(Run, run_id, populate_existing=True)
    if run is None or run.ended_at is not None:
        return None
    if run.state is RunState.STOPPED:
        return False if cancel_some(run_id, None) else _end(run_id)
    if not filling.add_some(run_id) or not look(run_id, LOOKED_AT):
        return False
    return _step_forward(run_id) if run.state is RunState.RUNNING else None


def _step_forward(run_id: int) -> dt.datetime | bool | None:
    """Do the next step of a run that is looked through and was started; returns what `_step` does."""
    # In a restored copy stands as to be written what may have left long ago: a person decides first.
    if installation.verify() is not None:
        return None
    run = db.session.get_one(Run, run_id, populate_existing=True)
    if run.not_before is not None and run.not_before > clock.now():
        return run.not_before
    if _count_moving(run_id) >= ON_THE_WAY:
        return clock.now() + LOOK_AGAIN
    if write_some(run_id):
        return False
    return _end(run_id)


def _count_moving(run_id: int) -> int:
    some = (
        select(OutgoingMail.id)
        .where(OutgoingMail.run_id == run_id, OutgoingMail.state.in_(_MOVING))
        .limit(ON_THE_WAY)
        .subquery()
    )
    return int(db.session.scalar(select(func.count()).select_from(some)) or 0)


# -- stopping and ending -----------------------------------------------------------------------------------


def cancel_some(run_id: int, by: User | None) -> list[int]:
    """Cancel some mails of a run that have not left, and return their ids."""
    waiting = (
        select(OutgoingMail.id)
        .where(OutgoingMail.run_id == run_id, OutgoingMail.state.in_(sorted(CANCELABLE)))
        .limit(CANCELED_AT_ONCE)
    )
    return service.cancel(list(db.session.scalars(waiting)), by=by)


def _end(run_id: int) -> dt.datetime | None:
    """End a run of which nothing is on its way, or return when to look again."""
    if _count_moving(run_id):
        return clock.now() + LOOK_AGAIN
    with transaction() as session:
        run = session.get_one(Run, run_id, with_for_update=True, populate_existing=True)
        if run.ended_at is not None or run.state not in {RunState.RUNNING, RunState.STOPPED}:
            return None
        run.ended_at = clock.now()
        if run.state is RunState.STOPPED:
            # Its rest may be sent yet, to the addresses that were chosen: these are kept as long as a draft.
            # Whoever has stopped it knows; of what failed before, nothing else tells them.
            if run.acted_by_id != run.by_user_id or counts_of(run_id).failed:
                tell(run, None)
            return None
        _forget_choices(session, RunItem.run_id == run_id)
        run.state = RunState.DONE
        tell(run, None)
    return None


def resume_lost() -> int:
    """Ask again for runs that nobody works on any more; return how many."""
    now = clock.now()
    unchecked = select(RunItem.run_id).where(RunItem.run_id == Run.id, RunItem.state == ItemState.UNCHECKED)
    left = (
        select(Run)
        .where(
            Run.ended_at.is_(None),
            lost(Run.touched_at, LOST_AFTER),
            or_(
                Run.state == RunState.STOPPED,
                (Run.state == RunState.RUNNING) & or_(Run.not_before.is_(None), Run.not_before <= now),
                (Run.state == RunState.DRAFT) & or_(Run.to_add.is_not(None), unchecked.exists()),
            ),
        )
        .order_by(Run.touched_at)
        .limit(100)
    )
    with transaction() as session:
        runs = list(session.scalars(left))
        for run in runs:
            run.touched_at = now
            enqueue_after_commit("outbox.run", run.id)
    return len(runs)


def _forget_choices(session: Session, condition: ColumnElement[bool]) -> None:
    """Forget addresses that were chosen for what was not sent."""
    chosen = select(RunItem).where(condition, RunItem.encrypted_choice.is_not(None))
    for item in session.scalars(chosen):
        item.encrypted_choice = None


def forget_drafts() -> int:
    """Forget the runs that nobody has started or touched for long, with the addresses chosen for them.

    Of those that were stopped as long ago, the addresses alone.
    """
    old = Run.touched_at < clock.now() - KEEP_DRAFTS
    with transaction() as session:
        ids = list(session.scalars(select(Run.id).where(Run.state == RunState.DRAFT, old).limit(100)))
        session.execute(delete(RunItem).where(RunItem.run_id.in_(ids)))
        session.execute(delete(Run).where(Run.id.in_(ids)))
        stopped = select(Run.id).where(Run.state == RunState.STOPPED, Run.ended_at.is_not(None), old)
        _forget_choices(session, RunItem.run_id.in_(stopped))
    return len(ids)
