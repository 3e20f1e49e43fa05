from __future__ import annotations

import contextlib
import shutil
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from core import embedded
from core.mail.script import scripted_behaviour, scripted_reply
from core.testing.services import SmtpLab, create_database, postgres_server, redis_server

SENDER = "sales@envoi.test"
MESSAGE = b"Subject: hello\r\n\r\n.dot\r\nbody\r\n"


@contextlib.contextmanager
def client(lab: SmtpLab, *, trust: Path | None = None, timeout: float = 10) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context(cafile=trust)
    if lab.security == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(lab.host, lab.port, timeout=timeout, context=context)
    else:
        smtp = smtplib.SMTP(lab.host, lab.port, timeout=timeout)
    try:
        if lab.security == "starttls":
            smtp.starttls(context=context)
        yield smtp
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            smtp.quit()
        smtp.close()


# ------------------------------------------------------------------------------------------------------ Redis


def test_redis_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, contextlib.closing(redis.Redis.from_url(url)) as connection:
        assert connection.ping()
        connection.set("key", "value")
    with pytest.raises(embedded.EmbeddedServerError, match="No Redis server answered"):
        embedded.wait_for_redis(url, 0.1)


def test_redis_keeps_its_data_when_it_is_killed(tmp_path: Path) -> None:
    port = embedded.free_port()
    url = f"redis://127.0.0.1:{port}/0"
    process = embedded.start_redis(tmp_path, port)
    try:
        embedded.wait_for_redis(url, 10, process)
        with contextlib.closing(redis.Redis.from_url(url)) as connection:
            connection.set("key", "value")
    finally:
        process.kill()
        process.wait()
    with redis_server(tmp_path) as url, contextlib.closing(redis.Redis.from_url(url)) as connection:
        assert connection.get("key") == b"value"


def test_two_redis_servers_never_share_a_folder(tmp_path: Path) -> None:
    with redis_server(tmp_path), pytest.raises(embedded.EmbeddedServerError, match="still uses"):
        embedded.start_redis(tmp_path, embedded.free_port())


def test_redis_that_ends_at_once_is_not_waited_for(tmp_path: Path) -> None:
    process = subprocess.Popen(["false"])
    process.wait()
    with pytest.raises(embedded.EmbeddedServerError, match="ended at once"):
        embedded.wait_for_redis(f"redis://127.0.0.1:{embedded.free_port()}/0", 30, process)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="only Linux ties a server to its supervisor")
