"""`envoi inbound < message`, as a mail server pipes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from core.config import Settings
from core.db import db, end_reading
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.coming_back import report
from tests.outbox.mails import accepted

ENVOI = Path(sys.executable).with_name("envoi")


def pipe(octets: bytes, **env: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")}
    return subprocess.run(
        [str(ENVOI), "inbound"],
        input=octets,
        capture_output=True,
        check=False,
        timeout=60,
        env={**kept, **env},
    )


def test_a_message_that_is_piped_in_turns_its_mail_red(
    send: Callable[..., OutgoingMail], settings: Settings
) -> None:
    mail = accepted(send("ann@far.example"))
    octets = report(mail, ("ann@far.example", "failed"))
    end_reading()
    done = pipe(octets, ENVOI_DATA_DIR=str(settings.data_dir), ENVOI_REDIS_URL="redis://127.0.0.1:1/0")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"counted\n", b"")
    db.session.expire_all()
    assert mail.state is MailState.FAILED


def test_what_cannot_be_taken_in_now_is_left_to_the_mail_server(tmp_path: Path) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    done = pipe(b"From: a@b.example\n\nx", ENVOI_DATA_DIR=str(tmp_path), ENVOI_DATABASE_URL=away)
    assert done.returncode == os.EX_TEMPFAIL
    assert b"not taken in now" in done.stderr
