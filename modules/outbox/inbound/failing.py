"""A mailbox that can no longer be read: who sets up mailboxes is told once, `envoi check` as long as it lasts.

What lies in it is read later, so nothing is lost; but until then what has bounced looks as if it had arrived.
"""

from __future__ import annotations

import datetime as dt
import logging

from flask_babel import gettext
from sqlalchemy import select

from core import clock
from core.db import db, transaction
from core.mail.explanations import EXPLANATIONS
from core.mail.outcomes import Failure
from core.web.formats import moment
from modules.outbox.alert_rows import write_mailbox_alerts
from modules.outbox.models import Mailbox

logger = logging.getLogger(__name__)

PATIENCE = dt.timedelta(minutes=9)
"""A failure is told when it has lasted so long, at the third look: most pass by themselves."""


def remember_failure(mailbox_id: int, failure: Failure) -> None:
    """Remember that a mailbox could not be read, and tell of it once for each time that it cannot."""
    now = clock.now()
    with transaction() as session:
        # The row is the lock: nobody is told by two at once.
        mailbox = session.get(Mailbox, mailbox_id, populate_existing=True, with_for_update={"of": Mailbox})
        if mailbox is not None:
            mailbox.failure_kind, mailbox.failure_words = failure.kind, failure.diagnostic[:500]
            # By a clock that was put back the beginning lies ahead.
            since = mailbox.failing_since = min(mailbox.failing_since or now, now)
            if now - since >= PATIENCE:
                write_mailbox_alerts(
                    session, mailbox_id, failure.kind, mailbox.failure_words, told_since=since
                )
    logger.warning("Mailbox %s could not be read: %s.", mailbox_id, failure.kind)


def problems(_sender: object) -> list[str]:
    """Answer `envoi check`: the mailboxes that are to be read and cannot be."""
    rows = db.session.scalars(
        select(Mailbox)
        .where(Mailbox.active, Mailbox.failing_since.is_not(None))
        .order_by(Mailbox.name, Mailbox.id)
    )
    return [_sentence(row) for row in rows]


def _sentence(mailbox: Mailbox) -> str:
    kind, since = mailbox.failure_kind, mailbox.failing_since
    return str(
        gettext(
            "The mailbox “%(name)s” has not been read since %(when)s (%(reason)s): bounces and answers in it go "
            "unnoticed. Test it under “Incoming email”.",
            name=mailbox.name,
            when=moment(since) if since is not None else "–",
            reason=EXPLANATIONS[kind].title if kind is not None else "–",
        )
    )
