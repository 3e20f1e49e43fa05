"""The toy module enabled in the house of the tests, without being installed: its folder is on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from core import loader, migrate
from core.config import Settings
from core.contract import Module
from core.registry import resolve
from core.testing.fixtures import running_app

SOURCE = Path(__file__).parent.parent / "toy_module" / "src"


@pytest.fixture(scope="session")
def toy() -> Iterator[Module]:
    """The declaration of the toy, which is found like an installed module while a test asks for it."""
    sys.path.insert(0, str(SOURCE))
    try:
        yield resolve("envoi_toy:module")
    finally:
        sys.path.remove(str(SOURCE))


@pytest.fixture
def toy_enabled(toy: Module, monkeypatch: pytest.MonkeyPatch) -> Module:
    """The toy among the installed modules."""
    discover: Callable[[], dict[str, Module]] = loader.discover
    monkeypatch.setattr(loader, "discover", lambda: {**discover(), toy.name: toy})
    return toy


@pytest.fixture
def toy_app(toy_enabled: Module, settings: Settings) -> Iterator[Flask]:
    """The application with the toy, migrated."""
    for app in running_app(settings):
        migrate.upgrade(app)
        yield app
