"""A test that stands still, or whose process dies, is the only one that it costs; every other one runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest

from tests.journeys.house import wait_until

HOUSE = Path(__file__).parents[1]
SHARES = ["--numprocesses", "2", "--dist", "loadscope", "--no-loadscope-reorder"]
# Starting three processes with everything that they import takes most of it.
RUN_SECONDS = 600

PYTHON = """
import time
import pytest

def test_before(): pass

def test_stands_still():
    while True:
        time.sleep(0.1)

def test_swallows_its_first_failure():
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            break
    time.sleep(1000)

@pytest.fixture
def slow_to_leave():
    yield
    time.sleep(1000)

def test_stands_still_when_it_is_over(slow_to_leave): pass

def test_after(): pass
"""

WAITING_IN_C = """
import socket
import psycopg
import pytest

@pytest.fixture
def silent():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]

def test_waits_for_a_socket(silent):
    with socket.create_connection(("127.0.0.1", silent)) as connection:
        connection.recv(1)

def test_waits_for_a_database(silent):
    psycopg.connect(host="127.0.0.1", port=silent, user="nobody", dbname="nothing")

def test_after(): pass
"""

NEVER_BACK_FROM_C = """
import ctypes

def test_before(): pass

def test_never_comes_back():
    lock = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(lock)

def test_after(): pass

def test_after_that(): pass
"""

KILLED = """
import os
import signal
from pathlib import Path
import pytest

pytestmark = pytest.mark.timeout(120)

def test_before(redis_url): pass

def test_is_killed(redis_url, postgres_url):
    Path(os.environ["SCRATCH"], "redis").write_text(redis_url)
    Path(os.environ["SCRATCH"], "postgres").write_text(postgres_url)
    os.kill(os.getpid(), signal.SIGKILL)

def test_after(): pass
"""

LAST = """
def test_alone(): pass
"""

BROWSER = """
import pytest
from tests.journeys.conftest import browser, new_context

@pytest.fixture
def page(new_context):
    return new_context().new_page()

@pytest.mark.timeout(200)
def test_a_browser_is_there(page): pass

def test_waits_for_a_page(page):
    page.wait_for_function("() => false", timeout=0)

@pytest.mark.timeout(200)
def test_the_browser_is_still_there(page):
    page.set_content("<p>Here</p>")
    assert page.inner_text("p") == "Here"
"""

Run = Callable[..., tuple[int, dict[str, str], str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run files of tests as `make test` does, with limits of a few seconds."""

    def run(*options: str, **files: str) -> tuple[int, dict[str, str], str]:
        folder = tmp_path / "scratch"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"test_{name}.py").write_text(text)
        report = tmp_path / "report.xml"
        own = [
            "-c",
            HOUSE / "pyproject.toml",
            "--rootdir",
            folder,
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
        ]
        limits = ["--timeout", "4", f"--junitxml={report}", f"--basetemp={tmp_path / 'made'}"]
        environ = os.environ | {"ENVOI_TEST_LAST_RESORT_SECONDS": "12", "SCRATCH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *own, *options, *limits, folder],
            cwd=HOUSE,
            env={name: value for name, value in environ.items() if not name.startswith("PYTEST_")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        outcomes: dict[str, str] = {}
        for case in ET.parse(report).iter("testcase"):  # noqa: S314 (our own report)
            file = str(case.get("classname")).rpartition("test_")[2]
            name = f"{file}: {str(case.get('name')).removeprefix('test_')}"
            said = "".join(str(child.get("message")) for child in case if child.tag in {"failure", "error"})
            words = {"Timeout (>4s)": "stood still", "crashed while running": "died"}
            found = next((outcome for word, outcome in words.items() if word in said), said or "passed")
            outcomes[name] = found if outcomes.get(name, "passed") == "passed" else outcomes[name]
        return done.returncode, outcomes, done.stdout + done.stderr

    return run


@pytest.mark.timeout(RUN_SECONDS + 60)
def test_what_stands_still_or_dies_fails_alone_and_the_run_ends(run: Run, tmp_path: Path) -> None:
    code, outcomes, said = run(
        *SHARES, python=PYTHON, waiting=WAITING_IN_C, stuck=NEVER_BACK_FROM_C, killed=KILLED, last=LAST
    )
    assert code == 1, said
    assert outcomes == {
        "python: before": "passed",
        "python: stands_still": "stood still",
        "python: swallows_its_first_failure": "stood still",
        "python: stands_still_when_it_is_over": "stood still",
        "python: after": "passed",
        "waiting: waits_for_a_socket": "stood still",
        "waiting: waits_for_a_database": "stood still",
        "waiting: after": "passed",
        "stuck: before": "passed",
        "stuck: never_comes_back": "died",
        "stuck: after": "passed",
        "stuck: after_that": "passed",
        "killed: before": "passed",
        "killed: is_killed": "died",
        "killed: after": "passed",
        "last: alone": "passed",
    }, said
    # The servers of a process that was killed end with it.
    for server in ("redis", "postgres"):
        port = urlsplit((tmp_path / server).read_text()).port
        wait_until(f"its {server} is gone", lambda port=port: not answers(port))


@pytest.mark.timeout(RUN_SECONDS + 60)
def test_a_browser_outlives_the_test_that_waits_for_it_in_vain(run: Run) -> None:
    code, outcomes, said = run(browser=BROWSER)
    assert code == 1, said
    assert outcomes == {
        "browser: a_browser_is_there": "passed",
        "browser: waits_for_a_page": "stood still",
        "browser: the_browser_is_still_there": "passed",
    }, said


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
