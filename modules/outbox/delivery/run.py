"""The delivery of the mails of one claim, by as many lanes as their servers take connections."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import cast

from flask import Flask, current_app
from sqlalchemy.exc import OperationalError

from core import jobs
from core.db import db
from core.db.group_commit import GroupCommit
from core.jobs import JobTimeoutError
from core.mail.outcomes import Failure, FailureKind
from modules.mail_config.servers import connection_limit
from modules.outbox.delivery import claims
from modules.outbox.delivery.connections import pool
from modules.outbox.delivery.errors import NoConnectionError
from modules.outbox.delivery.lane import Lane, Shared
from modules.outbox.erasure import erase_private
from modules.outbox.models import OutgoingMail

logger = logging.getLogger(__name__)

MOST_LANES = 20
"""In one process; more would wait for the processor and not for servers."""

MAILS_A_LANE = 2
"""A connection is opened for no fewer mails: opening it costs as much as sending some."""

IDLE_SECONDS = 0.5
"""When a lane has had nothing to do for so long while others have, one of them hangs: it takes more of what waits."""

REFILL = 50
"""How many mails it takes then."""

LONGEST_SECONDS = 300.0
"""A run takes no more mails after this: others on the queue have waited longer."""

PARK_SECONDS = 0.2
"""How soon a mail asks again whether a connection is free."""

LONGEST_PARK_SECONDS = 5.0
"""How long a run waits for a connection while it has nothing else to do; then others may have its mails."""

STOP_SECONDS = 10.0
"""How long the other lanes are waited for when a job is ended from outside; what they hold stays theirs."""


class DeliveryRun:
    """Mails of one claim and the lanes that deliver them.

    The first lane is the thread of the job. Others are added once a server has taken a mail, so that a server that is
    down is asked once, and a job of one mail costs no thread.
    """

    def __init__(self, token: str, mails: Sequence[OutgoingMail]) -> None:
        self.shared = Shared(token, claims.retry_policy(), GroupCommit(db.engine, (JobTimeoutError,)))
        self.mails = list(mails)
        self.faults: list[Exception] = []
        self._app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
        self._work: deque[OutgoingMail] = deque(mails)
        self._parked: list[tuple[float, OutgoingMail, int]] = []
        """Mails for whose server no connection was free: when to ask again, the mail, the server."""
        self._lock = threading.Lock()
        """Held while work is handed out."""
        self._changed = threading.Condition(self._lock)
        """Told of work that has come back, and of the end."""
        self._busy = self._idle = 0
        self._stopped = self._refilling = False
        self._began = self._last_done = time.monotonic()
        self._threads: list[threading.Thread] = []
        # It says who acts.
        self._context = contextvars.copy_context()

    def deliver(self) -> None:
        """Deliver all; what is left undone, because a connection or time was lacking, is given back by the caller."""
        lane = Lane(self.shared)
        try:
            self._work_on(lane)
            # Others may have mails on their way, or be joined by one more meanwhile.
            while alive := [thread for thread in self._threads if thread.is_alive()]:
                alive[0].join()
        finally:
            self._stop()
            for thread in self._threads:
                thread.join(STOP_SECONDS)
            self.shared.writer.close()

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._changed.notify_all()

    # -- the lanes -----------------------------------------------------------------------------------

    def _work_on(self, lane: Lane) -> None:
        try:
            while (mail := self._next(lane)) is not None:
                try:
                    goes_on = self._deliver_one(lane, mail)
                finally:
                    with self._lock:
                        self._busy -= 1
                        self._changed.notify_all()
                if not goes_on:
                    return
                self._grow()
        finally:
            # Also when the job is ended from outside: what is known is written.
            try:
                lane.flush()
            finally:
                lane.put_back_connection()

    def _deliver_one(self, lane: Lane, mail: OutgoingMail) -> bool:
        """Deliver one mail; return False when its server takes no more connections than there are."""
        try:
            lane.deliver(mail)
        except NoConnectionError as error:
            self._park(mail, error.server_id)
            return not error.refused
        except JobTimeoutError:
            if lane.in_flight != mail.id and any(not file.sha256 for file in mail.attachments):
                # Its PDF takes for ever: counted, or each run would begin with it and never end.
                lane.fail(mail, Failure(FailureKind.RENDER_FAILED, True, detail="The PDF took too long."))
            raise
        except OperationalError:
            raise  # not this mail's doing: the next would fare no better
        except Exception as error:
            # A fault of ours or of a module. It must not keep the mails after it from leaving.
            logger.exception("Mail %s broke its delivery.", mail.id)
            db.session.rollback()
            lane.give_up(mail, error)
            self.faults.append(error)
        self._last_done = time.monotonic()
        return True

    def _grow(self) -> None:
        """Add lanes, as many as the servers that take mails bear, and as there are mails for."""
        if not self._work or len(self._threads) + 1 >= MOST_LANES:
            return
        share = sum(connection_limit.share_of(limit) for limit in list(self.shared.at_work.values()))
        with self._lock:
            wanted = min(share, MOST_LANES, 1 + len(self._work) // MAILS_A_LANE)
            missing = wanted - 1 - len(self._threads)
            for _ in range(missing):
                self._add_lane()

    def look(self) -> None:
        """Add a lane where all that there are wait for a server, so that mails of others leave; asked now and then."""
        with self._lock:
            stuck = time.monotonic() - self._last_done > IDLE_SECONDS and not self._idle
            if not stuck or self._stopped or not self._busy or len(self._threads) >= MOST_LANES:
                return
            self._add_lane()

    def _add_lane(self) -> None:
        run = partial(self._context.copy().run, self._in_thread)
        thread = threading.Thread(target=run, name=f"lane-{len(self._threads) + 2}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _in_thread(self) -> None:
        with self._app.app_context():
            try:
                self._work_on(Lane(self.shared, renders=False))
            except Exception as error:
                logger.exception("A lane has ended.")
                self.faults.append(error)
                self._stop()

    # -- the work ------------------------------------------------------------------------------------

    def _next(self, lane: Lane) -> OutgoingMail | None:
        """Return the next mail for a lane, waiting for one that may come back; None when there is nothing more."""
        while True:
            with self._lock:
                mail = self._fitting(lane)
                if mail is not None:
                    self._busy += 1
                    return mail
                if self._stopped or self._is_over():
                    self._changed.notify_all()
                    return None
            # What a server has answered is not kept back while a lane waits.
            lane.flush()
            if self._wait(lane):
                try:
                    self._refill()
                finally:
                    with self._lock:
                        self._refilling = False

    def _wait(self, lane: Lane) -> bool:
        """Wait for work, or for the end; return True when this lane should look for more, because another one hangs."""
        with self._lock:
            if self._stopped or self._first_of(lane) is not None:
                return False
            self._idle += 1
            try:
                told = self._changed.wait(PARK_SECONDS if self._parked else IDLE_SECONDS)
            finally:
                self._idle -= 1
            hangs = (self._busy or self._parked) and time.monotonic() - self._last_done >= IDLE_SECONDS
            if told or not hangs or self._refilling:
                return False
            # One looks for all.
            self._refilling = True
            return True

    def _fitting(self, lane: Lane) -> OutgoingMail | None:
        if self._stopped:
            return None
        now, mine = time.monotonic(), lane.loan.server_id if lane.loan is not None else None
        for place, (ready_at, parked, server_id) in enumerate(self._parked):
            if server_id == mine or (ready_at <= now and not self._work):
                del self._parked[place]
                return parked
        mail = self._first_of(lane)
        if mail is not None:
            self._work.remove(mail)
        return mail

    def _first_of(self, lane: Lane) -> OutgoingMail | None:
        """Return the next of the mails nobody has taken yet that this lane may take."""
        # PDFs are made by one lane; it takes those mails first, so that nobody waits for it at the end.
        unmade = next((mail for mail in self._work if _needs_pdf(mail)), None)
        if lane.renders and unmade is not None:
            return unmade
        return next((mail for mail in self._work if not _needs_pdf(mail)), None)

    def _is_over(self) -> bool:
        if self._work or self._busy or self._refilling:
            return False
        return not self._parked or time.monotonic() - self._last_done > LONGEST_PARK_SECONDS

    def _park(self, mail: OutgoingMail, server_id: int) -> None:
        with self._lock:
            # One asks for all that wait for the same server.
            again = time.monotonic() + PARK_SECONDS
            self._parked = [
                (again if other == server_id else at, one, other) for at, one, other in self._parked
            ]
            self._parked.append((again, mail, server_id))

    def _refill(self) -> None:
        """Take more mails of those that wait, while another lane hangs."""
        if time.monotonic() - self._began > LONGEST_SECONDS or jobs.ending.is_set():
            return
        ids = claims.patiently(partial(claims.waiting_ids, REFILL))
        if not ids or claims.claim(ids, token=self.shared.token) is None:
            return
        more = claims.claimed(self.shared.token, ids)
        with self._lock:
            self.mails += more
            self._work.extend(more)
            self._changed.notify_all()


def _needs_pdf(mail: OutgoingMail) -> bool:
    return any(file.generated and not file.sha256 for file in mail.attachments)


def deliver(mail_ids: Sequence[int]) -> int:
    """Claim mails and deliver them; return how many were claimed.

    Mails that are not queued, not due, or held by another worker are left alone.
    """
    token = claims.claim(mail_ids)
    if token is None:
        return 0
    run = DeliveryRun(token, claims.claimed(token, mail_ids))
    with claims.kept_alive(token, pool.keep_places, run.look):
        try:
            run.deliver()
        finally:
            try:
                claims.give_back(token)
            finally:
                pool.close_later()
    # Here and not in the sweep, so that an address is gone a moment after it was needed.
    private = [mail.id for mail in run.mails if mail.private or mail.encrypted_link is not None]
    if private:
        erase_private(private)
    # Raised at the end, so that the job counts as failed in RQ, where whoever looks after it sees the trace.
    if run.faults:
        raise run.faults[0]
    return len(run.mails)
