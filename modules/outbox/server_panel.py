"""The piece of a mail server's page that says which mails wait for it.

The page offers the slot `mail_config.server_aside`, with the keywords `server` and `last_slot`: when the last of
the mails that wait for their turn leaves, where the rate is limited.
"""

from __future__ import annotations

import datetime as dt

from flask import render_template
from sqlalchemy import func, select

from core.auth.permissions import signed_in_user
from core.db import db
from core.mail.explanations import FailureKind
from modules.mail_config.health import SERVER_FAILURES
from modules.mail_config.models import MailServer
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState

MOST_COUNTED = 1000  # beyond it the page says "1,000+"
_WAITS = sorted({*SERVER_FAILURES, FailureKind.SERVER_UNTESTED})


def _count(server_id: int, *kinds: FailureKind) -> int:
    some = (
        select(OutgoingMail.id)
        .where(
            OutgoingMail.state == MailState.DEFERRED,
            OutgoingMail.failure_kind.in_(kinds),
            OutgoingMail.server_id == server_id,
        )
        .limit(MOST_COUNTED + 1)
        .subquery()
    )
    return int(db.session.scalar(select(func.count()).select_from(some)) or 0)


def waiting_mails(server: MailServer, last_slot: dt.datetime | None) -> str:
    """Return how many mails wait for a server, and until when."""
    if not signed_in_user().can("outbox.mail.read"):
        return ""
    return render_template(
        "outbox/server_panel.html",
        server=server,
        waiting=_count(server.id, *_WAITS),
        paced=_count(server.id, FailureKind.PACED),
        most=MOST_COUNTED,
        last_slot=last_slot,
    )
