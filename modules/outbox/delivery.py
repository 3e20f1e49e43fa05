"""The way of claimed mails to their servers.

What may be lost, and when: before `in_flight` is committed, nothing – another worker takes the mail. After
it and until the outcome is committed, the mail is in flight: whoever finds it there calls it uncertain.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import current_app
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, end_reading, transaction
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.documents.service import behavior_of
from core.errors import EnvoiError, UserError
from core.files import FileMissingError, StoreFullError
from core.jobs import JobTimeoutError
from core.mail.addresses import Address
from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState
from modules.mail_config.models import MailServer
from modules.mail_config.service import candidates, open_transport, route_for
from modules.mail_config.transports.base import Envelope, LostClaimError
from modules.mail_config.transports.smtp import SmtpConnection
from modules.outbox import claims
from modules.outbox.mime import build_message, file_store
from modules.outbox.models import ATTACHMENTS, MailAttachment, MailRecipient, OutgoingMail
from modules.outbox.settlement import RecipientResult, Settlement, settle, settle_failure

logger = logging.getLogger(__name__)

_TO_BE_SERVED = frozenset({RecipientState.PENDING, RecipientState.DEFERRED})

_SERVER_IS_DOWN = frozenset(
    {
        FailureKind.CONNECT_FAILED,
        FailureKind.HOST_NOT_FOUND,
        FailureKind.TLS_FAILED,
        FailureKind.TIMEOUT,
        FailureKind.AUTH_FAILED,
    }
)

_connections: dict[tuple[int, str], SmtpConnection] = {}
"""The connections of this process, kept from job to job; one to each server."""


class UndeliverableError(EnvoiError):
    """The mail cannot be handed to a server; carries the failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure


@dataclass(slots=True)
class _Way:
    """How the mails of one sender leave, found once in a run."""

    server: MailServer | None
    header_from: Address
    reply_to: Address | None
    problem: FailureKind | None


@dataclass(slots=True)
class _Unwritten:
    """A settlement that waits to share its commit with the next mail's mark."""

    mail: OutgoingMail
    settlement: Settlement
    server_name: str
    started_at: dt.datetime
    transcript: Sequence[str]


