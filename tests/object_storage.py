"""A server that speaks the protocol of Amazon S3, for tests."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from core.embedded import free_port

START_SECONDS = 60.0


@pytest.fixture(scope="session")
def object_storage() -> Iterator[str]:
    """The address of a server."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    try:
        while True:
            try:
                urlopen(f"{address}/moto-api/", timeout=5).close()  # noqa: S310 (http on loopback)
                break
            except URLError:
                if process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)
        yield address
    finally:
        process.kill()
        process.wait(START_SECONDS)


@pytest.fixture
def bucket(object_storage: str) -> str:
    """A new bucket, as `ENVOI_FILES` names it."""
    name = f"envoi-{secrets.token_hex(4)}"
    urlopen(Request(f"{object_storage}/{name}", method="PUT"), timeout=10).close()  # noqa: S310 (http on loopback)
    return f"s3:{object_storage}/{name}/of/one"
