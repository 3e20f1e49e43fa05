"""`envoi inbound --explain`: what would be made of a message, without an application."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.mail.bounces import read
from core.mail.bounces.sentences import sentences
from tests.core.bounces import exim
from tests.core.bounces import samples as s

ENVOI = Path(sys.executable).with_name("envoi")


def explain(*arguments: str, octets: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command where no database, folder or setting is of any use."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ENVOI_", "LC_", "LANG"))
    }
    return subprocess.run(
        [str(ENVOI), "inbound", "--explain", *arguments],
        input=octets,
        capture_output=True,
        check=False,
        timeout=60,
        env={**kept, "ENVOI_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none", **env},
    )


def test_scripts_get_an_object_for_each_file(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(s.POSTFIX)
    (tmp_path / "b.eml").write_bytes(b"From: ann@far.example\nSubject: Hello\n\nHello")
    done = explain("--json", str(tmp_path / "a.eml"), str(tmp_path / "b.eml"))
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = json.loads(done.stdout)
    assert first["file"].endswith("a.eml")
    assert first["nature"] == "bounce"
    assert first["recipients"][1] == {
        "recipient": "bob@far.example",
        "original_recipient": "",
        "action": "failed",
        "permanent": True,
        "kind": "mailbox_full",
        "advice": None,
        "status": "5.2.2",
        "reply_code": 552,
        "diagnostic": "552 5.2.2 <bob@far.example>: Mailbox is full",
        "remote_mta": "store.far.example",
        "retry_until": "",
    }
    assert first["about"]["message_ids"] == ["<mail.7@atelier.example>"]
    assert first["about"]["envelope_id"] == "envoi-7"
    assert first["addressed_to"] == [s.US]
    assert (second["nature"], second["recipients"]) == ("ordinary", [])


def test_people_get_sentences_in_their_language() -> None:
    english = explain(octets=s.POSTFIX, LANG="en_GB.UTF-8").stdout.decode()
    assert (
        "– ann@far.example (forwarded from ann.old@near.example): not delivered. Address unknown." in english
    )
    french = explain("-", octets=s.POSTFIX, LANG="fr_FR.UTF-8").stdout.decode()
    assert "– bob@far.example\xa0: non remis. Boîte pleine." in french


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(s.DELAY)
    done = explain("--json", str(tmp_path / "none.eml"), str(tmp_path / "a.eml"))
    missing, there = json.loads(done.stdout)
    assert done.returncode == 1
    assert missing["error"].startswith(f"{tmp_path}/none.eml cannot be read: ")
    assert there["nature"] == "delay"


def test_no_part_of_the_application_is_loaded() -> None:
    loaded = "import sys, core.inbound; print([m for m in ('sqlalchemy', 'core.app', 'redis') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True, timeout=60)
    assert done.stdout.strip() == b"[]"


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "octets",
    [
        exim.EXIM,
        exim.EXIM_DELAYED,
        s.GIVEN_UP,
        s.RECEIPT,
        s.read_receipt("a/b; displayed"),
        s.COMPLAINT,
        s.MAIL_RU,
    ],
)
def test_no_sentence_promises_that_we_try_again(octets: bytes) -> None:
    told = list(sentences(read(octets)))
    assert len(told) > 1
    assert not any("tries again by itself" in line for line in told)
