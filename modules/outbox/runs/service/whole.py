"""Start, pause, continue and stop a run."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.auth.permissions import within_reach
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.jobs import enqueue_after_commit
from modules.mail_config.models import MailTemplate
from modules.outbox import service
from modules.outbox.models import ItemState, OutgoingMail, Run, RunItem, RunState
from modules.outbox.runs import telling, work, writing
from modules.outbox.runs.service.choices import remember_template
from modules.outbox.runs.service.rows import demand, locked_run, look_again
from modules.outbox.states import MailState

LONGEST_AHEAD = dt.timedelta(days=365)


def start(run: Run, by: User, *, not_before: dt.datetime | None = None) -> None:
    """Let the mails of a run be written, now or from a moment on. Started twice, it is started once.

    Raises:
        UserError: It is not looked through yet, nothing would be sent, the moment has passed, or it is
            somebody else's.
    """
    now = clock.now()
    _check_moment(not_before)
    with transaction():
        locked = locked_run(run.id)
        if locked.state is RunState.RUNNING:
            return
        demand(locked, RunState.DRAFT)
        if locked.by_user_id != by.id:
            raise UserError(_l("Whoever has prepared it starts it: it is sent in their name."))
        if locked.text_draft:
            raise UserError(
                _l("You have written something that is not saved. Save it, or go back to what was saved.")
            )
        if locked.to_add is not None or _has(locked.id, ItemState.UNCHECKED):
            raise UserError(_l("It is still being looked through. Wait a moment."))
        if not _has(locked.id, ItemState.READY):
            raise UserError(_l("Nothing would be sent."))
        remember_template(locked)
        locked.state, locked.started_at, locked.not_before = RunState.RUNNING, now, not_before
        locked.touched_at, locked.paused_why = now, ""
        enqueue_after_commit("outbox.run", locked.id, at=not_before)


def _check_moment(not_before: dt.datetime | None) -> None:
    now = clock.now()
    if not_before is not None and not now < not_before <= now + LONGEST_AHEAD:
        raise UserError(_l("Choose a moment within a year."), "not_before")


def move(run: Run, by: User, not_before: dt.datetime | None) -> None:
    """Let a run that waits for its time begin at another one, or now.

    Raises:
        UserError: It has begun, or the moment is none.
    """
    _check_moment(not_before)
    with transaction():
        locked = locked_run(run.id)
        if not locked.scheduled:
            raise UserError(_l("This has been started, or stopped, meanwhile. Reload the page to see it."))
        locked.not_before, locked.touched_at = not_before, clock.now()
        telling.tell_of(locked, by, telling.MOVED_BY)
        enqueue_after_commit("outbox.run", locked.id, at=not_before)


def _has(run_id: int, state: ItemState) -> bool:
    query = select(RunItem.id).where(RunItem.run_id == run_id, RunItem.state == state).limit(1)
    return db.session.scalar(query) is not None


def _acted(run: Run, by: User) -> None:
    run.acted_by_id, run.acted_at = by.id, clock.now()


def pause(run: Run, by: User) -> None:
    """Write no more mails of a run for now; those that are on the queue still leave."""
    with transaction():
        locked = locked_run(run.id)
        if locked.state is RunState.RUNNING:
            locked.state, locked.paused_why = RunState.PAUSED, ""
            _acted(locked, by)
            telling.tell_of(locked, by, telling.PAUSED_BY)


def go_on(run: Run, by: User) -> None:
    """Go on with a run that is paused.

    Raises:
        UserError: The template that was chosen is gone: another one is to be chosen first.
    """
    with transaction() as session:
        locked = locked_run(run.id)
        if locked.state is not RunState.PAUSED:
            return
        if locked.template_id is not None and session.get(MailTemplate, locked.template_id) is None:
            raise UserError(_l("The template is gone. Choose another one first."), "template")
        remember_template(locked)
        if (locked.template_id is None or locked.packs) and locked.paused_why == writing.TEMPLATE_CHANGED:
            # By which template each goes now, and whether it can be, is found again.
            look_again(locked.id, states=[ItemState.READY])
        locked.state, locked.paused_why, locked.touched_at = RunState.RUNNING, "", clock.now()
        _acted(locked, by)
        telling.tell_of(locked, by, telling.CONTINUED_BY)
        enqueue_after_commit("outbox.run", locked.id)


def stop(run: Run, by: User) -> int:
    """Stop a run for good: no more mails are written, and those that have not left are canceled.

    Returns:
        How many mails were canceled at once; what is more, a worker cancels.
    """
    with transaction():
        locked = locked_run(run.id)
        if locked.state in {RunState.STOPPED, RunState.DONE}:
            return 0
        locked.state, locked.touched_at = RunState.STOPPED, clock.now()
        _acted(locked, by)
        enqueue_after_commit("outbox.run", locked.id)
    return len(work.cancel_some(run.id, by))


def resend_failed(run: Run, by: User) -> int:
    """Put those mails of a run on the queue again that somebody did not get; return how many.

    Uncertain ones are left alone: whether they are sent again is decided one by one.
    """
    failed = (
        select(OutgoingMail.id)
        .where(
            OutgoingMail.run_id == run.id,
            OutgoingMail.state.in_([MailState.FAILED, MailState.PARTIAL]),
            within_reach(
                by,
                "outbox.mail.resend",
                owner=OutgoingMail.submitted_by_id,
                company=OutgoingMail.company_id,
            ),
        )
        .order_by(OutgoingMail.id)
    )
    done = 0
    ids = list(db.session.scalars(failed))
    for start in range(0, len(ids), work.CANCELED_AT_ONCE):
        done += len(service.resend(ids[start : start + work.CANCELED_AT_ONCE], by=by, uncertain=False))
    return done
