"""Fields in the head of a message (RFC 5322), encoded where they must be (RFC 2047)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

from core.mail.addresses import Address, ascii_addr_spec, needs_smtputf8, one_line

Piece = TypeVar("Piece", str, bytes)

MAX_LINE_OCTETS = 998
"""Of a line, without its end (RFC 5322 §2.1.1)."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # one of them could end the field and begin another
# A display name that needs no quotes: atoms and blanks (RFC 5322 §3.2.3).
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]+")
# An addr-spec that can be read in one way only; any other goes through the slow check.
_PLAIN_SPEC = re.compile(
    r"[\w!#$%&'*+\-/=?^`{|}~]+(?:\.[\w!#$%&'*+\-/=?^`{|}~]+)*@[\w-]+(?:\.[\w-]+)*", re.ASCII
)
_FIELD_NAME = re.compile(r"[A-Za-z0-9-]+")  # narrower than RFC 5322 allows; all that mail uses
# RFC 2047 §2: a line with encoded words has at most 76 characters. The name of a field shares the first.
_LINE = 76
ENCODED_WORD_LENGTH = 60
"""Short enough to stand in a line with the name of its field."""
_Q_OCTETS = [
    "_" if code == 0x20 else chr(code) if chr(code).isascii() and chr(code).isalnum() else f"={code:02X}"
    for code in range(256)
]
"""Each octet in the “Q” encoding, so that it may stand in a name too (RFC 2047 §5 (3))."""
_Q_PLAIN = bytes(code for code in range(256) if len(_Q_OCTETS[code]) == 1)

# An address as we write it: in brackets, or alone.
_ADDRESS = re.compile(r"""<([^<>]+@[^<>\s]+)>|((?:"[^"]*"|[^<>\s,:;"]+)@[^<>\s,:;"]+)""")
# They hold mailboxes only, no groups.
_NO_GROUPS = {"from", "disposition-notification-to"}


def header_field(name: str, value: str) -> str:
    """Return a field of the head, folded at its blanks.

    Raises:
        ValueError: The value holds a control character, which could end the field, or a word of no end.
    """
    if _CONTROL.search(value):
        raise ValueError(f"There is a control character in {name}.")
    line = f"{name}: {value}"
    if len(line) <= _LINE:
        return line
    first, *words = value.split(" ")
    # A long name leaves no room for an encoded word beside it.
    begun = [f"{name}:", f" {first}"] if "=?" in first and len(name) + 2 + len(first) > _LINE else []
    lines = begun or [f"{name}: {first}"]
    for word in words:
        # An empty word, of two blanks, may not begin a line: it would be a line of blanks.
        if not word or len(lines[-1]) + 1 + len(word) <= _LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    if any(len(line.encode()) > MAX_LINE_OCTETS for line in lines):
        raise ValueError(f"There is a word of no end in {name}.")
    return "\r\n".join(lines)


def text_field(name: str, value: str) -> str:
    """Return a field that holds any text, made one line.

    Raises:
        ValueError: The name is none.
    """
    if not _FIELD_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a field.")
    return header_field(name, header_text(one_line(value)))


@lru_cache(maxsize=256)
def address_field(name: str, address: Address) -> str:
    """Return a field with one address; the sender's is the same in mail after mail."""
    return header_field(name, header_address(address))


@lru_cache(maxsize=1024)
def header_address(address: Address) -> str:
    """Return an address for a header field (RFC 5322 §3.4), the name encoded by RFC 2047 where it must be.

    Raises:
        ValueError: The addr-spec is none.
    """
    spec = address.addr_spec
    if not _PLAIN_SPEC.fullmatch(spec):
        checked = ascii_addr_spec(spec)
        spec = spec if needs_smtputf8(spec) else checked
    name = one_line(address.display_name)
    if not name:
        return spec
    encoded = header_text(name)
    if encoded == name and not _ATOMS.fullmatch(name):
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{spec}>'
    return f"{encoded} <{spec}>"


def header_text(text: str) -> str:
    """Return one line of text for a header field, in encoded words (RFC 2047) where it cannot stand as it is."""
    # What looks like an encoded word would be read as one.
    if (
        text.isascii()
        and "=?" not in text
        and (len(text) <= ENCODED_WORD_LENGTH or max(map(len, text.split(" "))) <= ENCODED_WORD_LENGTH)
    ):
        return text
    data = text.encode()
    room = ENCODED_WORD_LENGTH - len("=?utf-8?q??=")
    # A character may not be shared by two words (RFC 2047 §5).
    if escapes_are_shorter(data, _Q_PLAIN):
        escaped = ("".join([_Q_OCTETS[octet] for octet in character.encode()]) for character in text)
        return " ".join(f"=?utf-8?q?{''.join(word)}?=" for word in packed(escaped, room))
    words = packed((character.encode() for character in text), room // 4 * 3)
    return " ".join(
        f"=?utf-8?b?{binascii.b2a_base64(b''.join(word), newline=False).decode()}?=" for word in words
    )


def escapes_are_shorter(data: bytes, plain: bytes) -> bool:
    """Return True when three octets for each that is not plain are fewer than base64 has."""
    return len(data) + 2 * len(data.translate(None, plain)) <= len(data) * 4 / 3


def packed(pieces: Iterable[Piece], room: int) -> Iterator[list[Piece]]:
    """Distribute pieces, none of which may be cut, over groups no longer than there is room."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        if size + len(piece) > room:
            yield group
            group, size = [], 0
        group.append(piece)
        size += len(piece)
    yield group


def downgraded(message: bytes) -> bytes:
    """Return a message whose head holds ASCII only, for a server without SMTPUTF8.

    An address that such a server cannot carry becomes a group of nobody that shows it, as RFC 6857 does: it can be
    read, not answered to. All the rest stays as it is, octet for octet.
    """
    head, end, body = message.partition(b"\r\n\r\n")
    if head.isascii():
        return message
    fields = re.split(r"\r\n(?![ \t])", head.decode())
    written = [field if field.isascii() else _downgraded_field(field) for field in fields]
    return "\r\n".join(filter(None, written)).encode("ascii") + end + body


def _downgraded_field(field: str) -> str:
    name, _, value = field.replace("\r\n", "").partition(":")
    if name.lower() in _NO_GROUPS:
        return ""
    return header_field(name, _ADDRESS.sub(_as_group, value.strip()))


def _as_group(found: re.Match[str]) -> str:
    # With its brackets: between two encoded words, as a name and this, readers see no blank.
    return str(found[0]) if found[0].isascii() else f"{header_text(found[0])} :;"
