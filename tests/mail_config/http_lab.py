"""A real HTTP server on loopback that speaks as SendGrid and Postmark do, and fails on request."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import json
import re
import socket
import ssl
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.testing.services.certificates import make_certificate

KEY = "SG.the-right-key"
_ADDRESS = re.compile(r"[\x21-\x7e]+@[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
HTML = b"<!DOCTYPE html><html><title>Bad gateway</title></html>"

# What is done instead of answering; each at its moment.
CLOSE_BEFORE_BODY = "close before body"
CLOSE_IN_BODY = "close in body"
CLOSE_AFTER_BODY = "close after body"
HANG = "hang"
DRIP = "drip"
ENDLESS = "endless"
HALF = "half"


@dataclass
class Told:
    """A mail that was taken for one group of people."""

    people: tuple[str, ...]
    mail: dict[str, Any]


@dataclass
class Canned:
    """An answer that is given whatever is asked."""

    status: int
    body: bytes | str | dict[str, Any] | list[Any] = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def octets(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


class HttpLab:
    """The server.

    Args:
        security: `none` or `tls`.
        expired: Whether the time of its certificate is over.

    Attributes:
        taken: What was taken, a row for each group of people that gets one mail.
        requests: Every request, as `METHOD path`.
        faults: What happens instead of an answer to the next mails, first come first served.
        verified: The domain that senders must have.
        inactive: Addresses that Postmark does not deliver to any more.
        scopes: What the key may do.
        hook: Called with `connected` (before any encryption), `headers`, `body` and `answered`, as mails pass them.
    """

    host = "127.0.0.1"

    def __init__(self, security: str = "none", *, expired: bool = False) -> None:
        self.security = security
        self.expired = expired
        self.taken: list[Told] = []
        self.requests: list[str] = []
        self.bodies: list[Any] = []
        self.faults: list[str | Canned] = []
        self.verified = "example.com"
        self.inactive: set[str] = set()
        self.scopes = ["mail.send"]
        self.connections = 0
        self.hook: Callable[[str], None] = lambda _point: None
        self.ended = threading.Event()

    def __enter__(self) -> Self:
        lab = self

        class Handler(_Handler):
            pass

        Handler.lab = lab
        self._server = _Server((self.host, 0), Handler)
        self._server.lab = lab
        self.port = self._server.server_address[1]
        if self.security == "tls":
            self._folder = tempfile.TemporaryDirectory()
            self._made = make_certificate(Path(self._folder.name), expired=self.expired)
            self.ca_file = self._made.certificate
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._made.certificate, self._made.key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        if self.security == "tls":
            self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self.security == 'tls' else 'http'}://{self.host}:{self.port}"

    @property
    def people(self) -> list[tuple[str, ...]]:
        return [told.people for told in self.taken]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    lab: HttpLab

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is what tests are about."""

    def get_request(self) -> Any:
        self.lab.connections += 1
        found = super().get_request()
        self.lab.hook("connected")
        if self.lab.security == "tls":
            try:
                found[0].do_handshake()
            except OSError:
                found[0].close()
                raise
        return found


