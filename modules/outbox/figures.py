"""Figures of the outbox for whoever watches the installation."""

from __future__ import annotations

from sqlalchemy import func, select, union_all

from core import clock
from core.db import db
from core.metrics import Metric
from modules.outbox.models import FAILS, MAILS, WAITS, DeliveryAttempt
from modules.outbox.standstill import oldest_due
from modules.outbox.states import MailState


def metrics(_sender: object) -> list[Metric]:
    """Answer `core.signals.metrics_asked`: what waits, what has failed, how long the oldest waits, how many there were.

    What has left is not counted: that would look at every mail. The highest number says how many were submitted.
    """
    waiting = select(MAILS.c.state, func.count()).where(WAITS).group_by(MAILS.c.state)
    # Of what somebody has dismissed nobody is to be woken.
    asks = (FAILS, MAILS.c.dismissed_at.is_(None))
    failed = select(MAILS.c.state, func.count()).where(*asks).group_by(MAILS.c.state)
    counts = {str(state): int(count) for state, count in db.session.execute(union_all(waiting, failed))}
    oldest = db.session.scalar(oldest_due())
    last, tried = db.session.execute(
        select(
            select(func.max(MAILS.c.id)).scalar_subquery(),
            select(func.max(DeliveryAttempt.id)).scalar_subquery(),
        )
    ).one()
    late = (clock.now() - oldest).total_seconds() if oldest is not None else 0.0
    states = [state for state in MailState if state not in {MailState.SENT, MailState.CANCELED}]
    return [
        Metric("envoi_mails", "Emails by state.", {state: counts.get(state, 0) for state in states}, "state"),
        Metric("envoi_mails_submitted", "Emails that were ever submitted.", {"": last or 0}),
        Metric("envoi_attempts_made", "Attempts to send that were ever made.", {"": tried or 0}),
        Metric(
            "envoi_oldest_waiting_seconds",
            "For how long the email that should have left first is late.",
            {"": max(late, 0.0)},
        ),
    ]
