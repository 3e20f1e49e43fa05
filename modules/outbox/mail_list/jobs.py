"""What the worker runs for actions on many mails, and what it looks after again and again."""

from __future__ import annotations

from core.db import empty_journal, end_reading
from core.pulse import process_name
from modules.outbox.delivery.sweep import sweep as put_on_the_queue
from modules.outbox.mail_list import bulk_actions
from modules.outbox.runs import work
from modules.outbox.transitions import acting_as


def bulk(run_id: int) -> None:
    """Go on with an action on many mails."""
    with acting_as(f"worker {process_name()}"):
        bulk_actions.work(run_id)


def sweep() -> None:
    """Put on the queue what is due and on no queue: mails, and the actions on many of them whose worker has died.

    Then see to it that SQLite's journal holds nothing erased: where somebody was reading at that moment, it could not
    be emptied.
    """
    with acting_as(f"sweep {process_name()}"):
        put_on_the_queue()
        bulk_actions.resume_lost()
        work.resume_lost()
        work.forget_drafts()
    end_reading()
    empty_journal()
