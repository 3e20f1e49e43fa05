"""smtplib's connections, with replies that must end: by a time, by a number of lines, by a number of octets."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

MAX_REPLY_LINES = 200  # of one reply; real ones have a dozen
MAX_REPLY_OCTETS = 64 * 1024  # of one reply, so that a broken server cannot fill the memory
_RECEIVE = 8 * 1024  # octets at a time
# Of a large message at a time: the timeout of a socket is for all that one call sends.
_SEND = 256 * 1024


class EndlessReplyError(smtplib.SMTPServerDisconnected):
    """A reply has more lines or octets than any server has to say."""


class _Utf8(str):
    """A text that smtplib puts into octets as UTF-8, where it would say ASCII."""

    __slots__ = ()

    def encode(self, *_encoding: str) -> bytes:
        return super().encode("utf-8")


class PatientSMTP(smtplib.SMTP):
    """A connection that waits `timeout` seconds for each whole reply, not for each octet of it."""

    addresses: Sequence[str] = ()
    """What the host was resolved to, and may be spoken to."""
    _unread = b""
    _unread_of: object = None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        failure: OSError | None = None
        for address in self.addresses or (host,):
            try:
                return socket.create_connection((address, port), timeout)
            except OSError as error:
                failure = error
        assert failure is not None  # noqa: S101 (there is an address)
        raise failure

    @property
    def spoke_out_of_turn(self) -> bool:
        """True when the server has said more than it was asked: what comes next answers something else."""
        return bool(self._unread) and self._unread_of is self.sock

    @property
    def is_encrypted(self) -> bool:
        """True when what is said is encrypted."""
        return isinstance(self.sock, ssl.SSLSocket)

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply, as smtplib does: a code of -1 is none.

        Raises:
            SMTPServerDisconnected: The server has hung up, or did not finish in time (then the context is a
                TimeoutError).
            EndlessReplyError: The reply is longer than any.
        """
        sock = self.sock
        if self._unread_of is not sock:
            # Nothing that was said in the clear counts once the connection is encrypted (RFC 3207 §6).
            self._unread, self._unread_of = b"", sock
        deadline = time.monotonic() + self._patience
        lines: list[bytes] = []
        octets = 0
        while True:
            line = self._line(deadline, octets)
            octets += len(line)
            if not line[:3].isdigit():
                return -1, b"\n".join([*lines, line.strip()])
            lines.append(line[4:].strip(b" \t\r\n"))
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(lines)
            if len(lines) >= MAX_REPLY_LINES:
                self.close()
                raise EndlessReplyError(f"The reply has more than {MAX_REPLY_LINES} lines.")

    def login(self, user: str, password: str, **how: Any) -> tuple[int, bytes]:
        """Sign in as smtplib does, with every character that a password may have (RFC 4616 §2)."""
        return super().login(user, _Utf8(password), **how)

    def auth(self, mechanism: str, authobject: Callable[..., str | None], **how: Any) -> tuple[int, bytes]:
        """Answer the questions of a mechanism, in UTF-8."""

        def answer(*challenge: bytes) -> str | None:
            said = authobject(*challenge)
            return None if said is None else _Utf8(said)

        return super().auth(mechanism, answer, **how)  # type: ignore[arg-type]  # None says that there is none

    def send_all(self, octets: bytes) -> None:
        """Send; the time that it may take grows with the size."""
        sock = self.sock
        if sock is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        if len(octets) <= _SEND:
            sock.sendall(octets)
            return
        view = memoryview(octets)
        for start in range(0, len(octets), _SEND):
            sock.sendall(view[start : start + _SEND])

    @property
    def _patience(self) -> float:
        return float(self.timeout or 60.0)

    def _line(self, deadline: float, octets: int) -> bytes:
        sock = self.sock
        if sock is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        hurried = False
        try:
            while (end := self._unread.find(b"\n")) < 0:
                if octets + len(self._unread) > MAX_REPLY_OCTETS:
                    raise EndlessReplyError(f"The reply has more than {MAX_REPLY_OCTETS} octets.")
                if hurried or octets or self._unread:
                    # Not the first octets: they have what is left of the time.
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise TimeoutError("The reply did not end in time.")
                    sock.settimeout(left)
                    hurried = True
                received = sock.recv(_RECEIVE)
                if not received:
                    raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
                self._unread += received
        except smtplib.SMTPServerDisconnected:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"Connection unexpectedly closed: {error}") from error
        if hurried:
            with contextlib.suppress(OSError):
                sock.settimeout(self._patience)
        line, self._unread = self._unread[: end + 1], self._unread[end + 1 :]
        return line


class PatientSMTPS(PatientSMTP, smtplib.SMTP_SSL):
    """The same, encrypted from the first octet."""

    before_tls: Callable[[], None]
    """Called once it is connected."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = super()._get_socket(host, port, timeout)
        self.before_tls()
        # smtplib verifies against this name, which is the host's and not the address's.
        return self.context.wrap_socket(sock, server_hostname=self._host)  # type: ignore[attr-defined]
