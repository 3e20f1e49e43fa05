"""The folder of this installation's test mailbox."""

from __future__ import annotations

from flask import current_app

from core.errors import ConfigError
from core.registry import current_settings
from modules.playground.store import MailStore


def current_store() -> MailStore:
    """Return the mailbox of the current application."""
    return MailStore(current_settings().data_dir / "playground")


def smtp_port() -> int:
    """Return the port on which the playground takes mail.

    Raises:
        ConfigError: ENVOI_PLAYGROUND_SMTP_PORT is no port.
    """
    text = str(current_app.config["PLAYGROUND_SMTP_PORT"]).strip()
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise ConfigError([f"ENVOI_PLAYGROUND_SMTP_PORT must be a whole number from 1 to 65535, not “{text}”."])
