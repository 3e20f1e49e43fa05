"""The delivery of the mails of one claim, step by step.

What may be lost, and when: before `in_flight` is committed, nothing – another worker takes the mail. After
it and until the outcome is committed, the mail is in flight: whoever finds it there calls it uncertain.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.exc import OperationalError

from core import clock
from core.db import db, end_reading
from core.db.prepared import Batch, Count, Ledger
from core.errors import UserError
from core.files import StoreFullError
from core.jobs import JobTimeoutError
from core.logs import kind_of
from core.mail.outcomes import Failure, FailureKind
from modules.mail_config.models import MailServer
from modules.mail_config.servers import circuit_breaker, rate_limiter
from modules.mail_config.servers.return_path import return_path
from modules.mail_config.transports.base import Envelope, LostClaimError
from modules.mail_config.transports.smtp import SmtpConnection
from modules.outbox.delivery import claims, ledger
from modules.outbox.delivery.checked_message import checked_message
from modules.outbox.delivery.connections import connection_to
from modules.outbox.delivery.errors import MustWaitError, UndeliverableError
from modules.outbox.delivery.pdf import render_pdf
from modules.outbox.delivery.progress import failed, settled, to_be_served, waiting
from modules.outbox.delivery.route import DeliveryRoute, find_route
from modules.outbox.delivery.settlement import (
    LOOK_AGAIN,
    Settlement,
    with_jitter,
)
from modules.outbox.document_check import document_problems
from modules.outbox.erasure import erase_private
from modules.outbox.message import file_store
from modules.outbox.models import MailAttachment, OutgoingMail
from modules.outbox.private_addresses import address_of, scrubbed
from modules.outbox.return_tokens import make_token
from modules.outbox.states import RetryPolicy

logger = logging.getLogger(__name__)

AFTER_FAILURE = dt.timedelta(minutes=1)
"""How long a mail waits whose server has failed, while the server is not paused yet."""

WHILE_PAUSED = dt.timedelta(hours=12)
"""How long it waits while the server is paused, unless the end of the pause lets it go."""

OLD_SLOT = dt.timedelta(minutes=1)
"""A moment that was missed by more than this is lost; the mail gets the next free one."""

LONGEST_WAIT_SECONDS = 1.0
"""A worker waits itself for a moment that is so near."""


@dataclass(slots=True)
class _Unwritten:
    """A settlement that waits to share its commit with the next mail's flight."""

    mail: OutgoingMail
    settlement: Settlement
    server_name: str
    started_at: dt.datetime
    transcript: Sequence[str]


