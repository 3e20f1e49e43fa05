"""Alerts about what has failed for good: the bell, its list, and a mail for those who want one.

Whom a mail concerns is told when it has failed; everybody who may set up mail servers, when a server is paused.
Delivery writes the rows of mails itself (`alert_rows`), in the transaction in which a mail fails.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import cast

from babel.dates import get_timezone
from flask import Flask, current_app
from flask_babel import force_locale, gettext, ngettext
from markupsafe import Markup, escape
from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.orm import joinedload

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.companies.service import locale_of_user
from core.contract import Scope
from core.db import db, transaction
from core.i18n import N_
from core.mail.addresses import Address
from core.mail.draft import DraftRecipient, MailDraft, Purpose
from core.mail.explanations import EXPLANATIONS
from core.registry import current_settings
from core.web.formats import moment
from core.web.listing import Filter, ListSpec, SortKey
from modules.mail_config.models import MailServer, SentFolder, ServerHealth
from modules.mail_config.senders.service import route_for
from modules.mail_config.servers.place import endpoint_for
from modules.outbox import service
from modules.outbox.alert_rows import settle_server_alerts, write_server_alerts
from modules.outbox.models import ALERTS, Alert, AlertPreference, OutgoingMail
from modules.outbox.permissions import READ
from modules.outbox.queries import readable
from modules.outbox.states import FAILED

logger = logging.getLogger(__name__)

MOST_COUNTED = 99  # beyond it the bell says "99+"; counting on would cost, and say no more
DIGEST_PAUSE = dt.timedelta(minutes=10)  # a run of 1,000 failures must not become 1,000 mails
DIGEST_LINES = 20  # in one mail; the bell has the rest
SEEN_AT_ONCE = 5000  # rows of one transaction, so that delivery does not wait behind it


# -- what the bell and its page show -------------------------------------------------------------------


def _stands() -> ColumnElement[bool]:
    """Return the condition that nobody has dealt with the matter yet: the mail is as it was when it failed."""
    return or_(Alert.mail_id.is_(None), Alert.inbound_id.is_not(None), OutgoingMail.state.in_(sorted(FAILED)))


def _openable(user: User) -> ColumnElement[bool]:
    """Return the condition that the alert is about no mail, or about one that the person sent or may open."""
    # What somebody might read when it failed they may have lost meanwhile.
    return or_(Alert.mail_id.is_(None), OutgoingMail.submitted_by_id == user.id, readable(user))


def _unseen(user: User) -> Select[Alert]:
    return (
        select(Alert)
        .outerjoin(OutgoingMail, OutgoingMail.id == Alert.mail_id)
        .where(Alert.user_id == user.id, Alert.seen_at.is_(None), _stands(), _openable(user))
    )


def count_unseen(user: User) -> int:
    """Return how many alerts a person has not seen, counted up to `MOST_COUNTED` + 1."""
    some = _unseen(user).with_only_columns(Alert.id).limit(MOST_COUNTED + 1).subquery()
    return int(db.session.scalar(select(func.count()).select_from(some)) or 0)


def has_unseen(user_id: int, **about: int) -> bool:
    """Return True when a person has not seen an alert about a mail, a server, a run or a mailbox.

    Args:
        user_id: Who.
        about: `mail_id`, `server_id`, `run_id` or `mailbox_id`.
    """
    query = select(Alert.id).filter_by(**about).where(Alert.user_id == user_id, Alert.seen_at.is_(None))
    return db.session.scalar(query.limit(1)) is not None


def newest_unseen(user: User, limit: int = 5) -> list[Alert]:
    """Return the newest alerts that a person has not seen."""
    query = _unseen(user).options(joinedload(Alert.mail), joinedload(Alert.server), joinedload(Alert.mailbox))
    return list(db.session.scalars(query.order_by(Alert.id.desc()).limit(limit)))


def alerts_of(user: User) -> Select[Alert]:
    """Return the alerts of a person, seen or not, with what a list shows of them."""
    return (
        select(Alert)
        .outerjoin(OutgoingMail, OutgoingMail.id == Alert.mail_id)
        .where(Alert.user_id == user.id, _openable(user))
        .options(joinedload(Alert.mail), joinedload(Alert.server), joinedload(Alert.mailbox))
    )


def alert_list() -> ListSpec:
    """Return how the list of alerts is sorted and filtered: newest first."""
    return ListSpec(
        identity=Alert.id,
        sorts=(SortKey("when", N_("When"), Alert.id, lambda row: row.id, descending=True),),
        filters=(Filter("new", N_("Not seen yet"), Alert.seen_at.is_(None)),),
    )


def paused_since(server_ids: Sequence[int]) -> dict[int, dt.datetime]:
    """Return since when those of the servers are paused that are."""
    rows = db.session.execute(
        select(ServerHealth.server_id, ServerHealth.open_since).where(
            ServerHealth.server_id.in_(server_ids), ServerHealth.open_since.is_not(None)
        )
    )
    return {server_id: since for server_id, since in rows if since is not None}


def folders_failing_since(server_ids: Sequence[int]) -> dict[int, dt.datetime]:
    """Return since when no copy reaches the Sent folder, of those of the servers where that is so."""
    rows = db.session.execute(
        select(SentFolder.server_id, SentFolder.failing_since).where(
            SentFolder.server_id.in_(server_ids), SentFolder.failing_since.is_not(None)
        )
    )
    return {server_id: since for server_id, since in rows if since is not None}


# -- what a person has seen ----------------------------------------------------------------------------


def _see(user_id: int, condition: ColumnElement[bool] | None = None) -> int:
    """Mark alerts of a person as seen, `SEEN_AT_ONCE` at most, and return how many that were."""
    seen = 0
    with transaction() as session:
        query = select(Alert.id).where(Alert.user_id == user_id, Alert.seen_at.is_(None))
        if condition is not None:
            query = query.where(condition)
        ids = list(session.scalars(query.limit(SEEN_AT_ONCE)))
        if ids:
            now = clock.now()
            session.execute(
                update(Alert).where(Alert.id.in_(ids), Alert.seen_at.is_(None)).values(seen_at=now)
            )
            seen = len(ids)
    return seen


ABOUT = ("mail_id", "server_id", "run_id", "mailbox_id")
"""What an alert may be about, by the column that names it."""


def seen_about(user_id: int, name: str, row_id: int) -> int:
    """Remember that a person has seen what they were told of a mail, a server, a run or a mailbox.

    Args:
        user_id: Who.
        name: One of `ABOUT`.
        row_id: Which.

    Returns:
        How many alerts that were.
    """
    return _see(user_id, ALERTS.c[name] == row_id)


def seen_all(user_id: int) -> int:
    """Remember that a person has seen all their alerts; return how many that were."""
    seen = 0
    while (more := _see(user_id)) > 0:
        seen += more
    return seen


def preference_of(user_id: int) -> AlertPreference:
    """Return how a person wants to be told; a row that is in no session where they have not said."""
    return db.session.get(AlertPreference, user_id) or AlertPreference(
        user_id=user_id, by_mail=False, every_failure=False, answers=False, held_back=False
    )


def set_preference(
    user: User, *, by_mail: bool, every_failure: bool, answers: bool = False, held_back: bool = False
) -> None:
    """Remember how a person wants to be told: by mail, of failures and answers of others, of mails held back.

    Whoever may read only what is theirs is told of that alone.
    """
    every = every_failure and reads_mails_of_others(user)
    with transaction() as session:
        session.merge(
            AlertPreference(
                user_id=user.id, by_mail=by_mail, every_failure=every, answers=answers, held_back=held_back
            )
        )


def reads_mails_of_others(user: User) -> bool:
    """Return True for a person who may read mails whoever sent them, and so can be told of all that fail."""
    return user.scope(READ) in {Scope.ALL, Scope.COMPANY}


# -- servers -------------------------------------------------------------------------------------------


def server_paused(app: Flask, server_id: int) -> None:  # noqa: ARG001 (signature of the signal)
    """Tell those who look after a server that it is paused, each once for each pause."""
    with transaction() as session:
        # The server's own row is the lock, as for its health: two workers may bring the same news.
        session.execute(select(MailServer.id).where(MailServer.id == server_id).with_for_update())
        health = session.get(ServerHealth, server_id, populate_existing=True)
        if health is None or health.open_since is None:
            return  # it works again already
        now = clock.now()
        # By a clock that was put back the pause lies ahead; then whoever was told lately was told of this one.
        since = health.open_since if health.open_since <= now else now - dt.timedelta(days=1)
        kind, words = health.failure_kind, health.failure_words
        write_server_alerts(session, server_id, kind, words, sent_folder=False, told_since=since)


def server_ready(app: Flask, server_id: int) -> None:  # noqa: ARG001 (signature of the signal)
    """Let the bells be silent about a server that works again; the list says that it does."""
    with transaction() as session:
        settle_server_alerts(session, server_id, sent_folder=False)


# -- by mail -------------------------------------------------------------------------------------------


def mail_alerts() -> int:
    """Write one mail to each person who wants one and has news; return how many were written.

    Nobody gets more than one in `DIGEST_PAUSE`. While no server works nothing is written: the mail would only
    wait, and be out of date when it leaves. Mails about mails of this kind are never written, since those
    raise no alert.
    """
    _catch_up()
    wanting = db.session.scalars(
        select(AlertPreference.user_id)
        .join(User, User.id == AlertPreference.user_id)
        .where(AlertPreference.by_mail, User.active)
        .order_by(AlertPreference.user_id)
    ).all()
    return sum(_mail_to(user_id) for user_id in wanting)


def _catch_up() -> None:
    """Do what the signals of servers would have done, for a process that died before it sent one."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    paused = select(ServerHealth.server_id).where(ServerHealth.open_since.is_not(None))
    silent = select(Alert.server_id).where(
        Alert.server_id.is_not(None),
        Alert.sent_folder.is_(False),
        Alert.seen_at.is_(None),
        Alert.server_id.not_in(paused),
    )
    for server_id in set(db.session.scalars(silent)):
        server_ready(app, cast("int", server_id))
    for server_id in db.session.scalars(paused).all():
        server_paused(app, server_id)


