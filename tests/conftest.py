"""Two processes share the tests: one takes the journeys, which share a house and a browser, the other the rest.

Hypothesis draws the same examples in every run and looks at no clock; `--hypothesis-profile=search` draws others.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["core.testing.fixtures"]

JOURNEYS = "tests/journeys/"

# A fixture that lasts for all examples of a test is meant; how long an example takes depends on the machine.
settings.register_profile(
    "search",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")


class Together(LoadScopeScheduling):
    """Hands out the journeys as one, and all other tests by file."""

    def _split_scope(self, nodeid: str) -> str:
        return JOURNEYS if nodeid.startswith(JOURNEYS) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Any:
    """Share the tests out; see `Together`."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the journeys: they take the longest, and most of it is waiting."""
    items.sort(key=lambda item: not item.nodeid.startswith(JOURNEYS))