def test_redis_ends_with_a_killed_supervisor(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from core.embedded import *\n"
        "p = start_redis(Path(sys.argv[1]), int(sys.argv[2])); print(p.pid, flush=True); time.sleep(60)"
    )
    port = embedded.free_port()
    command = [sys.executable, "-c", program, str(tmp_path), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline().strip().isdigit()
        embedded.wait_for_redis(f"redis://127.0.0.1:{port}/0", 90)
        supervisor.kill()
    deadline = time.monotonic() + 90
    while True:
        try:
            process = embedded.start_redis(tmp_path, port)
        except embedded.EmbeddedServerError:
            assert time.monotonic() < deadline, "the orphan still holds the folder"
            time.sleep(0.05)
        else:
            break
    embedded.stop_process(process)


def test_the_wheels_server_is_found_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setpriv = shutil.which("setpriv")
    monkeypatch.setattr(shutil, "which", lambda name: setpriv if name == "setpriv" else None)
    binary = embedded.find_redis_binary()
    assert binary is not None
    assert binary.name == "valkey-server"
    with redis_server(tmp_path) as url, contextlib.closing(redis.Redis.from_url(url)) as connection:
        assert connection.ping()


def test_no_redis_at_all_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_binaries", list)
    with pytest.raises(embedded.EmbeddedServerError, match="ENVOI_REDIS_URL"):
        embedded.start_redis(tmp_path, 1)


def test_the_server_that_wrote_the_data_is_the_one_that_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server(tmp_path):
        pass
    wrote = embedded.written_by(tmp_path)
    assert wrote in {"redis-server", "valkey-server"}
    mine, other = Path("/one") / wrote, Path("/other") / f"not-{wrote}"
    monkeypatch.setattr(embedded, "_binaries", lambda: [other, mine])
    assert (embedded.find_redis_binary(), embedded.find_redis_binary(tmp_path)) == (other, mine)
    assert embedded.foreign_data(tmp_path) == ""
    monkeypatch.setattr(embedded, "_binaries", lambda: [other])
    assert embedded.find_redis_binary(tmp_path) == other
    assert f"written by {wrote}, which is not on this machine" in embedded.foreign_data(tmp_path)
    (tmp_path / "redis.log").write_text("# Can't handle RDB format version 80\n")
    ended = subprocess.Popen(["false"])
    ended.wait()
    with pytest.raises(embedded.EmbeddedServerError, match="format version 80"):
        embedded.wait_for_redis(f"redis://127.0.0.1:{embedded.free_port()}/0", 30, ended, tmp_path)


# ------------------------------------------------------------------------------------------------- PostgreSQL


def test_postgres_runs_and_makes_databases(tmp_path: Path) -> None:
    with postgres_server(tmp_path) as url:
        fresh = create_database(url, 'one "more"')
        engine = sa.create_engine(fresh, poolclass=sa.NullPool)
        with engine.begin() as connection:
            assert connection.scalar(sa.text("SELECT 1")) == 1
            assert connection.scalar(sa.text("SELECT current_database()")) == 'one "more"'
            assert connection.scalar(sa.text("SHOW fsync")) == "off"
            assert connection.scalar(sa.text("SELECT lower('ÉTÉ')")) == "été"
            connection.execute(sa.text("CREATE EXTENSION pg_trgm"))
    with pytest.raises(sa.exc.OperationalError), engine.connect():
        pass


# ----------------------------------------------------------------------------------------------------- script


@pytest.mark.parametrize(
    ("address", "stage", "code"),
    [
        ("refused+1@x.test", "rcpt", "550 5.1.1"),
        ("later+a+b@x.test", "rcpt", "451 4.7.1"),
        ("Full+@x.test", "rcpt", "552 5.2.2"),
        ("spam+1@x.test", "data", "550 5.7.1"),
        ("big+1@x.test", "data", "552 5.3.4"),
    ],
)
def test_script_refuses_at_one_stage_only(address: str, stage: Any, code: str) -> None:
    other: Any = "data" if stage == "rcpt" else "rcpt"
    assert (scripted_reply(address, stage) or "").startswith(code + " ")
    assert scripted_reply(address, other) is None
    assert scripted_behaviour(address) is None


@pytest.mark.parametrize(
    "address", ["full@x.test", "ann@x.test", "ann+refused@x.test", "refused", "", "+@x.test"]
)
def test_script_leaves_ordinary_addresses_alone(address: str) -> None:
    assert scripted_reply(address, "rcpt") is None
    assert scripted_reply(address, "data") is None
    assert scripted_behaviour(address) is None


def test_script_stays_ascii_and_on_one_line() -> None:
    reply = scripted_reply("refused+é{address}@x.test", "rcpt")
    assert reply is not None
    assert reply.isascii()
    assert len(reply.splitlines()) == 1


# ------------------------------------------------------------------------------------------------------- SMTP


@pytest.mark.smtp
def test_lab_records_what_it_takes() -> None:
    with SmtpLab() as lab, client(lab) as smtp:
        assert smtp.sendmail(SENDER, ["ann@x.test", "bob@x.test"], MESSAGE) == {}
        assert smtp.sendmail("", ["eve@x.test"], MESSAGE) == {}
        first, second = lab.wait_for(2)
    assert (first.envelope_from, first.recipients) == (SENDER, ("ann@x.test", "bob@x.test"))
    assert first.data == MESSAGE
    assert (second.envelope_from, second.connection) == ("", 1)
    assert lab.received == lab.accepted
    assert lab.verbs() == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "MAIL", "RCPT", "DATA", "QUIT"]
    assert [command.replies for command in lab.dialogue][4][0].startswith("354")
    assert [command.replies for command in lab.dialogue][4][1].startswith("250 2.0.0")


