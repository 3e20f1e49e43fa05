"""A message taken apart again, for providers that want its parts and not its octets."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from typing import cast

from core.mail.addresses import Address

_MADE_BY_THE_PROVIDER = frozenset(
    {"from", "reply-to", "to", "cc", "bcc", "subject", "date", "mime-version", "return-path", "received",
     "dkim-signature"}
)  # fmt: skip
"""Fields that have a place of their own in what a provider is told, or that it writes itself; `content-…` likewise."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a message.

    Attributes:
        name: As it is to be saved.
        media_type: Such as `application/pdf`.
        data: Its octets.
        content_id: By which the HTML shows it as a picture, or "".
    """

    name: str
    media_type: str
    data: bytes
    content_id: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What a message holds.

    Attributes:
        sender: From.
        reply_to: Where answers go, or None.
        to: Everybody in To, also those whom the envelope leaves out.
        cc: Likewise.
        subject: One line.
        text: The plain-text body, or "".
        html: The HTML body, or "".
        files: Attachments and pictures, in order.
        fields: Further fields of the head, as people read them; Message-ID is among them.
    """

    sender: Address
    reply_to: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    text: str
    html: str
    files: tuple[File, ...]
    fields: tuple[tuple[str, str], ...]


def taken_apart(message: bytes) -> Parts:
    """Return the parts of a message as `modules.mail_config.message` writes it.

    Raises:
        ValueError: It has no sender, or is none.
    """
    # Ours is UTF-8 throughout: its head holds addresses in it, and all else is encoded.
    found = email.message_from_string(message.decode(), policy=email.policy.default)
    senders = _addresses(found, "From")
    if not senders:
        raise ValueError("The message has no sender.")
    texts: dict[str, str] = {}
    files: list[File] = []
    for part in found.walk():
        kind = part.get_content_type()
        if part.is_multipart():
            continue
        name, content_id = part.get_filename() or "", str(part.get("Content-ID", "")).strip().strip("<>")
        if kind in {"text/plain", "text/html"} and not (name or content_id or kind in texts):
            texts[kind] = str(part.get_content()).replace("\r\n", "\n")
        else:
            data = part.get_payload(decode=True)
            octets = data if isinstance(data, bytes) else b""
            files.append(File(name or f"file-{len(files) + 1}", kind, octets, content_id))
    fields = tuple(
        (field, str(value))
        for field, value in found.items()
        if field.lower() not in _MADE_BY_THE_PROVIDER and not field.lower().startswith("content-t")
    )
    return Parts(
        senders[0],
        next(iter(_addresses(found, "Reply-To")), None),
        _addresses(found, "To"),
        _addresses(found, "Cc"),
        str(found.get("Subject", "")),
        texts.get("text/plain", ""),
        texts.get("text/html", ""),
        tuple(files),
        fields,
    )


def _addresses(message: EmailMessage, field: str) -> tuple[Address, ...]:
    return tuple(
        Address(address.addr_spec, address.display_name)
        for value in message.get_all(field, [])
        for address in cast("AddressHeader", value).addresses
        if address.addr_spec not in {"", "<>"}
    )


@dataclass(frozen=True, slots=True)
class Addressees:
    """Who of an envelope stands where in the head, so that nobody who is not in the envelope gets anything.

    Attributes:
        to: To.
        cc: Cc.
        hidden: In neither: Bcc.
    """

    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    hidden: tuple[Address, ...]


def addressees(parts: Parts, recipients: Sequence[str]) -> Addressees:
    """Return the recipients of an envelope by their place in the head, with the names that they have there."""
    left = {address.casefold(): address for address in recipients}

    def those(people: tuple[Address, ...]) -> tuple[Address, ...]:
        found = [(left.pop(one.addr_spec.casefold(), None), one.display_name) for one in people]
        return tuple(Address(address, name) for address, name in found if address is not None)

    to, cc = those(parts.to), those(parts.cc)
    return Addressees(to, cc, tuple(Address(address) for address in left.values()))
