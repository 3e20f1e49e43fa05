"""What the worker runs so that nothing is kept longer than it may be."""

from __future__ import annotations

from core.pulse import process_name
from modules.outbox.privacy.retention import apply
from modules.outbox.transitions import acting_as


def retention() -> None:
    """Erase what need no longer be kept."""
    with acting_as(f"retention {process_name()}"):
        apply()
