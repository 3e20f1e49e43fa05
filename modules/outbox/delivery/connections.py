"""The connections of this process to mail servers, kept from job to job."""

from __future__ import annotations

from flask import current_app

from modules.mail_config.models import MailServer
from modules.mail_config.servers.access import open_transport
from modules.mail_config.transports.smtp import SmtpConnection

kept: dict[tuple[int, str], SmtpConnection] = {}
"""By server and the fingerprint of its settings; one to each server."""


def connection_to(server: MailServer) -> SmtpConnection:
    """Return the connection to a server, which may be closed; one made by other settings is ended.

    Raises:
        UserError: The password cannot be read.
    """
    # Host, account or password may have changed since the connection was made; then it speaks for the old
    # ones.
    key = (server.id, server.fingerprint)
    for other in [other for other in kept if other[0] == server.id and other != key]:
        kept.pop(other).close()
    if key not in kept:
        timeout = float(current_app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"])
        kept[key] = open_transport(server, timeout=timeout)
    return kept[key]
