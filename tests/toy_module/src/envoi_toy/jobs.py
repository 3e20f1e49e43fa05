"""What the worker runs."""

from __future__ import annotations

from core import clock
from envoi_toy import service


def expire() -> None:
    """Mark the vouchers whose day has passed."""
    service.expire(clock.day_in("UTC"))
