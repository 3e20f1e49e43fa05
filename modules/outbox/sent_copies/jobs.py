"""What the worker runs for copies: a thin entry."""

from __future__ import annotations

from modules.outbox.sent_copies.service import keep_copies


def keep() -> None:
    """Put the copies that are due into their folders."""
    keep_copies()
