"""A folder from which another program takes the mails: one `.eml` each, as pickup folders of mail servers want them."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from core import clock
from core.mail.outcomes import (
    Advice,
    Failure,
    FailureKind,
    RecipientOutcome,
    RecipientState,
    Reply,
    printable,
)
from modules.mail_config.transports.base import Envelope, ServerAccess, Step, StepTaken, Submission
from modules.mail_config.transports.receipts import OFFERED_NONE

_ADVICE = {
    errno.ENOENT: Advice.FOLDER_MISSING,
    errno.ENOTDIR: Advice.FOLDER_MISSING,
    errno.EACCES: Advice.FOLDER_FORBIDDEN,
    errno.EPERM: Advice.FOLDER_FORBIDDEN,
    errno.EROFS: Advice.FOLDER_FORBIDDEN,
    errno.ENOSPC: Advice.FOLDER_FULL,
    errno.EDQUOT: Advice.FOLDER_FULL,
}
# A file system without links: FAT, and some that are shared.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})


class FileDrop:
    """Writes each mail into a file of its own, which appears whole or not at all and replaces no other.

    The envelope stands above the message, as in the pickup folders of Exchange and IIS: `X-Sender`, and `X-Receiver`
    for each recipient.

    Args:
        folder: An absolute path.
    """

    access: ServerAccess | None = None
    walk: Sequence[Step] = (Step.FOLDER, Step.DATA)
    is_open = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self, envelope_from: str) -> Submission:
        """Write an empty file and take it away again."""
        del envelope_from
        steps = [StepTaken(Step.FOLDER, time.monotonic(), str(self._folder))]
        try:
            descriptor, path = self._begun()
            os.close(descriptor)
            path.unlink()
        except OSError as error:
            return Submission((), _failure(error), True, [f"* {_words(error)}"], steps)
        return Submission(steps=steps)

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """See `modules.mail_config.transports.base.Transport.submit`."""
        steps = [StepTaken(Step.FOLDER, time.monotonic(), str(self._folder))]
        transcript = [f"* writing into {self._folder}"]
        message = envelope.signed(message)
        # A wish, not a condition; a folder reports nothing.
        no_receipt = envelope.delivery_receipt
        if no_receipt:
            transcript.append(f"* {OFFERED_NONE}")
        try:
            descriptor, path = self._begun()
        except OSError as error:
            transcript.append(f"* {_words(error)}")
            return Submission((), _failure(error), True, transcript, steps, no_receipt)
        steps.append(StepTaken(Step.DATA, time.monotonic()))
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 (it has no name yet that others see)
                before_body()
                file.write(_head(envelope) + message)
                file.flush()
                os.fsync(descriptor)
            name = self._placed(path)
        except OSError as error:
            # Nobody takes a file without its last name.
            transcript.append(f"* {_words(error)}")
            return Submission((), _failure(error), True, transcript, steps, no_receipt)
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
        transcript.append(f"* {name} ({len(message)} bytes)")
        outcomes = _outcomes(envelope, name, kept=self._kept())
        return Submission(outcomes, None, False, transcript, steps, no_receipt)

    def close(self) -> None:
        """There is nothing to end."""

    def drop(self) -> None:
        """There is nothing to end."""

    def _begun(self) -> tuple[int, Path]:
        path = self._folder / f".envoi-{secrets.token_hex(8)}.tmp"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), path

    def _placed(self, path: Path) -> str:
        """Give a file its last name, which no other has, and return it."""
        name = _named(secrets.token_hex(8))
        target = self._folder / name
        try:
            # Unlike a renaming, this fails where the name is taken.
            os.link(path, target)
        except OSError as error:
            if error.errno not in _NO_LINKS or target.exists():
                raise
            path.rename(target)
        return name

    def _kept(self) -> bool:
        """Make sure that the name outlives a power cut; False where nobody can say so."""
        try:
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            return error.errno == errno.EINVAL  # a shared folder that knows no such thing does it by itself
        return True


def _named(token: str) -> str:
    return f"{clock.now():%Y%m%dT%H%M%S}-{token}.eml"


def _head(envelope: Envelope) -> bytes:
    lines = [f"X-Sender: {envelope.envelope_from}", *(f"X-Receiver: {one}" for one in envelope.recipients)]
    if any("\r" in line or "\n" in line for line in lines):
        raise OSError(errno.EINVAL, "An address holds the end of a line.")
    return "".join(f"{line}\r\n" for line in lines).encode()


def _outcomes(envelope: Envelope, name: str, *, kept: bool) -> tuple[RecipientOutcome, ...]:
    if kept:
        reply = Reply(0, "", name)
        return tuple(RecipientOutcome(one, RecipientState.ACCEPTED, reply) for one in envelope.recipients)
    failure = Failure(FailureKind.OUTCOME_UNKNOWN, False, detail=f"{name} may be lost if the power fails.")
    return tuple(
        RecipientOutcome(one, RecipientState.UNCERTAIN, failure=failure) for one in envelope.recipients
    )


def _words(error: OSError) -> str:
    return printable(f"{error.strerror or error} ({errno.errorcode.get(error.errno or 0, '?')})")


def _failure(error: OSError) -> Failure:
    advice = _ADVICE.get(error.errno or 0)
    kind = FailureKind.CONNECT_FAILED if advice is Advice.FOLDER_MISSING else FailureKind.SERVER_ERROR
    return Failure(kind, temporary=True, detail=_words(error), advice=advice)
