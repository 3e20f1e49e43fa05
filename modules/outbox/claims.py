"""Who holds a mail: claims, leases, and the marks that a crash leaves behind.

Every statement here names the claim it belongs to, so a worker that was stopped past its lease finds that
its mail is no longer its own, and repeating a statement does no harm.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from flask import Flask, current_app
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, selectinload

from core import clock
from core.db import db, transaction
from core.mail.outcomes import FailureKind, RecipientState
from modules.outbox.models import ATTEMPTS, MAILS, RECIPIENTS, OutgoingMail
from modules.outbox.settlement import Settlement
from modules.outbox.states import MailState, check_transition

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.5


def _values(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


# Written once: composing these statements anew for each mail costs more than running them.
_MARK_IN_FLIGHT = (
    update(MAILS)
    .where(
        MAILS.c.id == bindparam("mail_id"),
        MAILS.c.claim_token == bindparam("token"),
        MAILS.c.state == MailState.SENDING,
    )
    .values(
        in_flight=True,
        **_values(
            "lease_until",
            "server_id",
            "sender_name",
            "sender_address",
            "reply_to_name",
            "reply_to_address",
            "message_sha256",
        ),
    )
)
_SETTLE_MAIL = (
    update(MAILS)
    .where(
        MAILS.c.id == bindparam("mail_id"),
        MAILS.c.claim_token == bindparam("token"),
        MAILS.c.state.in_([MailState.SENDING, MailState.UNCERTAIN]),
    )
    .values(
        in_flight=False,
        claim_token=None,
        lease_until=None,
        **_values(
            "state",
            "server_id",
            "sender_name",
            "sender_address",
            "reply_to_name",
            "reply_to_address",
            "attempts",
            "accepted_count",
            "failure_kind",
            "failure_reason",
            "settled_at",
            "next_attempt_at",
        ),
    )
)
_SETTLE_RECIPIENT = (
    update(RECIPIENTS)
    .where(RECIPIENTS.c.id == bindparam("recipient_id"))
    .values(
        **_values("state", "failure_kind", "reply_code", "enhanced_code", "diagnostic", "settled_at"),
    )
)
_INSERT_ATTEMPT = insert(ATTEMPTS)


def lease() -> dt.timedelta:
    """Return how long a claim lasts unless it is renewed."""
    return dt.timedelta(seconds=float(current_app.config["OUTBOX_LEASE_SECONDS"]))


def patiently(action: Callable[[], T]) -> T:
    """Do something with the database, and again while it is locked or restarting.

    What a server has answered must be written down; an impatient worker would leave the mail uncertain.

    Raises:
        OperationalError: The database was away for too long.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return action()
        except OperationalError as error:
            db.session.rollback()
            if time.monotonic() > give_up:
                raise
            logger.warning("The database is locked or away (%s); trying again.", error.orig)
            time.sleep(_PAUSE_SECONDS)


def claim(mail_ids: Sequence[int]) -> str | None:
    """Claim the mails that are queued and due, and return the token of the claim; None for no mail.

    A second claim of the same mail gets nothing.
    """
    token = secrets.token_hex(16)
    now = clock.now()

    def attempt() -> bool:
        with transaction() as session:
            result = session.execute(
                update(MAILS)
                .where(
                    MAILS.c.id.in_(mail_ids), MAILS.c.state == MailState.QUEUED, MAILS.c.claim_token.is_(None)
                )
                .values(
                    state=MailState.SENDING, claim_token=token, lease_until=now + lease(), in_flight=False
                )
            )
            if result.rowcount:  # type: ignore[attr-defined]  # an UPDATE has one
                return True
            # A commit may succeed while its connection dies: then the first attempt has got them already.
            return session.scalar(select(MAILS.c.id).where(MAILS.c.claim_token == token).limit(1)) is not None

    return token if patiently(attempt) else None


def claimed(token: str) -> list[OutgoingMail]:
    """Return the mails of a claim with recipients and attachments, free of the session."""

    def attempt() -> list[OutgoingMail]:
        # A session of its own: the objects must stay as they are through many commits.
        with Session(db.engine) as session:
            rows = list(
                session.scalars(
                    select(OutgoingMail)
                    .where(OutgoingMail.claim_token == token)
                    .options(selectinload(OutgoingMail.recipients), selectinload(OutgoingMail.attachments))
                    .order_by(OutgoingMail.id)
                )
            )
            session.expunge_all()
        return rows

    return patiently(attempt)


