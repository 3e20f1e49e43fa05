"""The jobs of the outbox: thin entries by which the worker calls its services."""

from __future__ import annotations

from modules.outbox import alerts, delivery, service
from modules.outbox import bulk as bulk_runs
from modules.outbox import retention as retaining
from modules.outbox import sweep as sweeping
from modules.outbox.transitions import acting_as, process_name


def deliver_mails(mail_ids: list[int]) -> None:
    """Deliver mails by their ids."""
    with acting_as(f"worker {process_name()}"):
        delivery.deliver(mail_ids)


def release_mails(mail_ids: list[int]) -> None:
    """Deliver scheduled mails whose time has come."""
    with acting_as(f"worker {process_name()}"):
        due = service.release_due(mail_ids)
        if due:
            delivery.deliver(due)


def sweep() -> None:
    """Put on the queue what is due."""
    with acting_as(f"sweep {process_name()}"):
        sweeping.sweep()
        bulk_runs.resume_lost()


def mail_alerts() -> None:
    """Tell people by mail what has failed, if they want that."""
    with acting_as(f"alerts {process_name()}"):
        alerts.mail_alerts()


def retention() -> None:
    """Erase what need no longer be kept."""
    with acting_as(f"retention {process_name()}"):
        retaining.apply()


def bulk(run_id: int) -> None:
    """Go on with an action on many mails."""
    with acting_as(f"worker {process_name()}"):
        bulk_runs.work(run_id)
