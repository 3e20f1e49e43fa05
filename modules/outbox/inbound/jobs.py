"""The job of what comes back: a thin entry by which the worker calls its services."""

from __future__ import annotations

from modules.outbox.inbound.effects import apply_waiting
from modules.outbox.inbound.mailboxes import read_mailboxes


def inbound() -> None:
    """Read the mailboxes, and let count what has waited for a worker to be done with its mail."""
    apply_waiting()
    read_mailboxes()
