"""Claims: which worker holds a mail, until when, and what the row says if it crashes.

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
from sqlalchemy import ColumnElement, bindparam, exists, insert, literal, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, selectinload

from core import clock
from core.db import db, transaction
from core.db.prepared import Batch, Count, Prepared
from core.errors import ConfigError
from core.mail.outcomes import FailureKind, RecipientState
from modules.outbox.alert_rows import RETIRE_ALERT, alert_values, write_alert
from modules.outbox.models import (
    ALERTS,
    ATTACHMENTS,
    ATTEMPTS,
    EVENTS,
    MAILS,
    RECIPIENTS,
    MailAttachment,
    OutgoingMail,
)
from modules.outbox.settlement import Settlement
from modules.outbox.states import FAILED, MailState, RetryPolicy, check_transition
from modules.outbox.transitions import (
    actor,
    moving,
    moving_by_parameter,
    record,
    record_claim,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

# For a database that is busy or away, less than a lease: an outcome that is known must not be lost.
PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.5  # between two tries to write it
LOST_WORDS = "The worker ended while the message was being handed over."


def _values(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


# The columns that say how the mail leaves; fixed with the mark, for every later attempt.
_FROM = ("server_id", "sender_name", "sender_address", "reply_to_name", "reply_to_address")
_MARKED = ("lease_until", "message_sha256", *_FROM)
# What an outcome changes in the row of the mail. The From is among it: a mail that waits has none in flight yet.
_SETTLED = (
    *_FROM,
    "attempts",
    "accepted_count",
    "failure_kind",
    "failure_reason",
    "failure_also",
    "failure_advice",
    "settled_at",
    "next_attempt_at",
    "slot_at",
    "slot_server_id",
    "waits_for_server",
)
# What an outcome changes in the row of a recipient.
_SERVED = (
    "state",
    "failure_kind",
    "reply_code",
    "enhanced_code",
    "diagnostic",
    "failure_also",
    "failure_advice",
    "settled_at",
)
# The columns of the record of an attempt.
_TRIED = (
    "mail_id",
    "server_name",
    "started_at",
    "ended_at",
    "outcome",
    "failure_kind",
    "summary",
    "transcript",
)

# Only while the claim holds: a worker that was stopped past its lease must not send what another holds by now.
_MARK_IN_FLIGHT = Prepared(
    update(MAILS)
    .where(
        MAILS.c.id == bindparam("mail_id"),
        MAILS.c.claim_token == bindparam("token"),
        MAILS.c.state == MailState.SENDING,
    )
    .values(in_flight=True, **_values(*_MARKED)),
    "mail_id",
    "token",
    *_MARKED,
)
# The claim still holds the mail, or the sweep has called it uncertain meanwhile and left the token for this case.
_HELD = (
    MAILS.c.id == bindparam("held_id"),
    MAILS.c.claim_token == bindparam("token"),
    or_(MAILS.c.state == MailState.SENDING, MAILS.c.state == MailState.UNCERTAIN),
)
_RECORD_SETTLED = Prepared(
    # First, since it locks the mail; it also knows the state before, which may be uncertain by now.
    insert(EVENTS).from_select(
        ["mail_id", "at", "verb", "before", "after", "actor", "detail"],
        select(
            MAILS.c.id,
            bindparam("at", type_=EVENTS.c.at.type),
            literal("settle", EVENTS.c.verb.type),
            MAILS.c.state,
            bindparam("state", type_=EVENTS.c.after.type),
            bindparam("actor", type_=EVENTS.c.actor.type),
            bindparam("detail", type_=EVENTS.c.detail.type),
        )
        .where(*_HELD)
        .with_for_update(),
    ),
    "held_id",
    "token",
    "at",
    "state",
    "actor",
    "detail",
)
# The mail is asked for again in each statement: they travel together, and the first may have changed nothing.
_SETTLE_RECIPIENT = Prepared(
    update(RECIPIENTS)
    .where(RECIPIENTS.c.id == bindparam("recipient_id"), exists(select(MAILS.c.id).where(*_HELD)))
    .values(**_values(*_SERVED)),
    "recipient_id",
    "held_id",
    "token",
    *_SERVED,
)
_ALERTED = ("user_id", "mail_id", "failure_kind", "words", "created_at")
# In the transaction of the failure, or a crash between the two would leave a failure that nobody is told of.
_INSERT_ALERT = Prepared(
    insert(ALERTS).from_select(
        list(_ALERTED),
        select(*(bindparam(name, type_=ALERTS.c[name].type) for name in _ALERTED)).where(
            exists(select(MAILS.c.id).where(*_HELD))
        ),
    ),
    "held_id",
    "token",
    *_ALERTED,
)
_RETIRE_ALERT = Prepared(
    RETIRE_ALERT.where(exists(select(MAILS.c.id).where(*_HELD))), "mail", "user", "now", "held_id", "token"
)
_SETTLE_MAIL = Prepared(
    moving_by_parameter("settle")
    .where(*_HELD[:2])
    .values(in_flight=False, claim_token=None, lease_until=None, **_values(*_SETTLED)),
    "held_id",
    "token",
    "state",
    *_SETTLED,
)
_INSERT_ATTEMPT = Prepared(
    # What a worker that was only stopped has to tell must not bring back what was erased meanwhile.
    insert(ATTEMPTS).from_select(
        list(_TRIED),
        select(*(bindparam(name, type_=ATTEMPTS.c[name].type) for name in _TRIED)).where(
            exists(
                select(MAILS.c.id).where(
                    MAILS.c.id == bindparam("mail_id"), MAILS.c.contents_erased_at.is_(None)
                )
            )
        ),
    ),
    *_TRIED,
)
_WRITE_FROZEN = Prepared(
    update(ATTACHMENTS)
    .where(ATTACHMENTS.c.id == bindparam("attachment_id"))
    .values(**_values("sha256", "size")),
    "attachment_id",
    "sha256",
    "size",
)


def lease() -> dt.timedelta:
    """Return how long a claim lasts unless it is renewed."""
    return dt.timedelta(seconds=float(current_app.config["OUTBOX_LEASE_SECONDS"]))


def retry_policy() -> RetryPolicy:
    """Return the installation's policy.

    Raises:
        ConfigError: The settings make no sense.
    """
    config = current_app.config
    try:
        return RetryPolicy.parse(str(config["OUTBOX_RETRY_MINUTES"]), float(config["OUTBOX_GIVE_UP_DAYS"]))
    except ValueError as error:
        raise ConfigError([f"ENVOI_OUTBOX_RETRY_MINUTES and ENVOI_OUTBOX_GIVE_UP_DAYS: {error}"]) from error


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
    # Not the worker's name: one that was stopped and goes on must not find its old claim in a new one.
    token = secrets.token_hex(16)
    now = clock.now()

    def attempt() -> bool:
        with transaction() as session:
            result = session.execute(
                moving("claim", MailState.SENDING)
                .where(MAILS.c.id.in_(mail_ids), MAILS.c.claim_token.is_(None))
                .values(claim_token=token, lease_until=now + lease(), in_flight=False)
            )
            if result.rowcount:  # type: ignore[attr-defined]  # an UPDATE has one
                record_claim(session, token)
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


def mark_in_flight(batch: Batch, mail: OutgoingMail, token: str) -> Count:
    """Record, inside a transaction of the ledger, that the message goes out now.

    Returns:
        Nothing once it is committed, when the claim is no longer this worker's; then the message must not go out.
    """
    return batch.run(
        _MARK_IN_FLIGHT,
        {
            "mail_id": mail.id,
            "token": token,
            "lease_until": clock.now() + lease(),
            "message_sha256": mail.message_sha256,
            **_sender(mail),
        },
    )


def _sender(mail: OutgoingMail) -> dict[str, Any]:
    return {name: getattr(mail, name) for name in _FROM}


def write_settlement(
    batch: Batch,
    mail: OutgoingMail,
    token: str,
    settlement: Settlement,
    *,
    server_name: str,
    started_at: dt.datetime,
    transcript: Sequence[str],
) -> Count:
    """Write, inside a transaction of the ledger, what an attempt has found.

    A worker that was stopped past its lease, and goes on, knows more than the sweep did: it settles an uncertain
    mail too, unless a person has decided meanwhile.

    Returns:
        Nothing once it is committed, when the mail was taken away meanwhile; the attempt is recorded anyway.

    Raises:
        IllegalTransitionError: The settlement leads to a state that no attempt can lead to.
    """
    check_transition("settle", MailState.SENDING, settlement.state)
    now = clock.now()
    settled_at = None if settlement.state is MailState.DEFERRED else now
    held = {"held_id": mail.id, "token": token}
    batch.run(
        _RECORD_SETTLED,
        {**held, "at": now, "state": settlement.state, "actor": actor(), "detail": settlement.remark},
    )
    for outcome in settlement.results:
        batch.run(
            _SETTLE_RECIPIENT,
            {
                **held,
                "recipient_id": outcome.recipient_id,
                "state": outcome.state,
                "failure_kind": outcome.failure_kind,
                "reply_code": outcome.reply_code,
                "enhanced_code": outcome.enhanced_code,
                "diagnostic": outcome.diagnostic,
                "failure_also": outcome.also,
                "failure_advice": outcome.advice,
                "settled_at": settled_at,
            },
        )
    if settlement.state in FAILED and mail.submitted_by_id is not None and not mail.is_alert:
        alert = alert_values(
            mail.id, mail.submitted_by_id, settlement.failure_kind, settlement.failure_reason
        )
        batch.run(_RETIRE_ALERT, {"mail": mail.id, "user": mail.submitted_by_id, "now": now, **held})
        batch.run(_INSERT_ALERT, {**alert, **held})
    if settlement.tried:
        batch.run(
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
    return batch.run(
        _SETTLE_MAIL,
        {
            **held,
            "state": settlement.state,
            "attempts": settlement.attempts,
            "accepted_count": settlement.accepted_count,
            "failure_kind": settlement.failure_kind,
            "failure_reason": settlement.failure_reason,
            "failure_also": settlement.failure_also,
            "failure_advice": settlement.failure_advice,
            "settled_at": settled_at,
            "next_attempt_at": settlement.next_attempt_at or mail.next_attempt_at,
            "slot_at": mail.slot_at,
            "slot_server_id": mail.slot_server_id,
            "waits_for_server": settlement.waits_for_server,
            **_sender(mail),
        },
    )


def write_frozen(batch: Batch, attachment: MailAttachment) -> None:
    """Write, inside a transaction of the ledger, where the rendered PDF is kept."""
    batch.run(
        _WRITE_FROZEN,
        {"attachment_id": attachment.id, "sha256": attachment.sha256, "size": attachment.size},
    )


def give_back(token: str) -> None:
    """Put what a claim still holds, and has not sent, back on the list of what is due."""

    def attempt() -> None:
        with transaction() as session:
            ids = session.scalars(
                moving("return", MailState.QUEUED)
                .where(MAILS.c.claim_token == token, MAILS.c.in_flight.is_(False))
                .values(claim_token=None, lease_until=None)
                .returning(MAILS.c.id)
            ).all()
            record(session, ids, "return", MailState.SENDING, MailState.QUEUED)

    patiently(attempt)


def _at_rest(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that mails are claimed, satisfy others, and are written by nobody now; it locks them.

    Who writes many mails in the order in which the database comes upon them, and waits, may wait for a worker that
    settles one of them and waits for the next. Who does not wait takes part in no deadlock. SQLite has one writer at
    a time, and knows no such lock.
    """
    return MAILS.c.id.in_(
        select(MAILS.c.id)
        .where(MAILS.c.state == MailState.SENDING, *conditions)
        .with_for_update(skip_locked=True)
    )


