"""How a mail leaves: its server as it is now, its From and Reply-To, and what stands in the way."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, end_reading
from core.mail.addresses import Address
from core.mail.outcomes import Failure, FailureKind
from modules.mail_config.models import MailServer
from modules.mail_config.servers import connection_limit, health, rate_limiter
from modules.mail_config.servers.service import best_of, candidates, problem_of, route_for
from modules.outbox.models import OutgoingMail


@dataclass(slots=True)
class DeliveryRoute:
    """The route of the mails of one sender, found once in a run.

    Attributes:
        server: Free of the session, or None.
        header_from: Who the mails are from.
        reply_to: Where answers go, or None.
        problem: Why nothing leaves by it now, or None.
        paused: True when the problem is that the server is paused.
        blemished: True when the server has failures to forget at the next success.
        limited: True when each mail needs a moment of its own.
        closed_until: Until when nothing leaves because the server has asked for it, or None.
        connections: How many connections to the server all workers together may open.
    """

    server: MailServer | None
    header_from: Address
    reply_to: Address | None
    problem: Failure | None
    paused: bool = False
    blemished: bool = False
    limited: bool = False
    closed_until: dt.datetime | None = None
    connections: int = 1


def find_route(mail: OutgoingMail) -> DeliveryRoute:
    """Return how a mail leaves."""
    company = db.session.get_one(Company, mail.company_id)
    user = db.session.get(User, mail.submitted_by_id) if mail.submitted_by_id else None
    server: MailServer | None
    if mail.sender_address:
        # From was fixed by an earlier attempt; the servers may have changed since.
        header_from, reply_to = Address(mail.sender_address, mail.sender_name), None
        servers = candidates(company.id, mail.sender_address)
        server = best_of(servers) if servers else None
        kind = problem_of(server) if server else FailureKind.SERVER_MISSING
    else:
        named = Address(mail.reply_to_address, mail.reply_to_name) if mail.reply_to_address else None
        rule = route_for(company, user, named)
        header_from, reply_to, kind = rule.header_from, rule.reply_to, rule.problem
        server = db.session.get(MailServer, rule.server_id) if rule.server_id else None
    chosen = DeliveryRoute(None, header_from, reply_to, Failure(kind, True) if kind else None)
    if server is not None:
        _take_state(chosen, server.id)
    end_reading()
    return chosen


def _take_state(chosen: DeliveryRoute, server_id: int) -> None:
    """Fill in the server of a route, and how it fares."""
    # Free of the session: it must stay as it is through the commits of the run.
    with Session(db.engine, expire_on_commit=False) as session:
        chosen.server = session.get(MailServer, server_id)
        session.expunge_all()
    known = health.health_of(server_id)
    if chosen.server is None:
        return
    now = clock.now()
    chosen.connections = connection_limit.limit_of(chosen.server, known, now)
    chosen.limited = rate_limiter.limit_of(chosen.server, known, now).limited
    if known is None:
        return
    chosen.blemished = known.failures > 0
    chosen.closed_until = rate_limiter.closed_until(known, now)
    if known.open_since is not None and known.failure_kind is not None:
        chosen.paused = True
        chosen.problem = Failure(known.failure_kind, True, detail=known.failure_words)
