"""Real workers, a server that stops at a point of the dialogue, and one that breaks the rules of SMTP."""

from __future__ import annotations

import contextlib
import email
import os
import secrets
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg
from flask import Flask
from sqlalchemy.engine import make_url

from core import jobs
from core.config import Settings
from core.db import db
from core.testing.services import SmtpLab, Transaction
from modules.outbox.models import OutgoingMail
from tests.warm import warm_envoi

LEASE_SECONDS = 2
# Long enough for a machine that has much else to do; a condition that comes is not waited for any longer.
WAIT_SECONDS = 90.0
# After this a server that never answers hangs up.
HANG_SECONDS = 20.0
_LOOKS = 10
_LOOK_AGAIN_SECONDS = 0.03


def eventually(
    condition: Callable[[], Any], what: str, timeout: float = WAIT_SECONDS, pause: float = 0.03
) -> Any:
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"After {timeout:g} seconds still not: {what}"
        time.sleep(pause)


# ---------------------------------------------------------------------------------------------------- workers


class Worker:
    """`envoi worker`, or another command, in a process of its own, with the settings of a test's application.

    Args:
        app: Of the test.
        folder: For its log.
        command: What follows `envoi`.
        arguments: What follows the command.
        script: A Python program to run instead of `envoi`.
        settings: Its settings that differ.
    """

    def __init__(
        self,
        app: Flask,
        folder: Path,
        command: str = "worker",
        *,
        arguments: Sequence[str] = (),
        script: Path | None = None,
        **settings: object,
    ) -> None:
        own: Settings = app.extensions["envoi_settings"]
        self._settings = own
        self._name = f"envoi-test-{secrets.token_hex(4)}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")}
        environment |= {
            "ENVOI_DATA_DIR": str(own.data_dir),
            "ENVOI_DATABASE_URL": own.database_url,
            "ENVOI_REDIS_URL": own.redis_url,
            "ENVOI_QUEUE": own.queue,
            "ENVOI_OUTBOX_LEASE_SECONDS": str(LEASE_SECONDS),
            "ENVOI_OUTBOX_SMTP_TIMEOUT_SECONDS": "30",
            "ENVOI_MAIL_CONFIG_ALLOW_LOCAL_SERVERS": "1",
            # By this PostgreSQL knows its connections.
            "PGAPPNAME": self._name,
        }
        environment |= {f"ENVOI_{name}": str(value) for name, value in settings.items()}
        self.environment = environment
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / f"{command}-{time.monotonic_ns()}.log"
        self.process = warm_envoi().start(
            (command, *arguments), self.log_file, environ=environment, script=script
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End it without a chance to say or write anything."""
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    def end_connections(self) -> None:
        """End what it has begun at PostgreSQL; SQLite begins nothing that outlives its process."""
        if make_url(self._settings.database_url).get_backend_name() == "postgresql":
            eventually(
                lambda: not terminate_connections(self._settings, self._name), "its connections have ended"
            )

    def waits_for_the_database(self) -> bool:
        """Return whether it has nothing to do but to wait for a lock at PostgreSQL, and for some time."""
        waiting = f"application_name = '{self._name}' AND wait_event_type = 'Lock'"
        query = f"SELECT 1 FROM pg_stat_activity WHERE {waiting}"  # noqa: S608 (a name made above)
        return all(
            ask(self._settings, query) and self._sleeps() and not time.sleep(_LOOK_AGAIN_SECONDS)
            for _ in range(_LOOKS)
        )

    def _sleeps(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    def stop(self) -> None:
        """Stop it where it is, as a machine that is suspended."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        if self.alive():
            self.resume()
            self.kill()


@contextlib.contextmanager
def workforce(app: Flask, folder: Path) -> Iterator[Callable[..., Worker]]:
    """Hire workers, and end all of them at the end; with a failure one reads what they have said."""
    hired: list[Worker] = []

    def hire(command: str = "worker", **how: Any) -> Worker:
        hired.append(Worker(app, folder, command, **how))
        return hired[-1]

    try:
        yield hire
    finally:
        for worker in hired:
            worker.end()
            print(f"--- worker {worker.pid}\n{worker.log}")  # noqa: T201 (pytest shows it with a failure)


def sweep() -> None:
    """Sweep once, as the scheduler would, in this process."""
    jobs.run("outbox.sweep")


def states_of(mail_ids: Sequence[int]) -> list[str]:
    """The states of mails as the database has them now."""
    db.session.rollback()
    rows = db.session.query(OutgoingMail.id, OutgoingMail.state).filter(OutgoingMail.id.in_(mail_ids))
    found = {mail_id: state.value for mail_id, state in rows}
    db.session.rollback()
    return [found[mail_id] for mail_id in mail_ids]


def sweep_until(mail_ids: Sequence[int], goal: Callable[[list[str]], bool], what: str) -> list[str]:
    """Sweep again and again, until the states of mails satisfy a goal."""

    def satisfied() -> list[str]:
        sweep()
        states = states_of(mail_ids)
        return states if goal(states) else []

    return eventually(satisfied, what, pause=0.1)


def settled(states: Sequence[str]) -> bool:
    return not set(states) & {"queued", "sending", "scheduled", "deferred"}


# ----------------------------------------------------------------------------------------------- the database


def _connect(settings: Settings) -> Any:
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        # The server's thread takes the lock, the test's releases it.
        return sqlite3.connect(str(url.database), isolation_level=None, check_same_thread=False, timeout=30)
    return psycopg.connect(
        host=url.host, port=url.port or 5432, user=url.username, dbname=url.database, autocommit=True
    )


def ask(settings: Settings, query: str) -> list[Any]:
    """Ask the database by a connection of its own, from any thread."""
    with contextlib.closing(_connect(settings)) as connection:
        return list(connection.execute(query).fetchall())


def hold(settings: Settings, mail_id: int) -> Callable[[], None]:
    """Keep everybody else from writing a mail until the returned function is called."""
    connection = _connect(settings)
    if isinstance(connection, sqlite3.Connection):
        connection.execute("BEGIN IMMEDIATE")
    else:
        connection.execute("BEGIN")
        connection.execute("SELECT id FROM outbox_mail WHERE id = %s FOR UPDATE", [mail_id])

    def release() -> None:
        with contextlib.closing(connection):
            connection.execute("ROLLBACK")

    return release


def terminate_connections(settings: Settings, name: str = "%") -> list[Any]:
    """End the connections of a name to a PostgreSQL database, or all, as a restart of the server does.

    Returns:
        A row for each that was there.
    """
    return ask(
        settings,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"  # noqa: S608
        f" AND pid <> pg_backend_pid() AND application_name LIKE '{name}'",
    )


# ------------------------------------------------------------------------------------------ a server to watch


class WatchedLab(SmtpLab):
    """The SMTP server for tests, which also calls the hook before it greets and after its 354.

    Further stages of the hook: `("CONNECT", "", "before")` when the connection is made and not yet greeted,
    `("DATA", "", "invited")` when the 354 has been sent and nothing of the message has been read.
    """

    def _protocol(self) -> Any:
        self.call_hook("CONNECT", "", "before")
        protocol = super()._protocol()
        push = protocol.push

        async def pushed(status: Any) -> None:
            await push(status)
            if str(status).startswith("354"):
                self.call_hook("DATA", "", "invited")  # type: ignore[arg-type]

        protocol.push = pushed
        return protocol

    def hang_up(self) -> None:
        """End every connection, as a server does with those that have been idle for long."""
        for protocol in tuple(self.protocols):
            protocol.hang_up()
        eventually(lambda: not self.protocols, "every connection has ended")


def message_id(transaction: Transaction) -> str:
    return str(email.message_from_bytes(transaction.data)["Message-ID"])


def acceptances(lab: SmtpLab) -> Counter[tuple[str, str]]:
    """How often the server has accepted each message for each recipient, by its own record."""
    return Counter(
        (message_id(transaction), recipient)
        for transaction in list(lab.accepted)
        for recipient in transaction.recipients
    )


def unread_bytes(port: int) -> int:
    """How many bytes of a server's answers its clients on this machine have not read yet."""
    unread = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _local, remote, state, queues = line.split()[:5]
        if state == "01" and int(remote.rpartition(":")[2], 16) == port:
            unread += int(queues.rpartition(":")[2], 16)
    return unread


# --------------------------------------------------------------------------------- a server that breaks rules

HANG = "hang"
CLOSE = "close"
HELD = "held "
GREETING = "greeting"
BODY = "body"

_GOOD = {
    GREETING: "220 rough.test ESMTP",
    "EHLO": "250-rough.test\r\n250-SIZE 1000000\r\n250 8BITMIME",
    "HELO": "250 rough.test",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    BODY: "250 2.0.0 taken",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
    "NOOP": "250 2.0.0 ok",
}


@dataclass
class RoughServer:
    """A tiny server on loopback that answers each step as it is told.

    Args:
        answers: What to answer at a step instead of something good: a reply without its last CRLF, `HANG` for
            never, `CLOSE` for hanging up, a reply after `HELD` that comes when the test says `let_go`, or a list of
            these, one for each time and the last for ever.

    Attributes:
        said: The lines that clients have sent, without bodies.
        bodies: Every message that came in with its final dot, as it was sent.
        accepted: Those of them that were answered with 250, before the answer went out.
        held: The steps at which a client waits until the test lets it go, or has waited.
    """

    answers: Mapping[str, str | list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    accepted: list[bytes] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    connections: int = 0
    host: str = "127.0.0.1"

    def __enter__(self) -> Self:
        self._times: Counter[str] = Counter()
        self._let_go: dict[str, threading.Event] = defaultdict(threading.Event)
        self._ended = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((self.host, 0))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen, name="rough-server", daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()
        for event in list(self._let_go.values()):
            event.set()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        self._listener.close()

    def let_go(self, step: str) -> None:
        """Answer whoever waits at a step, and hold nobody there any more; who hangs is hung up on."""
        self._let_go[step].set()

    def _listen(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _address = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(WAIT_SECONDS)
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            going_on = self._answer(connection, GREETING)
            while going_on and (line := lines.readline()):
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                self.said.append(text)
                verb = text.partition(" ")[0].upper()
                going_on = self._answer(connection, verb)
                if verb == "QUIT":
                    return
                if verb == "DATA" and going_on == "354":
                    going_on = self._take(connection, lines)

    def _take(self, connection: socket.socket, lines: Any) -> str:
        body = bytearray()
        while (line := lines.readline()) != b".\r\n":
            if not line:
                return ""
            body += line
        self.bodies.append(bytes(body))
        return self._answer(connection, BODY, bytes(body))

    def _answer(self, connection: socket.socket, step: str, body: bytes = b"") -> str:
        """Answer a step, or a body; return the code of the answer, or nothing to end the connection."""
        answer = self.answers.get(step, _GOOD.get(step, "502 5.5.1 what?"))
        if isinstance(answer, list):
            answer = answer[min(self._times[step], len(answer) - 1)]
        self._times[step] += 1
        if answer == HANG or answer.startswith(HELD):
            self.held.append(step)
            self._let_go[step].wait(HANG_SECONDS)
        if answer == HANG:
            return ""
        answer = answer.removeprefix(HELD)
        if answer == CLOSE:
            return ""
        if step == BODY and answer.startswith("2"):
            self.accepted.append(body)
        connection.sendall(answer.encode("utf-8", "surrogateescape") + b"\r\n")
        return answer[:3] if not answer.startswith("421") else ""