def lose_expired() -> tuple[list[int], list[int]]:
    """Take mails away from claims whose lease has ended.

    A mail whose message had begun to go out becomes uncertain, and a person decides; any other is queued
    again. A lease further ahead than any worker takes one comes from a clock that was put back. Mails that somebody
    is writing are left for the next time.

    Returns:
        The ids of the queued and of the uncertain ones.
    """
    now = clock.now()
    ended = or_(MAILS.c.lease_until < now, MAILS.c.lease_until > now + 2 * lease())
    with transaction() as session:
        queued = list(
            session.scalars(
                moving("lose", MailState.QUEUED)
                .where(_at_rest(ended, MAILS.c.in_flight.is_(False)))
                .values(claim_token=None, lease_until=None, next_attempt_at=now)
                .returning(MAILS.c.id)
            )
        )
        record(session, queued, "lose", MailState.SENDING, MailState.QUEUED)
        rows = session.execute(
            moving("lose", MailState.UNCERTAIN)
            .where(_at_rest(ended, MAILS.c.in_flight.is_(True)))
            # The token stays: if the worker was only stopped for a while, it still may settle.
            .values(
                lease_until=None,
                settled_at=now,
                failure_kind=FailureKind.OUTCOME_UNKNOWN,
                failure_reason=LOST_WORDS,
            )
            .returning(MAILS.c.id, MAILS.c.submitted_by_id, MAILS.c.is_alert)
        ).all()
        uncertain = [row.id for row in rows]
        if uncertain:
            record(session, uncertain, "lose", MailState.SENDING, MailState.UNCERTAIN)
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
            for row in rows:
                if row.submitted_by_id is not None and not row.is_alert:
                    write_alert(session, row.id, row.submitted_by_id, FailureKind.OUTCOME_UNKNOWN, LOST_WORDS)
    return queued, uncertain


def renew(token: str) -> None:
    """Let the lease of a claim begin anew, but for the mail that its worker is writing: that begins its own.

    Raises:
        OperationalError: The database is locked or away.
    """
    with transaction() as session:
        session.execute(
            update(MAILS)
            .where(_at_rest(MAILS.c.claim_token == token))
            .values(lease_until=clock.now() + lease())
        )


@contextmanager
def kept_alive(token: str) -> Iterator[None]:
    """Renew the lease of a claim while a block runs, however slow servers are."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    ended = threading.Event()
    period = lease().total_seconds() / 3

    def renew_repeatedly() -> None:
        while not ended.wait(period):
            with app.app_context():
                try:
                    renew(token)
                except OperationalError:
                    logger.warning("A lease could not be renewed; trying again.", exc_info=True)

    thread = threading.Thread(target=renew_repeatedly, name=f"lease-{token[:6]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
