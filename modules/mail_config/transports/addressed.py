"""The head of a message for who reads the recipients there, and knows no envelope."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.header import decode_header, make_header
from email.utils import getaddresses

from core.mail.addresses import Address
from core.mail.fields import header_address, header_field


def addressed(message: bytes, recipients: Sequence[str]) -> bytes:
    """Return a message whose head names exactly the recipients of an envelope, for who reads them there.

    Whoever stands in To and Cc but not in the envelope is left out: they have the message already. Whoever stands in
    the envelope only becomes Bcc, which the provider takes out. Where both agree, the message stays octet for octet.

    Args:
        message: The message, lines ended by CRLF.
        recipients: Addr-specs of the envelope.
    """
    head, end, body = message.partition(b"\r\n\r\n")
    fields = re.split(r"\r\n(?![ \t])", head.decode("utf-8", "surrogateescape"))
    wanted = {Address(spec).key: spec for spec in recipients}
    named: set[str] = set()
    written: list[str] = []
    for field in fields:
        name, _, value = field.partition(":")
        if name.casefold() not in {"to", "cc", "bcc"}:
            written.append(field)
            continue
        mailboxes = [Address(spec, shown) for shown, spec in getaddresses([_unfolded(value)]) if spec]
        kept = [one for one in mailboxes if one.key in wanted and one.key not in named]
        named.update(one.key for one in kept)
        if len(kept) == len(mailboxes):
            written.append(field)
        elif kept:
            written.append(header_field(name, ", ".join(_written(one) for one in kept)))
    unseen = [spec for key, spec in wanted.items() if key not in named]
    if unseen:
        written.append(header_field("Bcc", ", ".join(unseen)))
    if written == fields:
        return message
    return "\r\n".join(written).encode("utf-8", "surrogateescape") + end + body


def _unfolded(value: str) -> str:
    return value.replace("\r\n", "").strip()


def _written(mailbox: Address) -> str:
    # Its name as people read it, to be encoded again.
    shown = str(make_header(decode_header(mailbox.display_name)))
    return header_address(Address(mailbox.addr_spec, shown))
