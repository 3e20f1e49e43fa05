"""The rows of alerts, as delivery writes them: inside the transaction in which a mail fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Update, bindparam, insert, update
from sqlalchemy.orm import Session

from core import clock
from core.mail.outcomes import FailureKind
from modules.outbox.models import ALERTS

MAX_WORDS = 500  # characters, as the column has

INSERT_ALERT: Insert = insert(ALERTS)

# A mail that fails again takes the place of its former alert: whoever has not looked yet looks once.
RETIRE_ALERT: Update = (
    update(ALERTS)
    .where(
        ALERTS.c.mail_id == bindparam("mail"),
        ALERTS.c.user_id == bindparam("user"),
        ALERTS.c.seen_at.is_(None),
    )
    .values(seen_at=bindparam("now"))
)


def alert_values(mail_id: int, user_id: int, kind: FailureKind | None, words: str) -> dict[str, Any]:
    """Return the parameters of `INSERT_ALERT` for a mail that has failed for good."""
    return {
        "user_id": user_id,
        "mail_id": mail_id,
        "server_id": None,
        "failure_kind": kind,
        "words": words[:MAX_WORDS],
        "created_at": clock.now(),
        "seen_at": None,
        "mailed_at": None,
    }


def write_alert(
    connection: Session | Connection, mail_id: int, user_id: int, kind: FailureKind | None, words: str
) -> None:
    """Tell a person that a mail of theirs has failed for good; of several failures unseen, the last stands."""
    values = alert_values(mail_id, user_id, kind, words)
    connection.execute(RETIRE_ALERT, {"mail": mail_id, "user": user_id, "now": values["created_at"]})
    connection.execute(INSERT_ALERT, values)


def settle_alerts(connection: Session | Connection, mail_ids: Sequence[int]) -> None:
    """Let the bells be silent about mails that a person has just dealt with."""
    if mail_ids:
        connection.execute(
            update(ALERTS)
            .where(ALERTS.c.mail_id.in_(mail_ids), ALERTS.c.seen_at.is_(None))
            .values(seen_at=clock.now())
        )
