"""The message itself: Flask-Mail's, put into octets here."""

from __future__ import annotations

import binascii
import datetime as dt
import hashlib
import re
import struct
import unicodedata
from collections.abc import Iterable, Sequence
from email.utils import format_datetime
from urllib.parse import quote

from flask_mail import Attachment, Message

from core.mail.addresses import Address, one_line
from core.mail.draft import Priority, safe_file_name
from core.mail.fields import (
    ENCODED_WORD_LENGTH,
    MAX_LINE_OCTETS,
    address_field,
    escapes_are_shorter,
    header_address,
    header_field,
    header_text,
    packed,
    text_field,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# RFC 6838; no messages and multiparts, which readers would take apart.
_MEDIA_TYPE = re.compile(r"(?!message/|multipart/)[a-z0-9]+/[a-z0-9][a-z0-9.+-]*", re.ASCII | re.IGNORECASE)
# Narrower than RFC 5322 allows, so that it needs no quoting anywhere.
_CONTENT_ID_VALUE = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,80}@[A-Za-z0-9.-]{1,80}", re.ASCII)
_OPAQUE = "application/octet-stream"  # what a file is when its type cannot be believed

_CONTENT_ID = "Content-ID"
# No field says "normal": that is what a message without one is. X-Priority is what most programs write and read,
# the others are RFC 2156's.
_PRIORITY_FIELDS: dict[Priority, tuple[str, ...]] = {
    Priority.HIGH: ("X-Priority: 1", "Priority: urgent", "Importance: high"),
    Priority.NORMAL: (),
    Priority.LOW: ("X-Priority: 5", "Priority: non-urgent", "Importance: low"),
}

_ASCII = bytes(range(128))
_LONGEST_PLAIN_NAME = 120  # characters; programs that need it also cut long names
_BASE64_LINE = 76  # columns (RFC 2045 §6.8)
_BASE64_BLOCK = struct.Struct(f"{_BASE64_LINE}s" * 64)  # 64 lines cut by one call


