"""`envoi incoming`."""

from __future__ import annotations

import signal
import threading

import click

from core.cli import long_running, with_app
from modules.outbox.inbound.waiting import wait_at_mailboxes


@click.command()
@with_app
def incoming() -> None:
    """Wait at the connected mailboxes and have them read at once, until told to stop.

    Without it each is read once a minute. One such process is enough for an installation.
    """
    app = long_running("incoming")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    wait_at_mailboxes(app, stopped)
