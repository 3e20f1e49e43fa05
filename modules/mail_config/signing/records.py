"""The record of a key in the DNS (RFC 6376 §3.6.1): whether it is there, and is that of the key."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from modules.mail_config.transports.name_service import Names


class Published(StrEnum):
    """What stands under the selector of a key."""

    FOUND = "found"
    MISSING = "missing"
    OTHER = "other"  # a record of another key, or one that receivers cannot read


def tags_of(text: str) -> dict[str, str] | None:
    """Return the tags of a record (RFC 6376 §3.2), blanks taken out of their values; None where it is no such list."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not name and not equals:
            continue  # the last semicolon
        if not equals or name in tags:
            return None
        tags[name] = "".join(value.split())
    return tags


def state_of(texts: Sequence[str], public: str) -> Published:
    """Return what the records under a selector say about a key."""
    if not texts:
        return Published.MISSING
    tags = tags_of(texts[0]) if len(texts) == 1 else None
    usable = tags is not None and tags.get("v", "DKIM1") == "DKIM1"
    return Published.FOUND if usable and tags is not None and tags.get("p") == public else Published.OTHER


def published(names: Names, record_name: str, public: str) -> Published:
    """Look for the record of a key.

    Raises:
        NameServiceError: The DNS has told nothing.
    """
    return state_of(names.texts(record_name), public)
