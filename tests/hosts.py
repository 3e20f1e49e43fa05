"""Several hosts on one machine: each in a network namespace of its own, with a data folder of its own.

The namespace of whoever starts them is one host more: PostgreSQL, Redis and the mail server are there, at three
addresses, so that a host can be cut off from each of them. Where the system allows no namespaces, hosts are processes
with data folders of their own on loopback, and a line that is cut is a process that is stopped where it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from redis import Redis
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import make_url

from core.config import Settings, read_settings
from core.embedded import die_with_parent
from core.testing.services import PostgresServer, RedisServer, SmtpLab
from tests.warm import WarmEnvoi, WarmProcess

SECONDS = 60.0
DATABASE, QUEUE, MAIL, FIRST_HOST = 1, 2, 3, 10
PASSWORD = "a-password-of-the-database"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=SECONDS)


def can_make_namespaces() -> bool:
    """Return whether this system lets us make network namespaces with lines between them."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return False
    name = f"ev{secrets.token_hex(3)}"
    try:
        subprocess.run(["unshare", "-n", "true"], check=True, capture_output=True, timeout=SECONDS)
        _ip("link", "add", name, "type", "bridge")
        _ip("link", "del", name)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


class Lab(SmtpLab):
    """The mail server, on an address that all hosts reach."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host


@dataclasses.dataclass
class Host:
    """A host.

    Attributes:
        name: What it is called.
        address: At which others reach it.
        folder: Of its data and logs.
        environ: Its settings.
    """

    network: Network
    name: str
    address: str
    folder: Path
    environ: Mapping[str, str]
    namespace: Path | None = None
    line: str = ""
    processes: list[WarmProcess] = dataclasses.field(default_factory=list)

    def start(self, *arguments: str) -> WarmProcess:
        """Start `envoi …`."""
        log = self.folder / f"{'-'.join(arguments)}-{time.monotonic_ns()}.log"
        process = self.network.envoi.start(arguments, log, environ=self.environ, namespace=self.namespace)
        self.processes.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run `envoi …`, and return its exit code and what it has said."""
        log = self.folder / f"{'-'.join(arguments).replace('/', '_')}-{time.monotonic_ns()}.log"
        code = self.network.envoi.start(arguments, log, environ=self.environ, namespace=self.namespace).wait(
            SECONDS
        )
        return code, log.read_text()

    def kill(self) -> None:
        """End everything on it at once."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(SECONDS)
        self.processes.clear()

    def cut_off(self) -> None:
        """Take its line away: what it sends is lost, and nothing comes."""
        if self.line:
            _ip("link", "set", self.line, "down")
        else:
            for process in self.processes:
                process.send_signal(signal.SIGSTOP)

    def bring_back(self) -> None:
        """Give it back its line."""
        if self.line:
            _ip("link", "set", self.line, "up")
        else:
            for process in self.processes:
                process.send_signal(signal.SIGCONT)

    def _neighbor(self, *words: str) -> None:
        assert self.namespace is not None
        subprocess.run(
            ["nsenter", f"--net={self.namespace}", "ip", "neigh", *words],
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )

    def lose(self, number: int) -> None:
        """Let it not reach an address any more: what it sends there goes to nobody."""
        if self.namespace is not None:
            place = self.network.address(number)
            self._neighbor("replace", place, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent")

    def find(self, number: int) -> None:
        """Let it reach the address again."""
        if self.namespace is not None:
            self._neighbor("del", self.network.address(number), "dev", "eth0")

    @property
    def logs(self) -> str:
        """What its processes have said."""
        return "\n".join(
            f"--- {self.name} {path.name}\n{path.read_text(errors='replace')}"
            for path in sorted(self.folder.glob("*.log"))
        )


class Network:
    """PostgreSQL and Redis, with passwords, a mail server, and hosts that reach them.

    Args:
        folder: For everything.
        apart: False to let all hosts be on loopback.
        settings: Of all hosts, where they differ.
    """

    def __init__(self, folder: Path, *, apart: bool, **settings: str) -> None:
        self.apart, self.folder, self._common = apart, folder, settings
        self._bridge = f"ev{secrets.token_hex(3)}"
        self._net = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(250)}"
        self._ends = contextlib.ExitStack()
        self.hosts: list[Host] = []
        self._secret = secrets.token_hex(24)
        self._queue = f"envoi-{secrets.token_hex(4)}"

    def address(self, number: int) -> str:
        """Return the address of a number, from `DATABASE` to those of the hosts."""
        return f"{self._net}.{number}" if self.apart else "127.0.0.1"

    def __enter__(self) -> Self:
        try:
            if self.apart:
                _ip("link", "add", self._bridge, "type", "bridge")
                self._ends.callback(_ip, "link", "del", self._bridge)
                for number in (DATABASE, QUEUE, MAIL):
                    _ip("addr", "add", f"{self.address(number)}/24", "dev", self._bridge)
                _ip("link", "set", self._bridge, "up")
            self._start_servers()
        except BaseException:
            self._ends.close()
            raise
        return self

    def _start_servers(self) -> None:
        database, queue = self.address(DATABASE), self.address(QUEUE)
        both = "127.0.0.1" if database == "127.0.0.1" else f"127.0.0.1,{database}"
        changes = {"listen_addresses": both, "fsync": "on"}
        postgres = PostgresServer(self.folder / "postgres", durable=True, changes=changes)
        self._ends.callback(postgres.stop)
        postgres.admit(f"{self._net}.0/24")
        engine = create_engine(postgres.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as admin:
            admin.execute(text(f"CREATE ROLE envoi LOGIN PASSWORD '{PASSWORD}'"))
            admin.execute(text("CREATE DATABASE envoi OWNER envoi"))
        port = make_url(postgres.url).port
        self.database_url = f"postgresql+psycopg://envoi:{PASSWORD}@{database}:{port}/envoi"
        redis = RedisServer(self.folder / "redis")
        self._ends.callback(redis.stop)
        if self.apart:
            redis.configure("bind", f"127.0.0.1 {queue}")
        port = make_url(redis.url).port
        with Redis.from_url(redis.url) as client:
            client.config_set("requirepass", PASSWORD)
        self.redis_url = f"redis://:{PASSWORD}@{queue}:{port}/0"
        self.lab = Lab(self.address(MAIL))
        self._ends.enter_context(self.lab)
        self.settings = self._settings_of(self.folder / "clerk")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")}
        self.envoi = WarmEnvoi({**environ, **self._environ(self.folder / "warm")})
        self._ends.callback(self.envoi.close)

    def _environ(self, folder: Path, **more: str) -> dict[str, str]:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        return {
            "ENVOI_DATA_DIR": str(folder / "data"),
            "ENVOI_DATABASE_URL": self.database_url,
            "ENVOI_REDIS_URL": self.redis_url,
            "ENVOI_SECRET_KEY": self._secret,
            "ENVOI_FILES": "database",
            "ENVOI_QUEUE": self._queue,
            "ENVOI_OUTBOX_LEASE_SECONDS": "2",
            "ENVOI_MAIL_CONFIG_ALLOW_LOCAL_SERVERS": "1",
            "ENVOI_MAIL_CONFIG_DNS_SERVERS": "none",
            **self._common,
            **more,
        }

    def _settings_of(self, folder: Path) -> Settings:
        return read_settings(self._environ(folder))

    def forget_queue(self) -> None:
        """Let Redis lose everything."""
        with Redis.from_url(self.redis_url) as client:
            client.flushall()

    def host(self, name: str, **settings: str) -> Host:
        """Make a host."""
        number = FIRST_HOST + len(self.hosts)
        folder = self.folder / name
        own = self._environ(folder, ENVOI_HOST=self.address(number), **settings)
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ENVOI_")}
        host = Host(self, name, self.address(number), folder, {**environ, **own})
        self.hosts.append(host)
        self._ends.callback(host.kill)
        if self.apart:
            self._connect(host)
        return host

    def _connect(self, host: Host) -> None:
        # It lives as long as what holds it.
        holder = subprocess.Popen([*die_with_parent(), "unshare", "-n", "sleep", "infinity"])
        self._ends.callback(holder.wait, SECONDS)
        self._ends.callback(holder.kill)
        own = Path("/proc/self/ns/net").readlink()
        host.namespace = Path(f"/proc/{holder.pid}/ns/net")
        until = time.monotonic() + SECONDS
        while host.namespace.readlink() == own:
            assert time.monotonic() < until, "there is no namespace"
            time.sleep(0.01)
        host.line = f"{self._bridge[:8]}{len(self.hosts)}"
        _ip("link", "add", host.line, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _ip("link", "set", host.line, "master", self._bridge, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{host.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            inside = ["nsenter", f"--net={host.namespace}", "ip", *words]
            subprocess.run(inside, check=True, capture_output=True, timeout=SECONDS)

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            for host in self.hosts:
                host.bring_back()
        self._ends.close()


@contextlib.contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Make a network of hosts, in namespaces where the system allows it."""
    with Network(folder, apart=can_make_namespaces()) as made:
        yield made
