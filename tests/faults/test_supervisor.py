"""`envoi up`: what its processes share, and what becomes of them when one of them, or all, are ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.embedded import die_with_parent, free_port
from core.supervisor import RESTART_SECONDS
from tests.journeys.house import STOP_SECONDS, House, running_house, wait_until

pytestmark = [
    pytest.mark.smtp,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="asks Linux what processes hold"),
]


def titles(house: House) -> dict[str, int]:
    """Return what the processes of a house call themselves, and their numbers."""
    children = Path(f"/proc/{house.process.pid}/task/{house.process.pid}/children").read_text().split()
    found = {}
    for pid in children:
        with contextlib.suppress(OSError):
            # One that has ended, and was not noticed yet, has no title any more.
            if title := Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode():
                found[title] = int(pid)
    return found


def open_files(pid: int) -> set[str]:
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(file.readlink()))
    return found


def listening(port: int) -> str:
    """Return the name of the socket that listens on a port of this machine."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return next(
        f"socket:[{line[9]}]" for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "0A"
    )


def port_of(house: House) -> int:
    return int(house.url.rpartition(":")[2])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[House]:
    with running_house(tmp_path_factory.mktemp("supervised"), redis_url, ENVOI_WORKERS="2") as house:
        yield house


def test_what_looks_after_everything_has_no_thread_and_knows_nobody(house: House) -> None:
    wait_until("the greeting", lambda: "Envoi is at" in house.last_words())
    wait_until("its end", lambda: "envoi greeting" not in titles(house))
    assert set(titles(house)) == {
        "envoi scheduler",
        "envoi worker 1",
        "envoi worker 2",
        "envoi mailbox",
        "envoi web",
    }
    assert len(list(Path(f"/proc/{house.process.pid}/task").iterdir())) == 1
    sockets = {name for name in open_files(house.process.pid) if name.startswith("socket:")}
    assert sockets == {listening(port_of(house))}, "a connection would be shared by all that are forked"
    assert not [name for name in open_files(house.process.pid) if "envoi.db" in name]


def test_the_web_server_alone_lets_people_in(house: House) -> None:
    """Or they would be let in, and left waiting, after the web server has ended."""
    name = listening(port_of(house))
    assert [title for title, pid in titles(house).items() if name in open_files(pid)] == ["envoi web"]


def test_each_process_shares_the_most_of_its_memory(house: House) -> None:
    for pid in titles(house).values():
        sizes = Path(f"/proc/{pid}/smaps_rollup").read_text()
        resident, own = (
            sum(int(size) for size in re.findall(rf"^{name}:\s+(\d+)", sizes, re.MULTILINE))
            for name in ("Rss", r"Private_\w+")
        )
        assert own < resident / 2, sizes


@pytest.mark.parametrize("title", ["envoi worker 1", "envoi scheduler", "envoi mailbox"])
def test_a_process_that_is_killed_is_forked_again(house: House, title: str) -> None:
    killed = titles(house)[title]
    os.kill(killed, signal.SIGKILL)
    wait_until(f"another {title}", lambda: titles(house).get(title, killed) != killed)
    assert f"{title.removeprefix('envoi ')} ended; starting it again." in house.last_words()


def test_who_comes_while_the_web_server_is_away_is_answered_by_the_next(house: House) -> None:
    wait_until("the web server", house.answers)
    killed = titles(house)["envoi web"]
    os.kill(killed, signal.SIGKILL)
    with socket.create_connection(("127.0.0.1", port_of(house)), 5) as connection:
        connection.settimeout(60)
        connection.sendall(b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert connection.recv(15).startswith(b"HTTP/1.1 200")
    assert titles(house)["envoi web"] != killed


def test_told_to_stop_everything_ends_and_nobody_is_left_waiting(tmp_path: Path, redis_url: str) -> None:
    with running_house(tmp_path, redis_url) as house:
        found = titles(house).values()
        house.process.send_signal(signal.SIGTERM)
        assert house.process.wait(STOP_SECONDS) == 0
        assert not [pid for pid in found if Path(f"/proc/{pid}").exists()]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(house)), 5)


def up(folder: Path, redis_url: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `envoi up` where it cannot go on."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")}
    environ |= {"ENVOI_DATA_DIR": str(folder), "ENVOI_REDIS_URL": redis_url, **settings}
    return subprocess.run(
        [*die_with_parent(), sys.executable, "-m", "core", "up"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_database_that_cannot_be_prepared_is_a_sentence_and_nothing_is_started(
    tmp_path: Path, redis_url: str
) -> None:
    ended = up(
        tmp_path,
        redis_url,
        ENVOI_PORT=str(free_port()),
        ENVOI_DATABASE_URL="postgresql+psycopg://anna:hunter2@127.0.0.1:1/envoi",
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("envoi: The database cannot be used (")
    assert len(ended.stderr.splitlines()) == 1
    assert "hunter2" not in ended.stderr
    assert ended.stdout == ""


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = up(tmp_path, redis_url, ENVOI_PORT=str(port))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"port {port}, cannot be listened on" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_ctrl_c_ends_all_in_their_order_and_a_second_start_is_refused(tmp_path: Path) -> None:
    """With a Redis of its own, in a terminal of its own, beside somebody who has the port of its mailbox."""
    with socket.create_server(("127.0.0.1", 0)) as taken, (tmp_path / "log").open("w+b") as log:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")} | {
            "ENVOI_DATA_DIR": str(tmp_path / "data"),
            "ENVOI_PORT": str(free_port()),
            "ENVOI_PLAYGROUND_SMTP_PORT": str(taken.getsockname()[1]),
            "ENVOI_WORKRES": "2",
        }
        begun = time.monotonic()
        first = subprocess.Popen(
            [*die_with_parent(), sys.executable, "-m", "core", "up", "--no-demo"],
            env=environ,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said = Path(log.name).read_text
            wait_until("the address", lambda: first.poll() is not None or "Envoi is at" in said())
            second = up(tmp_path / "data", "", ENVOI_PORT=str(free_port()))
            assert (second.returncode, second.stdout) == (1, "")
            assert "Envoi is running already with the data folder" in second.stderr
            wait_until("a second try of the mailbox", lambda: said().count("mailbox ended") > 1)
            os.killpg(first.pid, signal.SIGINT)
            assert first.wait(STOP_SECONDS) == 0
            lasted = time.monotonic() - begun
        finally:
            first.kill()
            first.wait()
    assert "Traceback" not in said()
    assert "Is ENVOI_WORKERS meant?" in said()
    # Each pause is twice as long as the one before, however long all of it has taken.
    assert RESTART_SECONDS * (2 ** said().count("mailbox ended") - 1) < lasted, "tried less and less often"
