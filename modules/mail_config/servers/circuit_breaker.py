"""The circuit breaker of a server: failures of its own pause it, and a probe or a passing test ends the pause.

Failures of connection, encryption and sign-in count against the server, not against the mail. After a few in a row the
server is paused, once; its mails wait. A timed probe connects, signs in and names a sender, but sends nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from functools import partial
from typing import cast

from blinker import NamedSignal
from flask import Flask, current_app
from sqlalchemy import select, update

from core import clock
from core.companies.models import Company
from core.db import db, end_reading, on_commit, transaction
from core.installation import service as installation
from core.mail.outcomes import Advice, Failure, FailureKind
from core.signals import mail_routes_changed, mail_server_paused, mail_server_ready
from modules.mail_config.models import MailServer, ServerHealth
from modules.mail_config.servers.access import UnusableServerError, open_transport
from modules.mail_config.servers.health import locked_health

logger = logging.getLogger(__name__)

SERVER_FAILURES = frozenset(
    {
        FailureKind.CONNECT_FAILED,
        FailureKind.HOST_NOT_FOUND,
        FailureKind.TLS_FAILED,
        FailureKind.TIMEOUT,
        FailureKind.AUTH_FAILED,
    }
)
"""Failures that count against a server when they happen before a mail was named."""

FAILURES_TO_PAUSE = 3  # one failure may be chance; three in a row delay few mails, and no server is hammered
REFUSED_SIGN_INS_TO_PAUSE = 2
"""Fewer: providers lock an account that keeps coming with a wrong password."""

# Waits before each probe, the last one repeats: soon at first, since most outages are short.
PROBE_MINUTES = (1, 2, 5, 10, 20, 30)
SIGN_IN_PROBE_MINUTES = (15, 30, 60, 120, 240)  # longer: each wrong password counts towards a locked account
PROBE_TIMEOUT_SECONDS = 15.0  # for each answer; a worker waits meanwhile


def paused(server_id: int) -> bool:
    """Return True while nothing leaves by a server, because it has failed again and again."""
    return bool(paused_among([server_id]))


def paused_among(server_ids: Sequence[int]) -> set[int]:
    """Return those of the servers that are paused."""
    if not server_ids:
        return set()
    query = select(ServerHealth.server_id).where(
        ServerHealth.server_id.in_(server_ids), ServerHealth.open_since.is_not(None)
    )
    return set(db.session.scalars(query))


def probe_delay(kind: FailureKind | None, probes: int) -> dt.timedelta:
    """Return how long to wait before the next probe, after a number that has failed."""
    minutes = SIGN_IN_PROBE_MINUTES if kind is FailureKind.AUTH_FAILED else PROBE_MINUTES
    return dt.timedelta(minutes=minutes[min(probes, len(minutes) - 1)])


def _next_probe(now: dt.datetime, failure: Failure, probes: int) -> dt.datetime | None:
    """Return when a pause is probed next; None where only a person can end it, by connecting the account again."""
    return None if failure.advice is Advice.RECONNECT else now + probe_delay(failure.kind, probes)


def note_failure(server_id: int, failure: Failure) -> None:
    """Count a failure against a server, and pause it when it was one too many.

    `mail_server_paused` is sent after the commit, once for each pause.
    """
    with transaction():
        health = locked_health(server_id)
        if health is None:
            return
        now = clock.now()
        health.failures += 1
        health.failure_kind, health.failure_words = failure.kind, failure.diagnostic
        health.failure_advice = failure.advice or ""
        # One limit for all failures in a row, whatever kinds they are; the last one's kind says which.
        enough = REFUSED_SIGN_INS_TO_PAUSE if failure.kind is FailureKind.AUTH_FAILED else FAILURES_TO_PAUSE
        if failure.advice is Advice.RECONNECT:
            enough = 1  # no chance: the provider has said that it is over
        if health.open_since is None and health.failures >= enough:
            health.open_since, health.probes = now, 0
            health.next_probe_at = _next_probe(now, failure, 0)
            logger.warning("Mail server %s is paused: %s.", server_id, failure.kind)
            # After the commit: whoever hears of it reads the database, and must find the pause there.
            on_commit(partial(tell, mail_server_paused, server_id))


def note_success(server_id: int) -> None:
    """Forget the failures of a server that has just taken a mail; ends its pause, if there was one."""
    with transaction():
        health = locked_health(server_id)
        if health is None:
            return
        was_paused = health.open_since is not None
        _forget_failures(health)
        if was_paused:
            logger.info("Mail server %s works again.", server_id)
            on_commit(partial(tell, mail_server_ready, server_id))


def resume(server_id: int) -> None:
    """Use a paused server again without waiting for its probe; should it still fail, it is paused anew."""
    note_success(server_id)


def forget_failures(server_id: int) -> None:
    """Forget, inside the running transaction, what is known against a server; the caller tells of it."""
    health = locked_health(server_id)
    if health is not None:
        _forget_failures(health)


def _forget_failures(health: ServerHealth) -> None:
    health.failures, health.probes = 0, 0
    health.failure_kind, health.failure_words, health.failure_advice = None, "", ""
    health.open_since = health.next_probe_at = None


def tell(signal: NamedSignal, server_id: int) -> None:
    """Send a signal about a server."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    signal.send(app, server_id=server_id)


