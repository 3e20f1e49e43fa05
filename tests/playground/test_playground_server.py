"""The mail server of the playground, by real dialogues."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.mail.script import scripted_behaviour, scripted_reply
from modules.playground import smtp_server
from modules.playground.store import MailStore
from modules.playground.views import SCRIPTED_ADDRESSES

pytestmark = pytest.mark.smtp
MESSAGE = b"Subject: hello\r\nFrom: a@x.example\r\n\r\n..dots\r\n"


def client(port: int) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", port, timeout=60)


def test_a_message_is_stored_with_its_envelope(smtp_port: int, store: MailStore) -> None:
    with client(smtp_port) as smtp:
        smtp.sendmail("a@x.example", ["b@y.example", "hidden@z.example"], MESSAGE)
    [row] = store.page().rows
    assert row.envelope_from == "a@x.example"
    assert row.recipients == ("b@y.example", "hidden@z.example")
    found = store.get(row.key)
    assert found is not None
    assert found[1] == MESSAGE


def test_only_accepted_recipients_are_in_the_envelope(smtp_port: int, store: MailStore) -> None:
    with client(smtp_port) as smtp:
        refused = smtp.sendmail("a@x.example", ["refused+1@y.example", "b@y.example"], MESSAGE)
    assert refused["refused+1@y.example"][0] == 550
    assert store.page().rows[0].recipients == ("b@y.example",)


@pytest.mark.parametrize(
    ("word", "code"), [("refused", 550), ("later", 451), ("full", 552), ("spam", 550), ("big", 552)]
)
def test_an_address_asks_for_its_refusal(smtp_port: int, store: MailStore, word: str, code: int) -> None:
    with client(smtp_port) as smtp, pytest.raises(smtplib.SMTPException) as caught:
        smtp.sendmail("a@x.example", [f"{word}+1@y.example"], MESSAGE)
    error = caught.value
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        assert error.recipients[f"{word}+1@y.example"][0] == code
    else:
        assert isinstance(error, smtplib.SMTPDataError)
        assert error.smtp_code == code
    assert store.page().rows == []


def test_slow_is_stored_before_the_late_answer(smtp_port: int, store: MailStore) -> None:
    with client(smtp_port) as smtp:
        started = time.monotonic()
        smtp.sendmail("a@x.example", ["slow+1@y.example"], MESSAGE)
        assert time.monotonic() - started >= 0.3
    assert len(store.page().rows) == 1


def test_drop_closes_without_a_word(smtp_port: int, store: MailStore) -> None:
    smtp = client(smtp_port)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.sendmail("a@x.example", ["drop+1@y.example"], MESSAGE)
    smtp.close()
    assert store.page().rows == []


def test_any_user_and_password_may_sign_in(smtp_port: int, store: MailStore) -> None:
    with client(smtp_port) as smtp:
        smtp.login("anybody", "anything")
        smtp.sendmail("a@x.example", ["b@y.example"], MESSAGE)
    assert len(store.page().rows) == 1


def test_addresses_beyond_ascii(smtp_port: int, store: MailStore) -> None:
    with client(smtp_port) as smtp:
        smtp.ehlo()
        smtp.mail("zoé@x.example", ["SMTPUTF8"])
        smtp.rcpt("jürgen@y.example")
        smtp.data(MESSAGE)
    assert store.page().rows[0].recipients == ("jürgen@y.example",)


def test_a_bounce_has_no_sender(smtp_port: int, store: MailStore) -> None:
    with client(smtp_port) as smtp:
        smtp.sendmail("", ["b@y.example"], MESSAGE)
    assert store.page().rows[0].envelope_from == ""


def test_a_full_disk_is_452(smtp_port: int, store: MailStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MailStore, "put", full)
    with client(smtp_port) as smtp, pytest.raises(smtplib.SMTPDataError) as caught:
        smtp.sendmail("a@x.example", ["b@y.example"], MESSAGE)
    assert caught.value.smtp_code == 452


def test_a_message_that_is_too_large_is_refused_at_once(smtp_port: int) -> None:
    with client(smtp_port) as smtp:
        smtp.ehlo()
        code, _text = smtp.mail("a@x.example", [f"SIZE={smtp_server.MAX_MESSAGE_BYTES + 1}"])
    assert code == 552


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"\xff\xfe\x00garbage\r\n",
        b"EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<\xff\xfe@y>\r\nDATA\r\n\x00\xff\r\n.\r\n",
        b"EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nhalf a message",
        b"X" * 10_000 + b"\r\n",
        b"EHLO x\r\nMAIL FROM:" + b"<" * 400 + b"\r\nRCPT TO:\r\nDATA\r\nAUTH PLAIN !!!\r\n",
        b"EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n" + b"y" * 5000 + b"\r\n.\r\n",
        b"",
    ],
)
def test_hostile_input_ends_nothing(smtp_port: int, store: MailStore, bytes_sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", smtp_port), timeout=60) as raw:
        raw.sendall(bytes_sent)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(65536):
            pass
    # What came in whole may still be on its way to the disk; only the next mail is of interest.
    with client(smtp_port) as smtp:
        smtp.sendmail("a@x.example", ["b@y.example"], MESSAGE)
    assert "hello" in [row.subject for row in store.page().rows]


def test_the_page_explains_what_the_script_does() -> None:
    for address in SCRIPTED_ADDRESSES:
        addr_spec = f"{address.word}+x@y.example"
        asked = [scripted_reply(addr_spec, "rcpt"), scripted_reply(addr_spec, "data")]
        assert any(asked) or scripted_behaviour(addr_spec) is not None, address.word


def environment(tmp_path: Path, port: int | str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")},
        "ENVOI_DATA_DIR": str(tmp_path),
        "ENVOI_MODULES": "playground",
        "ENVOI_PLAYGROUND_SMTP_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_takes_mail_until_it_is_told_to_stop(
    tmp_path: Path, store: MailStore, number: signal.Signals
) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "core", "mailbox"], env=environment(tmp_path, port), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert str(port) in process.stdout.readline().decode()
        waiting = client(port)  # a connection that stays open must not keep the server
        with client(port) as smtp:
            smtp.sendmail("a@x.example", ["b@y.example"], MESSAGE)
        process.send_signal(number)
        assert process.wait(90) == 0
        waiting.close()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    assert len(store.page().rows) == 1


def run_mailbox(tmp_path: Path, port: int | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "core", "mailbox"],
        env=environment(tmp_path, port),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run_mailbox(tmp_path, taken.getsockname()[1])
    assert result.returncode == 1
    assert "cannot listen on 127.0.0.1" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_port_is_a_sentence(tmp_path: Path) -> None:
    result = run_mailbox(tmp_path, "smtp")
    assert result.returncode == 1
    assert "ENVOI_PLAYGROUND_SMTP_PORT" in result.stderr
    assert "Traceback" not in result.stderr
