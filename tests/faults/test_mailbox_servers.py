"""IMAP servers that hang, lie, or send without end."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from core.db import db, transaction
from core.mail.outcomes import FailureKind
from core.testing.services.limits import LOOPBACK
from modules.mail_config.models import Encryption
from modules.mail_config.transports.base import ServerAccess
from modules.mail_config.transports.imap import ImapMailbox
from modules.mail_config.transports.imap_session import MailboxError
from modules.outbox.inbound import mailboxes
from modules.outbox.models import Mailbox
from tests.outbox.conftest import lab, server  # noqa: F401 (fixtures)

Answer = Callable[[bytes, bytes], bytes]


@contextlib.contextmanager
def scripted(answer: Answer, *, greeting: bytes = b"* OK ready\r\n", drip: float = 0.0) -> Iterator[int]:
    """Run an IMAP server that says what it is told to, an octet now and then where `drip` says so."""
    listener = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=speak, args=(connection,), daemon=True).start()

    def speak(connection: socket.socket) -> None:
        def say(octets: bytes) -> None:
            if not drip:
                connection.sendall(octets)
            for place in range(len(octets) if drip else 0):
                connection.sendall(octets[place : place + 1])
                time.sleep(drip)

        with contextlib.suppress(OSError), connection:
            say(greeting)
            for line in connection.makefile("rb"):
                tag, _, command = line.strip().partition(b" ")
                say(answer(tag, command))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def honest(tag: bytes, command: bytes) -> bytes:
    """Answer as a server with one message does."""
    verb = command.split()[0].upper()
    if verb == b"CAPABILITY":
        return b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n"
    if verb in {b"SELECT", b"EXAMINE"}:
        return b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n" + tag + b" OK done\r\n"
    if verb == b"FETCH":
        return (
            b'* 1 FETCH (UID 1 RFC822.SIZE 9 INTERNALDATE "30-Nov-2026 08:00:00 +0000")\r\n'
            + tag
            + b" OK done\r\n"
        )
    if verb == b"UID":
        return b"* 1 FETCH (UID 1 BODY[]<0> {9}\r\nA: b\r\n\r\nc)\r\n" + tag + b" OK done\r\n"
    return tag + b" OK done\r\n"


def hangs(tag: bytes, command: bytes) -> bytes:
    return b"" if command.upper().startswith((b"SELECT", b"EXAMINE")) else honest(tag, command)


def endless(tag: bytes, command: bytes) -> bytes:
    return b"* x\r\n" * 100_000 if command.upper().startswith(b"EXAMINE") else honest(tag, command)


def large(tag: bytes, command: bytes) -> bytes:
    if command.upper().startswith(b"UID"):
        return b"* 1 FETCH (UID 1 BODY[]<0> {99999999999}\r\n"
    return honest(tag, command)


def garbage(tag: bytes, command: bytes) -> bytes:
    return b"\x00\xff not IMAP at all\r\n" if command.upper().startswith(b"EXAMINE") else honest(tag, command)


def boastful(tag: bytes, command: bytes) -> bytes:
    """Promise four thousand million messages, and list others than were asked for."""
    if command.upper().startswith((b"SELECT", b"EXAMINE")):
        return b"* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n" + tag + b" OK done\r\n"
    return honest(tag, command)


IN_TIME = 30.0
"""Seconds within which somebody is given up, on a machine that is busy; the servers below would go on for ever."""


def access(port: int, timeout: float = 0.5) -> ServerAccess:
    return ServerAccess(LOOPBACK, port, Encryption.NONE, "ann", "secret", timeout=timeout)


def read_all(port: int, seconds: float, timeout: float = 0.5) -> bytes | None:
    with ImapMailbox(access(port, timeout), "INBOX", seconds=seconds) as box:
        (one,) = box.listed(1, box.count)
        return box.octets(one.uid)


def test_an_honest_one_is_read() -> None:
    with scripted(honest) as port:
        assert read_all(port, 90, timeout=90) == b"A: b\r\n\r\nc"


@pytest.mark.parametrize(
    ("answer", "timeout", "kind"),
    [
        (hangs, 0.5, FailureKind.TIMEOUT),
        (large, IN_TIME, FailureKind.CONNECT_FAILED),
        (garbage, IN_TIME, FailureKind.CONNECT_FAILED),
    ],
)
def test_one_that_hangs_or_lies_is_given_up_in_time(
    answer: Answer, timeout: float, kind: FailureKind
) -> None:
    began = time.monotonic()
    with scripted(answer) as port, pytest.raises(MailboxError) as told:
        read_all(port, 4 * timeout, timeout)
    assert told.value.failure.kind is kind
    assert time.monotonic() - began < IN_TIME


@pytest.mark.parametrize("greeting", [b"* OK ready\r\n", b"* OK " + b"x" * 1000 + b"\r\n"])
def test_one_that_sends_an_octet_now_and_then_is_cut_off(greeting: bytes) -> None:
    began = time.monotonic()
    with scripted(honest, greeting=greeting, drip=0.1) as port, pytest.raises(MailboxError) as told:
        read_all(port, 1.0)
    assert told.value.failure.kind is FailureKind.TIMEOUT
    assert time.monotonic() - began < IN_TIME


def test_one_that_promises_messages_without_end_holds_the_job_for_a_bounded_time(
    app: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = app
    monkeypatch.setattr(mailboxes, "MAILBOX_SECONDS", 0.5)
    monkeypatch.setattr(mailboxes, "TIMEOUT_SECONDS", 0.5)
    began = time.monotonic()
    with scripted(boastful) as port:
        values = {
            "name": "x",
            "host": LOOPBACK,
            "port": port,
            "encryption": Encryption.NONE,
            "username": "ann",
        }
        mailbox = mailboxes.save_mailbox(None, values, "secret")
        with transaction():
            mailbox.uid_validity, mailbox.last_uid = 7, 0
        mailboxes.read_mailboxes()
    assert time.monotonic() - began < IN_TIME
    db.session.expire_all()
    assert db.session.get_one(Mailbox, mailbox.id).last_uid in {0, 1}


def test_one_that_hangs_does_not_keep_others_from_being_read(
    app: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = app
    monkeypatch.setattr(mailboxes, "TIMEOUT_SECONDS", 0.5)
    with scripted(hangs) as bad, scripted(honest) as good:
        values = {"name": "x", "host": LOOPBACK, "encryption": Encryption.NONE, "username": "ann"}
        first = mailboxes.save_mailbox(None, {**values, "port": bad}, "secret")
        second = mailboxes.save_mailbox(None, {**values, "port": good}, "secret")
        with transaction():
            second.read_from = second.read_from.replace(year=2020)
        assert mailboxes.read_mailboxes() == 1
    db.session.expire_all()
    assert first.failure_kind is FailureKind.TIMEOUT
    assert (second.failure_kind, second.last_uid) == (None, 1)


def test_of_a_hundred_thousand_messages_only_what_is_new_is_asked_for(app: Flask) -> None:
    """The first new one is found by halves: some twenty questions, whatever lies before it."""
    asked: list[bytes] = []

    def full(tag: bytes, command: bytes) -> bytes:
        verb, _, rest = command.upper().partition(b" ")
        asked.append(verb)
        if verb in {b"SELECT", b"EXAMINE"}:
            return b"* 100000 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n" + tag + b" OK done\r\n"
        if verb == b"FETCH":
            first, _, last = rest.split()[0].partition(b":")
            lines = [
                b'* %d FETCH (UID %d RFC822.SIZE 9 INTERNALDATE "30-Nov-2026 08:00:00 +0000")\r\n' % (n, n)
                for n in range(int(first), int(last) + 1)
            ]
            return b"".join(lines) + tag + b" OK done\r\n"
        return honest(tag, command)

    with scripted(full) as port:
        values = {"name": "x", "host": LOOPBACK, "port": port, "encryption": Encryption.NONE, "username": "a"}
        mailbox = mailboxes.save_mailbox(None, values, "secret")
        with transaction():
            mailbox.uid_validity, mailbox.last_uid = 7, 99_997
        assert mailboxes.read_mailboxes() == 3
        assert asked.count(b"FETCH") < 25
        assert asked.count(b"UID") == 3
