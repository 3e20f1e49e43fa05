"""The job of what comes back: a thin entry by which the worker calls its services."""

from __future__ import annotations

from modules.outbox.inbound.effects import apply_waiting


def inbound() -> None:
    """Let count what has waited for a worker to be done with its mail."""
    apply_waiting()
