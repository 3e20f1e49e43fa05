"""Two processes share the tests: one takes the journeys, which share a house and a browser, the other the rest."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["core.testing.fixtures"]

JOURNEYS = "tests/journeys/"


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
