"""What the settings of servers must be."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from modules.mail_config.servers.drop import FOLDER
from modules.mail_config.servers.relays import POSTMARK_URL, SENDGRID_URL
from modules.mail_config.transports.base import trusting
from modules.mail_config.transports.name_service import NOBODY, is_name_server

# RFC 5321 §4.1.3: the name of a host, or an address in brackets.
_EHLO_NAME = re.compile(r"(?!-)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|\[(?:[0-9.]+|IPv6:[0-9A-Fa-f:.]+)\]")


def problems_of_settings(settings: Mapping[str, str | int | float]) -> list[str]:
    """Return a sentence for each setting of servers that makes no sense; called at start."""
    problems = [
        f"ENVOI_{name} must be an address such as https://api.example.com; http:// only on this machine."
        for name in (SENDGRID_URL, POSTMARK_URL)
        if not _is_base_url(str(settings[name]))
    ]
    problems += _about_ca_file(str(settings["MAIL_CONFIG_CA_FILE"]))
    name = str(settings["MAIL_CONFIG_EHLO_NAME"])
    if name and not _EHLO_NAME.fullmatch(name):
        problems.append(
            "ENVOI_MAIL_CONFIG_EHLO_NAME must be a name such as mail.example.com, or [192.0.2.1]."
        )
    folder = str(settings[FOLDER])
    if folder and not Path(folder).is_absolute():
        problems.append(f"ENVOI_{FOLDER} must be an absolute path.")
    servers = str(settings["MAIL_CONFIG_DNS_SERVERS"]).split()
    if servers != [NOBODY] and not all(map(is_name_server, servers)):
        problems.append(
            "ENVOI_MAIL_CONFIG_DNS_SERVERS must be addresses such as 192.0.2.53 or 192.0.2.53:5353, separated by "
            "blanks."
        )
    return problems


def _about_ca_file(name: str) -> list[str]:
    if not name:
        return []
    if not Path(name).is_absolute():
        return ["ENVOI_MAIL_CONFIG_CA_FILE must be an absolute path."]
    try:
        trusting(name)
    except OSError as error:  # ssl.SSLError is one: there is no certificate in it
        why = (
            error.strerror
            if error.filename or not isinstance(error, ssl.SSLError)
            else "no certificate in PEM"
        )
        return [f"ENVOI_MAIL_CONFIG_CA_FILE {name} cannot be used: {why}."]
    return []


def _is_base_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return False
    plain = not (url.query or url.fragment or url.username or url.password)
    # A key that travels in the clear is anybody's.
    return (
        bool(url.hostname) and plain and (url.scheme == "https" or (url.scheme == "http" and _is_here(url)))
    )


def _is_here(url: SplitResult) -> bool:
    host = url.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
