"""Who holds a mail: claims, leases that are kept alive, and what is taken from those that ended.

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
from typing import TypeVar

from flask import Flask, current_app
from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, selectinload

from core import clock
from core.db import db, end_reading, transaction
from core.installation import service as installation
from core.mail.outcomes import FailureKind, RecipientState
from modules.outbox.alert_rows import write_alerts
from modules.outbox.models import (
    ATTACHMENTS,
    MAILS,
    RECIPIENTS,
    WAITS,
    OutgoingMail,
)
from modules.outbox.states import MailState, RetryPolicy
from modules.outbox.transitions import (
    moving,
    record,
    record_claim,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

# For a database that is busy or away, less than a lease: an outcome that is known must not be lost.
PATIENCE_SECONDS = 90.0
LOOK_SECONDS = 1.0
"""How often it is looked whether all lanes of a claim hang."""
_PAUSE_SECONDS = 0.5  # between two tries to write it
LOST_WORDS = "The worker ended while the message was being handed over."


def lease() -> dt.timedelta:
    """Return how long a claim lasts unless it is renewed."""
    return dt.timedelta(seconds=float(current_app.config["OUTBOX_LEASE_SECONDS"]))


def retry_policy() -> RetryPolicy:
    """Return the installation's policy; that its settings make sense was checked at start."""
    config = current_app.config
    return RetryPolicy.parse(str(config["OUTBOX_RETRY_MINUTES"]), float(config["OUTBOX_GIVE_UP_DAYS"]))


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

    A second claim of the same mail gets nothing, and so does every claim while the installation is held after a
    restore. That these mails may have left is remembered outside of the database before this returns.
    """
    # Not the worker's name: one that was stopped and goes on must not find its old claim in a new one.
    token = secrets.token_hex(16)
    now = clock.now()
    outside = installation.remembered()

    def attempt() -> tuple[str, int] | None:
        with transaction() as session:
            result = session.execute(
                moving("claim", MailState.SENDING)
                .where(MAILS.c.id.in_(mail_ids), MAILS.c.claim_token.is_(None))
                .values(claim_token=token, lease_until=now + lease(), in_flight=False)
            )
            if result.rowcount:  # type: ignore[attr-defined]  # an UPDATE has one
                record_claim(session, token)
                # Last, so that other claims wait for this row no longer than for the commit.
                return installation.raise_generation(session, outside)
            # A commit may succeed while its connection dies: then the first attempt has got them already.
            mine = session.scalar(select(MAILS.c.id).where(MAILS.c.claim_token == token).limit(1))
            return installation.raise_generation(session, outside) if mine is not None else None

    try:
        generation = patiently(attempt)
    except installation.RestoredError as error:
        installation.hold_back(error.sign)
        return None
    except installation.HeldError:
        return None
    if generation is None:
        return None
    try:
        installation.remember(*generation)
    except OSError:
        # Or a backup of this moment, restored later, would send them again.
        logger.exception("Nothing is sent: the file of the installation cannot be written.")
        give_back([token])
        return None
    return token


def waiting_ids(limit: int) -> list[int]:
    """Return mails that are queued and need no PDF any more, the newest first: a person may be waiting for those."""
    unmade = exists().where(
        ATTACHMENTS.c.mail_id == MAILS.c.id, ATTACHMENTS.c.generated, ATTACHMENTS.c.sha256 == ""
    )
    found = (
        select(MAILS.c.id)
        .where(MAILS.c.state == MailState.QUEUED, ~unmade)
        .order_by(MAILS.c.id.desc())
        .limit(limit)
    )
    try:
        return list(db.session.scalars(found))
    finally:
        end_reading()


def claimed(token: str) -> list[OutgoingMail]:
    """Return the mails that a claim holds, with recipients and attachments, free of the session."""

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


def give_back(tokens: Sequence[str]) -> list[int]:
    """Put what claims still hold, and have not sent, back on the list of what is due; return the ids."""

    def attempt() -> list[int]:
        with transaction() as session:
            ids = list(
                session.scalars(
                    moving("return", MailState.QUEUED)
                    .where(MAILS.c.claim_token.in_(tokens), MAILS.c.in_flight.is_(False))
                    .values(claim_token=None, lease_until=None)
                    .returning(MAILS.c.id)
                )
            )
            record(session, ids, "return", MailState.SENDING, MailState.QUEUED)
        return ids

    return patiently(attempt)


def _at_rest(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that mails are claimed, satisfy others, and are written by nobody now; it locks them.

    Who writes many mails in the order in which the database comes upon them, and waits, may wait for a worker that
    settles one of them and waits for the next. Who does not wait takes part in no deadlock. SQLite has one writer at
    a time, and knows no such lock.
    """
    return MAILS.c.id.in_(
        select(MAILS.c.id)
        .where(WAITS, MAILS.c.state == MailState.SENDING, *conditions)
        .with_for_update(skip_locked=True)
    )


def take_over_expired() -> tuple[list[int], list[int]]:
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
        uncertain = list(
            session.scalars(
                moving("lose", MailState.UNCERTAIN)
                .where(_at_rest(ended, MAILS.c.in_flight.is_(True)))
                # The token stays: if the worker was only stopped for a while, it still may settle.
                .values(
                    lease_until=None,
                    settled_at=now,
                    failure_kind=FailureKind.OUTCOME_UNKNOWN,
                    failure_reason=LOST_WORDS,
                )
                .returning(MAILS.c.id)
            )
        )
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
            for mail_id in uncertain:
                write_alerts(session, mail_id, FailureKind.OUTCOME_UNKNOWN, LOST_WORDS)
    return queued, uncertain


def renew(tokens: Sequence[str]) -> None:
    """Let the leases of claims begin anew, but for a mail that their worker is writing: that begins its own.

    Raises:
        OperationalError: The database is locked or away.
    """
    with transaction() as session:
        session.execute(
            update(MAILS)
            .where(_at_rest(MAILS.c.claim_token.in_(tokens)))
            .values(lease_until=clock.now() + lease())
        )


@contextmanager
def kept_alive(tokens: Sequence[str], look: Callable[[], None], *also: Callable[[], None]) -> Iterator[None]:
    """Renew the leases of claims while a block runs, however slow servers are.

    Args:
        tokens: Of the claims; some may be added meanwhile.
        look: Called every `LOOK_SECONDS`.
        also: Renews what else runs out with the leases.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    ended = threading.Event()
    period = lease().total_seconds() / 3

    def renew_repeatedly() -> None:
        due = time.monotonic() + period
        while not ended.wait(min(period, LOOK_SECONDS)):
            with app.app_context():
                # Whatever happens here, the next turn may fare better; without this thread the claim runs out.
                try:
                    if time.monotonic() >= due:
                        renew(list(tokens))
                        for action in also:
                            action()
                        due = time.monotonic() + period
                    look()
                except OperationalError:
                    logger.warning("A lease could not be renewed; trying again.", exc_info=True)
                except Exception:
                    logger.exception("Looking after a claim failed; trying again.")

    thread = threading.Thread(target=renew_repeatedly, name="leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