def _mail_to(user_id: int) -> bool:
    """Write the mail about a person's news; return False where there is none, or it is too soon."""
    with transaction() as session:
        # Two schedulers at once: the second waits here, and then finds nothing new.
        preference = session.get(AlertPreference, user_id, with_for_update=True, populate_existing=True)
        user = session.get(User, user_id)
        if preference is None or not preference.by_mail or user is None:
            return False
        # What was seen in the application needs no mail.
        news = _unseen(user).where(Alert.mailed_at.is_(None)).order_by(Alert.id.desc())
        alerts = list(
            session.scalars(
                news.options(
                    joinedload(Alert.mail), joinedload(Alert.server), joinedload(Alert.mailbox)
                ).limit(1000)
            )
        )
        if not alerts:
            return False
        now = clock.now()
        last = session.scalar(select(func.max(Alert.mailed_at)).where(Alert.user_id == user_id))
        if last is not None and now - DIGEST_PAUSE < last <= now:
            return False
        company = company_that_can_send(user, alerts)
        if company is None:
            return False
        # In this transaction: mail and mark are written together, or neither.
        mail = service.submit(_digest(user, company, alerts), None)
        mail.is_alert = True
        session.execute(
            update(Alert).where(Alert.id.in_([alert.id for alert in alerts])).values(mailed_at=now)
        )
        logger.info("User %s is told of %d alerts by mail %s.", user.id, len(alerts), mail.id)
    return True


