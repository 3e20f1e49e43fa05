"""What the worker runs to tell people of failures."""

from __future__ import annotations

from core.pulse import process_name
from modules.outbox.alerts.held_back import tell_held_back as tell
from modules.outbox.alerts.service import mail_alerts as send_digests
from modules.outbox.transitions import acting_as


def mail_alerts() -> None:
    """Tell people by mail what has failed, if they want that."""
    with acting_as(f"alerts {process_name()}"):
        send_digests()


def tell_held_back() -> None:
    """Tell people by email what has been held back for long, if they want that."""
    with acting_as(f"alerts {process_name()}"):
        tell()
