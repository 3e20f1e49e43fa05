"""The delivery of the mails of a claim, by as many lanes as their servers take connections."""

from __future__ import annotations

import contextvars
import datetime as dt
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import cast

from flask import Flask, current_app
from sqlalchemy.exc import OperationalError

from core import clock, jobs, logs
from core.db import db
from core.db.group_commit import GroupCommit
from core.jobs import JobTimeoutError
from core.mail.outcomes import Failure, FailureKind
from modules.mail_config.servers import connection_limit
from modules.outbox.delivery import claims
from modules.outbox.delivery.connections import pool
from modules.outbox.delivery.errors import NoConnectionError
from modules.outbox.delivery.lane import Lane
from modules.outbox.delivery.shared import Shared
from modules.outbox.erasure import erase_private
from modules.outbox.models import OutgoingMail

logger = logging.getLogger(__name__)

MOST_LANES = 20
"""In one process; more would wait for the processor and not for servers."""

FEW_LANES = 4
"""So many at least share a commit, however quick the server is."""

WORK_SECONDS = 0.0025
"""What a mail costs a lane beside waiting. With one lane more for each of these in a dialogue, one is always at work;
with still more they would only wait for each other."""

MAILS_A_LANE = 2
"""A connection is opened for no fewer mails: opening it costs as much as sending some."""

IDLE_SECONDS = 0.5
"""When a lane has had nothing to do for so long while others have, one of them hangs: it takes more of what waits."""

REFILL = 50
"""How many mails it takes then, and how many a job of fewer takes along that wait."""

LONGEST_SECONDS = 300.0
"""A run takes no more mails after this: others on the queue have waited longer."""

FULL_SECONDS = 0.2
"""How soon it is asked again whether a connection is free."""

LONGEST_WAIT_SECONDS = 5.0
"""How long a run waits for a connection while it has nothing else to do; then others may have its mails."""

STOP_SECONDS = 10.0
"""How long the other lanes are waited for when a job is ended from outside; what they hold stays theirs."""

ASK_AGAIN = dt.timedelta(seconds=5)
"""When mails that a run gives back are asked for again."""


