"""The addresses of a host, and which of them may be spoken to.

A name is resolved once, looked at, and connected to by the address that was looked at: a name that answers otherwise
the next time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "168.63.129.16")
)
"""Where clouds tell a machine its secrets: AWS, Google, Azure, Oracle; Alibaba; AWS by IPv6; Azure's host."""


class ForbiddenHostError(OSError):
    """A host is the machine itself, or an address that is for its internals."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} is this machine itself, or an address for its internals.")
        self.address = address


def addresses_of(host: str, port: int, *, allow_local: bool, only_public: bool = False) -> list[str]:
    """Return the addresses of a host, in the order in which to try them.

    Args:
        host: Name or address.
        port: TCP port.
        allow_local: True to allow the machine itself and its network.
        only_public: True to forbid private networks as well.

    Raises:
        ForbiddenHostError: One of them may not be spoken to.
        OSError: The name has none.
        UnicodeError: It cannot be a name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_local:
        for address in addresses:
            if _forbidden(address, only_public=only_public):
                raise ForbiddenHostError(address)
    return addresses


def _forbidden(text: str, *, only_public: bool) -> bool:
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address in the clothes of an IPv6 one is reached as what it is.
        address = address.ipv4_mapped or address.sixtofour or address
    if only_public and not address.is_global:
        return True
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address.is_reserved
        or address in _METADATA
        or _is_own(address)
    )


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return True for an address of this machine: what goes there comes from there. Nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Of a datagram socket this only asks which address would be used.
            probe.connect((str(address), 9))
            return str(probe.getsockname()[0]) == str(address)
        except OSError:
            return False
