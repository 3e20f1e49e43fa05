"""What the worker runs for distribution."""

from __future__ import annotations

from core.pulse import process_name
from modules.distribution import dispatches
from modules.outbox.transitions import acting_as


def go() -> None:
    """Let go what is due."""
    with acting_as(f"worker {process_name()}"):
        dispatches.go()
