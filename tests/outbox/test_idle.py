"""Waiting at mailboxes by IMAP IDLE, on a real server (Dovecot): what comes is read at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flask import Flask

from core import clock
from core.db import db, transaction
from core.testing.services.limits import LOOPBACK
from modules.mail_config.models import Encryption
from modules.mail_config.transports.base import ServerAccess
from modules.outbox.inbound import waiting
from modules.outbox.inbound.mailboxes import read_mailboxes
from modules.outbox.models import Mailbox, OutgoingMail
from modules.outbox.states import MailState
from tests.faults.test_mailbox_servers import honest, scripted
from tests.outbox.coming_back import report
from tests.outbox.dovecot import Dovecot, dovecot_server
from tests.outbox.mails import accepted
from tests.outbox.test_mailboxes import NEWSLETTER, make

Send = Callable[..., OutgoingMail]


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with dovecot_server() as server:
        yield server


class Bell:
    """Counts how often it was rung."""

    def __init__(self) -> None:
        self.count = 0
        self._rung = threading.Condition()

    def __call__(self) -> None:
        with self._rung:
            self.count += 1
            self._rung.notify_all()

    def wait_for(self, count: int, seconds: float = 10.0) -> bool:
        """Return True once it was rung that often."""
        with self._rung:
            return self._rung.wait_for(lambda: self.count >= count, seconds)


@contextmanager
def watching(access: ServerAccess, bell: Callable[[], None]) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=waiting.watch, args=(access, "INBOX", bell, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(waiting.FIRST_PAUSE + 10)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.1)


@pytest.mark.parametrize("encryption", [Encryption.TLS, Encryption.NONE])
def test_what_comes_is_told_at_once(dovecot: Dovecot, encryption: Encryption) -> None:
    user = f"idle-{encryption}"
    dovecot.deliver(user, NEWSLETTER)
    bell = Bell()
    with watching(dovecot.access(user, encryption), bell):
        assert bell.wait_for(1)  # what may have come before
        for count in (2, 3):
            dovecot.deliver(user, NEWSLETTER)
            assert bell.wait_for(count)


def test_a_silent_time_is_no_message_and_the_next_one_is_told(
    dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.2)
    dovecot.deliver("silent", NEWSLETTER)
    bell = Bell()
    with watching(dovecot.access("silent"), bell):
        assert bell.wait_for(1)
        time.sleep(1)  # several IDLEs, one after the other
        assert bell.count == 1
        dovecot.deliver("silent", NEWSLETTER)
        assert bell.wait_for(2)


def test_a_bounce_turns_its_mail_red_when_it_comes_and_a_mailbox_that_is_taken_away_is_left(
    app: Flask, dovecot: Dovecot, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.config["MAIL_CONFIG_CA_FILE"] = dovecot.ca_file
    asked = Bell()
    monkeypatch.setattr(waiting, "enqueue", lambda _name, **_how: asked())
    dovecot.deliver("awaited", NEWSLETTER)
    mailbox = make(dovecot, "awaited")
    mail = accepted(send("ann@far.example"))
    stopped = threading.Event()
    thread = threading.Thread(target=waiting.wait_at_mailboxes, args=(app, stopped), daemon=True)
    thread.start()
    assert asked.wait_for(1)
    read_mailboxes()
    assert read_mailboxes() == 0  # not its turn for a minute
    dovecot.deliver("awaited", report(mail, ("ann@far.example", "failed")))
    assert asked.wait_for(2)
    assert read_mailboxes() == 1
    db.session.expire_all()
    assert mail.state is MailState.FAILED
    with transaction():
        mailbox.active = False
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()


def test_after_a_fault_nobody_is_left_waiting(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[threading.Event] = []

    def wait_until_ended(_app: Flask, _place: object, ended: threading.Event) -> None:
        left.append(ended)
        ended.wait(10)

    def look() -> list[object]:
        if left:
            raise RuntimeError("nobody has thought of that")
        return ["a mailbox"]

    monkeypatch.setattr(waiting, "_wait_at", wait_until_ended)
    monkeypatch.setattr(waiting, "_places", look)
    with pytest.raises(RuntimeError):
        waiting.wait_at_mailboxes(app, threading.Event())
    assert [ended.is_set() for ended in left] == [True]


def test_a_mailbox_is_due_once_something_has_come(app: Flask) -> None:
    with transaction() as session:
        session.add(Mailbox(id=7, name="a", host=LOOPBACK, username="u", tried_at=clock.now()))
    waiting.read_soon(7)
    db.session.expire_all()
    assert db.session.get_one(Mailbox, 7).tried_at is None


def idles(said: bytes, ended: bytes = b"") -> Callable[[bytes, bytes], bytes]:
    def answer(tag: bytes, command: bytes) -> bytes:
        verb = command.upper() if command else tag.upper()
        if verb == b"CAPABILITY":
            return b"* CAPABILITY IMAP4rev1 IDLE\r\n" + tag + b" OK done\r\n"
        if verb == b"IDLE":
            answer.tag = tag  # type: ignore[attr-defined]
            return said.replace(b"TAG", tag)
        if verb == b"DONE":
            return ended or answer.tag + b" OK done\r\n"  # type: ignore[attr-defined]
        return honest(tag, command)

    return answer


@pytest.mark.parametrize(
    ("said", "ended", "rung"),
    [
        (b"+ idling\r\n* 2 EXISTS\r\n", b"", True),
        (b"* 2 EXISTS\r\n+ idling\r\n", b"", True),
        (b"+ idling\r\n* OK Still here\r\n", b"", False),
        (b"TAG NO not now\r\n", b"", False),
        (b"TAG BAD what?\r\n", b"", False),
        (b"", b"", False),  # hangs before it waits
        (b"+ idling\r\n* 2 EXISTS\r\n", b"* x\r\n" * 1000, False),  # never ends
        (b"\x00\xff" * 600_000, b"", False),
    ],
)
def test_servers_that_do_not_keep_to_idle_are_asked_again_later(
    monkeypatch: pytest.MonkeyPatch, said: bytes, ended: bytes, rung: bool
) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE", 0.05)
    bell = Bell()
    with scripted(idles(said, ended)) as port:
        access = ServerAccess(LOOPBACK, port, Encryption.NONE, "ann", "secret", timeout=0.3)
        with watching(access, bell):
            # Each connection tells once, since something may have come before.
            assert bell.wait_for(2 if rung or b"Still" not in said else 1, 8)


def test_a_server_that_does_not_tell_is_left_to_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    bell = Bell()
    with scripted(honest) as port:
        access = ServerAccess(LOOPBACK, port, Encryption.NONE, "ann", "secret", timeout=0.5)
        with watching(access, bell):
            time.sleep(0.5)
    assert bell.count == 0


def test_a_server_that_comes_back_is_waited_at_again(dovecot: Dovecot) -> None:
    bell = Bell()
    dovecot.deliver("back", NEWSLETTER)
    away = dovecot.access("back", Encryption.NONE)
    gone = ServerAccess(LOOPBACK, 1, Encryption.NONE, "ann", "secret", timeout=0.3)
    with watching(gone, bell):
        time.sleep(0.5)
        assert bell.count == 0
    with watching(away, bell):
        assert bell.wait_for(1)
