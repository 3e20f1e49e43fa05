"""The parts of a message (RFC 2045, 2046), however broken it is, in bounded time and memory.

Not the parser of the standard library: bounces come without the boundary that they name, with parts nested beyond its
recursion, and with a message of 100 MB behind the few lines that count.
"""

from __future__ import annotations

import base64
import binascii
import html
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.mail.reader import decode_bytes, decode_words

MAX_OCTETS = 32 * 1024 * 1024
"""Of a message that are read: enough for a report about a hundred thousand recipients. What is returned with a report
stands behind it."""
MAX_DEPTH = 12  # a report of a forwarded report of a forwarded report has nine
MAX_PARTS = 300
MAX_HEAD_OCTETS = 256 * 1024
MAX_VALUE_OCTETS = 8000  # of a field; no address and no diagnosis is longer
MAX_TEXT_OCTETS = 256 * 1024  # of a text for people; beyond, it is the returned message
MAX_HTML_OCTETS = 128 * 1024

FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:[ \t]*(.*)")
_PARAMETER = re.compile(
    r";\s{0,100}([!#-'*+\-.0-9A-Z^-~]{1,60})\s{0,20}=\s{0,20}(?:\"([^\"]{0,1000})\"|([^\s;\"]{1,1000}))"
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
# A line that parts what a head has forgotten to announce: the fields of a part follow it.
_UNDECLARED = re.compile(rb"(?:^|\n)--([^\n]{1,200})\n(?=content-[a-z]{1,40}[ \t]*:)", re.IGNORECASE)
_TAG = re.compile(r"(<!--|-->)|<(/?)([A-Za-z][A-Za-z0-9]*)?[^<>]*>")
_HIDING = {"<!--", "style", "script", "title"}
_LINES = {
    "br",
    "p",
    "div",
    "tr",
    "li",
    "ul",
    "ol",
    "table",
    "h1",
    "h2",
    "h3",
    "h4",
    "pre",
    "hr",
    "body",
    "blockquote",
}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a head, in their order."""

    items: tuple[tuple[str, str], ...] = ()

    def first(self, name: str) -> str:
        """Return the value of a field, or ""."""
        return next((value for key, value in self.items if key == name), "")

    def every(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for key, value in self.items if key == name]

    def __bool__(self) -> bool:
        return bool(self.items)


@dataclass(slots=True)
class Part:
    """A part of a message, or the whole.

    Attributes:
        fields: Its head; values are unfolded and decoded (RFC 2047).
        media_type: For example `message/delivery-status`.
        parameters: Those of its Content-Type.
        body: What follows the head, still encoded.
        parts: Parts of a multipart; the message in a message/rfc822.
    """

    fields: Fields
    media_type: str
    parameters: dict[str, str]
    body: bytes
    parts: list[Part] = field(default_factory=list)

    @property
    def octets(self) -> bytes:
        """The body without its transfer encoding."""
        return _decoded(self.body, self.fields.first("content-transfer-encoding"))

    def text(self, limit: int = MAX_TEXT_OCTETS) -> str:
        """Return the body as text, without the markup of HTML."""
        if self.media_type == "text/html":
            return _without_markup(self._decoded(min(limit, MAX_HTML_OCTETS)))
        return self._decoded(limit)

    def _decoded(self, limit: int) -> str:
        # Cut before it is decoded too, since a quoted-printable octet takes three.
        encoded = self.body[: limit * 3]
        octets = _decoded(encoded, self.fields.first("content-transfer-encoding"))[:limit]
        return (
            decode_bytes(octets, self.parameters.get("charset", "")).replace("\r\n", "\n").replace("\r", "\n")
        )

    def walk(self) -> Iterator[Part]:
        """Yield the part and those in it, without looking into messages."""
        yield self
        if not is_message(self.media_type):
            for part in self.parts:
                yield from part.walk()


def is_message(media_type: str) -> bool:
    """Tell whether a part of this type holds a message, or its head (RFC 2046 §5.2.1, RFC 3462, RFC 6533)."""
    return media_type in {"message/rfc822", "message/global", "message/news", *_HEADS}


_HEADS = {
    "text/rfc822-headers",
    "text/rfc822-header",
    "text/rfc822",
    "message/global-headers",
    "message/rfc822-headers",
}


def read_parts(octets: bytes) -> Part:
    """Return the message with its parts.

    Line ends may be of any system, also mixed. What is beyond `MAX_OCTETS`, `MAX_DEPTH` or `MAX_PARTS` stays unread.
    """
    data = octets[:MAX_OCTETS].replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
    return _Reader().read(data.lstrip(b"\n \t"), 0)


def read_head(octets: bytes) -> tuple[Fields, bytes]:
    """Return the fields that the octets begin with, and the rest."""
    raw: list[tuple[str, bytearray]] = []
    position = 0
    while position < min(len(octets), MAX_HEAD_OCTETS):
        end = octets.find(b"\n", position)
        end = len(octets) if end < 0 else end
        line = octets[position:end]
        if not line.strip():
            return fields_of(raw), octets[end + 1 :]
        match = FIELD.match(line)
        if line[:1] in b" \t" and raw:
            raw[-1][1].extend(b" " + line.strip())
        elif match is not None:
            raw.append((match[1].decode("ascii").lower(), bytearray(match[2])))
        elif not line.startswith((b"From ", b">From ")):
            # A head that no blank line ends.
            return fields_of(raw), octets[position:]
        position = end + 1
    return fields_of(raw), octets[position:]


def fields_of(raw: list[tuple[str, bytearray]]) -> Fields:
    """Return fields with their values decoded (RFC 2047); 8-bit octets are read as they are meant."""
    return Fields(
        tuple(
            (name, decode_words(decode_bytes(bytes(value[:MAX_VALUE_OCTETS]), "")).strip())
            for name, value in raw
        )
    )


def _decoded(body: bytes, encoding: str) -> bytes:
    encoding = encoding.strip().lower()
    if encoding == "base64":
        digits = _NOT_BASE64.sub(b"", body)
        try:
            return binascii.a2b_base64(digits[: len(digits) // 4 * 4] or b"")
        except binascii.Error:
            return base64.b64decode(digits + b"===") if digits else b""
    return quopri.decodestring(body) if encoding == "quoted-printable" else body


def _without_markup(text: str) -> str:
    """Return what a reader would see, line by line; the tables of a report need no more."""
    words: list[str] = []
    hidden, end = "", 0
    for tag in _TAG.finditer(text):
        if not hidden:
            between = text[end : tag.start()]
            words.append(" ".join(between.split()) if "\n" in between else between)
        end = tag.end()
        name = (tag[1] or tag[3] or "").lower()
        if name in _HIDING and not hidden and not tag[2]:
            hidden = name
        elif hidden and (name == "-->" if hidden == "<!--" else tag[2] and name == hidden):
            hidden = ""
        elif name in _LINES:
            words.append("\n")
        elif name in {"td", "th"}:
            words.append(" ")
    words.append("" if hidden else text[end:])
    return html.unescape("".join(words)).replace("\xa0", " ")


class _Reader:
    def __init__(self) -> None:
        self.count = 0

    def read(self, data: bytes, depth: int) -> Part:
        self.count += 1
        fields, body = read_head(data)
        declared = fields.first("content-type")
        media_type = declared.partition(";")[0].strip().lower()
        names = {
            match[1].lower(): match[2] or match[3] or "" for match in _PARAMETER.finditer(declared[:4000], 0)
        }
        part = Part(fields, media_type or "text/plain", names, body)
        if depth >= MAX_DEPTH:
            return part
        if media_type.startswith("multipart/"):
            part.parts = self._split(body, names.get("boundary", ""), depth)
            if not part.parts:
                # What claims to have parts and has none is read as it stands.
                part.media_type = "text/plain"
        elif media_type in _HEADS:
            part.parts = [Part(read_head(part.octets.lstrip(b"\n \t"))[0], "text/plain", {}, b"")]
        elif is_message(media_type):
            part.parts = [self.read(part.octets.lstrip(b"\n \t"), depth + 1)]
        return part

    def _split(self, body: bytes, boundary: str, depth: int) -> list[Part]:
        body = b"\n" + body
        line = b"\n--" + boundary.encode("latin-1", "replace").rstrip()
        if not boundary or line not in body:
            found = _UNDECLARED.search(body)
            if found is None:
                return []
            line = b"\n--" + found[1].rstrip()
        parts: list[Part] = []
        start = body.find(line)
        while start >= 0 and self.count < MAX_PARTS:
            after = start + len(line)
            if body[after : after + 2] == b"--":
                break
            begin = body.find(b"\n", after)
            if begin < 0:
                break
            # Another boundary that merely begins with this one is none of ours.
            end = body.find(line, begin)
            if not body[after:begin].strip():
                piece = body[begin + 1 : end if end >= 0 else len(body)]
                parts.append(self.read(piece, depth + 1))
            start = end
        return parts