class DeliveryRun:
    """The mails of a claim, and the lanes that deliver them.

    The first lane is the thread of the job. Others are added once a server has taken a mail, so that a server that is
    down is asked once, and a job of one mail costs no thread. PDFs are made by the first lane alone: a time limit ends
    nothing but the job's own thread, and one that takes for ever must not hold a lane for ever.

    Attributes:
        mails: All that were claimed.
        tokens: Of the claims: one, and one more each time that mails are added.
        faults: What has broken a delivery that is a fault of ours or of a module.
    """

    def __init__(self, token: str) -> None:
        self.shared = Shared(claims.retry_policy(), GroupCommit(db.engine, (JobTimeoutError,)))
        self.mails: list[OutgoingMail] = []
        self.tokens: list[str] = []
        self.faults: list[Exception] = []
        self._app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
        self._ready: deque[OutgoingMail] = deque()
        """Mails that nobody has, or that were put back."""
        self._unmade: deque[OutgoingMail] = deque()
        """The same, of those whose PDF is to be made."""
        self._full: dict[int, float] = {}
        """Servers that no other connection was free to, and when the next lane asks for one."""
        self._lock = threading.Lock()
        """Held while work is handed out."""
        self._changed = threading.Condition(self._lock)
        """Told of work that has come back, and of the end."""
        self._busy = self._idle = 0
        self._stopped = self._refilling = self._took_others = False
        self._began = self._last_done = time.monotonic()
        self._threads: list[threading.Thread] = []
        # It says who acts.
        self._context = contextvars.copy_context()
        self._add(token)

    def deliver(self) -> None:
        """Deliver all; what is left undone, because a connection or time was lacking, is given back by the caller."""
        try:
            self._work_on(Lane(self.shared), makes_pdfs=True)
            # Others may have mails on their way, or be joined by one more meanwhile.
            while alive := [thread for thread in self._threads if thread.is_alive()]:
                alive[0].join()
        finally:
            self._stop()
            give_up = time.monotonic() + STOP_SECONDS
            for thread in self._threads:
                thread.join(max(0.0, give_up - time.monotonic()))
            self.shared.writer.close()

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._changed.notify_all()

    # -- the lanes -----------------------------------------------------------------------------------

    def _work_on(self, lane: Lane, *, makes_pdfs: bool = False) -> None:
        try:
            while (mail := self._next(lane, makes_pdfs=makes_pdfs)) is not None:
                try:
                    self._deliver_one(lane, mail)
                finally:
                    with self._lock:
                        self._busy -= 1
                        self._changed.notify_all()
                self._grow()
        finally:
            # Also when the job is ended from outside: what is known is written.
            try:
                lane.flush()
            finally:
                lane.put_back_connection()

    def _deliver_one(self, lane: Lane, mail: OutgoingMail) -> None:
        try:
            if self._threads and _needs_pdf(mail):
                # The next PDF need not wait until this mail has gone: others deliver it, and use the connection.
                lane.put_back_connection()
                if lane.make_pdf(mail):
                    self._ready.append(mail)
            else:
                with logs.about(mail=mail.id):
                    lane.deliver(mail)
        except NoConnectionError as error:
            self._full[error.server_id] = time.monotonic() + FULL_SECONDS
            self._ready.appendleft(mail)
            return
        except JobTimeoutError:
            if lane.in_flight != mail.id and _needs_pdf(mail):
                # It takes for ever: counted, or each run would begin with it and never end.
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

    def _grow(self) -> None:
        """Add lanes, as many as the servers that take mails bear, and as there are mails for."""
        waiting = len(self._ready) + len(self._unmade)
        if not waiting or len(self._threads) + 1 >= MOST_LANES:
            return
        shared = self.shared
        share = sum(
            min(connection_limit.share_of(shared.offered[server_id]), FEW_LANES + int(seconds / WORK_SECONDS))
            for server_id, seconds in list(shared.quickest.items())
        )
        with self._lock:
            wanted = min(share, MOST_LANES, 1 + waiting // MAILS_A_LANE)
            for _ in range(wanted - 1 - len(self._threads)):
                self._add_lane()

    def look(self) -> None:
        """Add a lane where all that there are wait for a server, so that mails of others leave; asked now and then."""
        with self._lock:
            stuck = self._busy and not self._idle and self._hangs()
            if stuck and not self._is_ending() and len(self._threads) + 1 < MOST_LANES:
                self._add_lane()

    def _add_lane(self) -> None:
        run = partial(self._context.copy().run, self._in_thread)
        thread = threading.Thread(target=run, name=f"lane-{len(self._threads) + 2}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _in_thread(self) -> None:
        with self._app.app_context():
            try:
                self._work_on(Lane(self.shared))
            except Exception as error:
                logger.exception("A lane has ended.")
                self.faults.append(error)
                self._stop()

    # -- the work ------------------------------------------------------------------------------------

    def _next(self, lane: Lane, *, makes_pdfs: bool) -> OutgoingMail | None:
        """Return the next mail for a lane, waiting for one that may come back; None when there is nothing more."""
        while True:
            refill = False
            with self._lock:
                mail = self._take(lane, makes_pdfs=makes_pdfs)
                if mail is not None:
                    self._busy += 1
                    return mail
                if self._is_over():
                    if not self._may_take_others():
                        self._changed.notify_all()
                        return None
                    self._took_others = self._refilling = refill = True
                elif lane.unwritten is None:
                    refill = self._wait()
            # What a server has answered is not kept back while a lane waits.
            lane.flush()
            if refill:
                try:
                    self._refill()
                finally:
                    with self._lock:
                        self._refilling = False

    def _take(self, lane: Lane, *, makes_pdfs: bool) -> OutgoingMail | None:
        if self._is_ending():
            return None
        # PDFs first, so that nobody waits for them at the end.
        for mails in (self._unmade, self._ready) if makes_pdfs else (self._ready,):
            mail = next((mail for mail in mails if self._may_try(lane, mail)), None)
            if mail is not None:
                mails.remove(mail)
                return mail
        return None

    def _may_try(self, lane: Lane, mail: OutgoingMail) -> bool:
        """Tell whether a connection may be free for a mail; where none was, one lane asks for all, now and then."""
        server_id = self.shared.known_server(mail) if self._full else None
        if server_id not in self._full or (lane.loan is not None and lane.loan.server_id == server_id):
            return True
        now = time.monotonic()
        if now < self._full[server_id]:
            return False
        self._full[server_id] = now + FULL_SECONDS
        return True

    def _wait(self) -> bool:
        """Wait for work, or for the end; return True when this lane should look for more, because another one hangs."""
        self._idle += 1
        try:
            told = self._changed.wait(FULL_SECONDS if self._full else IDLE_SECONDS)
        finally:
            self._idle -= 1
        # One looks for all.
        if told or self._refilling or not self._hangs() or self._is_over():
            return False
        self._refilling = True
        return True

    def _hangs(self) -> bool:
        return time.monotonic() - self._last_done > IDLE_SECONDS

    def _is_ending(self) -> bool:
        return self._stopped or jobs.ending.is_set()

    def _is_over(self) -> bool:
        if self._is_ending():
            return True
        if self._busy or self._refilling:
            return False
        # What is left waits for connections that others have.
        left = self._ready or self._unmade
        return not left or time.monotonic() - self._last_done > LONGEST_WAIT_SECONDS

    def _may_take_others(self) -> bool:
        """Tell whether a short job, when all is done, may take mails of jobs that wait, once.

        Persons who send one mail each make a job each; one after the other, each mail would wait for all answers that
        a server across a network gives to those before it.
        """
        if self._took_others or len(self.mails) >= REFILL or not self.shared.at_work or self._is_ending():
            return False
        return bool(jobs.queue_length())

    def _refill(self) -> None:
        """Take more mails of those that wait."""
        if time.monotonic() - self._began > LONGEST_SECONDS:
            return
        ids = claims.patiently(partial(claims.waiting_ids, REFILL))
        # A claim of its own: a lane may still have one of these mails by a claim that it has lost.
        token = claims.claim(ids) if ids else None
        if token is not None:
            self.shared.forget_routes()
            self._add(token)

    def _add(self, token: str) -> None:
        self.tokens.append(token)
        more = claims.claimed(token)
        self.shared.files.expect(more)
        with self._lock:
            self.mails += more
            for mail in more:
                (self._unmade if _needs_pdf(mail) else self._ready).append(mail)
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
    run = DeliveryRun(token)
    with claims.kept_alive(run.tokens, run.look, pool.keep_places):
        try:
            run.deliver()
        finally:
            try:
                _ask_again(claims.give_back(run.tokens))
            finally:
                pool.tend_idle_later()
    # Here and not in the sweep, so that an address is gone a moment after it was needed.
    private = [mail.id for mail in run.mails if mail.private or mail.encrypted_link is not None]
    if private:
        erase_private(private)
    if run.shared.wants_copies:
        # Whatever becomes of it, the same job comes by itself.
        jobs.enqueue("outbox.keep_copies")
    # Raised at the end, so that the job counts as failed in RQ, where whoever looks after it sees the trace.
    if run.faults:
        raise run.faults[0]
    return len(run.mails)


def _ask_again(mail_ids: Sequence[int]) -> None:
    """Put mails that were given back on the queue, though not at once: what kept them may still be there."""
    if mail_ids:
        jobs.enqueue("outbox.deliver_mails", list(mail_ids), at=clock.now() + ASK_AGAIN)
