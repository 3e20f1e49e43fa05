"""A Redis server that can be killed, emptied and stopped where it is."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

from redis import Redis

from core.embedded import free_port, start_redis, stop_process, wait_for_redis
from core.testing.services.limits import LOOPBACK, START_SECONDS


class RedisServer:
    """A Redis server of our own, which comes back on the same port with the data that it had.

    Attributes:
        url: Where it is.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir, self._port = data_dir, free_port()
        self.url = f"redis://{LOOPBACK}:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        self._process = start_redis(self._data_dir, self._port)
        try:
            wait_for_redis(self.url, START_SECONDS, self._process)
        except BaseException:
            stop_process(self._process)
            raise

    def kill(self) -> None:
        """End it without a chance to write anything."""
        self._process.kill()
        self._process.wait(START_SECONDS)

    def stall(self) -> None:
        """Stop it where it is: connections are taken, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `stall`."""
        self._process.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Lose everything, as a Redis that was replaced by an empty one."""
        with Redis.from_url(self.url) as client:
            client.flushall()

    def configure(self, name: str, value: str) -> None:
        """Change one of its settings while it runs."""
        with Redis.from_url(self.url) as client:
            client.config_set(name, value)

    def command(self, *words: str) -> object:
        """Say something to it that the client has no method for."""
        with Redis.from_url(self.url) as client:
            return client.execute_command(*words)

    def stop(self) -> None:
        """End it for good."""
        self.resume()
        stop_process(self._process)


@contextlib.contextmanager
def redis_server(data_dir: Path) -> Iterator[str]:
    """Run a Redis server of our own.

    Args:
        data_dir: The folder of its data.

    Yields:
        Its URL.
    """
    server = RedisServer(data_dir)
    try:
        yield server.url
    finally:
        server.stop()
