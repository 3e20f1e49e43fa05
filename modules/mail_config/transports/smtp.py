"""SMTP (RFC 5321), with the outcome of every recipient."""

from __future__ import annotations

import smtplib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from core.mail.addresses import ascii_addr_spec, needs_smtputf8
from core.mail.exceptions import explain_exception
from core.mail.fields import downgraded
from core.mail.outcomes import (
    Advice,
    Failure,
    FailureKind,
    RecipientOutcome,
    RecipientState,
    Reply,
    Stage,
    printable,
)
from core.mail.replies import explain_reply
from modules.mail_config.models import Encryption
from modules.mail_config.transports.base import Envelope, LostClaimError, ServerAccess, Step, Submission
from modules.mail_config.transports.connection import GOODBYE_SECONDS, DialogueError, ServerConnection
from modules.mail_config.transports.receipts import OFFERED_NONE, mail_parameters, recipient_parameters
from modules.mail_config.transports.wire import PatientSMTP

DIALOGUE = (Step.RESOLVE, Step.CONNECT, Step.TLS, Step.SIGN_IN, Step.MAIL, Step.RCPT, Step.DATA)
"""What a mail goes through, in order."""

_TAKEN_AWAY = Failure(
    FailureKind.INTERNAL_ERROR, temporary=True, detail="The claim was lost between two transactions."
)
MOST_AHEAD = 20
"""To how many recipients the commands are said ahead: the answers must fit into what the system buffers."""


