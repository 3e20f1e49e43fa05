"""A mail server that is none: what is handed over to it stays in this installation, where its page shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from core.mail.outcomes import RecipientOutcome, RecipientState, Reply
from modules.mail_config.transports.base import Envelope, ServerAccess, Step, StepTaken, Submission
from modules.mail_config.transports.receipts import OFFERED_NONE

CAPTURE = "mail_config.capture"
"""The name of its kind."""

WORDS = "Captured: kept in this installation, sent to nobody."
"""What stands where a server would have answered."""


class Capture:
    """Takes every mail and hands on none. Nothing more is kept of one than of any mail that was sent."""

    access: ServerAccess | None = None
    walk: Sequence[Step] = (Step.DATA,)
    is_open = False

    def check(self, envelope_from: str) -> Submission:
        """There is nothing that could fail."""
        del envelope_from
        return Submission(steps=[StepTaken(Step.DATA, time.monotonic())])

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """See `modules.mail_config.transports.base.Transport.submit`."""
        steps = [StepTaken(Step.DATA, time.monotonic())]
        before_body()
        transcript = [f"* {WORDS} ({len(message)} bytes)"]
        if envelope.delivery_receipt:
            transcript.append(f"* {OFFERED_NONE}")
        reply = Reply(0, "", WORDS)
        outcomes = tuple(RecipientOutcome(one, RecipientState.ACCEPTED, reply) for one in envelope.recipients)
        return Submission(outcomes, None, False, transcript, steps, envelope.delivery_receipt)

    def close(self) -> None:
        """There is nothing to end."""

    def drop(self) -> None:
        """There is nothing to end."""
