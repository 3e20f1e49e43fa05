"""The sweep: whatever is due and not on its way is put on the queue, whatever became of the queue."""

from __future__ import annotations

import datetime as dt
import logging

from flask import Flask
from sqlalchemy import select, update

from core import clock
from core.db import db, transaction
from core.jobs import queue_length
from core.mail.outcomes import FailureKind
from modules.outbox import claims
from modules.outbox.models import MAILS
from modules.outbox.service import enqueue_delivery
from modules.outbox.states import MailState

logger = logging.getLogger(__name__)

BATCH = 1000
ASK_AGAIN = dt.timedelta(seconds=60)
"""How long the sweep waits for a queued mail before it asks for it again."""

LONG_QUEUE = 20
"""With so many jobs on the queue, it has hardly lost any: asking again at once would only make it longer."""


def sweep() -> int:
    """Take over from dead workers, release what is due, and ask again for what the queue has lost.

    Returns:
        How many mails were put on the queue.
    """
    queued, uncertain = claims.lose_expired()
    if queued or uncertain:
        logger.warning("Leases ended: %d mails queued again, %d uncertain.", len(queued), len(uncertain))
    released = _release_due()
    length = queue_length()
    if length is None:
        return 0
    return _ask_again([*queued, *released], GRACE if length <= LONG_QUEUE else LONG_GRACE)


def _release_due() -> list[int]:
    """Queue scheduled and deferred mails whose time has come."""
    now = clock.now()
    with transaction() as session:
        due = (
            select(MAILS.c.id)
            .where(
                MAILS.c.state.in_([MailState.SCHEDULED, MailState.DEFERRED]), MAILS.c.next_attempt_at <= now
            )
            .order_by(MAILS.c.next_attempt_at)
            .limit(BATCH)
        )
        ids = list(session.scalars(due))
        if ids:
            session.execute(
                update(MAILS)
                .where(MAILS.c.id.in_(ids), MAILS.c.state.in_([MailState.SCHEDULED, MailState.DEFERRED]))
                .values(state=MailState.QUEUED, claim_token=None, next_attempt_at=now)
            )
    return ids


def _ask_again(released: list[int], grace: dt.timedelta) -> int:
    """Put queued mails on the queue that nobody has taken for a while, and those just released.

    `next_attempt_at` of a queued mail tells from when on the sweep may ask for it.
    """
    now = clock.now()
    with transaction() as session:
        ids = list(
            session.scalars(
                select(MAILS.c.id)
                .where(
                    MAILS.c.state == MailState.QUEUED,
                    (MAILS.c.next_attempt_at <= now - grace) | MAILS.c.id.in_(released),
                )
                .order_by(MAILS.c.next_attempt_at)
                .limit(BATCH)
            )
        )
        if ids:
            session.execute(
                update(MAILS)
                .where(MAILS.c.id.in_(ids), MAILS.c.state == MailState.QUEUED)
                .values(next_attempt_at=now + ASK_AGAIN)
            )
            enqueue_delivery(ids)
    return len(ids)


GRACE = dt.timedelta(seconds=10)
"""A mail just submitted is on the queue already; the sweep does not hurry it."""

LONG_GRACE = dt.timedelta(minutes=10)
"""The same while the queue is long."""


def release_waiting(app: Flask, server_id: int) -> None:  # noqa: ARG001 (signature of the signal)
    """Let mails that wait for a server leave, now that one has passed its test."""
    with transaction() as session:
        ids = list(
            session.scalars(
                select(MAILS.c.id)
                .where(
                    MAILS.c.state == MailState.DEFERRED,
                    MAILS.c.failure_kind.in_(
                        [
                            FailureKind.SERVER_MISSING,
                            FailureKind.SENDER_MISSING,
                            FailureKind.SERVER_UNTESTED,
                            FailureKind.AUTH_FAILED,
                            FailureKind.CONNECT_FAILED,
                            FailureKind.HOST_NOT_FOUND,
                            FailureKind.TLS_FAILED,
                        ]
                    ),
                )
                .order_by(MAILS.c.id)
                .limit(BATCH)
            )
        )
        session.execute(
            update(MAILS)
            .where(MAILS.c.id.in_(ids), MAILS.c.state == MailState.DEFERRED)
            .values(state=MailState.QUEUED, next_attempt_at=clock.now() + ASK_AGAIN)
        )
        enqueue_delivery(ids)
    db.session.expire_all()
