"""Copies are put into Sent folders, by a job of their own: no delivery waits for one, repeats or fails because of one.

Whoever moves `next_try_at` of a row on has it until then. A worker that dies meanwhile leaves a copy of which nobody
knows; the next one asks the mailbox for its Message-ID first, so it lies there once.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from functools import partial

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import selectinload

from core import clock
from core.db import again, db, end_reading, transaction
from core.errors import UserError
from core.files import FileMissingError, StoreAwayError
from core.i18n import lazy_gettext as _l
from core.installation import service as installation
from core.jobs import enqueue_after_commit
from core.logs import kind_of
from core.mail.outcomes import Failure, FailureKind
from modules.mail_config.mailbox_models import SentFolder
from modules.mail_config.models import MailServer
from modules.mail_config.servers.sent_folder import DELAYS, note_failure, note_success, open_folder
from modules.mail_config.transports.imap_session import MailboxError
from modules.mail_config.transports.sent_folder import SentMailbox
from modules.outbox.alert_rows import settle_server_alerts, write_server_alerts
from modules.outbox.message import build_message
from modules.outbox.models import SENT_COPIES, OutgoingMail, SentCopy

logger = logging.getLogger(__name__)

AT_ONCE = 20
"""Copies that one connection takes up together: if it breaks, so many wait for the lease."""
LEASE = dt.timedelta(minutes=5)
"""How long a worker has them."""
SECONDS = 200.0  # for one connection; well below the lease
TIMEOUT_SECONDS = 60.0  # for each answer
JOB_SECONDS = 240.0  # for all of them; the next job goes on
MOST_TRIES = 4
"""How often a mailbox may refuse one mail before that copy is given up."""
GIVE_UP = dt.timedelta(days=4)
"""For how long a copy is wanted."""
TELL_AFTER = 3
"""After so many failures of a mailbox in a row, whoever looks after the server is told, once."""


def keep_copies() -> int:
    """Put the copies that are due into their folders, and return how many that were."""
    # A restored copy of the house writes into nobody's mailbox before a person says go.
    installation.verify()
    if installation.keeps_to_itself():
        return 0
    again(_forget_unwanted)
    until = time.monotonic() + JOB_SECONDS
    kept = 0
    for server_id in _waiting_servers():
        more = True
        while more and time.monotonic() < until:
            ids = again(partial(_claim, server_id))
            more = bool(ids) and _keep(server_id, ids)
            kept += len(ids) if more else 0
    return kept


def _due(now: dt.datetime) -> ColumnElement[bool]:
    # Further ahead than anybody puts it: from a clock that was put back.
    return or_(SentCopy.next_try_at <= now, SentCopy.next_try_at > now + 2 * max(DELAYS))


def _waiting_servers() -> list[int]:
    now = clock.now()
    query = (
        select(SentCopy.server_id)
        .join(SentFolder, SentFolder.server_id == SentCopy.server_id)
        .where(_due(now), _open(now))
        .distinct()
    )
    found = sorted(db.session.scalars(query))
    end_reading()
    return found


def _open(now: dt.datetime) -> ColumnElement[bool]:
    """Return the condition that a mailbox may be asked."""
    return or_(
        SentFolder.next_look_at.is_(None),
        SentFolder.next_look_at <= now,
        SentFolder.next_look_at > now + 2 * max(DELAYS),
    )


def _claim(server_id: int) -> list[int]:
    """Take up some copies of a server, and return the ids of their mails."""
    now = clock.now()
    with transaction() as session:
        if (
            session.scalar(select(SentFolder.server_id).where(SentFolder.server_id == server_id, _open(now)))
            is None
        ):
            return []
        some = (
            select(SentCopy.mail_id)
            .where(SentCopy.server_id == server_id, _due(now))
            .order_by(SentCopy.next_try_at, SentCopy.mail_id)
            .limit(AT_ONCE)
        )
        ids = list(session.scalars(some))
        taken = session.scalars(
            update(SentCopy)
            # By the moment again: another worker may have been faster.
            .where(SentCopy.mail_id.in_(ids), _due(now))
            .values(next_try_at=now + LEASE)
            .returning(SentCopy.mail_id)
            .execution_options(synchronize_session=False)
        )
        return sorted(taken)


def _keep(server_id: int, mail_ids: Sequence[int]) -> bool:
    """Put some copies into the folder of a server; return False where it cannot be used now."""
    server = db.session.get(MailServer, server_id, populate_existing=True)
    if server is None:
        return False
    left = list(mail_ids)
    try:
        with open_folder(server, timeout=TIMEOUT_SECONDS, seconds=SECONDS) as box:
            while left:
                _keep_one(box, left[0])
                left.pop(0)
        again(partial(note_success, server_id, box.name))
        again(partial(_tell_that_it_works, server_id))
    except UserError as error:
        _failed(server_id, left, Failure(FailureKind.AUTH_FAILED, True, detail=str(error)))
        return False
    except MailboxError as error:
        _failed(server_id, left, error.failure)
        return False
    return True


def _keep_one(box: SentMailbox, mail_id: int) -> None:
    """Put one copy into a folder, and write down what became of it.

    Raises:
        MailboxError: The mailbox as a whole cannot be used any more.
    """
    query = (
        select(OutgoingMail)
        .where(OutgoingMail.id == mail_id)
        .options(selectinload(OutgoingMail.recipients), selectinload(OutgoingMail.attachments))
    )
    mail = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if mail is None or mail.contents_erased_at is not None:
        # What was erased meanwhile is not written down elsewhere.
        again(partial(_forget, mail_id))
        return
    message_id, moment = mail.message_id, mail.submitted_at
    try:
        message = build_message(mail, for_sender=True)
    except StoreAwayError as error:
        end_reading()
        again(partial(_refused, mail_id, Failure(FailureKind.STORE_AWAY, True, detail=str(error))))
        return
    except (FileMissingError, ValueError, LookupError, TypeError) as error:
        end_reading()
        logger.warning("The copy of mail %s cannot be built (%s).", mail_id, kind_of(error))
        words = f"The message could not be built ({kind_of(error)})."
        again(
            partial(
                _refused, mail_id, Failure(FailureKind.INTERNAL_ERROR, False, detail=words), for_good=True
            )
        )
        return
    end_reading()
    try:
        box.put(message, message_id, moment)
    except MailboxError as error:
        if not error.of_message:
            raise
        again(partial(_refused, mail_id, error.failure))
        return
    again(partial(_kept, mail_id, box.name))


# -- what is written down --------------------------------------------------------------------------------


def _write(mail_id: int, **values: object) -> None:
    with transaction() as session:
        session.execute(update(SENT_COPIES).where(SENT_COPIES.c.mail_id == mail_id).values(**values))


def _kept(mail_id: int, folder: str) -> None:
    _write(
        mail_id,
        next_try_at=None,
        kept_at=clock.now(),
        folder=folder[:250],
        failure_kind=None,
        failure_words="",
        failure_advice="",
    )


def _refused(mail_id: int, failure: Failure, *, for_good: bool = False) -> None:
    """Remember that the mailbox does not take this very mail."""
    with transaction() as session:
        row = session.get(SentCopy, mail_id, populate_existing=True, with_for_update=True)
        if row is None:
            return
        row.tries += 1
        now = clock.now()
        over = for_good or row.tries >= MOST_TRIES or row.wanted_at < now - GIVE_UP
        row.next_try_at = None if over else now + DELAYS[min(row.tries, len(DELAYS)) - 1]
        _say_why(row, failure)


def _say_why(row: SentCopy, failure: Failure) -> None:
    row.failure_kind, row.failure_words = failure.kind, failure.diagnostic[:500]
    row.failure_advice = failure.advice or ""


def _failed(server_id: int, mail_ids: Sequence[int], failure: Failure) -> None:
    """Put off what was taken up and not kept; tell whoever looks after the server when it goes on."""
    times = again(partial(note_failure, server_id, failure))
    again(partial(_put_off, server_id, mail_ids, failure, tell=times >= TELL_AFTER))
    logger.warning("The Sent folder of mail server %s cannot be used: %s.", server_id, failure.kind)


def _put_off(server_id: int, mail_ids: Sequence[int], failure: Failure, *, tell: bool) -> None:
    with transaction() as session:
        now = clock.now()
        folder = session.get(SentFolder, server_id, populate_existing=True, with_for_update=True)
        until = folder.next_look_at if folder is not None else None
        rows = session.scalars(
            select(SentCopy)
            .where(SentCopy.mail_id.in_(mail_ids))
            .order_by(SentCopy.mail_id)
            .with_for_update()
        )
        for row in rows:
            row.next_try_at = None if row.wanted_at < now - GIVE_UP else until or now
            _say_why(row, failure)
        if folder is not None and tell and folder.told_at is None:
            folder.told_at = now
            words = failure.diagnostic
            write_server_alerts(session, server_id, failure.kind, words, sent_folder=True)


def _tell_that_it_works(server_id: int) -> None:
    with transaction() as session:
        settle_server_alerts(session, server_id, sent_folder=True)


def _forget(mail_id: int) -> None:
    with transaction() as session:
        session.execute(delete(SENT_COPIES).where(SENT_COPIES.c.mail_id == mail_id))


def _forget_unwanted() -> None:
    """Forget the copies that wait for a server which keeps none any more, or is gone."""
    lost = SENT_COPIES.c.next_try_at.is_not(None) & SENT_COPIES.c.server_id.not_in(
        select(SentFolder.server_id)
    )
    found = db.session.scalar(select(SENT_COPIES.c.mail_id).where(lost).limit(1))
    end_reading()
    if found is not None:
        with transaction() as session:
            session.execute(delete(SENT_COPIES).where(lost))


# -- what pages show -------------------------------------------------------------------------------------


def copy_of(mail: OutgoingMail) -> SentCopy | None:
    """Return the copy of a mail: kept, wanted or given up; None where none was wanted."""
    return db.session.get(SentCopy, mail.id, populate_existing=True)


def want_again(mail: OutgoingMail) -> None:
    """Let the copy of a mail be tried again, now.

    Raises:
        UserError: It is not wanted any more, or is there.
    """
    with transaction() as session:
        row = session.get(SentCopy, mail.id, populate_existing=True, with_for_update=True)
        folder = session.get(SentFolder, row.server_id, with_for_update=True) if row is not None else None
        if row is None or folder is None or row.kept_at is not None:
            raise UserError(
                _l("There is no copy to be put anywhere: it is there already, or none is kept any more.")
            )
        row.wanted_at = row.next_try_at = clock.now()
        row.tries = 0
        folder.next_look_at = None
        enqueue_after_commit("outbox.keep_copies")
