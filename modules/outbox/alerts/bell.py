"""The bell in the top bar: how many failures its user has not seen."""

from __future__ import annotations

from flask import render_template, request

from core.auth.models import User
from core.auth.permissions import signed_in_user
from core.mail.explanations import EXPLANATIONS
from modules.mail_config.senders.service import own_server
from modules.outbox.alert_rows import MANAGES_SERVERS
from modules.outbox.alerts import service
from modules.outbox.standstill import Standstill, standstill

_TOLD_ABOUT = {
    "outbox.mail": "mail_id",
    "mail_config.server": "server_id",
    "outbox.run": "run_id",
    "outbox.mailbox": "mailbox_id",
}
"""The pages of what alerts are about, and the argument that names it."""


def _standstill(user: User) -> Standstill | None:
    """Return why mails do not leave, for those whom it concerns: it rings for as long as it lasts."""
    if not user.can("outbox.mail.read"):
        return None
    found = standstill()
    return found if found is not None and (found.stops or user.can(MANAGES_SERVERS)) else None


def failure_bell() -> str:
    """Return the bell with the number of alerts that the user has not seen.

    On the page of what an alert tells of it asks the browser to say that this was seen: reading changes nothing.
    """
    user = signed_in_user()
    count = service.count_unseen(user)
    seen: dict[str, int] = {}
    mine = own_server(user) if count and request.endpoint == "mail_config.my_mail" else None
    if mine is not None:
        seen = {"server_id": mine.id}
    elif count and request.endpoint in _TOLD_ABOUT:
        name = _TOLD_ABOUT[request.endpoint]
        seen = {name: (request.view_args or {})[name]}
    if seen and not service.has_unseen(user.id, **seen):
        seen = {}
    return render_template(
        "outbox/alerts/bell.html",
        count=count,
        most=service.MOST_COUNTED,
        newest=service.newest_unseen(user) if count else [],
        explanations=EXPLANATIONS,
        seen=seen,
        still=_standstill(user),
    )
