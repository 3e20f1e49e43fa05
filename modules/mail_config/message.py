"""The message itself: Flask-Mail's, put into octets here."""

from __future__ import annotations

import binascii
import hashlib
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote

from flask_mail import Attachment, Message

from core.mail.addresses import Address, ascii_addr_spec, needs_smtputf8, one_line
from core.mail.draft import safe_file_name

Piece = TypeVar("Piece", str, bytes)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A display name that needs no quotes: atoms and blanks (RFC 5322 §3.2.3).
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]+")
# An addr-spec that can be read in one way only; any other goes through the slow check.
_PLAIN_SPEC = re.compile(
    r"[\w!#$%&'*+\-/=?^`{|}~]+(?:\.[\w!#$%&'*+\-/=?^`{|}~]+)*@[\w-]+(?:\.[\w-]+)*", re.ASCII
)
_FIELD_NAME = re.compile(r"[A-Za-z0-9-]+")
_MEDIA_TYPE = re.compile(r"(?!message/|multipart/)[a-z0-9]+/[a-z0-9][a-z0-9.+-]*", re.ASCII | re.IGNORECASE)
_OPAQUE = "application/octet-stream"

# RFC 2047 §2: a line with encoded words has at most 76 characters. The name of a field shares the first.
_LINE = 76
_WORD = 60
_MAX_OCTETS = 998  # RFC 5322 §2.1.1
_Q_OCTETS = [
    "_" if code == 0x20 else chr(code) if chr(code).isascii() and chr(code).isalnum() else f"={code:02X}"
    for code in range(256)
]
"""Each octet in the “Q” encoding, so that it may stand in a name too (RFC 2047 §5 (3))."""
_Q_PLAIN = bytes(code for code in range(256) if len(_Q_OCTETS[code]) == 1)

_ASCII = bytes(range(128))
_BASE64_LINE = 76
_BASE64_BLOCK = struct.Struct(f"{_BASE64_LINE}s" * 64)


