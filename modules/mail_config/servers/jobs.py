"""The jobs of mail_config: thin entries by which the worker calls its services."""

from __future__ import annotations

from modules.mail_config.servers import circuit_breaker


def probe_servers() -> None:
    """Probe the paused mail servers whose time has come."""
    circuit_breaker.probe_due()
