"""Questions to the DNS (RFC 1035), bounded in time; what stands there is anybody's word and is only read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

import dns.exception
import dns.inet
import dns.name
import dns.nameserver
import dns.resolver
import dns.reversename
from flask import current_app

from core.errors import EnvoiError
from core.mail.outcomes import printable

T = TypeVar("T")

QUESTION_SECONDS = 4.0  # for one question, all its tries together
TOTAL_SECONDS = 15.0  # for all of one check; somebody waits before the page
NOBODY = "none"
"""Instead of servers: nothing is asked, and so nothing is known."""
MOST_TEXTS = 50
"""As many records of one name are read; honest names have a dozen."""
LONGEST_TEXT = 4096  # characters of one of them


class Trouble(StrEnum):
    """Why nothing is known of a name. That it has no record is no trouble, but an answer."""

    SILENT = "silent"  # no answer in time
    REFUSED = "refused"  # the servers of the name answer with an error (SERVFAIL, REFUSED)
    NONSENSE = "nonsense"  # the answer is about another name, or cannot be read
    NO_NAME = "no_name"  # such a name cannot be in the DNS


class NameServiceError(EnvoiError):
    """The DNS has told nothing about a name.

    Attributes:
        trouble: Why.
        name: What was asked for.
    """

    def __init__(self, trouble: Trouble, name: str) -> None:
        super().__init__(f"{trouble}: {name}")
        self.trouble, self.name = trouble, name


class Names(Protocol):
    """What is asked of the DNS.

    Each answers with nothing where there is no such record, and raises a `NameServiceError` where nothing is known.
    """

    def texts(self, name: str) -> list[str]:
        """Return the TXT records of a name, each in one piece (RFC 7208 §3.3)."""

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of a name, IPv4 before IPv6."""

    def exchangers(self, name: str) -> list[str]:
        """Return who takes mail for a name, most wanted first; `.` for nobody (RFC 7505)."""

    def names_of(self, address: str) -> list[str]:
        """Return the names of an address (PTR)."""


def name_service(seconds: float = TOTAL_SECONDS) -> NameService:
    """Return what asks the DNS of this installation, for the time of one check."""
    return NameService(str(current_app.config["MAIL_CONFIG_DNS_SERVERS"]).split(), seconds)


class NameService:
    """Asks the servers of the installation, or those of the system.

    Once one has kept silent for all of its time, the rest of a check is not asked any more than the total allows.

    Args:
        servers: `address` or `address:port` of each; empty for those of the system, `NOBODY` to ask none.
        seconds: For everything that is asked.
    """

    def __init__(self, servers: Sequence[str] = (), seconds: float = TOTAL_SECONDS) -> None:
        self._until = time.monotonic() + seconds
        self._resolver: dns.resolver.Resolver | None = None
        if list(servers) == [NOBODY]:
            return
        try:
            self._resolver = dns.resolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration:
            return
        if servers:
            self._resolver.nameservers = [_nameserver(one) for one in servers]
        # More than 512 octets fit into an answer, as a key of 2,048 bits needs.
        self._resolver.use_edns(0, 0, 1232)
        self._resolver.timeout = min(2.0, QUESTION_SECONDS / 2)

    def texts(self, name: str) -> list[str]:
        """See `Names`."""
        found = self._asked(name, "TXT", lambda record: b"".join(record.strings))
        return [printable(text.decode("utf-8", "replace"))[:LONGEST_TEXT] for text in found[:MOST_TEXTS]]

    def addresses(self, name: str) -> list[str]:
        """See `Names`."""
        return [
            address
            for kind in ("A", "AAAA")
            for address in self._asked(name, kind, lambda record: str(record.address))
        ]

    def exchangers(self, name: str) -> list[str]:
        """See `Names`."""
        found = self._asked(name, "MX", lambda record: (record.preference, _spoken(record.exchange)))
        return [host for _, host in sorted(found)]

    def names_of(self, address: str) -> list[str]:
        """See `Names`."""
        return self._asked(
            str(dns.reversename.from_address(address)), "PTR", lambda record: _spoken(record.target)
        )

    def _asked(self, name: str, kind: str, read: Callable[..., T]) -> list[T]:
        left = self._until - time.monotonic()
        if self._resolver is None or left <= 0:
            raise NameServiceError(Trouble.SILENT, name)
        try:
            answer = self._resolver.resolve(
                dns.name.from_text(name), kind, lifetime=min(QUESTION_SECONDS, left)
            )
            return [read(record) for record in answer]
        except dns.resolver.NXDOMAIN:
            return []
        except dns.resolver.NoAnswer as error:
            if error.response().answer:  # type: ignore[no-untyped-call]
                raise NameServiceError(Trouble.NONSENSE, name) from error
            return []
        except dns.resolver.LifetimeTimeout as error:
            raise NameServiceError(_worst(error.kwargs.get("errors")), name) from error
        except dns.resolver.NoNameservers as error:
            raise NameServiceError(_worst(error.kwargs.get("errors")), name) from error
        except (dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong, UnicodeError) as error:
            raise NameServiceError(Trouble.NO_NAME, name) from error
        except dns.exception.DNSException as error:
            raise NameServiceError(Trouble.NONSENSE, name) from error


def _worst(errors: object) -> Trouble:
    """Return what a server has done that was asked in vain: nonsense if any has spoken it, else silence."""
    # Of each try: the server, its transport and port, what went wrong, and the answer if there was one.
    tries = [one[3:] for one in errors if isinstance(one, tuple)] if isinstance(errors, list) else []
    said = [one[0] for one in tries if one]
    silent = [isinstance(one, dns.exception.Timeout | OSError | EOFError) for one in said]
    if all(silent):
        return Trouble.SILENT
    # A code of the answer is given as text, anything else is what was wrong with it.
    return Trouble.REFUSED if isinstance(said[silent.index(False)], str) else Trouble.NONSENSE


def is_name_server(text: str) -> bool:
    """Tell whether a text names a server to ask: an address, or with a port `address:port`."""
    address, port = _apart(text)
    return dns.inet.is_address(address) and port.isascii() and port.isdigit() and 0 < int(port) < 65536


def _nameserver(text: str) -> dns.nameserver.Nameserver:
    address, port = _apart(text)
    return dns.nameserver.Do53Nameserver(address, int(port))


def _apart(text: str) -> tuple[str, str]:
    # An address of IPv6 has several colons, and no port here.
    address, _, port = text.partition(":") if text.count(":") == 1 else (text, "", "53")
    return address, port


def _spoken(name: dns.name.Name) -> str:
    return str(name.to_text(omit_final_dot=True)).lower() or "."