@dataclass(slots=True)
class DeliveryRun:
    """The delivery of one claim."""

    token: str
    unwritten: _Unwritten | None = None
    in_flight: int | None = None
    down: dict[int, Failure] = field(default_factory=dict)
    ways: dict[tuple[int, int | None, str, str], _Way] = field(default_factory=dict)

    def deliver(self, mail: OutgoingMail) -> None:
        """Try one mail, and settle it."""
        started = clock.now()
        recipients = {recipient.id: recipient.state for recipient in mail.recipients}
        due = [recipient for recipient in mail.recipients if recipient.state in _TO_BE_SERVED]
        way: _Way | None = None
        transcript: Sequence[str] = ()
        try:
            self._freeze_attachments(mail)
            way = self._way(mail)
            message = self._message(mail, way)
            settlement, transcript = self._hand_over(mail, way, message, due, recipients)
        except LostClaimError:
            logger.warning("Mail %s was taken away; it was not sent by this worker.", mail.id)
            return
        except UndeliverableError as error:
            settlement = _settle_failure(mail, error.failure)
        server_name = way.server.name if way is not None and way.server is not None else ""
        self.flush()  # the mail before this one, unless its outcome was committed with this one's mark
        self.unwritten = _Unwritten(mail, settlement, server_name, started, transcript)

    def give_up(self, mail: OutgoingMail, error: Exception) -> None:
        """Settle a mail that broke its delivery by a fault of ours or of a module.

        One that was in flight is left to its lease: nobody knows what became of it.
        """
        if self.in_flight == mail.id:
            return
        words = f"{type(error).__name__}: {error}"
        settlement = _settle_failure(mail, Failure(FailureKind.INTERNAL_ERROR, True, detail=words))
        self.flush()
        self.unwritten = _Unwritten(mail, settlement, "", clock.now(), ())
        self.flush()

    def flush(self) -> None:
        """Write down what the last mail has become."""
        claims.patiently(self._write_unwritten)

    def _write_unwritten(self) -> None:
        unwritten = self.unwritten
        if unwritten is None:
            return
        with transaction():
            mine = claims.write_settlement(
                unwritten.mail,
                self.token,
                unwritten.settlement,
                server_name=unwritten.server_name,
                started_at=unwritten.started_at,
                transcript=unwritten.transcript,
            )
        self.unwritten = None
        if not mine:
            logger.warning("Mail %s was decided by a person before its outcome came.", unwritten.mail.id)

    # -- the steps of one mail -----------------------------------------------------------------------

    def _freeze_attachments(self, mail: OutgoingMail) -> None:
        """Render the document's PDF, once; whatever happens later, the mail keeps these bytes."""
        for attachment in mail.attachments:
            if attachment.sha256 or not attachment.generated:
                continue
            self.flush()
            data = _render(mail)
            try:
                sha256 = file_store().put(data)
            except StoreFullError as error:
                raise UndeliverableError(
                    Failure(FailureKind.RENDER_FAILED, True, detail=str(error))
                ) from error
            attachment.sha256, attachment.size = sha256, len(data)
            claims.patiently(lambda row=attachment: _write_frozen(row))  # type: ignore[misc]

    def _way(self, mail: OutgoingMail) -> _Way:
        """Return how a mail leaves; its From and Reply-To are fixed from then on."""
        key = (mail.company_id, mail.submitted_by_id, mail.sender_address, mail.reply_to_address)
        way = self.ways.get(key)
        if way is None:
            way = self.ways[key] = claims.patiently(lambda: _find_way(mail))
        if way.problem is not None:
            raise UndeliverableError(Failure(way.problem, True))
        if not mail.sender_address:
            mail.sender_address, mail.sender_name = way.header_from.addr_spec, way.header_from.display_name
            if way.reply_to is not None:
                mail.reply_to_address, mail.reply_to_name = way.reply_to.addr_spec, way.reply_to.display_name
        mail.server_id = way.server.id if way.server else None
        return way

    def _message(self, mail: OutgoingMail, way: _Way) -> bytes:
        try:
            message = build_message(mail)
        except FileMissingError as error:
            raise UndeliverableError(
                Failure(FailureKind.ATTACHMENT_MISSING, False, detail=str(error))
            ) from error
        except (ValueError, LookupError, TypeError) as error:
            # Nothing that was checked at submission should come here; if it does, a person must see it.
            logger.exception("Mail %s could not be built.", mail.id)
            words = f"The message could not be built ({type(error).__name__}: {error})."
            raise UndeliverableError(Failure(FailureKind.INTERNAL_ERROR, False, detail=words)) from error
        limit = way.server.size_limit if way.server is not None else None
        if limit is not None and len(message) > limit:
            words = f"The message has {len(message)} bytes; the server's limit is {limit}."
            raise UndeliverableError(Failure(FailureKind.MESSAGE_TOO_LARGE, False, detail=words))
        sha256 = hashlib.sha256(message).hexdigest()
        if mail.message_sha256 and mail.message_sha256 != sha256:
            # An update of a library has changed its form; the text and the files are the same.
            logger.warning("Mail %s is not octet for octet what it was at its first attempt.", mail.id)
        mail.message_sha256 = sha256
        return message

    def _hand_over(
        self,
        mail: OutgoingMail,
        way: _Way,
        message: bytes,
        due: Sequence[MailRecipient],
        recipients: dict[int, RecipientState],
    ) -> tuple[Settlement, Sequence[str]]:
        if way.server is None:
            raise UndeliverableError(Failure(FailureKind.SERVER_MISSING, True))
        if way.server.id in self.down:
            # Not tried again for each mail of the run: a server that hangs would hold the worker for an hour.
            raise UndeliverableError(self.down[way.server.id])
        connection = self._connection(way.server)
        envelope = Envelope(mail.sender_address, tuple(recipient.addr_spec for recipient in due))

        def before_body() -> None:
            if not claims.patiently(lambda: self._mark(mail)):
                raise LostClaimError("The claim has ended.")

        submission = connection.submit(message, envelope, before_body)
        if submission.failure is not None:
            failure = _server_failure(submission.failure)
            if failure.kind in _SERVER_IS_DOWN:
                self.down[way.server.id] = failure
            settlement = _settle_failure(mail, failure)
        else:
            outcomes: dict[int, RecipientOutcome] = {
                recipient.id: outcome for recipient, outcome in zip(due, submission.outcomes, strict=True)
            }
            settlement = settle(
                recipients, outcomes, attempts=mail.attempts, now=clock.now(), earlier=_earlier(mail)
            )
        return settlement, list(submission.transcript)

    def _mark(self, mail: OutgoingMail) -> bool:
        """Commit that a mail is in flight, together with the outcome of the mail before it."""
        with transaction():
            self._write_unwritten_inside()
            mine = claims.mark_in_flight(mail, self.token)
        self.unwritten = None
        self.in_flight = mail.id if mine else None
        return mine

    def _write_unwritten_inside(self) -> None:
        kept = self.unwritten
        self._write_unwritten()
        # Until the commit has succeeded the settlement must not be forgotten.
        self.unwritten = kept

    def _connection(self, server: MailServer) -> SmtpConnection:
        key = (server.id, server.fingerprint)
        for other in [other for other in _connections if other[0] == server.id and other != key]:
            _connections.pop(other).close()
        connection = _connections.get(key)
        if connection is None:
            timeout = float(current_app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"])
            try:
                connection = _connections[key] = open_transport(server, timeout=timeout)
            except UserError as error:
                raise UndeliverableError(Failure(FailureKind.AUTH_FAILED, True, detail=str(error))) from error
        if not connection.is_open:
            # Connecting may take long: the outcome of the mail before must not wait for it.
            self.flush()
        return connection


def _earlier(mail: OutgoingMail) -> list[RecipientResult]:
    """Return what earlier attempts have found about those who are not to be served any more."""
    return [
        RecipientResult(r.id, r.state, r.failure_kind, r.reply_code, r.enhanced_code, r.diagnostic)
        for r in mail.recipients
        if r.state not in _TO_BE_SERVED
    ]


def _settle_failure(mail: OutgoingMail, failure: Failure) -> Settlement:
    """Settle a mail that no server was asked about."""
    return settle_failure(
        {recipient.id: recipient.state for recipient in mail.recipients},
        [recipient.id for recipient in mail.recipients if recipient.state in _TO_BE_SERVED],
        failure,
        attempts=mail.attempts,
        now=clock.now(),
        earlier=_earlier(mail),
    )


def _server_failure(failure: Failure) -> Failure:
    """A server that could not be used is not the mail's fault: try again, whatever the code."""
    return Failure(failure.kind, True, failure.reply, failure.detail)


def _render(mail: OutgoingMail) -> bytes:
    document = db.session.get(Document, mail.document_id) if mail.document_id else None
    if document is None:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail="The document is gone."))
    try:
        if document.revision != mail.document_revision or behavior_of(document).why_not_sendable(document):
            words = (
                f"Written at revision {mail.document_revision}; the document is at {document.revision} now."
            )
            raise UndeliverableError(Failure(FailureKind.DOCUMENT_CHANGED, False, detail=words))
        return render_document(document)
    except UserError as error:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail=str(error))) from error
    except RenderError as error:
        raise UndeliverableError(Failure(FailureKind.RENDER_FAILED, False, detail=str(error))) from error
    finally:
        end_reading()


