"""What the worker runs for runs."""

from __future__ import annotations

from core.pulse import process_name
from modules.outbox.runs import work
from modules.outbox.transitions import acting_as


def run(run_id: int) -> None:
    """Go on with a run."""
    with acting_as(f"worker {process_name()}"):
        work.work(run_id)
