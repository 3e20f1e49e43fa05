"""What the worker runs for distribution."""

from __future__ import annotations

from core.pulse import process_name
from modules.distribution import dispatches, paper, sent_files
from modules.outbox.transitions import acting_as


def go() -> None:
    """Let go what is due."""
    with acting_as(f"worker {process_name()}"):
        dispatches.go()
        paper.resume_lost()


def make_print(print_id: int) -> None:
    """Make the PDF of a print."""
    paper.run(print_id)


def forget_old() -> None:
    """Throw away the prints, and the files of the archive, that are kept no longer."""
    paper.forget_old()
    sent_files.forget_old()
