from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.playground.isolated import SignIn, browser_of, isolated_app


@pytest.fixture
def bare_app(tmp_path: Path) -> Iterator[Flask]:
    yield from isolated_app(tmp_path)


@pytest.fixture
def browser(bare_app: Flask) -> SignIn:
    return lambda role: browser_of(bare_app, role)
