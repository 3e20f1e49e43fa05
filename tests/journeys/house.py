"""The whole house of a journey: `envoi up` as a person starts it, on ports and data of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from typing import Any

from core.embedded import die_with_parent, free_port
from modules.playground.store import MailStore, StoredMessage
from tests.warm import WarmEnvoi, warm_envoi

START_SECONDS = 180.0
STOP_SECONDS = 60.0
WAIT_SECONDS = 90.0
POLL_SECONDS = 0.05
LOG_LINES = 60


def wait_until(what: str, condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """Return what a condition returns once it is true; fail with `what` when the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"Waited {seconds} s in vain for: {what}"
        time.sleep(POLL_SECONDS)
    return found


@dataclass(frozen=True)
class House:
    """A running Envoi with web, worker, scheduler and playground mailbox.

    Args:
        url: Where it answers.
        data_dir: Its data.
        smtp_port: Where its playground takes mail.
        environ: The variables it was started with.
        log: What its processes have said.
        commands: Its command line.
        process: `envoi up`.
        signed_in: The cookies of those who have signed in, by login.
    """

    url: str
    data_dir: Path
    smtp_port: int
    environ: dict[str, str]
    log: Path
    commands: WarmEnvoi
    process: subprocess.Popen[bytes]
    signed_in: dict[str, dict[str, str]] = field(default_factory=dict)

    def cli(self, *args: str) -> str:
        """Run `envoi …` on the data of the house and return what it printed."""
        code, out, err = self.commands.run(args, environ=self.environ)
        assert code == 0, f"envoi {' '.join(args)}: {out}{err}"
        return out

    def send(self, number: str, *args: str) -> int:
        """Send a document by the command line and return the id of the mail."""
        return int(json.loads(self.cli("send", number, "--json", *args))["id"])

    def mail(self, mail_id: int) -> tuple[str, int]:
        """Return the state of a mail and how often it was tried, as the database has it at this moment."""
        database = sqlite3.connect(f"file:{self.data_dir / 'envoi.db'}?mode=ro", uri=True)
        with contextlib.closing(database):
            state, tries = database.execute(
                "SELECT state, (SELECT count(*) FROM outbox_attempt WHERE mail_id = mail.id) "
                "FROM outbox_mail mail WHERE id = ?",
                (mail_id,),
            ).fetchone()
        return str(state), int(tries)

    def mailbox(self, search: str) -> list[tuple[StoredMessage, EmailMessage]]:
        """Return the messages of the playground in which a text occurs, newest first."""
        store = MailStore(self.data_dir / "playground")
        found = []
        for row in store.page(search=search, size=100).rows:
            got = store.get(row.key)
            assert got is not None
            message = message_from_bytes(got[1], policy=policy.default)
            assert isinstance(message, EmailMessage)
            found.append((row, message))
        return found

    def accepted(self, addr_spec: str) -> int:
        """Return how many messages the playground has taken for an address."""
        return sum(addr_spec in row.recipients for row, _message in self.mailbox(addr_spec))

    def last_words(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def answers(self) -> bool:
        """Return whether the sign-in page is there."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=2)
        try:
            connection.request("GET", "/sign-in")
            return connection.getresponse().status == HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def running_house(
    folder: Path,
    redis_url: str,
    *,
    ports: tuple[int, int] | None = None,
    python: Path | None = None,
    demo: bool = True,
    **settings: str,
) -> Iterator[House]:
    """Start `envoi up` with demonstration data, and stop it with everything it started.

    Args:
        folder: Where its data go; one that was there before goes on with them.
        redis_url: A Redis that others may use as well.
        ports: Of the web server and of the mailbox, or None for free ones.
        demo: Whether it begins with demonstration data.
        python: The interpreter of the environment that Envoi is installed in, or None for that of the tests.
        settings: Further variables of its environment.
    """
    data_dir = folder / "data"
    data_dir.mkdir(exist_ok=True)
    port, smtp_port = ports or (free_port(), free_port())
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")} | {
        "ENVOI_DATA_DIR": str(data_dir),
        "ENVOI_PORT": str(port),
        "ENVOI_PLAYGROUND_SMTP_PORT": str(smtp_port),
        "ENVOI_REDIS_URL": redis_url,
        # Other tests of the session use the same Redis.
        "ENVOI_QUEUE": f"envoi-journeys-{port}",
        # Nobody waits for what nobody takes back; the journey that does has a house of its own.
        "ENVOI_OUTBOX_UNDO_SECONDS": "0.5",
        "ENVOI_MAIL_CONFIG_ALLOW_LOCAL_SERVERS": "1",
        **settings,
    }
    path = folder / "envoi.log"
    begun = len(path.read_text()) if path.exists() else 0
    with path.open("ab") as log:
        process = subprocess.Popen(
            # A test that stands still is ended with its process: its house must not stay and load the machine.
            [
                *die_with_parent(),
                str(python or sys.executable),
                "-m",
                "core",
                "up",
                *([] if demo else ["--no-demo"]),
            ],
            env=environ,
            cwd=folder if python else None,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    commands = WarmEnvoi(environ, python) if python else warm_envoi()
    house = House(f"http://127.0.0.1:{port}", data_dir, smtp_port, environ, path, commands, process)

    def ready() -> bool:
        assert process.poll() is None, f"envoi up ended by itself:\n{house.last_words()}"
        return house.answers()

    try:
        wait_until("the sign-in page", ready, START_SECONDS)
        wait_until("the mailbox", lambda: "takes email on" in house.log.read_text()[begun:], START_SECONDS)
        yield house
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if python:
            commands.close()