class MailMessage(Message):
    """Flask-Mail's message, the same octets on every build: order of addresses, boundaries, date, Message-ID.

    A mail that is sent again must be the same mail, octet for octet. Every line ends with CRLF and has at most
    998 octets; all octets are ASCII unless an address can only travel by SMTPUTF8. No value can end its field.
    """

    # Written out here: the standard library's classes cost more than all the rest of sending a mail with a PDF.

    def __init__(
        self,
        *,
        message_id: str,
        timestamp: float,
        sender: Address,
        to: Sequence[Address],
        cc: Sequence[Address] = (),
        reply_to: Address | None = None,
        subject: str,
        text: str,
        html: str,
        attachments: Sequence[Attachment] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        # Not by Flask-Mail's constructor: it asks the resolver for the name of this host, to make a Message-ID
        # that is thrown away here. These are all its attributes.
        self.subject = one_line(subject)
        self.recipients = [address.addr_spec for address in to]
        self.cc = [address.addr_spec for address in cc]
        self.bcc = []
        self.body = text
        self.alts = {"html": html}
        self.sender = sender.addr_spec
        self.reply_to = reply_to.addr_spec if reply_to else None
        self.attachments = list(attachments)
        self.date = timestamp
        self.charset = None
        self.extra_headers = headers
        self.mail_options = []
        self.rcpt_options = []
        self.msgId = message_id
        self.from_address = sender
        self.to_addresses = tuple(to)
        self.cc_addresses = tuple(cc)
        self.reply_to_address = reply_to

    def as_bytes(self) -> bytes:
        """Return the message as it travels.

        Raises:
            ValueError: A value cannot stand in its field, such as an address that is none.
        """
        mark = hashlib.sha256(self.msgId.encode()).hexdigest()[:24]
        outer, inner = f"=_envoi_{mark}_0", f"=_envoi_{mark}_1"
        fields = "\r\n".join(self._fields())
        parts = [
            (
                f"{fields}\r\n"
                f'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="{outer}"\r\n\r\n'
                f'--{outer}\r\nContent-Type: multipart/alternative;\r\n boundary="{inner}"\r\n\r\n'
                f"--{inner}\r\n"
            ).encode(),
            _text_part("plain", self.body or ""),
        ]
        between = f"\r\n--{inner}\r\n".encode()
        for subtype, content in self.alts.items():
            parts += between, _text_part(subtype, content)
        parts.append(f"\r\n--{inner}--\r\n".encode())
        between = f"\r\n--{outer}\r\n".encode()
        for file in self.attachments:
            parts += between, _file_part(file)
        parts.append(f"\r\n--{outer}--\r\n".encode())
        return b"".join(parts)

    def as_string(self) -> str:
        """Return the message as text, for people."""
        return self.as_bytes().decode()

    def _fields(self) -> Iterable[str]:
        # The zone of the machine is nobody's business, and it changes twice a year.
        yield f"Date: {formatdate(self.date)}"
        yield _address_field("From", self.from_address)
        if self.reply_to_address:
            yield _address_field("Reply-To", self.reply_to_address)
        if self.to_addresses:
            yield header_field("To", ", ".join(map(header_address, self.to_addresses)))
        elif not self.cc_addresses:
            # Everybody is in Bcc; RFC 5322 wants no empty To.
            yield "To: undisclosed-recipients:;"
        if self.cc_addresses:
            yield header_field("Cc", ", ".join(map(header_address, self.cc_addresses)))
        if self.subject:
            yield header_field("Subject", header_text(one_line(self.subject)))
        if not self.msgId.isascii():
            raise ValueError("A Message-ID is ASCII.")
        yield header_field("Message-ID", self.msgId)
        for name, value in (self.extra_headers or {}).items():
            yield _other_field(name, value)


# -- the head ------------------------------------------------------------------------------------------------


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
    lines = [f"{name}: {first}"]
    for word in words:
        # An empty word, of two blanks, may not begin a line: it would be a line of blanks.
        if not word or len(lines[-1]) + 1 + len(word) <= _LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    if any(len(line.encode()) > _MAX_OCTETS for line in lines):
        raise ValueError(f"There is a word of no end in {name}.")
    return "\r\n".join(lines)


def _other_field(name: str, value: str) -> str:
    if not _FIELD_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a field.")
    return header_field(name, header_text(one_line(value)))


@lru_cache(maxsize=256)
def _address_field(name: str, address: Address) -> str:
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
        and (len(text) <= _WORD or max(map(len, text.split(" "))) <= _WORD)
    ):
        return text
    data = text.encode()
    room = _WORD - len("=?utf-8?q??=")
    # A character may not be shared by two words (RFC 2047 §5).
    if _escapes_are_shorter(data, _Q_PLAIN):
        escaped = ("".join([_Q_OCTETS[octet] for octet in character.encode()]) for character in text)
        return " ".join(f"=?utf-8?q?{''.join(word)}?=" for word in _packed(escaped, room))
    words = _packed((character.encode() for character in text), room // 4 * 3)
    return " ".join(
        f"=?utf-8?b?{binascii.b2a_base64(b''.join(word), newline=False).decode()}?=" for word in words
    )


def _escapes_are_shorter(data: bytes, plain: bytes) -> bool:
    """Return True when three octets for each that is not plain are fewer than base64 has."""
    return len(data) + 2 * len(data.translate(None, plain)) <= len(data) * 4 / 3


def _packed(pieces: Iterable[Piece], room: int) -> Iterator[list[Piece]]:
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


# -- the parts -----------------------------------------------------------------------------------------------


def _text_part(subtype: str, text: str) -> bytes:
    """Return a part with text, as it is where every server passes it on unchanged, encoded elsewhere."""
    # Boundaries hold "=_", which is neither quoted-printable nor base64.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    data = "\r\n".join(lines).encode()
    if text.isascii() and "\0" not in text and "=_" not in text and max(map(len, lines)) <= _MAX_OCTETS:
        encoding, body = "7bit", data
    elif _escapes_are_shorter(data, _ASCII):
        # Its soft line breaks end as the first line does: there must be one.
        encoding, body = "quoted-printable", binascii.b2a_qp(data + b"\r\n")[:-2]
    else:
        encoding, body = "base64", base64_lines(data)
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + body


def _file_part(file: Attachment) -> bytes:
    data = file.data if isinstance(file.data, bytes) else file.data.encode()
    media_type = file.content_type if _MEDIA_TYPE.fullmatch(file.content_type) else _OPAQUE
    fields = [
        f"Content-Type: {media_type}",
        "Content-Transfer-Encoding: base64",
        f"{header_field('Content-Disposition', file.disposition)}{_file_name(file.filename or '')}",
        *(_other_field(name, value) for name, value in file.headers.items()),
    ]
    return "\r\n".join([*fields, "", ""]).encode() + base64_lines(data)


def _file_name(name: str) -> str:
    """Return the parameter with the name of a file (RFC 2183 §2.3), in pieces where it is long (RFC 2231)."""
    if not name:
        return ""
    if _CONTROL.search(name):
        raise ValueError("There is a control character in the name of a file.")
    if name.isascii() and len(name) <= _MAX_OCTETS // 4:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n filename="{quoted}"'
    pieces = ["".join(piece) for piece in _packed((quote(character, safe="") for character in name), _WORD)]
    if len(pieces) == 1:
        return f";\r\n filename*=utf-8''{pieces[0]}"
    pieces[0] = f"utf-8''{pieces[0]}"
    return "".join([f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces)])


def base64_lines(data: bytes) -> bytes:
    """Return octets in base64, in lines of 76 columns (RFC 2045 §6.8), without a line end after the last."""
    encoded = binascii.b2a_base64(data, newline=False)
    lines: list[bytes] = []
    # Four times as fast as cutting line by line.
    for start in range(0, len(encoded) - _BASE64_BLOCK.size + 1, _BASE64_BLOCK.size):
        lines += _BASE64_BLOCK.unpack_from(encoded, start)
    cut = len(lines) * _BASE64_LINE
    lines += [encoded[start : start + _BASE64_LINE] for start in range(cut, len(encoded), _BASE64_LINE)]
    return b"\r\n".join(lines)


def attachment(name: str, media_type: str, data: bytes) -> Attachment:
    """Return a file for a message; its name cannot break out of its header, nor leave the folder it is saved to."""
    # An attached message or multipart would be taken apart by those who read it.
    return Attachment(
        safe_file_name(name), media_type if _MEDIA_TYPE.fullmatch(media_type) else _OPAQUE, data
    )
