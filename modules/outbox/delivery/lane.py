"""The delivery of mails one after the other, step by step, by one connection at a time.

What may be lost, and when: before `in_flight` is committed, nothing – another worker takes the mail. After
it and until the outcome is committed, the mail is in flight: whoever finds it there calls it uncertain.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core import clock
from core.db import end_reading
from core.db.group_commit import Part
from core.db.prepared import Batch, Count
from core.files import StoreAwayError, StoreFullError
from core.logs import kind_of
from core.mail.outcomes import Failure, FailureKind, RecipientState
from modules.mail_config.models import MailServer
from modules.mail_config.servers import circuit_breaker, connection_limit, rate_limiter
from modules.mail_config.servers.access import UnusableServerError
from modules.mail_config.servers.return_path import return_path
from modules.mail_config.transports.base import Envelope, LostClaimError, Submission, Transport
from modules.outbox.delivery import claims, ledger
from modules.outbox.delivery.checked_message import checked_message, store_away
from modules.outbox.delivery.connections import Loan, pool
from modules.outbox.delivery.errors import MustWaitError, NoConnectionError, UndeliverableError
from modules.outbox.delivery.pdf import render_pdf
from modules.outbox.delivery.progress import failed, settled, to_be_served, waiting
from modules.outbox.delivery.route import DeliveryRoute, Named, find_route
from modules.outbox.delivery.settlement import LOOK_AGAIN, Settlement, with_jitter
from modules.outbox.delivery.shared import Shared
from modules.outbox.document_check import document_problems
from modules.outbox.message import file_store
from modules.outbox.models import MailAttachment, OutgoingMail
from modules.outbox.private_addresses import address_of, scrubbed
from modules.outbox.return_tokens import make_token, token_in

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
    copy_server_id: int | None = None

    def write(self, batch: Batch) -> Count:
        """Write it inside a transaction of the ledger."""
        return ledger.write_settlement(
            batch,
            self.mail,
            _token_of(self.mail),
            self.settlement,
            server_name=self.server_name,
            started_at=self.started_at,
            transcript=self.transcript,
            copy_server_id=self.copy_server_id,
        )


def _token_of(mail: OutgoingMail) -> str:
    """Return the token of the claim by which a lane has a mail."""
    assert mail.claim_token is not None  # noqa: S101 (it was claimed)
    return mail.claim_token


@dataclass(slots=True)
class Lane:
    """One line of delivery: a mail after the other.

    Attributes:
        shared: What it has in common with the other lanes of the run.
        unwritten: What the last mail has become, while it waits for its commit.
        in_flight: The id of the mail that went out last.
        loan: The connection that it uses, or None.
        lent_for: The server of the route for which that was lent or found to fit.
        began: When it began with its mail, by the monotonic clock.
        accepted_by: The server that has accepted its mail and keeps copies of what it sends, or None.
    """

    shared: Shared
    unwritten: _Unwritten | None = None
    in_flight: int | None = None
    loan: Loan | None = None
    lent_for: MailServer | None = None
    began: float = 0.0
    accepted_by: int | None = None

    def deliver(self, mail: OutgoingMail) -> None:
        """Try one mail, and settle it.

        Raises:
            NoConnectionError: Nothing was tried, since no connection is free.
        """
        started, self.began = clock.now(), time.monotonic()
        named = Named.of(mail)
        route: DeliveryRoute | None = None
        transcript: Sequence[str] = ()
        self.accepted_by = None
        try:
            # What can fail without a server comes first; a connection that is lent opens with its first mail.
            self._freeze_attachments(mail)
            route = self._route(mail)
            server = self._usable(mail, route, named)
            connection = self._connection(server)
            message = checked_message(
                mail, server.size_limit, _return_address(mail, server), self.shared.files
            )
            self._wait_for_turn(mail, route, server)
            settlement, transcript = self._transmit(mail, route, server, connection, message, named)
            mail.slot_at = mail.slot_server_id = None
        # Nothing is written: whoever holds the mail now writes what becomes of it.
        except LostClaimError:
            logger.warning("Mail %s was taken away; it was not sent by this worker.", mail.id)
            return
        except NoConnectionError:
            named.restore(mail)
            raise
        except MustWaitError as error:
            named.restore(mail)
            settlement = waiting(mail, error.failure, error.until)
        except UndeliverableError as error:
            settlement = failed(mail, error.failure, self.shared.policy)
        server_name = route.server.name if route is not None and route.server is not None else ""
        self.flush()  # the mail before this one, unless its outcome was committed with this one's flight
        self.unwritten = _Unwritten(mail, settlement, server_name, started, transcript, self.accepted_by)

    def make_pdf(self, mail: OutgoingMail) -> bool:
        """Make the PDF of a mail that another lane delivers; return False when there can be none, and it is settled."""
        try:
            self._freeze_attachments(mail)
        except MustWaitError as error:
            self._write_apart(mail, waiting(mail, error.failure, error.until))
            return False
        except UndeliverableError as error:
            self.fail(mail, error.failure)
            return False
        return True

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
        self._write_apart(mail, failed(mail, failure, self.shared.policy))

    def _write_apart(self, mail: OutgoingMail, settlement: Settlement) -> None:
        self.flush()
        self.unwritten = _Unwritten(mail, settlement, "", clock.now(), ())
        self.flush()

    def flush(self) -> None:
        """Write down what the last mail has become."""
        if self.unwritten is not None:
            # Until it is committed it must not be forgotten.
            (mine,) = self._commit((self.unwritten.mail.id, self.unwritten.write))
            self._forget_unwritten(mine)

    def _commit(self, *parts: Part) -> list[Any]:
        return claims.patiently(lambda: self.shared.writer.write(*parts))

    def _forget_unwritten(self, mine: Count) -> None:
        if self.unwritten is not None and not mine:
            logger.warning("Mail %s was decided by a person before its outcome came.", self.unwritten.mail.id)
        self.unwritten = None

    # -- the steps of one mail -----------------------------------------------------------------------

    def _freeze_attachments(self, mail: OutgoingMail) -> None:
        """Render the documents' PDFs, once, and make sure that the mail still says what its document says."""
        rendered: dict[int, bytes] = {}
        for attachment in mail.attachments:
            # Frozen at Send, or by an attempt before; whatever happens later, the mail keeps these bytes.
            if attachment.generated and not attachment.sha256:
                self.flush()  # the outcome of the mail before must not wait for this
                rendered[attachment.id] = render_pdf(mail, attachment.position)
        # Asked afterwards: what was rendered is of the revision that is found now, or of one before it.
        asked = bool(mail.document_kind) or mail.promotional
        problem = claims.patiently(lambda: _document_problem(mail)) if asked else None
        if problem is not None:
            raise UndeliverableError(problem)
        for attachment in mail.attachments:
            if attachment.id in rendered:
                self._freeze(attachment, rendered[attachment.id])

    def _freeze(self, attachment: MailAttachment, data: bytes) -> None:
        try:
            sha256 = file_store().put(data)
        except StoreAwayError as error:
            raise store_away(error) from error
        except StoreFullError as error:
            raise UndeliverableError(Failure(FailureKind.RENDER_FAILED, True, detail=str(error))) from error
        attachment.sha256, attachment.size = sha256, len(data)
        self._commit((attachment.mail_id, lambda batch: ledger.write_frozen(batch, attachment)))

    def _route(self, mail: OutgoingMail) -> DeliveryRoute:
        """Return how a mail leaves; its From and Reply-To are fixed once there is a server to ask."""
        route = self.shared.route(mail)
        mail.server_id, mail.captured = route.server.id if route.server else None, route.captures
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
            mail.reply_tagged = route.tags_answers
        return route

    def _usable(self, mail: OutgoingMail, route: DeliveryRoute, named: Named) -> MailServer:
        """Return the server of a route, unless it has failed in this run already."""
        server = route.server
        assert server is not None  # noqa: S101 (a route without one has a problem)
        failure = self.shared.down.get(server.id)
        if failure is not None:
            # Not tried again for each mail of the run: a server that hangs would hold the worker for an hour.
            raise MustWaitError(failure, self._after_failure(mail, server, named))
        return server

    def _after_failure(self, mail: OutgoingMail, server: MailServer, named: Named) -> dt.datetime:
        """Return until when a mail waits whose server has failed: until now where another stands in for it."""
        named.restore(mail)
        is_paused = circuit_breaker.paused(server.id)
        end_reading()
        if not is_paused:
            return clock.now() + with_jitter(AFTER_FAILURE)
        # The routes that this run has found are those from before the pause.
        self.shared.forget_routes(server.id)
        if find_route(mail).problem is None:
            return clock.now()
        return clock.now() + with_jitter(WHILE_PAUSED)

    def _wait_for_turn(self, mail: OutgoingMail, route: DeliveryRoute, server: MailServer) -> None:
        """Make sure that a mail leaves no sooner than the rate of its server allows."""
        if not route.limited and server.id not in self.shared.slowed:
            return
        now = clock.now()
        closed = server.id in self.shared.slowed or (
            route.closed_until is not None and now < route.closed_until
        )
        slot = mail.slot_at if mail.slot_server_id == server.id and not closed else None
        if slot is not None and slot < now - OLD_SLOT:
            slot = None  # or all that waited while nobody worked would leave in one moment
        self.flush()  # the outcome of the mail before must not wait for this
        # One after the other: those who asked meanwhile would get moments far ahead, and be put off.
        with self.shared.turn(server.id):
            if slot is None:
                slot = claims.patiently(lambda: rate_limiter.reserve(server.id))
                mail.slot_at, mail.slot_server_id = slot, server.id
            wait = (slot - clock.now()).total_seconds()
            if wait > LONGEST_WAIT_SECONDS:
                raise MustWaitError(Failure(FailureKind.PACED, True), slot)
            if wait > 0:
                time.sleep(wait)

    def _transmit(
        self,
        mail: OutgoingMail,
        route: DeliveryRoute,
        server: MailServer,
        connection: Transport | Failure,
        message: bytes,
        named: Named,
    ) -> tuple[Settlement, Sequence[str]]:
        """Speak with the server, and return what became of the mail, with the dialogue."""
        if isinstance(connection, Failure):
            return self._server_failed(mail, server, connection, named), ()
        # Only those still to be served: somebody who has the mail must not get it twice.
        due = to_be_served(mail)
        # Of several at once a bounce names its own recipient; one transaction of the dialogue has one sender.
        token = make_token(mail.id, due[0].id if len(due) == 1 else 0) if server.bounce_tokens else ""
        envelope = Envelope(
            return_path(server, mail.sender_address, token),
            tuple(address_of(recipient).addr_spec for recipient in due),
            delivery_receipt=mail.delivery_receipt,
            envelope_id=mail.message_id.strip("<>"),
            signer=route.signer,
        )

        asked = time.monotonic()

        # Called between the answer to DATA and the text: until then a crash costs nothing, from then on somebody
        # may have it.
        def before_body() -> None:
            nonlocal asked
            begun = time.monotonic()
            if not self._set_in_flight(mail):
                raise LostClaimError("The claim has ended.")
            asked += time.monotonic() - begun  # the server has not been waited for meanwhile

        if self.loan is not None:
            self.loan.sent += 1
        submission = connection.submit(message, envelope, before_body)
        # Before anything is written or logged: the address of a walk-in must not reach the database.
        submission = scrubbed(submission, envelope.recipients if mail.private else ())
        transcript = list(submission.transcript)
        if submission.failure is not None:
            return self._broken_off(mail, server, submission, named), transcript
        if route.blemished:
            claims.patiently(lambda: circuit_breaker.note_success(server.id))
            route.blemished = False
        for outcome in submission.outcomes:
            if outcome.failure is not None:
                self._slow_down(server, outcome.failure)
        if any(outcome.state is RecipientState.ACCEPTED for outcome in submission.outcomes):
            self._note_accepted(server, asked)
        return settled(mail, due, submission, self.shared.policy), transcript

    def _note_accepted(self, server: MailServer, asked: float) -> None:
        """Remember that a server has taken a mail, and since when it was asked."""
        # One that takes texts and never says a word is not given more of them.
        self.shared.at_work[server.id] = now = time.monotonic()
        # The shortest one: others have waited for their turn at the processor, and not only for the server.
        self.shared.quickest[server.id] = min(now - asked, self.shared.quickest.get(server.id, now - asked))
        if server.sent_folder is not None:
            self.accepted_by = server.id
            self.shared.wants_copies = True

    def _broken_off(
        self, mail: OutgoingMail, server: MailServer, submission: Submission, named: Named
    ) -> Settlement:
        """Tell what a dialogue that ended without an outcome means for the mail, and for the server."""
        failure = submission.failure
        assert failure is not None  # noqa: S101 (else there is an outcome)
        of_the_connection = submission.server_failed or connection_limit.names_connections(failure)
        # A mail that was in flight on a connection that broke is settled, not tried elsewhere.
        if of_the_connection and self.in_flight != mail.id and self._others_are_served(server, failure):
            self._offer_fewer(server, failure)
            raise NoConnectionError(server.id)
        if submission.server_failed and not failure.slows_server:
            return self._server_failed(mail, server, failure, named)
        self._slow_down(server, failure)
        if failure.kind is FailureKind.TIMEOUT and not self._others_are_served(server, failure):
            # Perhaps this mail's doing, so it counts an attempt; the others of the run do not wait as long.
            self.shared.down[server.id] = failure
        return failed(mail, replace(failure, temporary=True), self.shared.policy)

    def _server_failed(
        self, mail: OutgoingMail, server: MailServer, failure: Failure, named: Named
    ) -> Settlement:
        """Count a failure against the server; the mail waits for it, or for the one that stands in for it."""
        failure = replace(failure, temporary=True)
        self.flush()
        with self.shared.lock:
            # One outage meets every lane, and counts once.
            counted = server.id in self.shared.blamed
            self.shared.blamed.add(server.id)
            self.shared.down[server.id] = failure
        if not counted:
            claims.patiently(lambda: circuit_breaker.note_failure(server.id, failure))
        return waiting(mail, failure, self._after_failure(mail, server, named), asked=True)

    def _slow_down(self, server: MailServer, failure: Failure) -> None:
        """Do what a server asks for that wants less: offer it fewer connections, if it says so, or wait."""
        if not failure.slows_server:
            return
        if connection_limit.names_connections(failure) and self._others_are_served(server, failure):
            self._offer_fewer(server, failure)
        elif server.id not in self.shared.slowed:
            self.shared.slowed.add(server.id)
            claims.patiently(lambda: rate_limiter.note_throttle(server.id, failure))

    def _others_are_served(self, server: MailServer, failure: Failure) -> bool:
        """Tell whether the server takes mails by others' connections, here or elsewhere, while it refuses this one."""
        if failure.slows_server and (connection_limit.places_taken(server.id) or 0) > 1:
            return True
        # A password that is refused has been changed: with each further one the account might be locked.
        if failure.kind is FailureKind.AUTH_FAILED and not failure.slows_server:
            return False
        last = self.shared.at_work.get(server.id)
        if last is None or (failure.kind is FailureKind.TIMEOUT and last < self.began):
            return False  # while this one has waited, nobody was served: all of it hangs
        return pool.open_to(server.id) > 1

    def _offer_fewer(self, server: MailServer, failure: Failure) -> None:
        """End this connection, and let the others go on."""
        if self.loan is not None:
            self.loan.connection.drop()
        self.put_back_connection()
        held = max(1, connection_limit.places_taken(server.id) or pool.open_to(server.id))
        with self.shared.lock:
            self.shared.offered[server.id] = min(held, self.shared.offered[server.id])
        if failure.slows_server:
            claims.patiently(lambda: connection_limit.note_too_many(server.id, held, failure))

    def _set_in_flight(self, mail: OutgoingMail) -> bool:
        """Commit that a mail is in flight, together with the outcome of the mail before it."""
        token, before = _token_of(mail), self.unwritten
        parts: list[Part] = [(mail.id, lambda batch: ledger.set_in_flight(batch, mail, token))]
        if before is not None:
            parts.append((before.mail.id, before.write))
        mine, *settled = self._commit(*parts)
        for count in settled:
            self._forget_unwritten(count)
        self.in_flight = mail.id if mine else None
        return bool(mine)

    def _connection(self, server: MailServer) -> Transport | Failure:
        """Return the connection that this lane has to a server, or another one, which may be closed.

        Returns:
            What is wrong, where none can be made.

        Raises:
            NoConnectionError: As many are open as may be.
        """
        loan = self.loan
        # Most mails of a run have one route, whose server stays as it is; settings are compared where another comes.
        fits = loan is not None and (
            self.lent_for is server
            or (loan.server_id == server.id and loan.fingerprint == server.fingerprint)
        )
        if loan is None or not fits:
            self.put_back_connection()
            try:
                self.loan = loan = pool.lend(server, self.shared.offered[server.id])
            except UnusableServerError as error:
                return error.failure
            if loan is None:
                raise NoConnectionError(server.id)
        self.lent_for = server
        loan.end_worn_out()
        if not loan.connection.is_open:
            # Connecting may take long: the outcome of the mail before must not wait for it.
            self.flush()
        return loan.connection

    def put_back_connection(self) -> None:
        """Give the connection to whoever needs it next."""
        loan, self.loan = self.loan, None
        if loan is not None:
            pool.take_back(loan)


def _return_address(mail: OutgoingMail, server: MailServer) -> str:
    """Return where whoever wants no more of what advertises may write, or "" where nobody would read it."""
    if not mail.promotional or not server.bounce_address:
        return ""
    (recipient,) = mail.recipients
    address = return_path(server, mail.sender_address, make_token(mail.id, recipient.id))
    return address if token_in(address) is not None else ""


def _document_problem(mail: OutgoingMail) -> Failure | None:
    try:
        return document_problems([mail]).get(mail.id)
    finally:
        end_reading()
