"""One connection to a provider that is spoken to by HTTP, and whether what was said may have been heard.

Built on urllib3's connection, not on its pool: who is connected to is looked at first, nothing is said twice by itself,
and no redirect is followed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from core.mail.exceptions import explain_exception
from core.mail.outcomes import Advice, Failure, FailureKind, Stage, printable
from modules.mail_config.models import Encryption
from modules.mail_config.transports.addresses import ForbiddenHostError, addresses_of
from modules.mail_config.transports.base import ServerAccess, Step, StepTaken
from modules.mail_config.transports.certificates import read_certificate
from modules.mail_config.transports.connection import GOODBYE_SECONDS, MAX_TRANSCRIPT_LINES, trusted_by

KEEP_SECONDS = 5.0
"""How long a connection that nobody uses is believed in.

Shorter than any provider keeps one: a request that meets the end of it leaves a mail of which nobody knows.
"""

MAX_ANSWER_OCTETS = 256 * 1024  # real ones have some hundreds; a batch of 500 has some 100 KB
_PIECE = 256 * 1024  # of a body at a time: the timeout of a socket is for all that one call sends
_TROUBLE = (OSError, HTTPError, http.client.HTTPException)


class BrokenExchangeError(Exception):
    """No answer came; carries the failure.

    Attributes:
        failure: Why.
        heard: True where the whole request has gone out, so that the other side may have acted upon it.
        connected: False where there was no connection at all.
    """

    def __init__(self, failure: Failure, *, heard: bool = False, connected: bool = True) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure
        self.heard = heard
        self.connected = connected


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side has answered.

    Attributes:
        status: The status code (RFC 9110 §15).
        headers: By name, in small letters.
        body: As far as it was read.
        early: True where it came before the whole request had gone out.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    early: bool = False

    @property
    def json(self) -> Any:
        """What the body says; None where it is no JSON, such as the page of a gateway in between."""
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(self.body)
        return None


class _Plain(HTTPConnection):
    """A connection to the addresses of a host that were looked at before."""

    addresses: Sequence[str] = ()
    connected: Callable[[], None]
    """Called once it is connected, before any encryption."""

    def _new_conn(self) -> socket.socket:
        failure: OSError | None = None
        for address in self.addresses:
            try:
                sock = socket.create_connection((address, self.port), self.timeout)
            except OSError as error:
                failure = error
                continue
            # A request is written in two pieces, which would wait for each other.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connected()
            return sock
        assert failure is not None  # noqa: S101 (there is an address)
        raise failure


class _Secure(_Plain, HTTPSConnection):
    """The same, encrypted from the first octet; the certificate is verified against the name of the host."""


class HttpConnection:
    """A connection that tells what has gone out when no answer comes.

    Args:
        access: Whom to speak to; its password is never written down.
    """

    def __init__(self, access: ServerAccess) -> None:
        self.access = access
        self.transcript: list[str] = []
        self.steps: list[StepTaken] = []
        self._connection: _Plain | None = None
        self._last_used = 0.0

    @property
    def is_open(self) -> bool:
        """True when a connection is open that the other side is likely to remember."""
        connection = self._connection
        return (
            connection is not None
            and time.monotonic() - self._last_used < KEEP_SECONDS
            and connection.is_connected
        )

    def close(self) -> None:
        """End the connection; HTTP knows no goodbye."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    drop = close

    def begin(self, step: Step, at: float | None = None) -> None:
        """Remember that a step begins, and so that the one before it has ended."""
        self.steps.append(StepTaken(step, time.monotonic() if at is None else at))

    def note(self, line: str) -> None:
        """Write a line into the transcript."""
        if len(self.transcript) < MAX_TRANSCRIPT_LINES:
            self.transcript.append(printable(line))

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        before_body: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Send a request and return the answer, whatever it says; connects first where it must.

        Args:
            method: GET or POST.
            path: With its leading slash.
            headers: Fields, the key among them; they are not written down.
            body: What is sent; its length is announced.
            before_body: Called the moment before the first octet of the body goes out; what it raises passes through.

        Raises:
            BrokenExchangeError: No answer came.
        """
        if not self.is_open:
            self.close()
            self._connection = self._connect()
        connection = self._connection
        assert connection is not None  # noqa: S101 (just made)
        self.note(f"C: {method} {path}" + (f" ({len(body)} bytes)" if body else ""))
        gone = False

        def pieces() -> Iterator[bytes]:
            nonlocal gone
            before_body()
            for start in range(0, len(body), _PIECE):
                yield body[start : start + _PIECE]
            gone = True

        length = {"Content-Length": str(len(body))} if body else {}
        try:
            try:
                # By its announced length, the other side knows whether it has heard the end.
                connection.request(
                    method,
                    path,
                    body=pieces() if body else None,
                    headers={"Accept-Encoding": "identity", **headers, **length},
                    # Or it reads an answer without end, before anybody looks.
                    preload_content=False,
                    decode_content=False,
                )
            except _TROUBLE as error:
                return self._last_words(connection, error)
            answer = self._read(connection, self.access.timeout, early=False)
        except _TROUBLE as error:
            self.drop()
            failure = self._explained(error, Stage.BODY)
            raise BrokenExchangeError(failure, heard=gone or not body) from error
        except BaseException:
            # before_body has said no, or the worker is being stopped: the other side must not get a body.
            self.drop()
            raise
        self._last_used = time.monotonic()
        return answer

    def _connect(self) -> _Plain:
        access, stage = self.access, Stage.CONNECT
        secure = access.encryption is not Encryption.NONE
        self.note(f"* connecting to {access.host}:{access.port} ({access.encryption.value})")
        self.begin(Step.RESOLVE)
        connection: _Plain | None = None
        try:
            addresses = addresses_of(
                access.host, access.port, allow_local=access.allow_local, only_public=access.only_public
            )
            self.steps[-1].detail = ", ".join(addresses)
            self.begin(Step.CONNECT)
            if secure:
                connection = _Secure(
                    access.host, access.port, timeout=access.timeout, ssl_context=trusted_by(access)
                )
                connection.connected = lambda: self.begin(Step.TLS)
            else:
                connection = _Plain(access.host, access.port, timeout=access.timeout)
                connection.connected = lambda: None
            connection.addresses = addresses
            connection.connect()
        except ForbiddenHostError as error:
            failure = Failure(
                FailureKind.CONNECT_FAILED, True, detail=str(error), advice=Advice.HOST_FORBIDDEN
            )
            self.note(f"* {failure.diagnostic}")
            raise BrokenExchangeError(failure, connected=False) from error
        except (*_TROUBLE, UnicodeError) as error:
            if connection is not None:
                connection.close()
            raise BrokenExchangeError(self._explained(error, stage), connected=False) from error
        if isinstance(connection.sock, ssl.SSLSocket) and (der := connection.sock.getpeercert(True)):
            # One that cannot be read was trusted all the same.
            with contextlib.suppress(ValueError):
                self.steps[-1].detail = str(read_certificate(der))
        return connection

    def _last_words(self, connection: _Plain, error: Exception) -> Answer:
        """Return what the other side has said although it did not take the whole body; raise what broke it else."""
        try:
            answer = self._read(connection, min(self.access.timeout, GOODBYE_SECONDS), early=True)
        except _TROUBLE:
            raise error from None
        finally:
            self.drop()
        return answer

    def _read(self, connection: _Plain, seconds: float, *, early: bool) -> Answer:
        """Read an answer that must end: by a time, by a number of octets."""
        with _ended_after(connection, seconds):
            found = connection.getresponse()
            try:
                body = found.read(MAX_ANSWER_OCTETS, decode_content=False)
            except _TROUBLE:
                # The status says what matters; only what explains it is lost.
                body = b""
                self.drop()
        status, reason = found.status, found.reason or ""
        self.note(f"S: {status} {reason}".rstrip())
        if found.length_remaining or len(body) == MAX_ANSWER_OCTETS:
            self.drop()  # what is left of it would be taken for the next answer
        headers = {name.lower(): value for name, value in found.headers.items()}
        return Answer(status, headers, body, early)

    def _explained(self, error: BaseException, stage: Stage) -> Failure:
        failure = explain_exception(_cause(error), stage)
        self.note(f"* {failure.diagnostic}")
        return failure


def _cause(error: BaseException) -> BaseException:
    """Return what urllib3 has wrapped, which says more."""
    if isinstance(error, HTTPError) and isinstance(error.__cause__, OSError):
        return error.__cause__
    return error


@contextlib.contextmanager
def _ended_after(connection: _Plain, seconds: float) -> Iterator[None]:
    """End a connection after a time, also while octet after octet drips in; then a TimeoutError is raised.

    A socket's own timeout is for one octet.
    """
    sock = connection.sock
    expired = threading.Event()

    def end() -> None:
        expired.set()
        with contextlib.suppress(OSError):
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except _TROUBLE as error:
        if expired.is_set():
            raise TimeoutError("The answer did not end in time.") from error
        raise
    finally:
        timer.cancel()