def mark_in_flight(mail: OutgoingMail, token: str) -> bool:
    """Record, inside the running transaction, that the message goes out now.

    Returns:
        False when the claim is no longer this worker's; then the message must not go out.
    """
    with transaction() as session:
        result = session.execute(
            _MARK_IN_FLIGHT,
            {
                "mail_id": mail.id,
                "token": token,
                "lease_until": clock.now() + lease(),
                "server_id": mail.server_id,
                "sender_name": mail.sender_name,
                "sender_address": mail.sender_address,
                "reply_to_name": mail.reply_to_name,
                "reply_to_address": mail.reply_to_address,
                "message_sha256": mail.message_sha256,
            },
        )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def write_settlement(
    mail: OutgoingMail,
    token: str,
    settlement: Settlement,
    *,
    server_name: str,
    started_at: dt.datetime,
    transcript: Sequence[str],
) -> bool:
    """Write, inside the running transaction, what an attempt has found.

    Returns:
        False when the mail was taken away meanwhile (a person has resent it); the attempt is recorded anyway.
    """
    check_transition("settle", MailState.SENDING, settlement.state)
    now = clock.now()
    with transaction() as session:
        result = session.execute(
            _SETTLE_MAIL,
            {
                "mail_id": mail.id,
                "token": token,
                "state": settlement.state,
                "server_id": mail.server_id,
                "sender_name": mail.sender_name,
                "sender_address": mail.sender_address,
                "reply_to_name": mail.reply_to_name,
                "reply_to_address": mail.reply_to_address,
                "attempts": settlement.attempts,
                "accepted_count": settlement.accepted_count,
                "failure_kind": settlement.failure_kind,
                "failure_reason": settlement.failure_reason,
                "settled_at": None if settlement.state is MailState.DEFERRED else now,
                "next_attempt_at": settlement.next_attempt_at or mail.next_attempt_at,
            },
        )
        mine = bool(result.rowcount)  # type: ignore[attr-defined]
        if mine:
            session.execute(
                _SETTLE_RECIPIENT,
                [
                    {
                        "recipient_id": outcome.recipient_id,
                        "state": outcome.state,
                        "failure_kind": outcome.failure_kind,
                        "reply_code": outcome.reply_code,
                        "enhanced_code": outcome.enhanced_code,
                        "diagnostic": outcome.diagnostic,
                        "settled_at": now,
                    }
                    for outcome in settlement.results
                ],
            )
        session.execute(
            _INSERT_ATTEMPT,
            {
                "mail_id": mail.id,
                "server_name": server_name,
                "started_at": started_at,
                "ended_at": now,
                "outcome": settlement.state,
                "failure_kind": settlement.failure_kind,
                "summary": settlement.failure_reason,
                "transcript": "\n".join(transcript),
            },
        )
    return mine


def give_back(token: str) -> None:
    """Put what a claim still holds, and has not sent, back on the list of what is due."""

    def attempt() -> None:
        with transaction() as session:
            session.execute(
                update(MAILS)
                .where(
                    MAILS.c.claim_token == token,
                    MAILS.c.state == MailState.SENDING,
                    MAILS.c.in_flight.is_(False),
                )
                .values(state=MailState.QUEUED, claim_token=None, lease_until=None)
            )

    patiently(attempt)


def lose_expired() -> tuple[list[int], list[int]]:
    """Take mails away from claims whose lease has ended.

    A mail whose message had begun to go out becomes uncertain, and a person decides; any other is queued
    again.

    Returns:
        The ids of the queued and of the uncertain ones.
    """
    now = clock.now()
    with transaction() as session:
        expired = [MAILS.c.state == MailState.SENDING, MAILS.c.lease_until < now]
        queued = list(
            session.scalars(
                update(MAILS)
                .where(*expired, MAILS.c.in_flight.is_(False))
                .values(state=MailState.QUEUED, claim_token=None, lease_until=None, next_attempt_at=now)
                .returning(MAILS.c.id)
            )
        )
        uncertain = list(
            session.scalars(
                update(MAILS)
                .where(*expired, MAILS.c.in_flight.is_(True))
                # The token stays: if the worker was only stopped for a while, it still may settle.
                .values(
                    state=MailState.UNCERTAIN,
                    lease_until=None,
                    settled_at=now,
                    failure_kind=FailureKind.OUTCOME_UNKNOWN,
                    failure_reason="The worker ended while the message was being handed over.",
                )
                .returning(MAILS.c.id)
            )
        )
        if uncertain:
            session.execute(
                update(RECIPIENTS)
                .where(
                    RECIPIENTS.c.mail_id.in_(uncertain),
                    RECIPIENTS.c.state.in_([RecipientState.PENDING, RecipientState.DEFERRED]),
                )
                .values(
                    state=RecipientState.UNCERTAIN,
                    failure_kind=FailureKind.OUTCOME_UNKNOWN,
                    settled_at=now,
                )
            )
    return queued, uncertain


@contextmanager
def kept_alive(token: str) -> Iterator[None]:
    """Renew the lease of a claim while a block runs, however slow servers are."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    ended = threading.Event()
    period = lease().total_seconds() / 3

    def renew() -> None:
        while not ended.wait(period):
            with app.app_context():
                try:
                    with transaction() as session:
                        session.execute(
                            update(MAILS)
                            .where(MAILS.c.claim_token == token, MAILS.c.state == MailState.SENDING)
                            .values(lease_until=clock.now() + lease())
                        )
                except OperationalError:
                    logger.warning("A lease could not be renewed; trying again.", exc_info=True)

    thread = threading.Thread(target=renew, name=f"lease-{token[:6]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