def _write_frozen(attachment: MailAttachment) -> None:
    with transaction() as session:
        session.execute(
            update(ATTACHMENTS)
            .where(ATTACHMENTS.c.id == attachment.id)
            .values(sha256=attachment.sha256, size=attachment.size)
        )


def _find_way(mail: OutgoingMail) -> _Way:
    company = db.session.get_one(Company, mail.company_id)
    user = db.session.get(User, mail.submitted_by_id) if mail.submitted_by_id else None
    if mail.sender_address:
        # From was fixed by an earlier attempt; the server may have changed since.
        header_from = Address(mail.sender_address, mail.sender_name)
        servers = candidates(company.id, mail.sender_address)
        server = next((candidate for candidate in servers if candidate.ready), None)
        problem = None if server else FailureKind.SERVER_UNTESTED if servers else FailureKind.SERVER_MISSING
        way = _Way(server, header_from, None, problem)
    else:
        named = Address(mail.reply_to_address, mail.reply_to_name) if mail.reply_to_address else None
        route = route_for(company, user, named)
        server = (
            db.session.get(MailServer, route.server_id) if route.server_id and not route.problem else None
        )
        way = _Way(server, route.header_from, route.reply_to, route.problem)
    if server is not None:
        # Free of the session: it must stay as it is through the commits of the run.
        with Session(db.engine) as session:
            way.server = session.get(MailServer, server.id)
            session.expunge_all()
    end_reading()
    return way


def deliver(mail_ids: Sequence[int]) -> int:
    """Claim mails and deliver them; return how many were claimed.

    Mails that are not queued, not due, or held by another worker are left alone.
    """
    token = claims.claim(mail_ids)
    if token is None:
        return 0
    run = DeliveryRun(token)
    mails = claims.claimed(token)
    faults: list[Exception] = []
    with claims.kept_alive(token):
        try:
            for mail in mails:
                try:
                    run.deliver(mail)
                except (OperationalError, JobTimeoutError):
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
            claims.give_back(token)
    if faults:
        raise faults[0]
    return len(mails)