@dataclass(slots=True)
class DeliveryRun:
    """The delivery of one claim.

    Attributes:
        token: Names the claim.
        policy: When a mail is tried again.
        unwritten: What the last mail has become, while it waits for its commit.
        in_flight: The id of the mail that went out last.
        down: Servers that have failed in this run, and how.
        slowed: Servers that have asked in this run to be slowed down.
        routes: How mails leave, by sender.
    """

    token: str
    policy: RetryPolicy
    ledger: Ledger = field(default_factory=lambda: Ledger(db.engine))
    unwritten: _Unwritten | None = None
    in_flight: int | None = None
    down: dict[int, Failure] = field(default_factory=dict)
    slowed: set[int] = field(default_factory=set)
    routes: dict[tuple[int, int | None, str, str], DeliveryRoute] = field(default_factory=dict)

    def deliver(self, mail: OutgoingMail) -> None:
        """Try one mail, and settle it."""
        started = clock.now()
        route: DeliveryRoute | None = None
        transcript: Sequence[str] = ()
        try:
            # Everything that can fail without a server comes first, so that no connection is opened in vain.
            self._freeze_attachments(mail)
            route = self._route(mail)
            message = checked_message(mail, route.server.size_limit if route.server is not None else None)
            server = self._usable(route)
            self._wait_for_turn(mail, route, server)
            settlement, transcript = self._transmit(mail, route, server, message)
            mail.slot_at = mail.slot_server_id = None
        # Nothing is written: whoever holds the mail now writes what becomes of it.
        except LostClaimError:
            logger.warning("Mail %s was taken away; it was not sent by this worker.", mail.id)
            return
        except MustWaitError as error:
            settlement = waiting(mail, error.failure, error.until)
        except UndeliverableError as error:
            settlement = failed(mail, error.failure, self.policy)
        server_name = route.server.name if route is not None and route.server is not None else ""
        self.flush()  # the mail before this one, unless its outcome was committed with this one's flight
        self.unwritten = _Unwritten(mail, settlement, server_name, started, transcript)

    def give_up(self, mail: OutgoingMail, error: Exception) -> None:
        """Settle a mail that broke its delivery by a fault of ours or of a module.

        One that was in flight is left to its lease: nobody knows what became of it.
        """
        if self.in_flight == mail.id:
            return
        # For support; the person reads the explanation of the kind. What it says may quote what is not kept.
        words = kind_of(error)
        self.fail(mail, Failure(FailureKind.INTERNAL_ERROR, True, detail=words))

    def fail(self, mail: OutgoingMail, failure: Failure) -> None:
        """Settle a mail that no server was asked about, and write it down."""
        settlement = failed(mail, failure, self.policy)
        self.flush()
        self.unwritten = _Unwritten(mail, settlement, "", clock.now(), ())
        self.flush()

    def flush(self) -> None:
        """Write down what the last mail has become."""
        if self.unwritten is not None:
            claims.patiently(self._write_unwritten)

    def _write_unwritten(self) -> None:
        with self.ledger.transaction() as batch:
            mine = self._write(batch)
        self._forget_unwritten(mine)

    def _write(self, batch: Batch) -> Count | None:
        """Write the last settlement inside a transaction; until that is committed it must not be forgotten."""
        unwritten = self.unwritten
        if unwritten is None:
            return None
        return ledger.write_settlement(
            batch,
            unwritten.mail,
            self.token,
            unwritten.settlement,
            server_name=unwritten.server_name,
            started_at=unwritten.started_at,
            transcript=unwritten.transcript,
        )

    def _forget_unwritten(self, mine: Count | None) -> None:
        if self.unwritten is not None and not mine:
            logger.warning("Mail %s was decided by a person before its outcome came.", self.unwritten.mail.id)
        self.unwritten = None

    # -- the steps of one mail -----------------------------------------------------------------------

    def _freeze_attachments(self, mail: OutgoingMail) -> None:
        """Render the document's PDF, once, and make sure that the mail still says what its document says."""
        rendered: dict[int, bytes] = {}
        for attachment in mail.attachments:
            # Frozen at Send, or by an attempt before; whatever happens later, the mail keeps these bytes.
            if attachment.generated and not attachment.sha256:
                self.flush()  # the outcome of the mail before must not wait for this
                rendered[attachment.id] = render_pdf(mail)
        # Asked afterwards: what was rendered is of the revision that is found now, or of one before it.
        problem = claims.patiently(lambda: _document_problem(mail)) if mail.document_kind else None
        if problem is not None:
            raise UndeliverableError(problem)
        for attachment in mail.attachments:
            if attachment.id in rendered:
                self._freeze(attachment, rendered[attachment.id])

    def _freeze(self, attachment: MailAttachment, data: bytes) -> None:
        try:
            sha256 = file_store().put(data)
        except StoreFullError as error:
            raise UndeliverableError(Failure(FailureKind.RENDER_FAILED, True, detail=str(error))) from error
        attachment.sha256, attachment.size = sha256, len(data)
        claims.patiently(lambda: self._write_frozen(attachment))

    def _write_frozen(self, attachment: MailAttachment) -> None:
        with self.ledger.transaction() as batch:
            ledger.write_frozen(batch, attachment)

    def _route(self, mail: OutgoingMail) -> DeliveryRoute:
        """Return how a mail leaves; its From and Reply-To are fixed once there is a server to ask."""
        # Finding the server asks the database several times; a run of 1,000 mails has one sender mostly.
        key = (mail.company_id, mail.submitted_by_id, mail.sender_address, mail.reply_to_address)
        route = self.routes.get(key)
        if route is None:
            route = self.routes[key] = claims.patiently(lambda: find_route(mail))
        mail.server_id = route.server.id if route.server else None
        if route.problem is not None:
            wait = WHILE_PAUSED if route.paused else LOOK_AGAIN
            raise MustWaitError(route.problem, clock.now() + with_jitter(wait))
        # Fixed once: a resend weeks later must be the same message, whoever the company's address is by then.
        if not mail.sender_address:
            mail.sender_address, mail.sender_name = (
                route.header_from.addr_spec,
                route.header_from.display_name,
            )
            if route.reply_to is not None:
                mail.reply_to_address, mail.reply_to_name = (
                    route.reply_to.addr_spec,
                    route.reply_to.display_name,
                )
        return route

    def _usable(self, route: DeliveryRoute) -> MailServer:
        """Return the server of a route, unless it has failed in this run already."""
        server = route.server
        assert server is not None  # noqa: S101 (a route without one has a problem)
        if server.id in self.down:
            # Not tried again for each mail of the run: a server that hangs would hold the worker for an hour.
            raise MustWaitError(self.down[server.id], self._after_failure(server))
        return server

    def _after_failure(self, server: MailServer) -> dt.datetime:
        wait = WHILE_PAUSED if circuit_breaker.paused(server.id) else AFTER_FAILURE
        end_reading()
        return clock.now() + with_jitter(wait)

    def _wait_for_turn(self, mail: OutgoingMail, route: DeliveryRoute, server: MailServer) -> None:
        """Make sure that a mail leaves no sooner than the rate of its server allows."""
        if not route.limited and server.id not in self.slowed:
            return
        now = clock.now()
        closed = server.id in self.slowed or (route.closed_until is not None and now < route.closed_until)
        slot = mail.slot_at if mail.slot_server_id == server.id and not closed else None
        if slot is not None and slot < now - OLD_SLOT:
            slot = None  # or all that waited while nobody worked would leave in one moment
        if slot is None:
            self.flush()  # the outcome of the mail before must not wait for this
            slot = claims.patiently(lambda: rate_limiter.reserve(server.id))
            mail.slot_at, mail.slot_server_id = slot, server.id
        wait = (slot - now).total_seconds()
        if wait > LONGEST_WAIT_SECONDS:
            raise MustWaitError(Failure(FailureKind.PACED, True), slot)
        if wait > 0:
            self.flush()
            time.sleep(wait)

    def _transmit(
        self, mail: OutgoingMail, route: DeliveryRoute, server: MailServer, message: bytes
    ) -> tuple[Settlement, Sequence[str]]:
        """Speak with the server, and return what became of the mail, with the dialogue."""
        # Only those still to be served: somebody who has the mail must not get it twice.
        due = to_be_served(mail)
        try:
            connection = self._connection(server)
        except UserError as error:
            return self._server_failed(
                mail, server, Failure(FailureKind.AUTH_FAILED, True, detail=str(error))
            ), ()
        # Of several at once a bounce names its own recipient; one transaction of the dialogue has one sender.
        token = make_token(mail.id, due[0].id if len(due) == 1 else 0)
        envelope = Envelope(
            return_path(server, mail.sender_address, token),
            tuple(address_of(recipient).addr_spec for recipient in due),
            delivery_receipt=mail.delivery_receipt,
            envelope_id=mail.message_id.strip("<>"),
        )

        # Called between the answer to DATA and the text: until then a crash costs nothing, from then on somebody
        # may have it.
        def before_body() -> None:
            if not claims.patiently(lambda: self._set_in_flight(mail)):
                raise LostClaimError("The claim has ended.")

        submission = connection.submit(message, envelope, before_body)
        # Before anything is written or logged: the address of a walk-in must not reach the database.
        submission = scrubbed(submission, envelope.recipients if mail.private else ())
        transcript = list(submission.transcript)
        failure = submission.failure
        if failure is not None:
            if submission.server_failed and not failure.slows_server:
                return self._server_failed(mail, server, failure), transcript
            self._slow_down(server, failure)
            if failure.kind is FailureKind.TIMEOUT:
                # Perhaps this mail's doing, so it counts an attempt; the others of the run do not wait as long.
                self.down[server.id] = failure
            return failed(mail, replace(failure, temporary=True), self.policy), transcript
        if route.blemished:
            claims.patiently(lambda: circuit_breaker.note_success(server.id))
            route.blemished = False
        for outcome in submission.outcomes:
            if outcome.failure is not None:
                self._slow_down(server, outcome.failure)
        return settled(mail, due, submission, self.policy), transcript

    def _server_failed(self, mail: OutgoingMail, server: MailServer, failure: Failure) -> Settlement:
        """Count a failure against the server; the mail waits for it, whatever the code was."""
        failure = replace(failure, temporary=True)
        self.flush()
        self.down[server.id] = failure
        claims.patiently(lambda: circuit_breaker.note_failure(server.id, failure))
        return waiting(mail, failure, self._after_failure(server), asked=True)

    def _slow_down(self, server: MailServer, failure: Failure) -> None:
        if failure.slows_server and server.id not in self.slowed:
            self.slowed.add(server.id)
            claims.patiently(lambda: rate_limiter.note_throttle(server.id, failure))

    def _set_in_flight(self, mail: OutgoingMail) -> bool:
        """Commit that a mail is in flight, together with the outcome of the mail before it."""
        with self.ledger.transaction() as batch:
            settled = self._write(batch)
            mine = ledger.set_in_flight(batch, mail, self.token)
        self._forget_unwritten(settled)
        self.in_flight = mail.id if mine else None
        return bool(mine)

    def _connection(self, server: MailServer) -> SmtpConnection:
        """Return the kept connection to a server, or a new one that is not open yet."""
        connection = connection_to(server)
        if not connection.is_open:
            # Connecting may take long: the outcome of the mail before must not wait for it.
            self.flush()
        return connection


