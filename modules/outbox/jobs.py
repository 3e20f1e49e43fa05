"""What the worker runs."""

from __future__ import annotations

from modules.outbox import delivery
from modules.outbox import sweep as sweeping


def deliver_mails(mail_ids: list[int]) -> None:
    """Deliver mails by their ids."""
    delivery.deliver(mail_ids)


def sweep() -> None:
    """Put on the queue what is due."""
    sweeping.sweep()
