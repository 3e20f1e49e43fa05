"""The bell in the top bar: how many failures its user has not seen."""

from __future__ import annotations

from flask import render_template, request

from core.auth.models import User
from core.auth.permissions import signed_in_user
from core.mail.explanations import EXPLANATIONS
from modules.mail_config.senders.service import own_server
from modules.outbox import changes
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


_ITS_OWN = frozenset({"outbox.alerts_bell", "outbox.alerts_seen"})
"""What answers with the bell alone."""


def _standstill(user: User) -> Standstill | None:
    """Return why mails do not leave, for those whom it concerns: it rings for as long as it lasts."""
    if not user.can("outbox.mail.read"):
        return None
    found = standstill()
    return found if found is not None and (found.stops or user.can(MANAGES_SERVERS)) else None


def about_named() -> dict[str, int]:
    """Return what a request names of what alerts may be about, by one of `service.ABOUT`; {} for nothing."""
    named = ((name, request.values.get(name, 0, type=int)) for name in service.ABOUT)
    return dict([(name, number) for name, number in named if 0 < number < 2**31][:1])


def _about(user: User) -> dict[str, int]:
    """Return what the page is about where alerts may tell of that; of a bell that refreshes, as its page has said."""
    endpoint = request.endpoint or ""
    if endpoint in _ITS_OWN:
        return about_named()
    if endpoint == "mail_config.my_mail":
        mine = own_server(user)
        return {"server_id": mine.id} if mine is not None else {}
    if endpoint in _TOLD_ABOUT:
        name = _TOLD_ABOUT[endpoint]
        return {name: (request.view_args or {})[name]}
    return {}


def failure_bell() -> str:
    """Return the bell with the number of alerts that the user has not seen.

    On the page of what an alert tells of it asks the browser to say that this was seen: reading changes nothing.
    """
    user = signed_in_user()
    count = service.count_unseen(user)
    about = _about(user)
    return render_template(
        "outbox/alerts/bell.html",
        count=count,
        most=service.MOST_COUNTED,
        newest=service.newest_unseen(user) if count else [],
        explanations=EXPLANATIONS,
        about=about,
        seen=about if count and about and service.has_unseen(user.id, **about) else {},
        still=_standstill(user),
        topics=[changes.alerts(user)],
    )
