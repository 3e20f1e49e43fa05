"""How a mail leaves: its server as it is now, its From and Reply-To, and what stands in the way."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Self

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, end_reading
from core.installation import service as installation
from core.mail.addresses import Address
from core.mail.dkim import Signer
from core.mail.outcomes import Failure
from modules.mail_config.models import MailServer
from modules.mail_config.senders.rule import Route
from modules.mail_config.senders.service import route_for
from modules.mail_config.servers import connection_limit, health, rate_limiter
from modules.mail_config.servers.envelopes import signer_for
from modules.mail_config.transports.capture import CAPTURE
from modules.outbox.models import Mailbox, OutgoingMail


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
        tags_answers: True where answers come to a mailbox that takes a token in its address.
        signer: Puts our signature on the mails, or None. A key that is replaced meanwhile goes on signing for as long
            as the route is used: its record has to stand for much longer.
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
    tags_answers: bool = False
    signer: Signer | None = None

    @property
    def captures(self) -> bool:
        """True where nothing leaves by it: what is handed over stays here."""
        return self.server is not None and self.server.transport == CAPTURE


@dataclass(frozen=True, slots=True)
class Named:
    """From, Reply-To and hash that a mail had before an attempt; it has them again while nobody was told of others.

    So another server may stand in for one that has failed, also where From has to be another by it.
    """

    sender_address: str
    sender_name: str
    reply_to_address: str
    reply_to_name: str
    reply_tagged: bool
    message_sha256: str

    @classmethod
    def of(cls, mail: OutgoingMail) -> Self:
        """Return what a mail has now."""
        return cls(*(getattr(mail, name) for name in cls.__slots__))

    def restore(self, mail: OutgoingMail) -> None:
        """Give it back to the mail."""
        for name in self.__slots__:
            setattr(mail, name, getattr(self, name))


def rule_for(mail: OutgoingMail) -> Route:
    """Return what the rule says of a mail at this moment, with its reasons."""
    return route_for(
        db.session.get_one(Company, mail.company_id),
        db.session.get(User, mail.submitted_by_id) if mail.submitted_by_id else None,
        Address(mail.reply_to_address, mail.reply_to_name) if mail.reply_to_address else None,
        purpose=mail.purpose,
        # Fixed by an earlier attempt that somebody may have got; the servers may have changed since.
        fixed=Address(mail.sender_address, mail.sender_name) if mail.sender_address else None,
    )


def find_route(mail: OutgoingMail) -> DeliveryRoute:
    """Return how a mail leaves."""
    rule = rule_for(mail)
    chosen = DeliveryRoute(
        None, rule.header_from, rule.reply_to, Failure(rule.problem, True) if rule.problem else None
    )
    if rule.server_id is not None:
        _take_state(chosen, rule.server_id)
        chosen.tags_answers = _takes_tokens(chosen.reply_to or chosen.header_from)
    end_reading()
    return chosen


def _takes_tokens(answers_to: Address) -> bool:
    """Return True where answers to an address come to a mailbox of ours that takes tokens."""
    mailbox = select(Mailbox.id).where(
        Mailbox.active, Mailbox.tag_answers, func.lower(Mailbox.address) == answers_to.addr_spec.lower()
    )
    return db.session.scalar(mailbox.limit(1)) is not None


def _take_state(chosen: DeliveryRoute, server_id: int) -> None:
    """Fill in the server of a route, and how it fares."""
    # Free of the session: it must stay as it is through the commits of the run.
    with Session(db.engine, expire_on_commit=False) as session:
        chosen.server = session.get(MailServer, server_id)
        session.expunge_all()
    known = health.health_of(server_id)
    if chosen.server is None:
        return
    if installation.copy_since() is not None:
        # Whatever its kind, its pace and its troubles: nobody speaks to it from here.
        chosen.server.transport = CAPTURE
        return
    chosen.signer = signer_for(chosen.server, chosen.header_from.addr_spec)
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
