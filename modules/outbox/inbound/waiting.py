"""Waiting at the mailboxes (IMAP IDLE, RFC 2177), so that what comes is read at once and not within a minute.

Done beside the scheduler, with a thread for each mailbox: a worker that waited would send nothing meanwhile. It
reads nothing itself, it only has the job come sooner. Without it, with a server that does not tell, or while that is
away, the job comes each minute as ever.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from core.db import db, end_reading, transaction
from core.errors import UserError
from core.installation import service as installation
from core.jobs import enqueue
from modules.mail_config.transports.base import ServerAccess
from modules.mail_config.transports.imap import ImapMailbox
from modules.mail_config.transports.imap_session import MailboxError
from modules.outbox.inbound.mailboxes import access_of
from modules.outbox.models import Mailbox

logger = logging.getLogger(__name__)

MOST = 50
"""Mailboxes that are waited at; the others are read each minute."""
WAIT_SECONDS = 9 * 60.0  # of one IDLE: routers forget a silent connection after ten minutes or more
CONNECTION_SECONDS = 55 * 60.0  # of one connection; it is made anew, so that nothing hangs for ever
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0  # seconds before the next try, doubled after each that has failed
LOOK_SECONDS = 30.0  # how often it is looked which mailboxes there are
SETTLE_SECONDS = 1.0  # for what comes together to be read together


@dataclass(frozen=True, slots=True)
class _Place:
    """A mailbox as it is set up; where anything of it changes, it is waited at anew."""

    mailbox_id: int
    access: ServerAccess
    folder: str


@dataclass(slots=True)
class _Waiter:
    thread: threading.Thread
    ended: threading.Event = field(default_factory=threading.Event)


def wait_at_mailboxes(app: Flask, stopped: threading.Event) -> None:
    """Wait at every active mailbox until told to stop, and have it read when something comes."""
    waiters: dict[_Place, _Waiter] = {}
    try:
        while not stopped.is_set():
            _look(app, waiters)
            stopped.wait(LOOK_SECONDS)
    finally:
        # Also after a fault: whoever is called again waits at each of them anew.
        for waiter in waiters.values():
            waiter.ended.set()


def _look(app: Flask, waiters: dict[_Place, _Waiter]) -> None:
    """Let somebody wait at each mailbox that there is, and nobody at others."""
    try:
        with app.app_context():
            places = _places()
    except DBAPIError as error:
        # The database is away: whoever waits goes on.
        logger.warning("The mailboxes could not be looked up (%s).", type(error).__name__)
        places = list(waiters)
    for place in [one for one in waiters if one not in places or not waiters[one].thread.is_alive()]:
        waiters.pop(place).ended.set()
    for place in places:
        if place not in waiters:
            ended = threading.Event()
            thread = threading.Thread(target=_wait_at, args=(app, place, ended), daemon=True)
            waiters[place] = _Waiter(thread, ended)
            thread.start()


def _places() -> list[_Place]:
    found: list[_Place] = []
    if installation.keeps_to_itself():
        return found
    for mailbox in db.session.scalars(select(Mailbox).where(Mailbox.active).order_by(Mailbox.id).limit(MOST)):
        try:
            access = access_of(mailbox)
        except UserError:  # its page tells: the job has found the same
            continue
        found.append(_Place(mailbox.id, access, mailbox.folder))
    end_reading()
    return found


def _wait_at(app: Flask, place: _Place, ended: threading.Event) -> None:
    def come() -> None:
        with app.app_context():
            read_soon(place.mailbox_id)

    def token(refused: str) -> str:
        with app.app_context():
            return cast("Callable[[str], str]", place.access.token)(refused)

    access = replace(place.access, token=token) if place.access.token is not None else place.access
    watch(access, place.folder, come, ended)


def watch(access: ServerAccess, folder: str, come: Callable[[], None], ended: threading.Event) -> None:
    """Wait at a folder until told to end; after a failure again, each time later.

    Args:
        access: How the mailbox is reached.
        folder: Its folder.
        come: Called when something has come, and after each connection: it may have come before.
        ended: Ends the waiting.
    """
    pause = FIRST_PAUSE
    while not ended.is_set():
        try:
            with ImapMailbox(access, folder, seconds=CONNECTION_SECONDS + WAIT_SECONDS) as box:
                if not box.tells:
                    # It may be another server tomorrow, behind the same name.
                    ended.wait(CONNECTION_SECONDS)
                    continue
                come()
                until = time.monotonic() + CONNECTION_SECONDS
                while time.monotonic() < until and not ended.is_set():
                    if box.wait(WAIT_SECONDS, ended.is_set):
                        ended.wait(SETTLE_SECONDS)
                        come()
                    pause = FIRST_PAUSE  # only now it has kept to what it offers
        except MailboxError as error:
            logger.info("Not waiting at a mailbox for %.0f s: %s.", pause, error.failure.kind)
            ended.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def read_soon(mailbox_id: int) -> None:
    """Have a mailbox read by the next free worker; while database or queue are away, within a minute as ever."""
    try:
        with transaction() as session:
            session.execute(update(Mailbox).where(Mailbox.id == mailbox_id).values(tried_at=None))
        enqueue("outbox.inbound", front=True)
    except DBAPIError as error:
        logger.warning("Mailbox %s is read with the next job (%s).", mailbox_id, type(error).__name__)
