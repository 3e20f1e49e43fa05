"""What holds for all tests: how they are shared out, how long each may take, and what Hypothesis draws.

Hypothesis draws the same examples in every run and looks at no clock; `--hypothesis-profile=search` draws others.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from core import memory
from tests.sharing import JOURNEYS, Sharing

memory.load_undisturbed()  # until all tests are found

pytest_plugins = ["core.testing.fixtures", "tests.limits"]

# Whoever comes last should have short files left to share: those that wait for real servers and processes come first.
ORDER = (
    JOURNEYS,
    "tests/conformance/",
    "tests/outbox/",
    "tests/test_",
    "tests/playground/",
    "tests/mail_config/",
)

# A fixture that lasts for all examples of a test is meant; how long an example takes depends on the machine.
settings.register_profile(
    "search",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _mask_of_files_is_as_before() -> Iterator[None]:
    """Take back what the command line sets for its process, where a test calls it in this one."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _no_connection_outlives_its_test() -> Iterator[None]:
    """End what a worker would keep open from job to job, and the thread that looks after it."""
    yield
    connections = sys.modules.get("modules.outbox.delivery.connections")
    if connections is not None:
        connections.pool.close()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Any:
    """Share the tests out; see `Sharing`."""
    return Sharing(config, log)


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, part in enumerate(ORDER) if item.nodeid.startswith(part)), len(ORDER))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Let Python's garbage collector leave in peace what lasts for the whole run: every module, and every test."""
    gc.collect()
    memory.keep_what_is_loaded()