class MailMessage(Message):
    """Flask-Mail's message, the same octets on every build: order of addresses, boundaries, date, Message-ID.

    A mail that is sent again must be the same mail, octet for octet. Every line ends with CRLF and has at most
    998 octets; all octets are ASCII unless an address can only travel by SMTPUTF8. No value can end its field.

    Attachments with a Content-ID are pictures of the text (RFC 2387); the others stand beside it.
    """

    # Written out here: the standard library's classes cost 9 to 25 times as much, more than all the rest of sending a
    # mail with a PDF, and fold long names against RFC 2047. `python -m bench.mime` and ADR 0011 have the figures.

    def __init__(
        self,
        *,
        message_id: str,
        timestamp: float,
        sender: Address,
        to: Sequence[Address],
        cc: Sequence[Address] = (),
        bcc: Sequence[Address] = (),
        reply_to: Address | None = None,
        read_receipt_to: Address | None = None,
        priority: Priority = Priority.NORMAL,
        subject: str,
        text: str,
        html: str,
        attachments: Sequence[Attachment] = (),
        headers: dict[str, str] | None = None,
        structured: dict[str, str] | None = None,
    ) -> None:
        """Take what the message holds.

        Args:
            message_id: With its brackets, or "" for none.
            timestamp: Of the Date, in seconds.
            sender: From.
            to: To, in order.
            cc: Cc, in order.
            bcc: Named in the message, so only for one that somebody is still to send.
            reply_to: Where answers go, or None.
            read_receipt_to: Who is to be told that it was displayed (RFC 8098), or None.
            priority: How urgent it is called.
            subject: One line.
            text: The plain-text body.
            html: The HTML body.
            attachments: In order, see `attachment`.
            headers: Further fields, of any text.
            structured: Further fields of addresses or the like, in which no encoded word may stand (RFC 2047 §5).
        """
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
        self.structured = structured or {}
        self.mail_options = []
        self.rcpt_options = []
        self.msgId = message_id
        self.from_address = sender
        self.to_addresses = tuple(to)
        self.cc_addresses = tuple(cc)
        self.bcc_addresses = tuple(bcc)
        self.reply_to_address = reply_to
        self.read_receipt_to = read_receipt_to
        self.priority = priority

    def as_bytes(self) -> bytes:
        """Return the message as it travels.

        Raises:
            ValueError: A value cannot stand in its field, such as an address that is none.
        """
        digest = hashlib.sha256(self.msgId.encode()).hexdigest()[:24]
        outer, inner, related = (f"=_envoi_{digest}_{number}" for number in range(3))
        pictures = [file for file in self.attachments if _CONTENT_ID in file.headers]
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
            part = _text_part(subtype, content)
            parts += (
                between,
                _with_pictures(part, pictures, related) if pictures and subtype == "html" else part,
            )
        parts.append(f"\r\n--{inner}--\r\n".encode())
        between = f"\r\n--{outer}\r\n".encode()
        for file in self.attachments:
            if _CONTENT_ID not in file.headers:
                parts += between, _file_part(file)
        parts.append(f"\r\n--{outer}--\r\n".encode())
        return b"".join(parts)

    def as_string(self) -> str:
        """Return the message as text, for people."""
        return self.as_bytes().decode()

    def _fields(self) -> Iterable[str]:
        """Return the fields of the head, each folded, in their order."""
        # The zone of the machine is nobody's business, and it changes twice a year. "-0000" would say that nobody knows
        # in which zone this was written (RFC 5322 §3.3).
        yield f"Date: {format_datetime(dt.datetime.fromtimestamp(self.date or 0, dt.UTC))}"
        yield from self._people()
        if self.subject:
            yield header_field("Subject", header_text(one_line(self.subject)))
        if not self.msgId.isascii():
            raise ValueError("A Message-ID is ASCII.")
        if self.msgId:
            yield header_field("Message-ID", self.msgId)
        yield from _PRIORITY_FIELDS[self.priority]
        if self.read_receipt_to:
            yield address_field("Disposition-Notification-To", self.read_receipt_to)
        for name, value in (self.extra_headers or {}).items():
            yield text_field(name, value)
        for name, value in self.structured.items():
            yield header_field(name, value)

    def _people(self) -> Iterable[str]:
        """Return the fields that name people: From, Reply-To, To, Cc, and Bcc of a message still to be sent."""
        yield address_field("From", self.from_address)
        if self.reply_to_address:
            yield address_field("Reply-To", self.reply_to_address)
        if self.msgId and not (self.to_addresses or self.cc_addresses):
            # Everybody is in Bcc; RFC 5322 wants no empty To.
            yield "To: undisclosed-recipients:;"
        for name, people in (
            ("To", self.to_addresses),
            ("Cc", self.cc_addresses),
            ("Bcc", self.bcc_addresses),
        ):
            if people:
                yield header_field(name, ", ".join(map(header_address, people)))


# -- the parts -----------------------------------------------------------------------------------------------


def _text_part(subtype: str, text: str) -> bytes:
    """Return a part with text, as it is where every server passes it on unchanged, encoded elsewhere."""
    # Boundaries hold "=_", which is neither quoted-printable nor base64.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    data = "\r\n".join(lines).encode()
    if text.isascii() and "\0" not in text and "=_" not in text and max(map(len, lines)) <= MAX_LINE_OCTETS:
        encoding, body = "7bit", data
    elif escapes_are_shorter(data, _ASCII):
        # Its soft line breaks end as the first line does: there must be one.
        encoding, body = "quoted-printable", binascii.b2a_qp(data + b"\r\n")[:-2]
    else:
        encoding, body = "base64", base64_lines(data)
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + body


