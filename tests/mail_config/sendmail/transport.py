"""The program `sendmail`, which Postfix and others bring."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence

from flask import current_app

from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState
from modules.mail_config.models import MailServer
from modules.mail_config.transports.base import Envelope, ServerAccess, Step, StepTaken, Submission

TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h


class Sendmail:
    """Starts the program anew for each mail, so there is no connection to keep."""

    access: ServerAccess | None = None
    walk: Sequence[Step] = (Step.DATA,)
    is_open = False

    def __init__(self, program: str, timeout: float) -> None:
        self._program, self._timeout = program, timeout

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """See `Transport.submit`."""
        steps = [StepTaken(Step.DATA, time.monotonic())]
        command = [self._program, "-i", "-f", envelope.envelope_from, "--", *envelope.recipients]
        try:
            running = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            failure = Failure(FailureKind.CONNECT_FAILED, temporary=True, detail=str(error))
            return Submission((), failure, server_failed=True, steps=steps)
        with running:
            try:
                before_body()
            except BaseException:
                running.kill()
                raise
            try:
                _, words = running.communicate(message, self._timeout)
            except subprocess.TimeoutExpired:
                running.kill()
                return _all(envelope, RecipientState.UNCERTAIN, FailureKind.OUTCOME_UNKNOWN, "", steps)
        said = words.decode(errors="replace")
        if running.returncode == 0:
            return _all(envelope, RecipientState.ACCEPTED, None, said, steps)
        if running.returncode == TEMPORARY:
            return _all(envelope, RecipientState.DEFERRED, FailureKind.SERVER_ERROR, said, steps)
        return _all(envelope, RecipientState.REFUSED, FailureKind.MESSAGE_REFUSED, said, steps)

    def check(self, envelope_from: str) -> Submission:
        """See `Transport.check`; the program can only be tried by a mail."""
        del envelope_from
        return Submission()

    def close(self) -> None:
        """There is nothing to end."""

    def drop(self) -> None:
        """There is nothing to end."""


def _all(
    envelope: Envelope, state: RecipientState, kind: FailureKind | None, words: str, steps: list[StepTaken]
) -> Submission:
    failure = Failure(kind, state is RecipientState.DEFERRED, detail=words) if kind is not None else None
    outcomes = tuple(RecipientOutcome(address, state, failure=failure) for address in envelope.recipients)
    return Submission(outcomes, transcript=words.splitlines(), steps=steps)


def open_program(server: MailServer, *, timeout: float) -> Sendmail:
    """Return a transport to the program; a factory of the contract."""
    return Sendmail(str(current_app.config["SENDMAIL_PROGRAM"]), timeout)
