"""A lean SMTP server that accepts everything and counts; aiosmtpd itself would be the bottleneck.

One thread, one loop, no framework: what it costs is the CPU that the contestants cannot use. It speaks
PIPELINING (RFC 2920), as the servers of the world do. With a delay, each of its answers comes so much later, as from
a server across a network.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import sys
import time

GREETING = b"220 sink ESMTP\r\n"
EHLO = b"250-sink\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n"
END = b"\r\n.\r\n"
ACCEPTED = b"250 2.0.0 accepted\r\n"
BUFFER = bytearray(1 << 18)


class Later:
    """Answers that are on their way."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.numbers = itertools.count()
        self.waiting: list[tuple[float, int, socket.socket, bytes]] = []

    def send(self, connection: socket.socket, answer: bytes) -> None:
        if not self.delay:
            connection.sendall(answer)
            return
        heapq.heappush(self.waiting, (time.monotonic() + self.delay, next(self.numbers), connection, answer))

    def send_due(self) -> float | None:
        """Send what is due; return the seconds to the next, or None."""
        while self.waiting:
            left = self.waiting[0][0] - time.monotonic()
            if left > 0:
                return left
            _, _, connection, answer = heapq.heappop(self.waiting)
            with contextlib.suppress(OSError):
                connection.sendall(answer)
        return None


class Dialogue:
    """One connection: the least that a client needs to hear."""

    accepted = 0

    def __init__(self, connection: socket.socket, later: Later) -> None:
        self.connection = connection
        self.later = later
        self.line = b""
        self.tail: bytes | None = None
        """The last octets of the message that is being received, or None."""
        later.send(connection, GREETING)

    def receive(self) -> bool:
        """Answer what has come, all of it in one write; return False when the client is gone."""
        length = self.connection.recv_into(BUFFER)
        if not length:
            return False
        # DATA ends a group of commands, so if the end of a message ends a chunk, it is the only one in it.
        if self.tail is not None and BUFFER[max(length - len(END), 0) : length] == END:
            self.tail = None
            Dialogue.accepted += 1
            self.later.send(self.connection, ACCEPTED)
            return True
        data = bytes(memoryview(BUFFER)[:length])
        answers: list[bytes] = []
        while data:
            if self.tail is not None:
                data = self.take_text(data, answers)
                continue
            line, end, data = (self.line + data).partition(b"\r\n")
            if not end:
                self.line = line
                break
            self.line = b""
            answers.append(self.answer(line[:4].upper()))
        if answers:
            self.later.send(self.connection, b"".join(answers))
        return True

    def take_text(self, data: bytes, answers: list[bytes]) -> bytes:
        """Take what belongs to the message and return the commands after it."""
        assert self.tail is not None
        head, end, rest = (self.tail + data).partition(END)
        if not end:
            self.tail = head[-4:]
            return b""
        self.tail = None
        Dialogue.accepted += 1
        answers.append(ACCEPTED)
        return rest

    def answer(self, verb: bytes) -> bytes:
        if verb == b"EHLO":
            return EHLO
        if verb == b"DATA":
            self.tail = b"\r\n"
            return b"354 go on\r\n"
        if verb == b"QUIT":
            return b"221 bye\r\n"
        if verb == b"COUN":  # ours: how many so far; the clock must not wait for the answer
            self.later = Later(0.0)
            return b"250 %d\r\n" % Dialogue.accepted
        return b"250 2.0.0 ok\r\n"


def serve(port: int, delay: float, host: str = "127.0.0.1") -> None:
    later = Later(delay)
    selector = selectors.DefaultSelector()
    listener = socket.create_server((host, port), backlog=64)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select(later.send_due()):
            if key.data is None:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ, Dialogue(connection, later))
                continue
            alive = False
            with contextlib.suppress(ConnectionError):
                alive = key.data.receive()
            if not alive:
                selector.unregister(key.data.connection)
                key.data.connection.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:4])