@pytest.mark.smtp
@pytest.mark.parametrize(
    ("word", "code", "text"),
    [("refused", 550, b"5.1.1"), ("later", 451, b"4.7.1"), ("full", 552, b"5.2.2"), ("garbage", -1, b"")],
)
def test_lab_refuses_one_recipient_of_two(word: str, code: int, text: bytes) -> None:
    with SmtpLab() as lab, client(lab) as smtp:
        refused = smtp.sendmail(SENDER, [f"{word}+1@x.test", "ann@x.test"], MESSAGE)
    ((address, (said_code, said)),) = refused.items()
    assert (address, said_code) == (f"{word}+1@x.test", code)
    assert said.startswith(text)
    assert [transaction.recipients for transaction in lab.accepted] == [("ann@x.test",)]


@pytest.mark.smtp
@pytest.mark.parametrize(("word", "code", "text"), [("spam", 550, b"5.7.1"), ("big", 552, b"5.3.4")])
def test_lab_refuses_the_message(word: str, code: int, text: bytes) -> None:
    with SmtpLab() as lab, client(lab) as smtp, pytest.raises(smtplib.SMTPDataError) as refusal:
        smtp.sendmail(SENDER, ["ann@x.test", f"{word}+1@x.test"], MESSAGE)
    assert refusal.value.smtp_code == code
    assert isinstance(refusal.value.smtp_error, bytes)
    assert refusal.value.smtp_error.startswith(text)
    assert lab.accepted == []
    assert len(lab.received) == 1


@pytest.mark.smtp
def test_lab_hangs_up_without_a_word() -> None:
    with SmtpLab() as lab, client(lab) as smtp:
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.sendmail(SENDER, ["drop+1@x.test"], MESSAGE)
        assert lab.accepted == []
        assert lab.dialogue[-1].replies == ["354 End data with <CR><LF>.<CR><LF>"]


@pytest.mark.smtp
def test_lab_is_late_and_has_the_message_all_the_same() -> None:
    with SmtpLab(slow_seconds=2) as lab:
        with client(lab) as smtp:
            began = time.monotonic()
            smtp.sendmail(SENDER, ["slow+1@x.test"], MESSAGE)
            assert time.monotonic() - began >= 2
        with client(lab, timeout=1) as smtp, pytest.raises(OSError, match=r"timed out|closed"):
            smtp.sendmail(SENDER, ["slow+2@x.test"], MESSAGE)
        assert [taken.recipients for taken in lab.accepted] == [("slow+1@x.test",), ("slow+2@x.test",)]


@pytest.mark.smtp
def test_lab_enforces_the_size_it_announces() -> None:
    with SmtpLab(size_limit=1000) as lab, client(lab) as smtp:
        smtp.ehlo()
        assert smtp.esmtp_features["size"] == "1000"
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            smtp.sendmail(SENDER, ["ann@x.test"], b"x" * 2000)
    assert refusal.value.smtp_code == 552
    with SmtpLab(size_limit=None) as lab, client(lab) as smtp:
        smtp.ehlo()
        assert "size" not in smtp.esmtp_features


