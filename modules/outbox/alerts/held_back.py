"""Emails that have been held back for long: those whom that concerns, and who want it, are told by email.

A paused server leaves the others, so the news goes through the queue like any mail. Where nothing leaves at all – held
after a restore, no sending process – it goes past the queue, straight to a server that works: what waits there would
bring the news when it is none any more. After a restore only those are told who decide what leaves.
"""

from __future__ import annotations

import datetime as dt
import logging

from flask import current_app
from flask_babel import force_locale, gettext, ngettext
from markupsafe import Markup
from sqlalchemy import ColumnElement, and_, func, select, true

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, end_reading, transaction
from core.mail.draft import MailDraft, Purpose
from core.mail.outcomes import RecipientState
from modules.mail_config.models import MailServer
from modules.mail_config.senders.service import route_for
from modules.mail_config.servers.access import open_transport
from modules.mail_config.servers.envelopes import envelope_for
from modules.outbox import service
from modules.outbox.alerts.service import (
    company_that_can_send,
    draft_to,
    link_to_alerts,
    local_time,
    reads_mails_of_others,
)
from modules.outbox.message import written_message
from modules.outbox.models import WAITS, AlertPreference, OutgoingMail
from modules.outbox.permissions import READ
from modules.outbox.queries import reach
from modules.outbox.service.submission import new_message_id
from modules.outbox.standstill import Cause, Standstill, standstill
from modules.outbox.states import MailState

logger = logging.getLogger(__name__)

DECIDES = "outbox.restored.decide"


def held_for() -> dt.timedelta:
    """Return how long mails wait before anybody is told; zero for never."""
    return dt.timedelta(minutes=float(current_app.config["OUTBOX_TELL_HELD_MINUTES"]))


def tell_held_back() -> int:
    """Write to each person who wants it, once for each time that mails are held back; return to how many."""
    if not held_for():
        return 0
    wanting = db.session.scalars(
        select(AlertPreference.user_id)
        .join(User, User.id == AlertPreference.user_id)
        .where(AlertPreference.held_back, User.active)
        .order_by(AlertPreference.user_id)
    ).all()
    return sum(_tell(user_id) for user_id in wanting)


def _held(user: User, still: Standstill | None) -> ColumnElement[bool]:
    """Return the condition of the mails that are held back and concern a person."""
    # Where mails leave, a long queue is slow and holds nothing back.
    nothing_leaves = still is not None and still.stops
    theirs = reach(user, READ) if reads_mails_of_others(user) else OutgoingMail.submitted_by_id == user.id
    return and_(
        true() if nothing_leaves else OutgoingMail.waits_for_server,
        WAITS,
        OutgoingMail.state.in_([MailState.QUEUED, MailState.SCHEDULED, MailState.DEFERRED]),
        OutgoingMail.due_since <= clock.now() - held_for(),
        OutgoingMail.is_alert.is_(False),
        theirs,
    )


def _tell(user_id: int) -> bool:
    user, still = db.session.get_one(User, user_id), standstill()
    if still is not None and still.cause is Cause.HELD and not user.can(DECIDES):
        return False
    count, since = db.session.execute(
        select(func.count(), func.min(OutgoingMail.due_since)).where(_held(user, still))
    ).one()
    company = company_that_can_send(user)
    if not _is_news(user_id, since, can_be_told=company is not None) or company is None or since is None:
        return False
    draft = _news(user, company, count, since, still)
    if still is None or not still.stops:
        with transaction():
            service.submit(draft, None).is_alert = True
        return True
    if _send_past_the_queue(draft, company):
        return True
    with transaction() as session:
        session.get_one(AlertPreference, user_id).held_told_at = None  # the next run tries again
    return False


def _is_news(user_id: int, since: dt.datetime | None, *, can_be_told: bool) -> bool:
    """Return True to the first who comes while mails are held back, and forget that once none is."""
    with transaction() as session:
        # Two at once: the second waits here, and then finds that it was told.
        preference = session.get(AlertPreference, user_id, with_for_update=True, populate_existing=True)
        if preference is None or not preference.held_back:
            return False
        if since is None:
            preference.held_told_at = None
        if since is None or preference.held_told_at is not None or not can_be_told:
            return False
        preference.held_told_at = clock.now()
    return True


def _news(
    user: User, company: Company, count: int, since: dt.datetime, still: Standstill | None
) -> MailDraft:
    """Return the mail; it names no customer and quotes nobody."""
    with force_locale(user.language):
        subject = ngettext("Envoi: %(num)d email is held back", "Envoi: %(num)d emails are held back", count)
        lines = [
            gettext("Hello %(name)s,", name=user.name),
            ngettext(
                "%(num)d email has waited since %(when)s. Nothing is lost; it leaves once the cause is removed.",
                "%(num)d emails have waited since %(when)s. Nothing is lost; they leave once the cause is removed.",
                count,
                when=local_time(user, since),
            ),
            f"{still.title} {still.advice}"
            if still is not None and still.stops
            else gettext("They wait for a mail server that is paused."),
        ]
        body = Markup("").join(Markup("<p>{}</p>").format(line) for line in lines)
        body += Markup("<p>{}</p>").format(link_to_alerts())
    return draft_to(user, company, subject, body)


def _send_past_the_queue(draft: MailDraft, company: Company) -> bool:
    """Hand a mail to a server that works, and return whether it was accepted."""
    route = route_for(company, None, purpose=Purpose.ALERT)
    if route.problem is not None or route.server_id is None:
        return False  # it worked a moment ago
    server, sender = db.session.get_one(MailServer, route.server_id), route.header_from
    message = written_message(draft, sender, new_message_id(sender.addr_spec))
    to = draft.recipients[0].address.addr_spec
    transport = open_transport(server, timeout=float(current_app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"]))
    envelope = envelope_for(server, sender.addr_spec, to)
    end_reading()  # nothing holds a transaction across the network
    try:
        submission = transport.submit(message, envelope, lambda: None)
    finally:
        transport.close()
    accepted = any(outcome.state is RecipientState.ACCEPTED for outcome in submission.outcomes)
    logger.warning("Mails are held back; a person was %stold by email.", "" if accepted else "not ")
    return accepted
