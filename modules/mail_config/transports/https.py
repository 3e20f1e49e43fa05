"""One request by HTTPS to a provider: bounded in time and size, to an address that was looked at, without redirects."""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from core.errors import EnvoiError
from core.mail.exceptions import explain_exception
from core.mail.outcomes import Advice, Failure, FailureKind, Stage
from core.web.strict_json import read_json
from modules.mail_config.transports.addresses import ForbiddenHostError, addresses_of
from modules.mail_config.transports.base import Step, trusting

MAX_ANSWER_OCTETS = 256 * 1024  # real ones have some KB
_RECEIVE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider has answered.

    Attributes:
        status: Of HTTP.
        headers: As they came; names in any case.
        body: As far as it came: of an answer that breaks off, the status still counts.
    """

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the object that the answer holds.

        Raises:
            ValueError: It is something else: a page, nothing, a list.
        """
        value = read_json(self.body)
        if not isinstance(value, dict):
            raise ValueError("The answer is no JSON object.")  # noqa: TRY004 (what came from outside)
        return value

    @property
    def text(self) -> str:
        """The words of the answer, whatever they are."""
        return self.body.decode("utf-8", "replace")


class RequestError(EnvoiError):
    """A request got no answer.

    Attributes:
        failure: Why.
        began: True when a part of the body has gone out.
        sent: True when all of it has gone out, so that the provider may have done what was asked.
    """

    def __init__(self, failure: Failure, *, began: bool, sent: bool) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure
        self.began = began
        self.sent = sent


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    timeout: float,
    allow_local: bool = False,
    ca_file: str | None = None,
    before_body: Callable[[], None] = lambda: None,
    begin: Callable[[Step, str], None] = lambda _step, _detail: None,
) -> Answer:
    """Send a request, and return the answer.

    Args:
        method: Of HTTP.
        url: Where; `http:` only on this machine itself, since what is asked holds secrets.
        headers: What is sent besides Host and Content-Length.
        body: What is sent.
        timeout: Seconds for all of it, however slowly it comes.
        allow_local: True where the host may be this machine itself.
        ca_file: Trusted certificates beside the system's.
        before_body: Called between the head and the body; when it raises, the body does not go out.
        begin: Told of each step with what the one before it has found.

    Raises:
        RequestError: There is no answer.
    """
    exchange = _Exchange(time.monotonic() + timeout, begin)
    stage = Stage.CONNECT
    try:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        exchange.connect(host, port, allow_local=allow_local, plain=not secure)
        if secure:
            stage = Stage.STARTTLS
            exchange.encrypt(host, trusting(ca_file))
        stage = Stage.DATA
        begin(Step.DATA, "")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        exchange.send_head(method, target, parts.netloc, {**headers, "Content-Length": str(len(body))})
        before_body()
        stage = Stage.BODY
        return exchange.finish(body, method)
    except (OSError, ValueError, http.client.HTTPException) as error:
        began = stage is Stage.BODY
        raise RequestError(_failure(error, stage), began=began, sent=exchange.sent) from error
    finally:
        exchange.close()


def _failure(error: Exception, stage: Stage) -> Failure:
    if isinstance(error, ForbiddenHostError):
        return Failure(FailureKind.CONNECT_FAILED, True, detail=str(error), advice=Advice.HOST_FORBIDDEN)
    if isinstance(error, http.client.HTTPException):
        words = f"{type(error).__name__}: {error}"
        return Failure(FailureKind.SERVER_ERROR, True, detail=words)
    return explain_exception(error, stage)


class _Exchange:
    """One request and its answer, on a connection of its own.

    None is kept for the next: of a kept one that dies nobody knows whether the provider has seen the request.
    """

    def __init__(self, deadline: float, begin: Callable[[Step, str], None]) -> None:
        self.deadline = deadline
        self.begin = begin
        self.sent = False
        self._sock: socket.socket | None = None
        self._connection: http.client.HTTPConnection | None = None

    def connect(self, host: str, port: int, *, allow_local: bool, plain: bool) -> None:
        self.begin(Step.RESOLVE, "")
        addresses = addresses_of(host, port, allow_local=allow_local)
        if plain and not all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in addresses):
            raise ValueError("Only this machine itself is spoken to without encryption.")
        self.begin(Step.CONNECT, ", ".join(addresses))
        failure: OSError | None = None
        for address in addresses:
            try:
                self._sock = socket.create_connection((address, port), self._left())
            except OSError as error:
                failure = error
            else:
                return
        raise failure or OSError("The host has no address.")

    def encrypt(self, host: str, context: ssl.SSLContext) -> None:
        assert self._sock is not None  # noqa: S101 (it is connected)
        self.begin(Step.TLS, "")
        self._sock.settimeout(self._left())
        self._sock = context.wrap_socket(self._sock, server_hostname=host)

    def send_head(self, method: str, target: str, netloc: str, headers: Mapping[str, str]) -> None:
        assert self._sock is not None  # noqa: S101
        self._sock.settimeout(self._left())
        connection = self._connection = http.client.HTTPConnection(netloc)
        connection.sock = self._sock
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": netloc, "Connection": "close", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()

    def finish(self, body: bytes, method: str) -> Answer:
        assert self._sock is not None  # noqa: S101
        # What a socket is given at once has one time for all of it.
        self._sock.settimeout(self._left())
        try:
            self._sock.sendall(body)
        except TimeoutError:
            raise
        except OSError as error:
            # The provider hung up before it had all: it may have said why, that it is too large for one.
            try:
                return self._answer(method)
            except (OSError, http.client.HTTPException):
                raise error from None
        self.sent = True
        return self._answer(method)

    def _answer(self, method: str) -> Answer:
        assert self._sock is not None  # noqa: S101
        response = http.client.HTTPResponse(_Until(self._sock, self.deadline), method=method)  # type: ignore[arg-type]
        response.begin()
        body = b""
        try:
            while len(body) <= MAX_ANSWER_OCTETS and (more := response.read(_RECEIVE)):
                body += more
        except http.client.IncompleteRead as error:
            body += error.partial
        except OSError:
            pass  # the status was said, and counts
        return Answer(response.status, response.headers, body[:MAX_ANSWER_OCTETS])

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The answer did not come in time.")
        return left


class _Until(io.RawIOBase):
    """Reads a socket until a moment: the timeout of a socket is for each octet, not for all."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The answer did not come in time.")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)