def _document_problem(mail: OutgoingMail) -> Failure | None:
    try:
        return document_problems([mail]).get(mail.id)
    finally:
        end_reading()


def deliver(mail_ids: Sequence[int]) -> int:
    """Claim mails and deliver them; return how many were claimed.

    Mails that are not queued, not due, or held by another worker are left alone.
    """
    token = claims.claim(mail_ids)
    if token is None:
        return 0
    run = DeliveryRun(token, claims.retry_policy())
    mails = claims.claimed(token)
    faults: list[Exception] = []
    with claims.kept_alive(token):
        try:
            for mail in mails:
                try:
                    run.deliver(mail)
                except JobTimeoutError:
                    if run.in_flight != mail.id and any(not file.sha256 for file in mail.attachments):
                        # Its PDF takes for ever: counted, or each run would begin with it and never end.
                        run.fail(
                            mail, Failure(FailureKind.RENDER_FAILED, True, detail="The PDF took too long.")
                        )
                    raise
                except OperationalError:
                    raise  # not this mail's doing: the next would fare no better
                except Exception as error:
                    # A fault of ours or of a module. It must not keep the mails after it from leaving.
                    logger.exception("Mail %s broke its delivery.", mail.id)
                    db.session.rollback()
                    run.give_up(mail, error)
                    faults.append(error)
        finally:
            # Also when the job is ended from outside: what is known is written, the rest given back.
            run.flush()
            run.ledger.close()
            claims.give_back(token)
    # Here and not in the sweep, so that an address is gone a moment after it was needed.
    private = [mail.id for mail in mails if mail.private or mail.encrypted_link is not None]
    if private:
        erase_private(private)
    # Raised at the end, so that the job counts as failed in RQ, where whoever looks after it sees the trace.
    if faults:
        raise faults[0]
    return len(mails)
