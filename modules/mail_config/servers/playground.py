"""The mailbox of the playground as a mail server: it takes every mail on this machine, and hands on none."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import select

from core import clock
from core.db import db, transaction
from core.registry import current_settings
from modules.mail_config.models import Encryption, MailServer

_HOST = "127.0.0.1"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _port() -> int | None:
    """Return the port on which the playground takes mails, or None where its module is not enabled."""
    port = current_app.config.get("PLAYGROUND_SMTP_PORT")
    return None if port is None else int(port)


def is_there() -> bool:
    """Return whether there is a playground."""
    return _port() is not None


def is_it(host: str, port: int) -> bool:
    """Return whether a server is the playground."""
    return is_there() and (host, port) == (_HOST, _port())


def use() -> MailServer:
    """Let mails leave by the playground where no other server takes them; it is there once.

    It counts as tested: it is ours, it runs on this machine, and a first try should not begin in developer mode. Every
    other server must pass its test.
    """
    with transaction() as session:
        server = next(iter(_servers()), None) or MailServer(
            name="Playground",
            host=_HOST,
            port=_port(),
            encryption=Encryption.NONE,
            from_filter="",
            priority=100,
        )
        server.active = True
        session.add(server)
        session.flush()
        server.tested_fingerprint = server.fingerprint
        server.tested_at = clock.now()
    return server


def _servers() -> list[MailServer]:
    rows = select(MailServer).where(MailServer.host == _HOST, MailServer.owner_id.is_(None))
    return [row for row in db.session.scalars(rows.order_by(MailServer.id)) if is_it(row.host, row.port)]


def in_production(app: object, **_keywords: Any) -> list[str]:  # noqa: ARG001 (signature of the signal)
    """Return a sentence for `envoi check` where people reach the installation, and emails go to the playground."""
    host = urlsplit(current_settings().base_url).hostname or ""
    if host in _LOOPBACK:
        return []
    return [
        f"The mail server {row.name} is the playground, and people reach Envoi at {host}: emails that go there reach "
        "nobody. Switch it off or delete it in Configuration › Technical › Mail servers."
        for row in _servers()
        if row.active
    ]