def company_that_can_send(user: User | None, alerts: Sequence[Alert] = ()) -> Company | None:
    """Return the company in whose name a person can be told by mail at this moment, or None.

    The person's own comes first, then those of the mails that have failed.
    """
    # A person's own company may have no server; then one whose mail has failed may have another that works.
    ids = [
        user.company_id if user else None,
        *(alert.mail.company_id for alert in alerts if alert.mail is not None),
    ]
    for company_id in dict.fromkeys(ids):
        company = db.session.get(Company, company_id) if company_id is not None else None
        if company is not None and can_send(company):
            return company
    return None


def can_send(company: Company) -> bool:
    """Return True when a mail of a company would leave by a server that works."""
    return route_for(company, None, purpose=Purpose.ALERT).problem is None


def _digest(user: User, company: Company, alerts: Sequence[Alert]) -> MailDraft:
    """Return the mail about some alerts; it names no address of a customer and quotes no server."""
    with force_locale(locale_of_user(user)):
        subject = ngettext(
            "Envoi: %(num)d thing needs your attention",
            "Envoi: %(num)d things need your attention",
            len(alerts),
        )
        lines = [Markup("<li>{}</li>").format(_line(alert, user)) for alert in alerts[:DIGEST_LINES]]
        more = len(alerts) - len(lines)
        if more:
            words = ngettext("and %(num)d more", "and %(num)d more", more)
            lines.append(Markup("<li>{}</li>").format(words))
        body = Markup("<p>{}</p><ul>{}</ul><p>{}</p>").format(
            gettext("Hello %(name)s, this waits for you:", name=user.name),
            Markup("").join(lines),
            link_to_alerts(),
        )
    return draft_to(user, company, subject, body)


