"""The folder that mails are dropped into: the installation names it, never somebody in the browser."""

from __future__ import annotations

from pathlib import Path

from flask import current_app

from core.i18n import lazy_gettext as _l
from core.mail.outcomes import FailureKind
from modules.mail_config.models import MailServer
from modules.mail_config.servers.access import UnusableServerError
from modules.mail_config.transports.drop import FileDrop

FOLDER = "MAIL_CONFIG_DROP_FOLDER"


def offered() -> bool:
    """Tell whether there is a folder; without one, its kind of server is not offered."""
    return bool(current_app.config[FOLDER])


def open_drop(server: MailServer, *, timeout: float) -> FileDrop:
    """Return a transport into the folder; a factory of the contract.

    Raises:
        UnusableServerError: The installation names none any more.
    """
    del server, timeout  # there is one folder, and nothing that could answer late
    if not offered():
        raise UnusableServerError(
            FailureKind.SERVER_MISSING,
            _l("The settings of the installation name no folder any more (ENVOI_MAIL_CONFIG_DROP_FOLDER)."),
        )
    return FileDrop(Path(str(current_app.config[FOLDER])))
