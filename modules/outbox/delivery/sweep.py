"""The sweep: whatever is due and not on its way is put on the queue, whatever became of the queue."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

from flask import Flask
from sqlalchemy import ColumnElement, and_, or_, select, update

from core import clock
from core.db import db, transaction
from core.installation import service as installation
from core.jobs import queue_length
from core.mail.outcomes import FailureKind
from modules.mail_config.models import MailServer, ServerHealth
from modules.outbox.delivery import claims
from modules.outbox.models import MAILS, WAITS
from modules.outbox.service import enqueue_delivery
from modules.outbox.states import MailState
from modules.outbox.transitions import moving, record

logger = logging.getLogger(__name__)

BATCH = 1000  # mails that one transaction takes; the sweep goes on until none is left
ROUNDS = 100
"""Batches after which a sweep leaves the rest to the next one: it shall end, whatever else it meets."""
ASK_AGAIN = dt.timedelta(seconds=60)
"""How long the sweep waits for a queued mail before it asks for it again."""

GRACE = dt.timedelta(seconds=10)
"""A mail just submitted is on the queue already; the sweep does not hurry it."""

LONG_GRACE = dt.timedelta(minutes=10)
"""The same while the queue is long."""

LONG_QUEUE = 20
"""With so many jobs on the queue, it has hardly lost any: asking again at once would only make it longer."""

PARKED = dt.timedelta(hours=1)
"""A mail that waits for a paused server is put off for longer than this."""

LONGEST_PARKED = dt.timedelta(days=1)
"""No mail that waits for a server is put off for longer."""


def sweep() -> int:
    """Take over from dead workers, release what is due, and ask again for what the queue has lost.

    Returns:
        How many mails were put on the queue.
    """
    # Where nothing may leave, the rows are kept right all the same: it is the claims that get nothing.
    held = installation.verify()
    queued, uncertain = claims.take_over_expired()
    if queued or uncertain:
        logger.warning("Leases ended: %d mails queued again, %d uncertain.", len(queued), len(uncertain))
    # Before the queue is asked for: the rows are right even where Redis is away for long.
    released = _release_due() + _release_forgotten()
    length = queue_length()
    # Nobody could take them, and each question would wait for its timeout.
    if length is None or held is not None:
        return 0
    return _ask_again([*queued, *released], GRACE if length <= LONG_QUEUE else LONG_GRACE)


def _release_all(state: MailState, *conditions: ColumnElement[bool], until: dt.datetime) -> list[int]:
    """Queue mails that wait in a state, those first that are due first."""
    released: list[int] = []
    for _ in range(ROUNDS):
        some = _release(state, *conditions, until=until)
        released += some
        if len(some) < BATCH:
            break
    return released


def _release(state: MailState, *conditions: ColumnElement[bool], until: dt.datetime) -> list[int]:
    """Queue up to a batch of them."""
    with transaction() as session:
        due = (
            select(MAILS.c.id)
            .where(WAITS, MAILS.c.state == state, *conditions)
            .order_by(MAILS.c.next_attempt_at)
            .limit(BATCH)
        )
        ids: list[int] = list(session.scalars(due))
        if ids:
            ids = list(
                session.scalars(
                    # By the state again: between the query and this a person may have canceled it, or another
                    # sweep was faster.
                    moving("release", MailState.QUEUED)
                    .where(MAILS.c.id.in_(ids), MAILS.c.state == state)
                    .values(claim_token=None, next_attempt_at=until)
                    .returning(MAILS.c.id)
                )
            )
            record(session, ids, "release", state, MailState.QUEUED)
    return ids


def _release_due() -> list[int]:
    """Queue scheduled and deferred mails whose time has come."""
    now = clock.now()
    due = MAILS.c.next_attempt_at <= now
    # Further ahead than anybody puts it: from a clock that was put back. Only a place in a long row may be so far.
    longest = 1.2 * max(*claims.retry_policy().delays, LONGEST_PARKED)
    astray = and_(MAILS.c.next_attempt_at > now + longest, MAILS.c.failure_kind != FailureKind.PACED)
    return [
        *_release_all(MailState.SCHEDULED, due, until=now),
        *_release_all(MailState.DEFERRED, or_(due, astray), until=now),
    ]


def _release_forgotten() -> list[int]:
    """Queue mails that wait for a paused server which is paused no more, or is switched off.

    The end of a pause lets them go itself; this is for a process that died between the two. Those of a server
    that is switched off look for another.
    """
    now = clock.now()
    stopped = (
        select(ServerHealth.server_id)
        .join(MailServer, MailServer.id == ServerHealth.server_id)
        .where(ServerHealth.open_since.is_not(None), MailServer.active)
    )
    return _release_all(
        MailState.DEFERRED,
        MAILS.c.waits_for_server,
        MAILS.c.next_attempt_at > now + PARKED,
        or_(MAILS.c.server_id.is_(None), MAILS.c.server_id.not_in(stopped)),
        until=now,
    )


def _ask_again(released: Sequence[int], grace: dt.timedelta) -> int:
    """Put queued mails on the queue that nobody has taken for a while, and those just released.

    `next_attempt_at` of a queued mail tells from when on the sweep may ask for it.
    """
    now = clock.now()
    # Further ahead than anybody puts it: from a clock that was put back.
    astray = MAILS.c.next_attempt_at > now + max(ASK_AGAIN, LONG_GRACE)
    overdue = or_(MAILS.c.next_attempt_at <= now - grace, astray)
    asked = 0
    for begin in range(0, len(released), BATCH):
        asked += _ask(now, MAILS.c.id.in_(released[begin : begin + BATCH]))
        # Each question to a queue that went away meanwhile would wait for its timeout.
        if queue_length() is None:
            return asked
    for _ in range(ROUNDS):
        some = _ask(now, overdue)
        asked += some
        if some < BATCH or queue_length() is None:
            break
    return asked


def _ask(now: dt.datetime, condition: ColumnElement[bool]) -> int:
    """Put up to a batch of queued mails on the queue."""
    with transaction() as session:
        ids: list[int] = list(
            session.scalars(
                select(MAILS.c.id)
                .where(WAITS, MAILS.c.state == MailState.QUEUED, condition)
                .order_by(MAILS.c.next_attempt_at)
                .limit(BATCH)
            )
        )
        if ids:
            session.execute(
                update(MAILS)
                .where(MAILS.c.id.in_(ids), MAILS.c.state == MailState.QUEUED)
                # Or the next sweep, a moment later, would put the same mails on the queue once more.
                .values(next_attempt_at=now + ASK_AGAIN)
            )
            enqueue_delivery(ids)
    return len(ids)


def release_waiting(app: Flask, server_id: int = 0) -> None:  # noqa: ARG001 (signature of the signals)
    """Let mails that wait for a server leave, now that one works, has passed its test, or may send for others."""
    # In batches: 100,000 mails may have waited, and one transaction over all would stop delivery.
    while ids := _release(MailState.DEFERRED, MAILS.c.waits_for_server, until=clock.now() + ASK_AGAIN):
        with transaction():
            enqueue_delivery(ids)
        if len(ids) < BATCH:
            break
    db.session.expire_all()