class SmtpConnection(ServerConnection):
    """A dialogue that tells the truth.

    It reports each recipient by itself, and does not take a QUIT that fails for a mail that failed. Where the
    server lets it, it says the commands of a mail at once (PIPELINING, RFC 2920); the message itself goes out
    only after the server has asked for it.
    """

    def __init__(self, access: ServerAccess) -> None:
        super().__init__(access)
        self._ahead: deque[str] = deque()

    def drop(self) -> None:
        """End the connection at once, without a word."""
        self._ahead.clear()
        super().drop()

    @property
    def walk(self) -> Sequence[Step]:
        """Encryption and the sign-in are left out where the settings ask for none."""
        left_out = {
            Step.TLS: self.access.encryption is Encryption.NONE,
            Step.SIGN_IN: not self.access.username,
        }
        return [step for step in DIALOGUE if not left_out.get(step)]

    def check(self, envelope_from: str) -> Submission:
        """Connect, encrypt, sign in and, if one is given, name a sender; see `Transport.check`."""
        self.transcript, self.steps = [], []
        self.drop()
        try:
            self.host = self.configure_host()
            if envelope_from:
                # A refusal of this one sender says nothing about the server.
                self._mail_from(Envelope(envelope_from, ()), 0, utf8=needs_smtputf8(envelope_from))
        except DialogueError as error:
            self.drop()
            return Submission((), error.failure, error.of_server, self.transcript, self.steps)
        finally:
            self.close()
        return Submission(transcript=self.transcript, steps=self.steps)

    # -- one message ---------------------------------------------------------------------------------

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """Hand a message over; see `Transport.submit`."""
        self.transcript, self.steps = [], []
        # Of a kept connection nobody knows whether the server still holds the other end.
        reused = self.is_open
        if not reused:
            self.close()
        try:
            submission = self._speak(message, envelope, before_body)
        except DialogueError as error:
            self.drop()
            if not reused:
                return Submission((), error.failure, error.of_server, self.transcript, self.steps)
            # The kept connection had died meanwhile, which says nothing about the server: once more, anew.
            try:
                submission = self._speak(message, envelope, before_body)
            except DialogueError as again:
                self.drop()
                return Submission((), again.failure, again.of_server, self.transcript, self.steps)
        except BaseException:
            # before_body has said no, or the worker is being stopped: the server must not get a body.
            self.drop()
            raise
        self._last_used = time.monotonic()
        return submission

    def _speak(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """Hand a message over, in as many transactions as the server wants; connects first where it must."""
        if self.host is None:
            self.host = self.configure_host()
        host = self.host
        places = range(len(envelope.recipients))
        beyond = [place for place in places if needs_smtputf8(envelope.recipients[place])]
        if needs_smtputf8(envelope.envelope_from):
            beyond = list(places)
        if beyond and not host.has_extn("smtputf8"):
            plain = [envelope.recipients[place] for place in places if place not in beyond]
            return self._without_utf8(message, envelope, plain, before_body)
        # A wish, not a condition: the mail leaves without it, and the record says so.
        no_receipt = envelope.delivery_receipt and not host.has_extn("dsn")
        if no_receipt:
            self._note(f"* {OFFERED_NONE}")
            envelope = replace(envelope, delivery_receipt=False)
        known: dict[int, RecipientOutcome] = {}
        # The others go by themselves, without SMTPUTF8: a server that offers it may hand on to one that does not, which
        # would refuse them all.
        plainly = [place for place in places if place not in beyond]
        for whom, utf8 in ((plainly, False), (beyond, True)):
            if not whom:
                continue
            if known:
                self._note(f"* {len(whom)} recipients need SMTPUTF8, in a transaction of their own")
            known |= self._serve(message, envelope, whom, before_body, utf8=utf8, first=not known)
        outcomes_in_order = tuple(known[place] for place in sorted(known))
        return Submission(
            outcomes_in_order, transcript=self.transcript, steps=self.steps, no_receipt=no_receipt
        )

    def _serve(
        self,
        message: bytes,
        envelope: Envelope,
        whom: Sequence[int],
        before_body: Callable[[], None],
        *,
        utf8: bool,
        first: bool,
    ) -> dict[int, RecipientOutcome]:
        """Hand a message over to some recipients, in as many transactions as the server wants.

        Args:
            message: The whole message.
            envelope: Who sends, and to whom.
            whom: The places of those who are served here.
            before_body: See `Transport.submit`.
            utf8: True where their addresses need SMTPUTF8.
            first: False once others have got it: then no fault of these may hide that.

        Raises:
            DialogueError: The first transaction has ended without an outcome.
            LostClaimError: The claim was lost before it.
        """
        if not utf8 and not message.isascii():
            # Its head names somebody whom these servers cannot reach.
            self._note("* The message goes out with a head in ASCII, without SMTPUTF8.")
            message = downgraded(message)
        message = envelope.signed(message)
        known: dict[int, RecipientOutcome] = {}
        left: Sequence[int] = whom
        while left:
            if known:
                # The server took fewer than all (RFC 5321 §4.5.3.1.10), and those are served: the others at once.
                self._note(f"* {len(left)} recipients are left for another transaction")
            try:
                outcomes, left = self._transact(message, envelope, left, before_body, utf8=utf8)
            except (DialogueError, LostClaimError) as error:
                if first and not known:
                    raise
                # Whoever was served stays so; the others wait.
                self._note(f"* {error}")
                self.drop()
                failure = error.failure if isinstance(error, DialogueError) else _TAKEN_AWAY
                waits = RecipientOutcome(
                    "", RecipientState.DEFERRED, failure=replace(failure, temporary=True)
                )
                unserved = [place for place in left if place not in known]
                return known | {
                    place: replace(waits, addr_spec=envelope.recipients[place]) for place in unserved
                }
            known |= outcomes
        return known

    def _transact(
        self,
        message: bytes,
        envelope: Envelope,
        places: Sequence[int],
        before_body: Callable[[], None],
        *,
        utf8: bool,
    ) -> tuple[dict[int, RecipientOutcome], Sequence[int]]:
        """Speak one transaction for some recipients.

        Returns:
            The outcome of each, and those of them who were put off only because one transaction takes no more:
            they may be asked about again at once, since at least one other was served.
        """

        def everybody(outcome: RecipientOutcome, whom: Sequence[int]) -> dict[int, RecipientOutcome]:
            return {place: replace(outcome, addr_spec=envelope.recipients[place]) for place in whom}

        self._begin(Step.MAIL)
        self._say_ahead(envelope, places, len(message), utf8=utf8)
        # From here each answer is read in the order of the commands, whether they were said at once or one by
        # one.
        refused = self._mail_from(envelope, len(message), utf8=utf8)
        if refused is not None:
            return everybody(refused, places), ()
        outcomes: dict[int, RecipientOutcome] = {}
        taken: list[int] = []
        put_off: list[int] = []
        self._begin(Step.RCPT)
        for number, place in enumerate(places):
            answer = self._rcpt_to(envelope, place, utf8=utf8)
            # Said ahead, every command is answered and must be heard; else the rest need not be asked for now.
            if taken and _too_many(answer):
                put_off += places[number : number + 1] if self._ahead else places[number:]
                outcomes |= everybody(answer, put_off)
                if not self._ahead:
                    break
                continue
            if answer.state is RecipientState.ACCEPTED:
                taken.append(place)
            else:
                outcomes[place] = answer
        # No DATA for nobody: some servers would take the message all the same.
        if not taken:
            self._reset()
            return outcomes, ()
        self._begin(Step.DATA)
        final = self._data(message, before_body)
        outcomes |= everybody(final, taken)
        return outcomes, put_off if final.state is RecipientState.ACCEPTED else ()

    def _without_utf8(
        self, message: bytes, envelope: Envelope, plain: Sequence[str], before_body: Callable[[], None]
    ) -> Submission:
        """Serve those whose address an old server can take; say so of the others."""
        words = "The server does not offer SMTPUTF8 (RFC 6531), which this address needs."
        failure = Failure(FailureKind.RECIPIENT_REFUSED, temporary=False, detail=words)
        inner = Submission(transcript=self.transcript, steps=self.steps)
        if plain and not needs_smtputf8(envelope.envelope_from):
            inner = self._speak(message, replace(envelope, recipients=tuple(plain)), before_body)
        served = {outcome.addr_spec: outcome for outcome in inner.outcomes}
        outcomes = tuple(
            served.get(address) or RecipientOutcome(address, RecipientState.REFUSED, failure=failure)
            for address in envelope.recipients
        )
        return replace(inner, outcomes=outcomes)

    def _say_ahead(self, envelope: Envelope, places: Sequence[int], size: int, *, utf8: bool) -> None:
        """Say the commands up to DATA at once, if the server lets us; each is answered all the same."""
        host = self._in_dialogue()
        # Too many at once could fill both buffers, and each side would wait for the other to read (RFC 2920
        # §3.1).
        if not host.has_extn("pipelining") or len(places) > MOST_AHEAD or host.spoke_out_of_turn:
            return
        lines = [
            self._mail_line(envelope, size, utf8=utf8),
            *(_rcpt_line(envelope, place, utf8=utf8) for place in places),
            "DATA",
        ]
        text = "\r\n".join(lines) + "\r\n"
        if text.count("\n") != len(lines) or text.count("\r") != len(lines):
            return  # an address that holds a line end; said alone, it is refused
        try:
            host.send_all(text.encode("utf-8" if utf8 else "ascii"))
        except (OSError, smtplib.SMTPException) as error:
            raise DialogueError(explain_exception(error, Stage.MAIL)) from error
        self._ahead.extend(lines)

    def _in_dialogue(self) -> PatientSMTP:
        host = self.host
        assert host is not None  # noqa: S101 (only called inside a dialogue)
        return host

    def _command(self, stage: Stage, line: str) -> Reply:
        """Say a command, unless it was said ahead, and return the reply; raises `DialogueError` when none comes."""
        host = self._in_dialogue()
        said = bool(self._ahead) and self._ahead[0] == line
        if said:
            self._ahead.popleft()
        elif self._ahead or host.spoke_out_of_turn:
            # Taken for the answer to this command, it could refuse whom nobody has refused, or the reverse.
            words = "The server has said more than it was asked."
            self._note(f"* {words}")
            raise DialogueError(Failure(FailureKind.SERVER_ERROR, temporary=True, detail=words))
        self._note(f"C: {line}")
        try:
            if not said:
                host.putcmd(line)
            return self._note_reply(*host.getreply())
        except (OSError, smtplib.SMTPException) as error:
            failure = explain_exception(error, stage)
            self._note(f"* {failure.diagnostic}")
            raise DialogueError(failure) from error

    def _mail_line(self, envelope: Envelope, size: int, *, utf8: bool) -> str:
        # RFC 1870: a server may refuse by the size before it has to take the text.
        options = f" SIZE={size}" if self._in_dialogue().has_extn("size") else ""
        options += " SMTPUTF8" if utf8 else ""
        options += mail_parameters(envelope.envelope_id) if envelope.delivery_receipt else ""
        return f"MAIL FROM:<{_wire(envelope.envelope_from, utf8=utf8)}>{options}"

    def _mail_from(self, envelope: Envelope, size: int, *, utf8: bool) -> RecipientOutcome | None:
        """Name the sender; return None when it was taken, else the outcome that holds for every recipient."""
        # smtplib writes the command in this encoding.
        self._in_dialogue().command_encoding = "utf-8" if utf8 else "ascii"
        reply = self._command(Stage.MAIL, self._mail_line(envelope, size, utf8=utf8))
        if 200 <= reply.code < 300:
            return None
        failure = explain_reply(reply, Stage.MAIL)
        if reply.code == 421:
            raise DialogueError(failure)
        if failure.kind in {FailureKind.AUTH_FAILED, FailureKind.TLS_FAILED}:
            # It wants a sign-in or encryption before any mail: that is a matter of the server's settings.
            raise DialogueError(replace(failure, temporary=True), of_server=True)
        self._reset()
        return _refusal("", reply, failure)

    def _rcpt_to(self, envelope: Envelope, place: int, *, utf8: bool) -> RecipientOutcome:
        address = envelope.recipients[place]
        reply = self._command(Stage.RCPT, _rcpt_line(envelope, place, utf8=utf8))
        if 200 <= reply.code < 300:
            return RecipientOutcome(address, RecipientState.ACCEPTED, reply)
        failure = explain_reply(reply, Stage.RCPT)
        if reply.code == 421:
            raise DialogueError(failure)
        return _refusal(address, reply, failure)

    def _data(self, message: bytes, before_body: Callable[[], None]) -> RecipientOutcome:
        """Send the text to those who were taken, and return the one outcome for all of them."""
        host = self._in_dialogue()
        reply = self._command(Stage.DATA, "DATA")
        if reply.code != 354:
            failure = explain_reply(reply, Stage.DATA)
            if reply.code == 421 or reply.code < 400:
                raise DialogueError(failure)
            self._reset()
            return _refusal("", reply, failure)
        if host.spoke_out_of_turn:
            words = "The server has said more than it was asked."
            raise DialogueError(Failure(FailureKind.SERVER_ERROR, temporary=True, detail=words))
        before_body()
        self._note(f"C: (message of {len(message)} bytes)")
        try:
            # One write: two would wait for each other (Nagle, delayed ACK).
            host.send_all(as_sent(message))
        except (OSError, smtplib.SMTPException) as error:
            # The system did not take the last octets, so the server cannot have seen the end of the message.
            # It may have said why it hung up: that it is too large, for one.
            last_words = self._last_words(host)
            if last_words is not None:
                self.drop()
                return _refusal("", last_words, explain_reply(last_words, Stage.BODY))
            failure = explain_exception(error, Stage.BODY)
            self._note(f"* {failure.diagnostic}")
            raise DialogueError(failure) from error
        try:
            reply = self._note_reply(*host.getreply())
        except (OSError, smtplib.SMTPException) as error:
            # The message has gone out, and nobody has said what became of it.
            self._note(f"* {printable(f'{type(error).__name__}: {error}')}")
            self.drop()
            return _unknown(f"{type(error).__name__}: {error}")
        if 200 <= reply.code < 300:
            return RecipientOutcome("", RecipientState.ACCEPTED, reply)
        # 3yz, or no SMTP at all: neither yes nor no, so nobody knows.
        if not 400 <= reply.code < 600:
            self.drop()
            return _unknown(f"The server answered “{reply.code} {reply.text}”.")
        if reply.code == 421:
            self.drop()
        return _refusal("", reply, explain_reply(reply, Stage.BODY))

    def _last_words(self, host: PatientSMTP) -> Reply | None:
        """Return the refusal of a server that has hung up in the middle of a message, if it has said one."""
        try:
            host.timeout = min(self.access.timeout, GOODBYE_SECONDS)
            if host.sock is not None:
                host.sock.settimeout(host.timeout)
            reply = self._note_reply(*host.getreply())
        except (OSError, smtplib.SMTPException):
            return None
        return reply if 400 <= reply.code < 600 else None

    def _reset(self) -> None:
        """Make the connection ready for the next mail; one that cannot be is dropped."""
        try:
            while self._ahead:
                if self._command(Stage.DATA, self._ahead[0]).code == 354:
                    # It waits for a message that nobody is to get.
                    self.drop()
                    return
            if self._command(Stage.MAIL, "RSET").code != 250:
                self.drop()
        except DialogueError:
            self.drop()


def _wire(address: str, *, utf8: bool) -> str:
    return address if utf8 else ascii_addr_spec(address) if not address.isascii() else address


def _rcpt_line(envelope: Envelope, place: int, *, utf8: bool) -> str:
    address = _wire(envelope.recipients[place], utf8=utf8)
    return f"RCPT TO:<{address}>{recipient_parameters(address) if envelope.delivery_receipt else ''}"


def as_sent(message: bytes) -> bytes:
    """Return a message as it goes over the wire: dots doubled that begin a line, and its end (RFC 5321 §4.5.2)."""
    # Every line of ours ends with CRLF, so a dot behind a line feed begins a line. What is behind the last dot is left
    # alone: base64 has none, and a file is most of a message.
    last = message.rfind(b".") + 1
    return b"".join(
        (
            b"." if message.startswith(b".") else b"",
            message[:last].replace(b"\n.", b"\n.."),
            memoryview(message)[last:],
            b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n",
        )
    )


def _refusal(address: str, reply: Reply, failure: Failure) -> RecipientOutcome:
    # By the reading of the reply, not by its first digit alone: some 5yz are greylisting.
    state = RecipientState.DEFERRED if failure.temporary else RecipientState.REFUSED
    return RecipientOutcome(address, state, reply, failure)


def _too_many(outcome: RecipientOutcome) -> bool:
    """Tell whether a recipient was put off only because a transaction takes no more (RFC 5321 §4.5.3.1.10)."""
    failure = outcome.failure
    return failure is not None and failure.temporary and failure.advice is Advice.TOO_MANY_RECIPIENTS


def _unknown(detail: str) -> RecipientOutcome:
    failure = Failure(FailureKind.OUTCOME_UNKNOWN, temporary=False, detail=detail)
    return RecipientOutcome("", RecipientState.UNCERTAIN, failure=failure)