def _with_pictures(html: bytes, pictures: Sequence[Attachment], boundary: str) -> bytes:
    """Return the HTML together with the pictures it shows (RFC 2387)."""
    between = f"\r\n--{boundary}\r\n".encode()
    head = f'Content-Type: multipart/related; type="text/html";\r\n boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
    parts = [head.encode(), html]
    for picture in pictures:
        parts += between, _file_part(picture)
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    return b"".join(parts)


def _file_part(file: Attachment) -> bytes:
    """Return a file as a part of a message: its head, and its octets in base64."""
    data = file.data if isinstance(file.data, bytes) else file.data.encode()
    media_type = file.content_type if _MEDIA_TYPE.fullmatch(file.content_type) else _OPAQUE
    fields = [
        f"Content-Type: {media_type}{_plain_name(file.filename or '')}",
        "Content-Transfer-Encoding: base64",
        f"{header_field('Content-Disposition', file.disposition)}{_file_name(file.filename or '')}",
        *(
            header_field(name, value) if name == _CONTENT_ID else text_field(name, value)
            for name, value in file.headers.items()
        ),
    ]
    encoded = file.encoded if isinstance(file, EncodedAttachment) else base64_lines(data)
    return b"".join(("\r\n".join([*fields, "", ""]).encode(), encoded))


def _file_name(name: str) -> str:
    """Return the parameter with the name of a file (RFC 2183 §2.3), in pieces where it is long (RFC 2231)."""
    if not name:
        return ""
    if _CONTROL.search(name):
        raise ValueError("There is a control character in the name of a file.")
    if name.isascii() and len(name) <= MAX_LINE_OCTETS // 4:
        return f';\r\n filename="{_quotable(name)}"'
    pieces = [
        "".join(piece)
        for piece in packed((quote(character, safe="") for character in name), ENCODED_WORD_LENGTH)
    ]
    if len(pieces) == 1:
        return f";\r\n filename*=utf-8''{pieces[0]}"
    pieces[0] = f"utf-8''{pieces[0]}"
    return "".join([f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces)])


def _plain_name(name: str) -> str:
    """Return the parameter by which programs know a file that read no RFC 2231: without accents, "_" for other letters.

    Not as a second `filename`: those that know one of them only may take the poorer one, and strict ones complain.
    """
    apart = unicodedata.normalize("NFKD", name[:_LONGEST_PLAIN_NAME])
    letters = (letter for letter in apart if not unicodedata.combining(letter))
    plain = "".join(letter if letter.isascii() else "_" for letter in letters)
    return f';\r\n name="{_quotable(plain)}"' if plain else ""


def _quotable(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


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


class EncodedAttachment(Attachment):
    """A file that other messages have as well.

    Attributes:
        encoded: Its octets by `base64_lines`.
    """

    encoded: bytes


def attachment(
    name: str, media_type: str, data: bytes, content_id: str = "", *, encoded: bytes | None = None
) -> Attachment:
    """Return a file for a message; its name cannot break out of its header, nor leave the folder it is saved to.

    Args:
        name: File name.
        media_type: For example `application/pdf`.
        data: The octets.
        content_id: By which the HTML shows it as a picture (RFC 2392), without brackets; "" for a file beside it.
        encoded: The octets by `base64_lines`, where that is known.

    Raises:
        ValueError: The Content-ID is none.
    """
    if content_id and not _CONTENT_ID_VALUE.fullmatch(content_id):
        raise ValueError(f"{content_id!r} is not a Content-ID.")
    made = Attachment if encoded is None else EncodedAttachment
    file = made(
        safe_file_name(name),
        # An attached message or multipart would be taken apart by those who read it.
        media_type if _MEDIA_TYPE.fullmatch(media_type) else _OPAQUE,
        data,
        "inline" if content_id else "attachment",
        {_CONTENT_ID: f"<{content_id}>"} if content_id else None,
    )
    if isinstance(file, EncodedAttachment):
        file.encoded = encoded or b""
    return file
