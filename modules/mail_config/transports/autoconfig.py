"""Thunderbird's autoconfiguration format: what a domain says about its own mail servers.

https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat
"""

from __future__ import annotations

import http.client
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from core.mail.addresses import ascii_addr_spec
from modules.mail_config.transports.addresses import addresses_of

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0  # somebody waits before the form, and a domain without an answer is the usual case
MAX_OCTETS = 64 * 1024  # real files have some 3 KB
SOCKET_TYPES = ("SSL", "STARTTLS", "plain")


@dataclass(frozen=True, slots=True)
class OutgoingServer:
    """A server to send by, as the file says.

    Attributes:
        host: Name of the server.
        port: TCP port.
        socket_type: `SSL`, `STARTTLS` or `plain`.
        username: What the address signs in with, or "".
    """

    host: str
    port: int
    socket_type: str
    username: str


def look_up(address: str, places: Sequence[str], *, allow_local: bool) -> OutgoingServer | None:
    """Return what the domain of an address says, or None; a place that does not answer is passed over.

    Args:
        address: An addr-spec.
        places: `https://…` addresses or paths of files, with `{domain}` where the domain stands. The rest of the
            address is told to nobody.
        allow_local: True where the machine itself may be asked.
    """
    domain = ascii_addr_spec(address).rpartition("@")[2]
    for place in places:
        where = place.replace("{domain}", domain)
        try:
            text = _fetched(where, allow_local=allow_local) if "://" in where else Path(where).read_bytes()
            found = outgoing_server(text, address)
        except (OSError, ValueError, http.client.HTTPException) as error:
            logger.info("No autoconfiguration of a domain (%s).", type(error).__name__)
            continue
        if found is not None:
            return found
    return None


def outgoing_server(text: bytes, address: str) -> OutgoingServer | None:
    """Read a file, and return the first server in it that takes a password, or None.

    Raises:
        ValueError: It is no such file.
    """
    # What declares entities can be made to grow without end, and no honest file does.
    if len(text) > MAX_OCTETS or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ValueError("This is no autoconfiguration.")
    try:
        root = ET.fromstring(text)  # noqa: S314 (without declarations, bounded)
    except ET.ParseError as error:
        raise ValueError("This is no XML.") from error
    for server in root.iter("outgoingServer"):
        host, port = (server.findtext("hostname") or "").strip(), (server.findtext("port") or "").strip()
        socket_type = (server.findtext("socketType") or "").strip()
        ways = {(one.text or "").strip() for one in server.findall("authentication")}
        if (
            server.get("type") == "smtp"
            and host
            and len(host) <= 253
            and port.isascii()
            and port.isdigit()
            and 1 <= int(port) <= 65535
            and socket_type in SOCKET_TYPES
            and ways != {"OAuth2"}
        ):
            username = _filled(server.findtext("username") or "", address)
            return OutgoingServer(_filled(host, address), int(port), socket_type, username)
    return None


def _filled(text: str, address: str) -> str:
    local, _, domain = address.rpartition("@")
    text = text.strip().replace("%EMAILADDRESS%", address)
    return text.replace("%EMAILLOCALPART%", local).replace("%EMAILDOMAIN%", domain)


def _fetched(url: str, *, allow_local: bool) -> bytes:
    """Return what a page answers; redirects are not followed, since they may lead anywhere.

    Raises:
        OSError: It is not reached, or may not be.
        ValueError: It answers something else than the file.
    """
    parts = urlsplit(url)
    host, is_plain = parts.hostname or "", parts.scheme == "http"
    if parts.scheme != "https" and not (is_plain and allow_local):
        raise ValueError("Only https is asked: whoever stands between could name another server.")
    port = parts.port or (80 if is_plain else 443)
    # Resolved and looked at before, and then connected to by that address.
    address = addresses_of(host, port, allow_local=allow_local, only_public=True)[0]
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.connect()
        if not is_plain:
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
        connection.request("GET", parts.path or "/", headers={"Host": parts.netloc})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError("There is no such file.")
        return answer.read(MAX_OCTETS + 1)
    finally:
        connection.close()
