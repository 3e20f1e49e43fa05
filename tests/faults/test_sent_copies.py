"""Copies in Sent folders while workers are killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update

from core import jobs
from core.db import transaction
from modules.mail_config.models import Encryption, MailServer, SentFolder
from modules.outbox.models import OutgoingMail
from modules.outbox.sent_copies.service import keep_copies
from tests.outbox.dovecot import Dovecot
from tests.outbox.own_queue import in_a_hurry  # noqa: F401 (a fixture)
from tests.outbox.processes import Worker, eventually, settled, sweep_until
from tests.outbox.test_sent_copies import (  # noqa: F401 (fixtures)
    copies,
    dovecot,
    lab,
    name,
    past,
    row_of,
    server,
)

pytestmark = [pytest.mark.smtp]

Send = Callable[..., OutgoingMail]
KILLED = """
import os, signal, sys
from modules.outbox.sent_copies import service

def struck(mail_id, folder):
    os.kill(os.getpid(), signal.SIGKILL)

service._kept = struck
from core import cli
sys.argv = ["envoi", "worker"]
cli.main()
"""


@pytest.mark.both_databases
@pytest.mark.usefixtures("in_a_hurry")
def test_a_worker_that_dies_behind_an_append_leaves_one_copy(
    app: Flask,
    server: MailServer,  # noqa: F811 (fixtures)
    dovecot: Dovecot,  # noqa: F811 (fixtures)
    name: str,  # noqa: F811 (fixtures)
    send: Send,
    tmp_path: Path,
    hire: Callable[..., Worker],
) -> None:
    # What a worker trusts is the installation's, and so is not this mailbox.
    with transaction() as session:
        session.execute(update(SentFolder).values(port=dovecot.port, encryption=Encryption.NONE))
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    mail = send("client@example.com")
    victim = hire(script=script)
    assert jobs.enqueue("outbox.deliver_mails", [mail.id])
    eventually(lambda: not victim.alive(), "it was killed behind the append")
    sweep_until([mail.id], settled, "the mail is settled")
    assert (row_of(mail).kept_at, len(copies(dovecot, name))) == (None, 1)
    assert keep_copies() == 0, "its time is not over"
    past(mail)
    assert keep_copies() == 1
    assert row_of(mail).kept_at is not None
    assert len(copies(dovecot, name)) == 1
