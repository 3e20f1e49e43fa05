"""The folder of this installation's test mailbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from flask import Flask, current_app

from core.auth.models import User
from core.registry import current_settings
from core.signals import captured_mails_asked
from modules.playground.store import MailStore, StoredMessage

READ_ALL = "playground.mail.read_all"


def current_store() -> MailStore:
    """Return the mailbox of the current application."""
    return MailStore(current_settings().data_dir / "playground")


def has_taken_mail() -> bool:
    """Return True once the mailbox has taken a mail, as in every demonstration."""
    return current_store().root.is_dir()


def readable_keys(messages: Sequence[StoredMessage], user: User) -> set[str]:
    """Return the keys of those messages that a user may read.

    They are those to the user, and those that whoever has sent them says the user may read. A permission opens all.
    """
    if user.can(READ_ALL):
        return {message.key for message in messages}
    app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
    asked = [message.message_id for message in messages if message.message_id]
    answers = captured_mails_asked.send(app, user=user, message_ids=asked) if asked else []
    allowed: set[str] = set().union(*(found for _receiver, found in answers))
    return {
        message.key
        for message in messages
        if message.message_id in allowed or user.login in map(str.lower, message.recipients)
    }


def smtp_port() -> int:
    """Return the port on which the playground takes mail."""
    return int(current_app.config["PLAYGROUND_SMTP_PORT"])


def problems(_sender: object) -> list[str]:
    """Answer `core.signals.check_asked`: who has an address by https works, and does not try."""
    words = "The module playground, a mailbox for trying out, is enabled: name the others in ENVOI_MODULES."
    return [words] if current_settings().base_url.startswith("https:") else []


def settings_problems(settings: Mapping[str, str | int | float]) -> list[str]:
    """Return what is wrong with the settings of the playground; called at start."""
    port = settings["PLAYGROUND_SMTP_PORT"]
    if 1 <= int(port) <= 65535:
        return []
    return [f"ENVOI_PLAYGROUND_SMTP_PORT must be a whole number from 1 to 65535, not “{port}”."]
