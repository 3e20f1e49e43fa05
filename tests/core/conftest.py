from __future__ import annotations

from tests.object_storage import bucket, object_storage  # noqa: F401 (fixtures)
from tests.playground.isolated import bare_app, browser  # noqa: F401 (fixtures)
