"""A test that stands still fails alone; a process that stands still ends, and the run goes on or ends, but never waits.

A test has `timeout` seconds (see `pytest.ini_options` in pyproject.toml) or those of its mark. When they are over, a
signal raises a failure where the test waits, and again every few seconds in case something has swallowed it. Python
handles signals between its own instructions only: what never comes back from C is ended with its process, and with
it the servers that it has started; pytest-xdist puts another one in its place (tests/sharing.py).
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
from collections.abc import Generator
from types import FrameType

import pytest
from greenlet import getcurrent
from pytest_timeout import Settings, dump_stacks, is_debugging

# How much longer than its limits a test may take before its process is ended, and when it is told once more: what it
# has put up may take a while to take down.
LAST_RESORT_SECONDS = float(os.environ.get("ENVOI_TEST_LAST_RESORT_SECONDS", "120"))
AGAIN_SECONDS = LAST_RESORT_SECONDS / 4

ERRORS = pytest.StashKey[int]()
LIMIT = pytest.StashKey[Settings]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the way to the terminal: while a test runs, pytest holds back what it says."""
    config.stash[ERRORS] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give it back."""
    faulthandler.cancel_dump_traceback_later()
    os.close(config.stash[ERRORS])


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> bool:
    """Let the limit of a test interrupt it by a signal, also where it waits for a browser."""
    item.stash[LIMIT] = settings
    _ring_after(item, settings.timeout, settings)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Take the limit away."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> None:
    """Leave a test in peace once it has failed: its report may take longer than the pause between signals."""
    if call.excinfo is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Begin anew where things are taken down: that may stand still as well, and a failure has ended the limit."""
    settings = item.stash.get(LIMIT, None)
    if settings is not None:
        _ring_after(item, settings.timeout, settings)
    return (yield)


def _ring_after(item: pytest.Item, seconds: float, settings: Settings) -> None:
    """Fail what runs in this thread after some seconds, and end the process if that does not help."""
    waiting = getcurrent()

    def ring(_number: int, _frame: FrameType | None) -> None:
        __tracebackhide__ = True
        if is_debugging() and not settings.disable_debugger_detection:
            return
        dump_stacks(item.config.get_terminal_writer())
        failure = pytest.fail.Exception(f"Timeout (>{seconds:g}s).")
        if getcurrent() is waiting:
            raise failure
        # Playwright waits in a greenlet of its own. A failure there would be the end of the browser for all tests
        # to come; thrown to the test, it leaves the browser waiting for what it is asked next. Its loop, which goes on
        # from here then, looks for that only if it is woken.
        asyncio.get_running_loop().call_soon_threadsafe(int)
        waiting.throw(failure)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    faulthandler.dump_traceback_later(
        seconds + LAST_RESORT_SECONDS, exit=True, file=item.config.stash[ERRORS]
    )
