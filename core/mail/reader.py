"""Read a raw message (RFC 5322, MIME) into what a page shows. Nothing here does I/O.

The bytes may come from anywhere, so nothing in them is trusted: whatever is broken, missing or hostile
becomes an empty or marked value, never an exception. Python's lenient parser is used on purpose; its newer
header objects raise on too much of what is found in real mail.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import datetime as dt
import html
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email import policy
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from urllib.parse import unquote

from core import clock
from core.mail.addresses import Address
from core.mail.draft import Priority, safe_file_name

MAX_HEADER_LENGTH = 100_000  # characters of one field; longer ones are cut
MAX_HEADERS = 1000  # a message of a list that went round in a circle has hundreds
MAX_PARTS = 1000  # of a message; a part may hold parts, and so on
MAX_INLINE_BYTES = 8 * 1024 * 1024  # of pictures shown in the text together
MAX_SOURCE_CHARACTERS = 200_000  # shown as source; nobody reads more on a page

_MARK = "\N{REPLACEMENT CHARACTER}"
# Control characters but tab and new line, what would turn the direction of a line, and lone surrogates.
_HARMFUL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ENCODED_WORD = re.compile(r"=\?([!-)+->@-~]{1,40})(?:\*[!->@-~]{0,20})?\?([bBqQ])\?([!->@-~]{0,2000})\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)[ \t]{1,80}(?==\?)")
# An address of a picture in the same message (RFC 2392).
_CID = re.compile(r"cid:([^\s\"'<>()]{1,500})", re.IGNORECASE)
_INLINE_TYPES = {"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/svg+xml"}
# Codecs that Python lists as text but that cost quadratic time, or mean something other than a charset.
_NO_CHARSETS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
# For parts without a name; the system's own table differs from machine to machine.
_EXTENSIONS = {
    "application/pdf": ".pdf",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/html": ".html",
    "text/plain": ".txt",
}
# Three spellings of one thing; senders write any of them.
_PRIORITY_FIELDS = ("x-priority", "importance", "priority")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,100}")


@dataclass(frozen=True, slots=True)
class ReadAttachment:
    """A part of a message that is a file.

    Attributes:
        name: File name, safe for a header and a file system.
        media_type: As the message declares it, for example `application/pdf`; never to be trusted.
        data: The decoded bytes.
        content_id: The Content-ID without its brackets, or "".
        inline: True when the HTML shows it in the text.
    """

    name: str
    media_type: str
    data: bytes
    content_id: str = ""
    inline: bool = False

    @property
    def size(self) -> int:
        """The number of decoded bytes."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message as a page shows it; every text is free of control characters.

    Attributes:
        subject: One line, decoded.
        header_from: From, as it is written; the addresses are not checked.
        to: To, likewise.
        cc: Cc, likewise.
        reply_to: Reply-To, likewise.
        date: Date, aware, or None when it is missing or no date.
        message_id: Message-ID with its brackets, or "".
        priority: How urgent it is called, by X-Priority, Importance or Priority.
        read_receipt_to: Who is to be told that it was displayed (RFC 8098), as it is written.
        html: The HTML body with its inline images as `data:` URIs, "" for none. Foreign: show it only by
            `core.web.security.foreign_html` in a sandboxed frame.
        text: The plain text body, "" for none.
        attachments: The other parts, in order.
        headers: Every header field, name and decoded value, in order.
    """

    subject: str
    header_from: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    date: dt.datetime | None
    message_id: str
    priority: Priority
    read_receipt_to: tuple[Address, ...]
    html: str
    text: str
    attachments: tuple[ReadAttachment, ...]
    headers: tuple[tuple[str, str], ...]

    @property
    def files(self) -> tuple[ReadAttachment, ...]:
        """The attachments that are not shown in the text."""
        return tuple(attachment for attachment in self.attachments if not attachment.inline)


def read_message(data: bytes) -> ReadMessage:
    """Read a raw message.

    Args:
        data: The message as it went over the wire or lies in a file, with CRLF or LF.

    Returns:
        What could be read; a message that makes no sense at all has its bytes in `text`.
    """
    message, whole = _parse(data)
    body_html, body_text, attachments = _read_parts(message) if whole else ("", _body_of(data), [])
    shown_html, shown_inline = _with_inline_images(body_html, attachments)
    fields = _fields(message)
    return ReadMessage(
        subject=_first(fields, "subject"),
        header_from=_addresses(message, "from"),
        to=_addresses(message, "to"),
        cc=_addresses(message, "cc"),
        reply_to=_addresses(message, "reply-to"),
        date=parse_date(_first(fields, "date")),
        message_id=_first(fields, "message-id"),
        priority=_priority(fields),
        read_receipt_to=_addresses(message, "disposition-notification-to"),
        html=shown_html,
        text=body_text,
        attachments=tuple(
            replace(attachment, inline=True) if attachment.content_id in shown_inline else attachment
            for attachment in attachments
        ),
        headers=fields,
    )


def readable_source(data: bytes, limit: int = MAX_SOURCE_CHARACTERS) -> tuple[str, bool]:
    """Return the beginning of the raw message as harmless text, and whether that is all of it.

    Args:
        data: The raw message.
        limit: How many characters at most.
    """
    text = data[: limit * 4].decode("utf-8", "replace").replace("\r\n", "\n")
    return _harmless(text[:limit]), len(text) <= limit and len(data) <= limit * 4


def _parse(data: bytes) -> tuple[Message, bool]:
    """Parse the message; only its header, with False, when its parts are nested beyond reason."""
    try:
        # The old policy: the new one raises for fields that real messages have.
        return BytesParser(policy=policy.compat32).parsebytes(data), True
    except (RecursionError, ValueError, LookupError, AssertionError, TypeError):
        return BytesHeaderParser(policy=policy.compat32).parsebytes(_header_of(data)), False


def _header_of(data: bytes) -> bytes:
    return re.split(rb"\r?\n\r?\n", data, maxsplit=1)[0] + b"\r\n\r\n"


def _body_of(data: bytes) -> str:
    body = re.split(rb"\r?\n\r?\n", data, maxsplit=1)
    return readable_source(body[1] if len(body) > 1 else b"")[0]


# ---------------------------------------------------------------------------------------------------- header


def _harmless(text: str) -> str:
    return _HARMFUL.sub(_MARK, text.replace("\r\n", "\n"))


def _line(text: str) -> str:
    """Return the text as one harmless line."""
    return " ".join(_harmless(re.sub(r"[\r\n\t]+", " ", text)).split())


def decode_bytes(data: bytes, charset: str) -> str:
    """Decode bytes of a declared charset, or of one that fits when it is unknown or wrong."""
    try:
        name = codecs.lookup(charset).name if charset else "ascii"
        if name == "ascii" and b"\x1b$" in data:
            # Japanese that says nothing of its charset, or ASCII (RFC 1468).
            return data.decode("iso2022_jp", "replace")
        # Whoever says ASCII, or nothing, and sends more may mean anything: see below.
        if name != "ascii" and name not in _NO_CHARSETS:
            return data.decode(name, "replace")
    except (LookupError, ValueError, OverflowError):
        pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # What Western senders mean who name no charset; Latin-1 would make controls of their quotation marks.
        return data.decode("cp1252", "replace")


def _unescaped(value: object) -> str:
    """Return a header value as text: raw 8-bit bytes, which the parser keeps as surrogates, become UTF-8."""
    return str(value)[:MAX_HEADER_LENGTH].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _word_bytes(encoding: str, text: str) -> bytes:
    if encoding in "qQ":
        return quopri.decodestring(text.replace("_", " ").encode("ascii"), header=False)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return text.encode("ascii")


def decode_words(text: str) -> str:
    """Decode the encoded words of a header value (RFC 2047).

    Neighbors of one charset are decoded together, since senders cut characters in two.
    """
    text = _BETWEEN_WORDS.sub("", re.sub(r"\r?\n(?=[ \t])", "", text))
    pieces: list[str] = []
    pending, charset, end = b"", "", 0
    for match in _ENCODED_WORD.finditer(text):
        if pending and (match.start() != end or match[1].lower() != charset):
            pieces.append(decode_bytes(pending, charset))
            pending = b""
        pieces.append(text[end : match.start()])
        pending += _word_bytes(match[2], match[3])
        charset, end = match[1].lower(), match.end()
    if pending:
        pieces.append(decode_bytes(pending, charset))
    return "".join([*pieces, text[end:]])


def _fields(message: Message) -> tuple[tuple[str, str], ...]:
    raw = [(str(name), _unescaped(value)) for name, value in message.raw_items()]
    return tuple((_line(name), _line(decode_words(value))) for name, value in raw[:MAX_HEADERS])


def _first(fields: tuple[tuple[str, str], ...], name: str) -> str:
    return next((value for key, value in fields if key.lower() == name), "")


def _addresses(message: Message, name: str) -> tuple[Address, ...]:
    """Return the addresses of a field; a value that cannot be read is kept whole, as an address."""
    values = [_unescaped(value) for key, value in message.raw_items() if str(key).lower() == name]
    found: list[Address] = []
    # A field may stand several times, though it should not; a hostile message has it thousands of times.
    for value in values[:20]:
        unfolded = re.sub(r"[\r\n]+", " ", value)
        try:
            # Read first, decode after: an encoded comma must not separate.
            pairs = [pair for pair in getaddresses([unfolded]) if pair[1]]
        except (RecursionError, ValueError, IndexError, TypeError):
            pairs = []
        if not pairs and unfolded.strip():
            pairs = [("", unfolded)]
        found += [Address(_line(decode_words(spec)), _line(decode_words(text))) for text, spec in pairs]
    return tuple(found)


def _priority(fields: tuple[tuple[str, str], ...]) -> Priority:
    words = {_first(fields, name).partition(" ")[0].lower() for name in _PRIORITY_FIELDS}
    if words & {"1", "2", "high", "urgent"}:
        return Priority.HIGH
    return Priority.LOW if words & {"4", "5", "low", "non-urgent"} else Priority.NORMAL


def parse_date(value: str) -> dt.datetime | None:
    """Return the moment that a field Date names, in UTC; None where it names none."""
    try:
        # "-0000" says UTC without telling the sender's zone (RFC 5322 §3.3).
        return clock.in_utc(parsedate_to_datetime(value))
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None


# ------------------------------------------------------------------------------------------------------ body


def _leaves(message: Message) -> Iterator[Message]:
    """Yield the parts that are no containers, in order; an attached message is one part."""
    stack = [message]
    count = 0
    while stack and count < MAX_PARTS:
        part = stack.pop()
        payload = part.get_payload()
        if isinstance(payload, list) and part.get_content_maintype() != "message":
            stack.extend(child for child in reversed(payload) if isinstance(child, Message))
        else:
            count += 1
            yield part


def _read_parts(message: Message) -> tuple[str, str, list[ReadAttachment]]:
    """Return the HTML, the plain text and everything else."""
    body_html: str | None = None
    body_text: str | None = None
    attachments: list[ReadAttachment] = []
    for part in _leaves(message):
        media_type = part.get_content_type()
        is_file = bool(_file_name(part)) or _is_attachment(part)
        # The first of each is the body; others are shown as files, so that nothing is hidden.
        if media_type == "text/html" and body_html is None and not is_file:
            body_html = _text(part)
        elif _is_plain(part) and body_text is None and not is_file:
            body_text = _text(part)
        else:
            attachments.append(_attachment(part, len(attachments) + 1))
    return body_html or "", body_text or "", attachments


def _is_plain(part: Message) -> bool:
    # A container without parts is broken; what it holds is shown rather than lost.
    return part.get_content_type() == "text/plain" or part.get_content_maintype() == "multipart"


def _is_attachment(part: Message) -> bool:
    return str(part.get("content-disposition", "")).strip().lower().startswith("attachment")


def _payload(part: Message) -> bytes:
    """Return the decoded bytes of a part; of an attached message, its source."""
    try:
        if part.is_multipart():
            inner = part.get_payload()
            children = inner if isinstance(inner, list) else [inner]
            return b"\r\n".join(child.as_bytes() for child in children if isinstance(child, Message))
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, IndexError):
        return str(part.get_payload()).encode("utf-8", "replace")
    return data if isinstance(data, bytes) else b""


def _text(part: Message) -> str:
    try:
        charset = str(part.get_param("charset", "") or "")
    except (ValueError, LookupError, TypeError, IndexError):
        charset = ""
    return _harmless(decode_bytes(_payload(part), charset.strip().strip("'\"")).removeprefix("\ufeff"))


def _file_name(part: Message) -> str:
    try:
        name = part.get_filename("")
    except (ValueError, LookupError, TypeError, IndexError, AttributeError):
        return ""
    return _line(decode_words(_unescaped(name))) if name else ""


def _attachment(part: Message, number: int) -> ReadAttachment:
    media_type = part.get_content_type().lower()
    # It becomes a header of our own answer when the file is downloaded.
    if not _MEDIA_TYPE.fullmatch(media_type):
        media_type = "application/octet-stream"
    fallback = f"attachment-{number}{_EXTENSIONS.get(media_type, '')}"
    content_id = _line(_unescaped(part.get("content-id", ""))).strip("<> ")
    name = safe_file_name(_file_name(part), fallback, may_be_path=True)
    return ReadAttachment(name, media_type, _payload(part), content_id)


def _with_inline_images(text: str, attachments: list[ReadAttachment]) -> tuple[str, set[str]]:
    """Return the HTML with its `cid:` references (RFC 2392) as `data:` URIs, and the ids it shows."""
    images: dict[str, ReadAttachment] = {}
    room = MAX_INLINE_BYTES
    for attachment in attachments:
        if attachment.content_id and attachment.media_type in _INLINE_TYPES and attachment.size <= room:
            images.setdefault(attachment.content_id, attachment)
    shown: set[str] = set()

    def data_uri(match: re.Match[str]) -> str:
        nonlocal room
        image = images.get(unquote(html.unescape(match[1])))
        # What is shown often counts each time, or a small mail could become an endless page.
        if image is None or image.size > room:
            return match[0]
        room -= image.size
        shown.add(image.content_id)
        return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode('ascii')}"

    return _CID.sub(data_uri, text), shown
