"""One action on many mails: a few at once in the request, the many by a worker, step by step.

A run stands in the database with how far it is, so it survives a crash, a lost queue and a closed page. Each
step takes the next mails in the order of their ids, in one transaction with the id it has come to,
so no mail is taken twice. What the list was narrowed to is asked anew at each step, with the reach that the
person has at that moment.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, func, select

from core import clock
from core.auth.models import User
from core.db import db, end_reading, transaction
from core.errors import EnvoiError
from core.i18n import N_
from core.jobs import enqueue, enqueue_after_commit, lost
from core.web.listing import Count, Criteria, Narrowed, count_up_to
from modules.outbox import queries, service
from modules.outbox.compose.actions import undo_seconds
from modules.outbox.mail_list import date_ranges
from modules.outbox.mail_list.bulk_words import MANY, SENDS, Action, Done, why_left
from modules.outbox.mail_list.query_plan import (
    narrowed,
    part_of_filter,
    reach_parts,
    state_part,
)
from modules.outbox.models import BulkRun, OutgoingMail
from modules.outbox.permissions import RESEND
from modules.outbox.states import MailState

logger = logging.getLogger(__name__)

STEP = 500
"""How many mails one transaction changes, and how many a request does itself."""

COUNTED = 10_000
"""So far mails are counted; beyond, it says "10,000+"."""

TOTAL_UP_TO = 1_000_000
"""So far the mails of a run are counted, once, so that its page can say how far it is."""

STEPS_A_JOB = 40
"""After so many steps a run lets other jobs pass."""

LOST_AFTER = dt.timedelta(seconds=60)
"""A run that nobody has touched for so long has lost its job."""

NOT_ANY_MORE = N_("Stopped: whoever asked for it may not do it any more.")
FAILED = N_("Stopped by an error; the log says more. What was done before stands.")

SHOWN_FOR = dt.timedelta(minutes=10)
"""How long the page tells of a run that has ended."""


def act(action: Action, mail_ids: Sequence[int], by: User) -> Done:
    """Do something with mails that the user reaches; the others are left out silently.

    Uncertain mails are left alone: whether they are sent again is decided one by one.
    """
    with transaction() as session:
        # Asked in the transaction that acts: what a person reached when the page was made may have changed.
        mails = select(OutgoingMail.id, OutgoingMail.state, OutgoingMail.contents_erased_at).where(
            OutgoingMail.id.in_(mail_ids), *(part.check for part in reach_parts(by, RESEND))
        )
        rows = {row.id: row for row in session.execute(mails)}
        states = {mail_id: row.state for mail_id, row in rows.items()}
        mine = sorted(states)

        def why(left: Iterable[int]) -> dict[str, int]:
            return Counter(
                why_left(action, states[mail_id], erased=rows[mail_id].contents_erased_at is not None).value
                for mail_id in left
            )

        if action is Action.CANCEL:
            changed = service.cancel(mine, by=by)
            return Done(len(changed), why=why(set(mine) - set(changed)))
        if action in {Action.ARRIVED, Action.LOST}:
            changed = service.mark(mine, accepted=action is Action.ARRIVED, by=by)
            return Done(len(changed), why=why(set(mine) - set(changed)))
        front = action is Action.NOW
        again = service.resend(mine, by=by, uncertain=False, front=front)
        changed = [*again, *service.retry_now(mine, by=by, front=front)]
        uncertain = {mail_id for mail_id, state in states.items() if state is MailState.UNCERTAIN}
        left = [mail_id for mail_id in mine if mail_id not in {*changed, *uncertain}]
        outdated = queries.outdated(left)
    return Done(len(changed), len(uncertain), len(outdated), why(set(left) - set(outdated)))


# -- which mails ---------------------------------------------------------------------------------------


def matching(user: User, criteria: Criteria) -> Count:
    """Return how many mails match, of those that the user may act upon."""
    return count_up_to(narrowed(select(OutgoingMail.id), user, RESEND, criteria).statement, COUNTED)


def _candidates(action: Action, user: User, criteria: Criteria) -> list[Narrowed]:
    """Return statements that find, each by an index, the mails for which the action may do something.

    Canceled mails are put on the queue again only when the list was narrowed to them: who resends "all" does
    not mean those that somebody has stopped.
    """
    if action in {Action.ARRIVED, Action.LOST}:
        parts = [state_part(MailState.UNCERTAIN)]
    else:
        parts = [part_of_filter("waiting", user)]
    if action in SENDS:
        parts.append(part_of_filter("failed", user))
        if criteria.facets.get("state") == MailState.CANCELED:
            parts.append(state_part(MailState.CANCELED))
    mails: Select[Any] = select(OutgoingMail.id)
    return [
        narrowed(mails.where(part.lead), user, RESEND, criteria, by_time=False)
        for part in parts
        if part.lead is not None
    ]


def _next_ids(run: BulkRun, user: User, limit: int) -> list[int]:
    """Return the next mails of a run, in the order of their ids."""
    ids: list[int] = []
    known = json.loads(run.criteria)
    if "ids" in known:
        return sorted(mail_id for mail_id in known["ids"] if mail_id > run.last_id)[:limit]
    for found in _candidates(Action(run.action), user, _criteria(known)):
        some = (
            found.statement.where(OutgoingMail.id > run.last_id, OutgoingMail.id <= run.upper_id)
            .order_by(found.in_order_of(OutgoingMail.id))
            .limit(limit)
        )
        ids += db.session.scalars(some)
    return sorted(ids)[:limit]


def _criteria(known: dict[str, Any]) -> Criteria:
    return Criteria(known["search"], tuple(known["filters"]), known["facets"])


def _kept(user: User, criteria: Criteria) -> str:
    """Return criteria as they are kept, with days that do not move on while the run lasts."""
    facets = dict(criteria.facets)
    filters = criteria.filters
    if "today" in filters and "period" not in facets:
        filters = tuple(name for name in filters if name != "today")
        facets["period"] = "today"
    if "period" in facets:
        facets["period"] = date_ranges.fixed(facets["period"], user.timezone)
    return json.dumps({"search": criteria.search, "filters": filters, "facets": facets}, ensure_ascii=False)


# -- runs ----------------------------------------------------------------------------------------------


def act_on_all(action: Action, criteria: Criteria, by: User) -> Done | BulkRun:
    """Do something with all mails that match: at once when they are few, else by a worker.

    What sends many begins after a while, in which `stop` calls all of it back.
    """
    run = _new_run(action, _kept(by, criteria), by, db.session.scalar(select(func.max(OutgoingMail.id))) or 0)
    ids = _next_ids(run, by, STEP + 1)
    run.begins_at = _held_until(action, len(ids))
    if len(ids) <= STEP and run.begins_at is None:
        return act(action, ids, by)
    counts = [count_up_to(found.statement, TOTAL_UP_TO) for found in _candidates(action, by, criteria)]
    # A total that is not known to the last mail is no total.
    run.total = sum(count.found for count in counts) if all(count.exact for count in counts) else 0
    return _begin(run)


def act_on(action: Action, mail_ids: Sequence[int], by: User) -> Done | BulkRun:
    """Do something with mails by their ids; the rest is as for `act_on_all`."""
    ids = sorted(set(mail_ids))
    held_until = _held_until(action, len(ids))
    if len(ids) <= STEP and held_until is None:
        return act(action, ids, by)
    run = _new_run(action, json.dumps({"ids": ids}), by, ids[-1])
    run.begins_at = held_until
    run.total = len(ids)
    return _begin(run)


def _held_until(action: Action, count: int) -> dt.datetime | None:
    """Return until when an action on so many mails can be called back, or None for not at all."""
    seconds = undo_seconds()
    if action not in SENDS or count <= MANY or not seconds:
        return None
    return clock.now() + dt.timedelta(seconds=seconds)


def _begin(run: BulkRun) -> BulkRun:
    with transaction() as session:
        session.add(run)
        session.flush()
        enqueue_after_commit("outbox.bulk", run.id, at=run.begins_at)
    return run


def _new_run(action: Action, criteria: str, by: User, upper: int) -> BulkRun:
    return BulkRun(
        action=action.value, criteria=criteria, by_user_id=by.id, upper_id=upper, last_id=0, total=0
    )


def work(run_id: int) -> None:
    """Go on with a run until it is done, is stopped, or has had its turn; runs as a job."""
    for _ in range(STEPS_A_JOB):
        if not _step(run_id):
            return
    enqueue("outbox.bulk", run_id)


def _step(run_id: int) -> bool:
    """Do the next step of a run; return True when there may be more."""
    try:
        with transaction() as session:
            run = session.get(BulkRun, run_id, with_for_update=True, populate_existing=True)
            if run is None or run.ended_at is not None:
                return False
            if run.begins_at is not None and run.begins_at > clock.now():
                enqueue_after_commit("outbox.bulk", run.id, at=run.begins_at)
                return False
            user = session.get(User, run.by_user_id)
            if user is None or not user.active or not user.can(RESEND):
                _end(run, NOT_ANY_MORE)
                return False
            ids = _next_ids(run, user, STEP)
            done = act(Action(run.action), ids, user)
            run.changed += done.changed
            run.left_uncertain += done.uncertain
            run.left_outdated += done.outdated
            run.left_other += done.other
            # Another dictionary, or nobody would notice that it has changed.
            run.left_why = dict(Counter(run.left_why) + Counter(done.why))
            run.touched_at = clock.now()
            if ids:
                run.last_id = ids[-1]
            if len(ids) < STEP:
                _end(run)
            return run.ended_at is None
    except EnvoiError:
        # The step was rolled back, those before it stand. Trying it again and again would help nobody.
        logger.exception("Run %d over many mails failed.", run_id)
        with transaction() as session:
            _end(session.get_one(BulkRun, run_id), FAILED)
        return False
    finally:
        end_reading()


def _end(run: BulkRun, error: str = "") -> None:
    run.ended_at, run.error = clock.now(), error


def stop(run_id: int, user: User) -> bool:
    """Stop a run of the user after the step that is being done; return False when it has ended already."""
    with transaction() as session:
        run = session.get(BulkRun, run_id, with_for_update=True, populate_existing=True)
        if run is None or run.by_user_id != user.id or run.ended_at is not None:
            return False
        run.stopped, run.ended_at = True, clock.now()
    return True


def resume_lost() -> int:
    """Ask again for runs that nobody works on any more; return how many."""
    left = select(BulkRun).where(BulkRun.ended_at.is_(None), lost(BulkRun.touched_at, LOST_AFTER))
    with transaction() as session:
        runs = list(session.scalars(left))
        for run in runs:
            run.touched_at = clock.now()
            enqueue_after_commit("outbox.bulk", run.id)
    if runs:
        logger.warning("%d runs over many mails had lost their job.", len(runs))
    return len(runs)


def runs_of(user: User) -> list[BulkRun]:
    """Return the runs that the page of a user tells of: those that go on, and those just ended."""
    recent = clock.now() - SHOWN_FOR
    return list(
        db.session.scalars(
            select(BulkRun)
            .where(BulkRun.by_user_id == user.id, BulkRun.ended_at.is_(None) | (BulkRun.ended_at > recent))
            .order_by(BulkRun.id.desc())
            .limit(5)
        )
    )


def run_of(user: User, run_id: int) -> BulkRun | None:
    """Return a run of the user, or None."""
    return db.session.scalar(select(BulkRun).where(BulkRun.id == run_id, BulkRun.by_user_id == user.id))
