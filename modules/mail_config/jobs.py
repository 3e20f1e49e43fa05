"""The jobs of mail_config: thin entries by which the worker calls its services."""

from __future__ import annotations

from modules.mail_config import health


def probe_servers() -> None:
    """Probe the paused mail servers whose time has come."""
    health.probe_due()
