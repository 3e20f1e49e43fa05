"""A real DNS server on loopback, by UDP, that says what it is told to, and lies, fails or keeps silent on request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from core.testing.services.limits import LOOPBACK

Answer = Callable[[dns.message.Message], bytes | None]


def silent(_question: dns.message.Message) -> None:
    """Say nothing."""


def failing(question: dns.message.Message) -> bytes:
    """Say that it failed."""
    answer = dns.message.make_response(question)
    answer.set_rcode(dns.rcode.SERVFAIL)
    return answer.to_wire()


def about_another(question: dns.message.Message) -> bytes:
    """Answer the question, and say in the answer what stands under another name."""
    answer = dns.message.make_response(question)
    answer.answer.append(dns.rrset.from_text("liar.example.", 60, "IN", "TXT", '"v=spf1 +all"'))
    return answer.to_wire()


def another_question(question: dns.message.Message) -> bytes:
    """Answer something that nobody has asked, under the number of the question."""
    answer = dns.message.make_response(dns.message.make_query("liar.example.", "TXT"))
    answer.id = question.id
    answer.answer.append(dns.rrset.from_text("liar.example.", 60, "IN", "TXT", '"v=spf1 +all"'))
    return answer.to_wire()


class DnsLab:
    """The server.

    Attributes:
        where: `address:port`, as settings name it.
        zone: Texts of records by name and type; a name without any does not exist.
        instead: By name, what is answered to every question about it.
        asked: Names and types, in order.
    """

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.instead: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self.where = f"{LOOPBACK}:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="dns-lab")

    def text(self, name: str, *texts: str) -> None:
        """Let texts stand under a name, in pieces as they must be."""
        self.zone[name, "TXT"] = [
            " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255)) for text in texts
        ]

    def found(self, name: str | bytes, *_args: object, **_more: object) -> str | bytes:
        """Return the text under a name, for programs that verify signatures; octets where they ask by octets."""
        asked = (name.decode() if isinstance(name, bytes) else name).rstrip(".").lower()
        text = "".join(self.zone.get((asked, "TXT"), [])[:1]).replace('" "', "").strip('"')
        return text.encode() if isinstance(name, bytes) else text

    def _serve(self) -> None:
        while True:
            data, whom = self._socket.recvfrom(4096)
            if not data:
                return
            answer = self._answer(dns.message.from_wire(data))
            if answer is not None:
                self._socket.sendto(answer, whom)

    def _answer(self, question: dns.message.Message) -> bytes | None:
        asked = question.question[0]
        name, kind = asked.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(asked.rdtype)
        self.asked.append((name, kind))
        if name in self.instead:
            return self.instead[name](question)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        if texts := self.zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text_list(asked.name, 60, "IN", kind, texts))
        elif not any(known == name for known, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An empty datagram ends it: closing a socket does not wake who waits for it.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()
