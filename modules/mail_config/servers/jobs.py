"""What the worker runs."""

from __future__ import annotations

from modules.mail_config.servers import health


def probe_servers() -> None:
    """Probe the paused mail servers whose time has come."""
    health.probe_due()