def link_to_alerts() -> Markup:
    """Return the link that stands at the end of each mail of this kind."""
    title = gettext("All alerts, and whether you get them by email")
    return Markup('<a href="{}">{}</a>').format(address_of_page("outbox.alerts"), title)


def draft_to(user: User, company: Company, subject: str, body: Markup) -> MailDraft:
    """Return a mail of the application to a user, about nobody's document."""
    return MailDraft(
        document_id=None,
        document_revision=0,
        company_id=company.id,
        language=user.language,
        subject=subject,
        body_html=str(body),
        recipients=[DraftRecipient(Address(user.login, user.name))],
        purpose=Purpose.ALERT,
    )


def _line(alert: Alert, user: User) -> Markup:
    """Return the line of an alert in the mail: a link, the reason, the time in the person's zone."""
    reason = str(EXPLANATIONS[alert.failure_kind].title) if alert.failure_kind else ""
    if alert.server is not None:
        endpoint, values = endpoint_for(alert.server, user) or ("outbox.alerts", {})
        url = address_of_page(endpoint, **values)
        title = (
            gettext("No copies reach the Sent folder of “%(name)s”", name=alert.server.name)
            if alert.sent_folder
            else gettext("The mail server “%(name)s” is paused", name=alert.server.name)
        )
    elif alert.mail is not None and alert.inbound_id is not None:
        url = address_of_page("outbox.mail", mail_id=alert.mail.id, tab="answers")
        title = alert.mail.subject
        reason = gettext("Answer from %(name)s", name=alert.words) if alert.words else gettext("Answered")
    elif alert.mail is not None:
        url = address_of_page("outbox.mail", mail_id=alert.mail.id, tab="reason")
        title = alert.mail.subject
    elif alert.mailbox is not None:
        url = address_of_page("outbox.mailbox", mailbox_id=alert.mailbox.id)
        title = gettext("The mailbox “%(name)s” can no longer be read", name=alert.mailbox.name)
    elif alert.run_id is not None:
        url = address_of_page("outbox.run", run_id=alert.run_id)
        title, reason = gettext("Batch"), alert.words
    else:
        return escape(reason)
    when = local_time(user, alert.created_at)
    return Markup('<a href="{}">{}</a> – {} ({})').format(url, title, reason, when)


def local_time(user: User, at: dt.datetime) -> str:
    """Return a moment as a person reads it, in their language, country and time zone."""
    with force_locale(locale_of_user(user)):
        return moment(at, get_timezone(user.timezone))


def address_of_page(endpoint: str, **values: object) -> str:
    """Return the whole address of a page; a worker has no request to take the host from."""
    # The host in it does not matter: it is replaced by the public address.
    path = current_app.url_map.bind("envoi.invalid").build(endpoint, values)
    return f"{current_settings().base_url}{path}"
