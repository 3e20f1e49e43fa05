"""What the worker runs to deliver mails."""

from __future__ import annotations

from core.pulse import process_name
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.transitions import acting_as


def deliver_mails(mail_ids: list[int]) -> None:
    """Deliver mails by their ids."""
    with acting_as(f"worker {process_name()}"):
        deliver(mail_ids)


def release_mails(mail_ids: list[int]) -> None:
    """Deliver scheduled mails whose time has come."""
    with acting_as(f"worker {process_name()}"):
        due = service.release_due(mail_ids)
        if due:
            deliver(due)
