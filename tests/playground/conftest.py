from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modules.playground.smtp_server import serve
from modules.playground.store import MailStore
from tests.playground.isolated import bare_app, browser  # noqa: F401 (fixtures)


@pytest.fixture
def store(tmp_path: Path) -> MailStore:
    return MailStore(tmp_path / "playground")


@pytest.fixture
def smtp_port(store: MailStore) -> Iterator[int]:
    """Run the mailbox in a thread and return its port."""
    ready = threading.Event()
    ports: list[int] = []
    stops: list[Callable[[], None]] = []

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set) and None)

        def announce(port: int) -> None:
            ports.append(port)
            ready.set()

        await serve(store, 0, stop=stop, ready=announce, slow_seconds=0.3)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert ready.wait(90)
    yield ports[0]
    stops[0]()
    thread.join(90)
    assert not thread.is_alive()
