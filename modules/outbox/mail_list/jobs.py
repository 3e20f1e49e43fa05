"""What the worker runs for actions on many mails."""

from __future__ import annotations

from modules.outbox.mail_list import bulk_actions
from modules.outbox.transitions import acting_as, process_name


def bulk(run_id: int) -> None:
    """Go on with an action on many mails."""
    with acting_as(f"worker {process_name()}"):
        bulk_actions.work(run_id)


def resume_bulk() -> None:
    """Put on the queue the actions on many mails whose worker has died."""
    with acting_as(f"sweep {process_name()}"):
        bulk_actions.resume_lost()
