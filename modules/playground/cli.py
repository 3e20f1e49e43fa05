"""`envoi mailbox`."""

from __future__ import annotations

import importlib
import importlib.util

import click

from core.cli import with_app
from core.errors import EnvoiError
from modules.playground.mailbox import current_store, smtp_port


@click.command()
@with_app
def mailbox() -> None:
    """Run the playground's mail server until told to stop."""
    if importlib.util.find_spec("aiosmtpd") is None:
        raise EnvoiError("The playground mailbox needs aiosmtpd: pip install 'envoi[embedded]'.")
    # Only here: an installation without the extra must be able to list its commands.
    server = importlib.import_module("modules.playground.smtp_server")
    server.run(current_store(), smtp_port(), _announce)


def _announce(port: int) -> None:
    click.echo(f"The playground takes email on 127.0.0.1, port {port}.")
