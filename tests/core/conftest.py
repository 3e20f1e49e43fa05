from __future__ import annotations

from tests.playground.isolated import bare_app, browser  # noqa: F401 (fixtures)