class _Handler(BaseHTTPRequestHandler):
    lab: HttpLab
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, *_args: Any) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        self.lab.requests.append(f"GET {self.path}")
        if self.lab.faults:
            self._fail(self.lab.faults.pop(0))
            return
        if not self._knows_key():
            return
        if self.path.endswith("/v3/scopes"):
            self._answer(200, {"scopes": self.lab.scopes})
        elif self.path.endswith("/server"):
            self._answer(200, {"ID": 1, "Name": "Lab"})
        else:
            self._answer(404, HTML)

    def do_POST(self) -> None:
        lab = self.lab
        lab.requests.append(f"POST {self.path}")
        lab.hook("headers")
        fault = lab.faults.pop(0) if lab.faults else None
        if fault == CLOSE_BEFORE_BODY:
            self._hang_up()
            return
        length = int(self.headers["Content-Length"])
        if fault == CLOSE_IN_BODY:
            self.rfile.read(min(length // 2, 64))
            self._hang_up()
            return
        octets = self.rfile.read(length)
        if len(octets) < length:
            self.close_connection = True
            return
        lab.hook("body")
        if fault is not None and not isinstance(fault, Canned):
            self._break(fault)
            return
        if fault is not None:
            self._fail(fault)
        elif self._knows_key():
            mail = json.loads(octets)
            lab.bodies.append(mail)
            if self.path.endswith("/v3/mail/send"):
                self._sendgrid(mail)
            elif self.path.endswith("/email/batch"):
                self._answer(200, [self._postmark(message) for message in mail])
            else:
                self._answer(404, HTML)
        lab.hook("answered")

    # -- faults --------------------------------------------------------------------------------------

    def _fail(self, fault: str | Canned) -> None:
        if isinstance(fault, Canned):
            self._answer(fault.status, fault.octets, **fault.headers)
        else:
            self._break(fault)

    def _break(self, fault: str) -> None:
        if fault == HANG:
            self.lab.ended.wait(20)
        elif fault == DRIP:
            with contextlib.suppress(OSError):
                for octet in b"HTTP/1.1 202 Accepted\r\nX-Slow: " + b"x" * 200:
                    self.wfile.write(bytes([octet]))
                    if self.lab.ended.wait(0.1):
                        break
        elif fault == ENDLESS:
            with contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n")
                while not self.lab.ended.is_set():
                    self.wfile.write(b'{"errors": [' + b" " * 65536)
        elif fault == HALF:
            self.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\nonly")
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, body: Any = b"", **headers: str) -> None:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    # -- what the providers check --------------------------------------------------------------------

    def _knows_key(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        if self.headers.get("X-Postmark-Server-Token") == KEY:
            return True
        if "X-Postmark-Server-Token" in self.headers:
            self._answer(401, {"ErrorCode": 10, "Message": "Request does not contain a valid Server token."})
        else:
            words = "The provided authorization grant is invalid, expired, or revoked"
            self._answer(401, {"errors": [{"message": words, "field": None, "help": None}]})
        return False

    def _sendgrid(self, mail: dict[str, Any]) -> None:
        errors: list[dict[str, Any]] = []
        if "mail.send" not in self.lab.scopes:
            self._answer(403, {"errors": [{"message": "access forbidden", "field": None, "help": None}]})
            return
        if not mail["from"]["email"].lower().endswith(self.lab.verified):
            words = (
                "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is "
                "resolved."
            )
            self._answer(403, {"errors": [{"message": words, "field": "from", "help": None}]})
            return
        groups = []
        for number, group in enumerate(mail["personalizations"]):
            people: list[str] = []
            assert group.get("to"), "The to array is required for all personalization objects"
            for place in ("to", "cc", "bcc"):
                for index, person in enumerate(group.get(place, [])):
                    people.append(person["email"])
                    if not _ADDRESS.fullmatch(person["email"]):
                        where = f"personalizations.{number}.{place}.{index}.email"
                        words = "Does not contain a valid address."
                        errors.append({"message": words, "field": where, "help": None})
            assert len({one.lower() for one in people}) == len(people), "unique between to, cc, and bcc"
            groups.append(tuple(people))
        assert all(part["value"] for part in mail["content"])
        for file in mail.get("attachments", []):
            base64.b64decode(file["content"], validate=True)
        if errors:
            self._answer(400, {"errors": errors})
            return
        self.lab.taken += [Told(people, mail) for people in groups]
        self._answer(202, b"", X_Message_Id=uuid.uuid4().hex)

    def _postmark(self, message: dict[str, Any]) -> dict[str, Any]:
        sender = email.utils.parseaddr(message["From"])[1]
        if not sender.lower().endswith(self.lab.verified):
            words = (
                f"The 'From' address you supplied ({sender}) is not a Sender Signature on your account. Please add and "
                "confirm this address in order to be able to use it in the 'From' field of your messages."
            )
            return {"ErrorCode": 400, "Message": words}
        people = [
            address
            for place in ("To", "Cc", "Bcc")
            for _name, address in email.utils.getaddresses([message.get(place, "")])
            if address
        ]
        assert people
        assert len(people) <= 50
        for address in people:
            if not _ADDRESS.fullmatch(address):
                return {
                    "ErrorCode": 300,
                    "Message": f"Error parsing 'To': Illegal email address '{address}'.",
                }
        inactive = [address for address in people if address in self.lab.inactive]
        if inactive and len(inactive) == len(people):
            words = (
                "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: "
                f"{', '.join(inactive)}. Inactive recipients are ones that have generated a hard bounce."
            )
            return {"ErrorCode": 406, "Message": words}
        self.lab.taken.append(Told(tuple(one for one in people if one not in inactive), message))
        words = (
            f"Message OK, but will not deliver to these inactive addresses: {', '.join(inactive)}."
            if inactive
            else "OK"
        )
        return {"ErrorCode": 0, "Message": words, "MessageID": str(uuid.uuid4()), "To": message.get("To", "")}


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