@pytest.mark.smtp
def test_lab_takes_addresses_beyond_ascii() -> None:
    with SmtpLab() as lab, client(lab) as smtp:
        smtp.sendmail(SENDER, ["élise@x.test"], MESSAGE, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    assert lab.accepted[0].recipients == ("élise@x.test",)
    with SmtpLab(smtputf8=False) as lab, client(lab) as smtp:
        smtp.ehlo()
        assert "smtputf8" not in smtp.esmtp_features


@pytest.mark.smtp
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_lab_speaks_tls_with_a_certificate_to_trust(security: Any) -> None:
    with SmtpLab(security=security) as lab:
        with client(lab, trust=lab.ca_file) as smtp:
            smtp.sendmail(SENDER, ["ann@x.test"], MESSAGE)
            assert "auth" not in smtp.esmtp_features
        assert len(lab.accepted) == 1
        with pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed"), client(lab):
            pass
        with client(lab, trust=lab.ca_file) as smtp:
            assert smtp.noop()[0] == 250


@pytest.mark.smtp
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_lab_has_an_expired_certificate(security: Any) -> None:
    with SmtpLab(security=security, expired=True) as lab:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"), client(lab, trust=lab.ca_file):
            pass
        assert lab.accepted == []


@pytest.mark.smtp
def test_lab_insists_on_starttls() -> None:
    with SmtpLab(security="starttls") as lab, smtplib.SMTP(lab.host, lab.port, timeout=60) as smtp:
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            smtp.sendmail(SENDER, ["ann@x.test"], MESSAGE)
        assert refusal.value.smtp_code == 530


@pytest.mark.smtp
@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_lab_lets_in_whom_it_knows(security: Any) -> None:
    with SmtpLab(security=security, credentials=("user", "secret")) as lab:
        with client(lab, trust=lab.ca_file) as smtp:
            with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
                smtp.sendmail(SENDER, ["ann@x.test"], MESSAGE)
            with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
                smtp.login("user", "wrong")
            assert refusal.value.smtp_code == 535
        with client(lab, trust=lab.ca_file) as smtp:
            assert smtp.login("user", "secret")[0] == 235
            smtp.sendmail(SENDER, ["ann@x.test"], MESSAGE)
        assert len(lab.accepted) == 1
        assert {command.arg for command in lab.dialogue if command.verb == "AUTH"} <= {"PLAIN", "LOGIN"}


@pytest.mark.smtp
def test_lab_calls_the_hook_at_every_step() -> None:
    steps: list[tuple[str, str, str, int]] = []
    with SmtpLab() as lab:
        lab.on_command = lambda verb, arg, stage: steps.append((verb, arg, stage, len(lab.accepted)))
        with client(lab) as smtp:
            smtp.sendmail(SENDER, ["ann@x.test", "refused+1@x.test"], MESSAGE)
            smtp.noop()
    assert [(verb, stage, taken) for verb, _arg, stage, taken in steps] == [
        ("EHLO", "before", 0),
        ("MAIL", "before", 0),
        ("RCPT", "before", 0),
        ("RCPT", "before", 0),
        ("DATA", "before", 0),
        ("DATA", "received", 1),
        ("DATA", "after", 1),
    ]
    assert steps[2][1].upper().startswith("TO:<ANN@X.TEST>")


@pytest.mark.smtp
@pytest.mark.parametrize(
    ("verb", "stage", "taken"),
    [
        ("EHLO", "before", 0),
        ("MAIL", "before", 0),
        ("RCPT", "before", 0),
        ("DATA", "before", 0),
        ("DATA", "received", 1),
        ("DATA", "after", 1),
    ],
)
def test_a_sender_can_be_killed_at_every_step(verb: str, stage: str, taken: int) -> None:
    program = (
        "import smtplib, sys, time\n"
        "smtp = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), timeout=60)\n"
        "smtp.sendmail('a@x.test', ['b@x.test'], b'Subject: x\\r\\n\\r\\ny\\r\\n')\n"
        "time.sleep(10)\n"
    )
    with SmtpLab() as lab:
        senders: list[subprocess.Popen[bytes]] = []

        def kill(said: str, _arg: str, at: str) -> None:
            if (said, at) == (verb, stage):
                senders[0].kill()
                senders[0].wait()

        lab.on_command = kill
        with subprocess.Popen([sys.executable, "-c", program, str(lab.port)]) as sender:
            senders.append(sender)
            assert sender.wait(90) == -9
        # The connection of the dead sender is noticed, and the next one is served.
        lab.on_command = None
        with client(lab) as smtp:
            smtp.noop()
        assert len(lab.accepted) == taken


@pytest.mark.smtp
def test_a_fault_of_the_hook_is_not_lost() -> None:
    def fail(verb: str, _arg: str, _stage: str) -> None:
        raise ValueError(verb)

    with pytest.raises(RuntimeError) as failure, SmtpLab(on_command=fail) as lab, client(lab) as smtp:
        assert smtp.ehlo()[0] == 451
    assert isinstance(failure.value.__cause__, ValueError)


@pytest.mark.smtp
def test_lab_stops_with_clients_still_connected_and_can_be_shared() -> None:
    with SmtpLab(slow_seconds=60) as lab:
        idle = smtplib.SMTP(lab.host, lab.port, timeout=60)
        with client(lab) as smtp:
            smtp.sendmail(SENDER, ["ann@x.test"], MESSAGE)
        lab.clear()
        assert (lab.accepted, lab.received, lab.dialogue) == ([], [], [])
        began = time.monotonic()
    assert time.monotonic() - began < 30, "it waits for nobody: an idle client would have had its 60 seconds"
    idle.close()
    with pytest.raises(OSError, match="refused"):
        smtplib.SMTP(lab.host, lab.port, timeout=1)
    assert lab.ca_file is None