def tell_routes_changed() -> None:
    """Say that mails may leave another way than before."""
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    mail_routes_changed.send(app)


def probe_due() -> int:
    """Probe the paused servers whose time has come; return how many were probed."""
    if installation.keeps_to_itself():
        return 0
    now = clock.now()
    # A time further ahead than any delay comes from a clock that has been put back.
    latest = now + dt.timedelta(minutes=max(*PROBE_MINUTES, *SIGN_IN_PROBE_MINUTES) + 1)
    due = db.session.scalars(
        select(ServerHealth.server_id)
        .join(MailServer, MailServer.id == ServerHealth.server_id)
        .where(
            ServerHealth.open_since.is_not(None),
            MailServer.active,
            (ServerHealth.next_probe_at <= now) | (ServerHealth.next_probe_at > latest),
        )
    ).all()
    mine = [server_id for server_id in due if _take_probe(server_id, now)]
    for server_id in mine:
        probe_now(server_id)
    return len(mine)


def _take_probe(server_id: int, now: dt.datetime) -> bool:
    """Move the time of the next probe on, so that of two processes only one probes."""
    with transaction() as session:
        health = session.get(ServerHealth, server_id)
        if health is None or health.open_since is None:
            return False
        result = session.execute(
            update(ServerHealth)
            .where(ServerHealth.server_id == server_id, ServerHealth.next_probe_at == health.next_probe_at)
            .values(next_probe_at=now + probe_delay(health.failure_kind, health.probes + 1))
        )
        return bool(result.rowcount)  # type: ignore[attr-defined]  # an UPDATE has one


def _probed_as(server: MailServer) -> str:
    """Return the sender that a probe of a server names, or "" for none."""
    if server.own_address or server.owner_id is not None:
        return server.own_address  # of a user's own server, that its sign-in passes is enough
    # A server for all companies is probed in the name of any; only that a sender is taken counts.
    company = (
        server.company or db.session.scalars(select(Company).where(Company.email != "").limit(1)).first()
    )
    return company.email if company is not None and server.accepts(company.email) else ""


def probe_now(server_id: int) -> Failure | None:
    """Connect to a server, sign in, name a sender, and send nothing; end its pause if that works.

    Returns:
        What is wrong, or None when all is well.
    """
    server = db.session.get(MailServer, server_id)
    if server is None:
        return None
    sender = _probed_as(server)
    # Taken before the dialogue: an administrator may correct the server while it is being probed.
    fingerprint = server.fingerprint
    try:
        connection = open_transport(server, timeout=PROBE_TIMEOUT_SECONDS)
    except UnusableServerError as error:
        failure: Failure | None = error.failure
    else:
        end_reading()
        failure = connection.check(sender).failure
    if failure is None:
        note_success(server_id)
        return None
    with transaction():
        health = locked_health(server_id)
        current = db.session.get(MailServer, server_id)
        if health is not None and health.open_since is not None and current is not None:
            # A failure of the settings that were there before says nothing about the new ones.
            if current.fingerprint == fingerprint:
                health.probes += 1
            health.failure_kind, health.failure_words = failure.kind, failure.diagnostic
            health.failure_advice = failure.advice or ""
            health.next_probe_at = _next_probe(clock.now(), failure, health.probes)
    return failure
