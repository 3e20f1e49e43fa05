"""What the settings of servers must be."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from modules.mail_config.servers.drop import FOLDER
from modules.mail_config.servers.relays import POSTMARK_URL, SENDGRID_URL


def problems_of_settings(settings: Mapping[str, str | int | float]) -> list[str]:
    """Return a sentence for each setting of servers that makes no sense; called at start."""
    problems = [
        f"ENVOI_{name} must be an address such as https://api.example.com; http:// only on this machine."
        for name in (SENDGRID_URL, POSTMARK_URL)
        if not _is_base_url(str(settings[name]))
    ]
    folder = str(settings[FOLDER])
    if folder and not Path(folder).is_absolute():
        problems.append(f"ENVOI_{FOLDER} must be an absolute path.")
    return problems


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
