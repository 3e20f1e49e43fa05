"""The sentence that says why a mail has not left yet, and when it will be tried."""

from __future__ import annotations

import datetime as dt

from flask_babel import format_time, gettext, ngettext, to_user_timezone

from core import clock
from core.i18n import format_date
from core.mail.explanations import EXPLANATIONS, FailureKind
from modules.mail_config.models import MailServer
from modules.mail_config.servers.circuit_breaker import SERVER_FAILURES
from modules.mail_config.servers.health import health_of
from modules.outbox.delivery.route import rule_for
from modules.outbox.models import OutgoingMail
from modules.outbox.service import editor_of
from modules.outbox.standstill import hindrance
from modules.outbox.states import CANCELABLE, MailState

SOON = dt.timedelta(minutes=1)
"""Whatever keeps mails from leaving is told of those that should leave within this time."""


def waits_for(mail: OutgoingMail, *, outdated: bool) -> str:
    """Return what a waiting mail waits for, in one sentence or two; "" for a mail that does not wait.

    Args:
        mail: The mail.
        outdated: Whether it no longer says what its document says.
    """
    if outdated and mail.state in CANCELABLE and not mail.document_kind:
        return str(gettext("Its recipient does not accept promotional emails: it will not be sent."))
    if outdated and mail.state in CANCELABLE:
        return str(gettext("The document was changed or canceled since: it will not be sent."))
    editor = editor_of(mail)
    if editor is not None:
        return str(
            gettext(
                "%(name)s is changing it. As it is, it leaves %(when)s, unless they save or leave it before.",
                name=editor.name,
                when=at_about(mail.next_attempt_at),
            )
        )
    soon = mail.state is MailState.QUEUED or mail.next_attempt_at <= clock.now() + SOON
    why = hindrance() if soon and mail.state in CANCELABLE else None
    if why is None:
        return _for_itself(mail)
    # What a deferred mail waits for stands in its way as well.
    return f"{_deferred(mail)} {why.sentence}" if mail.state is MailState.DEFERRED else why.sentence


def _for_itself(mail: OutgoingMail) -> str:
    match mail.state:
        case MailState.SENDING:
            return str(gettext("It is being sent at this moment."))
        case MailState.QUEUED:
            return str(gettext("It is on the queue and leaves in a moment."))
        case MailState.SCHEDULED:
            return str(gettext("It is scheduled and leaves %(when)s.", when=at(mail.next_attempt_at)))
        case MailState.DEFERRED:
            return _deferred(mail)
        case _:
            return ""


def at(value: dt.datetime) -> str:
    """Return "at 14:32", with its day where that is not today; by locale and the user's clock."""
    time = format_time(value, "short")
    if _is_today(value):
        return str(gettext("at %(time)s", time=time))
    return str(gettext("on %(day)s at %(time)s", day=format_date(value, "medium"), time=time))


def at_about(value: dt.datetime) -> str:
    """Return "at about 14:32", with its day where that is not today."""
    time = format_time(value, "short")
    if _is_today(value):
        return str(gettext("at about %(time)s", time=time))
    return str(gettext("on %(day)s at about %(time)s", day=format_date(value, "medium"), time=time))


def since(value: dt.datetime) -> str:
    """Return "since 14:32", with its day where that is not today."""
    time = format_time(value, "short")
    if _is_today(value):
        return str(gettext("since %(time)s", time=time))
    return str(gettext("since %(day)s at %(time)s", day=format_date(value, "medium"), time=time))


def _is_today(value: dt.datetime) -> bool:
    return bool(to_user_timezone(value).date() == to_user_timezone(clock.now()).date())


def _deferred(mail: OutgoingMail) -> str:
    server = mail.server
    if mail.failure_kind is FailureKind.SERVER_MISSING:
        return str(
            gettext(
                "It waits for a mail server that may send from %(address)s, and leaves by itself once there is one.",
                address=rule_for(mail).header_from.addr_spec,
            )
        )
    if mail.failure_kind is FailureKind.SENDER_MISSING:
        return str(
            gettext(
                "It waits until %(company)s has an email address to send from.", company=mail.company.name
            )
        )
    if mail.failure_kind is FailureKind.SERVER_UNTESTED and server is not None:
        return str(
            gettext(
                "It waits for the server “%(server)s” to pass its test, and then leaves by itself.",
                server=server.name,
            )
        )
    if mail.failure_kind is FailureKind.PACED and server is not None:
        return _paced(mail, server)
    if (mail.waits_for_server or mail.failure_kind in SERVER_FAILURES) and server is not None:
        return _for_the_server(mail, server)
    return _next_try(mail)


def _next_try(mail: OutgoingMail) -> str:
    if mail.next_attempt_at <= clock.now():
        return str(gettext("The next try is due now."))
    return str(
        ngettext(
            "Next try %(when)s; it was tried once so far.",
            "Next try %(when)s; it was tried %(num)d times so far.",
            mail.attempts,
            when=at(mail.next_attempt_at),
        )
        if mail.attempts
        else gettext("Next try %(when)s.", when=at(mail.next_attempt_at))
    )


def _for_the_server(mail: OutgoingMail, server: MailServer) -> str:
    health = health_of(server.id)
    if health is None or health.open_since is None:
        return _next_try(mail)
    kind = health.failure_kind or mail.failure_kind
    sentence = gettext(
        "It waits for the server “%(server)s”, paused %(since)s (%(reason)s); an administrator has been told.",
        server=server.name,
        since=since(health.open_since),
        reason=EXPLANATIONS[kind].title if kind else "",
    )
    if health.next_probe_at is not None:
        probe = gettext("Envoi tries the server again %(when)s.", when=at(health.next_probe_at))
        return f"{sentence} {probe}"
    return str(sentence)


def _paced(mail: OutgoingMail, server: MailServer) -> str:
    when = at_about(mail.next_attempt_at)
    health = health_of(server.id)
    # What the server asks for now comes before what its settings allow.
    if health is not None and health.throttled_at is not None and health.throttles:
        return str(
            gettext(
                "It leaves %(when)s: the server “%(server)s” has asked to be sent emails more slowly.",
                when=when,
                server=server.name,
            )
        )
    if server.rate_per_day and mail.next_attempt_at - clock.now() > dt.timedelta(hours=1):
        return str(
            ngettext(
                "It leaves %(when)s: the server “%(server)s” takes %(num)d email a day.",
                "It leaves %(when)s: the server “%(server)s” takes %(num)d emails a day.",
                server.rate_per_day,
                when=when,
                server=server.name,
            )
        )
    if server.rate_per_hour:
        return str(
            ngettext(
                "It leaves %(when)s: the server “%(server)s” takes %(num)d email an hour.",
                "It leaves %(when)s: the server “%(server)s” takes %(num)d emails an hour.",
                server.rate_per_hour,
                when=when,
                server=server.name,
            )
        )
    if server.rate_per_minute:
        return str(
            ngettext(
                "It leaves %(when)s: the server “%(server)s” takes %(num)d email a minute.",
                "It leaves %(when)s: the server “%(server)s” takes %(num)d emails a minute.",
                server.rate_per_minute,
                when=when,
                server=server.name,
            )
        )
    return str(
        gettext(
            "It leaves %(when)s, when its turn at the server “%(server)s” has come.",
            when=when,
            server=server.name,
        )
    )
