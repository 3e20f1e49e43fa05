"""A reader of messages that forgives nothing, and shares no line with what writes them.

Three readers look at the same octets: this file at their form (RFC 5321 §4.5.3, 5322, 2045–2047, 2231), the
grammar of RFC 5322 itself at the head, and a parser in Rust, told to repair nothing, at the whole.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import fast_mail_parser
from abnf.grammars import rfc5322

SINGULAR = {
    "bcc", "cc", "content-disposition", "content-id", "content-language", "content-transfer-encoding",
    "content-type", "date", "disposition-notification-to", "from", "importance", "message-id", "mime-version",
    "priority", "reply-to", "sender", "subject", "to", "x-priority", "x-unsent",
}  # fmt: skip
GRAMMAR = {
    "bcc": "address", "cc": "address", "date": "date-time", "disposition-notification-to": "mailbox",
    "from": "mailbox", "message-id": "msg-id", "content-id": "msg-id", "reply-to": "address",
    "subject": "unstructured", "to": "address",
}  # fmt: skip
LISTS = {"address", "mailbox"}
MOST_FOR_THE_GRAMMAR = 140
"""Its reader tries every way to read a phrase of many words; beyond this it takes seconds."""
_FIELD = re.compile(rb"([!-9;-~]+):(?: |(?=\r\n[ \t]))([^\r\n]*(?:\r\n[ \t]+[^\r\n]+)*)\r\n", re.DOTALL)
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z{}-]+"
_PARAMETER = re.compile(
    rb"\s*;\s*(" + _TOKEN + rb')=(?:"((?:[^"\\\r\n]|\\.)*)"|(' + _TOKEN + rb"))", re.DOTALL
)
_ENCODED_WORD = re.compile(rb"=\?[A-Za-z0-9_-]+\?(?:[qQ]\?[!->@-~]*|[bB]\?[A-Za-z0-9+/]*={0,2})\?=")
_QP_LINE = re.compile(rb"(?:[!-<>-~ \t]|=[0-9A-F]{2})*=?")
_LONGEST = 998
_FOLDED = 78


@dataclass
class Part:
    """One part, as it stands there."""

    fields: dict[str, bytes]
    body: bytes
    media_type: str
    parameters: dict[str, str]
    children: list[Part] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        encoding = self.fields.get("content-transfer-encoding", b"7bit")
        if encoding == b"base64":
            return base64.b64decode(self.body.replace(b"\r\n", b""), validate=True)
        if encoding == b"quoted-printable":
            joined = re.sub(rb"=\r\n", b"", self.body)
            return re.sub(rb"=([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), joined)
        return self.body

    def walk(self) -> Iterator[Part]:
        yield self
        for child in self.children:
            yield from child.walk()

    def shape(self) -> object:
        """The media types as they are nested."""
        return (
            (self.media_type, [child.shape() for child in self.children])
            if self.children
            else self.media_type
        )


def read(data: bytes, *, utf8: bool = False) -> Part:
    """Read a message; whatever is not as the standards want it fails the test.

    Args:
        data: The octets.
        utf8: True where an address needs SMTPUTF8, so that the head may hold more than ASCII (RFC 6532).
    """
    assert data.endswith(b"\r\n")
    assert b"\0" not in data
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data), "a bare CR or LF"
    assert max(map(len, data.split(b"\r\n"))) <= _LONGEST
    head, _, body = data.partition(b"\r\n\r\n")
    assert body.isascii(), "octets beyond ASCII need 8BITMIME"
    assert utf8 or head.isascii()
    part = _part(data, top=True, utf8=utf8)
    assert part.fields["mime-version"] == b"1.0"
    assert {"date", "from"} <= part.fields.keys()
    if not utf8:
        _read_by_others(data, part)
    return part


def _part(data: bytes, *, top: bool = False, utf8: bool = False) -> Part:
    # A part may begin with the empty line, then it has no fields.
    head, gap, body = (b"", b"\r\n", data[2:]) if data.startswith(b"\r\n") else data.partition(b"\r\n\r\n")
    assert gap, "no empty line after the head"
    fields = _fields(head + b"\r\n" if head else b"", utf8=utf8)
    media_type, parameters = _media_type(fields.get("content-type", b"text/plain"))
    if "content-disposition" in fields:
        parameters |= _parameters(fields["content-disposition"].partition(b";"))
    assert top or "mime-version" not in fields
    part = Part(fields, body, media_type, parameters)
    if media_type.startswith("multipart/"):
        assert fields.get("content-transfer-encoding", b"7bit") == b"7bit"  # RFC 2045 §6.4
        part.children = [_part(child) for child in _children(body, parameters["boundary"].encode())]
        assert part.children
    else:
        _check_encoding(part)
    return part


def _fields(head: bytes, *, utf8: bool) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    position = 0
    while position < len(head):
        match = _FIELD.match(head, position)
        assert match, f"no field: {head[position : position + 80]!r}"
        name = match[1].decode().lower()
        assert name not in found or name not in SINGULAR, f"{name} twice"
        _check_lines(match[0], utf8=utf8)
        found[name] = re.sub(rb"\r\n(?=[ \t])", b"", match[2])
        if name in GRAMMAR and (match[2].isascii() or not utf8):
            _check_grammar(name, match[2].decode())
        position = match.end()
    return found


def _check_grammar(name: str, value: str) -> None:
    rule = GRAMMAR[name]
    # A comma separates unless it stands in quotes.
    parts = re.findall(r'((?:[^,"]|"(?:[^"\\]|\\.)*")+),?', value, re.DOTALL) if rule in LISTS else [value]
    assert ",".join(parts) == value, value
    # Those between are made as these are, and each takes the grammar some time.
    for part in [*parts[:8], *parts[-1:]]:
        if len(part) <= MOST_FOR_THE_GRAMMAR:
            assert _ends(rule, part) == len(part), f"{name} is no {rule}: {part!r}"


@lru_cache(maxsize=4096)
def _ends(rule: str, text: str) -> int:
    """Return how much of a text the grammar takes."""
    _node, end = rfc5322.Rule(rule).parse(text, 0)
    return int(end)


def _check_lines(text: bytes, *, utf8: bool) -> None:
    for line in text.removesuffix(b"\r\n").split(b"\r\n"):
        shown = len(line.decode()) if utf8 else len(line)
        assert line.strip(), "a line of blanks"
        # Longer only where nothing could be folded: one word, such as a file name in quotes.
        assert shown <= _FOLDED or b'="' in line or b" " not in line.strip(), line
        if b"=?" in line:
            assert shown <= 76  # RFC 2047 §2
        for word in re.findall(rb"(?<![^\s(])=\?[^\s]*", line):
            assert _ENCODED_WORD.fullmatch(word), word
            assert len(word) <= 75


def _media_type(value: bytes) -> tuple[str, dict[str, str]]:
    match = re.match(rb"(" + _TOKEN + rb"/" + _TOKEN + rb")", value)
    assert match, value
    return match[1].decode().lower(), _parameters((b"", b";", value[match.end() :].lstrip()[1:]))


def _parameters(parts: tuple[bytes, bytes, bytes]) -> dict[str, str]:
    """Read parameters, those in pieces and with a charset too (RFC 2231)."""
    text = b";" + parts[2] if parts[2].strip() else b""
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, str]] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        assert match, f"no parameter: {text[position:]!r}"
        position = match.end()
        name, value = match[1].decode().lower(), (match[2] or match[3] or b"").decode()
        assert len(value) <= _LONGEST
        if name.endswith("*"):
            base, _, number = name[:-1].partition("*")
            pieces.setdefault(base, {})[int(number or 0)] = value
        else:
            assert name not in plain
            plain[name] = re.sub(r"\\(.)", r"\1", value)
    for name, numbered in pieces.items():
        assert sorted(numbered) == list(range(len(numbered)))
        charset, _, rest = numbered[0].partition("'")
        assert charset == "utf-8"
        encoded = rest.partition("'")[2] + "".join(numbered[number] for number in range(1, len(numbered)))
        assert re.fullmatch(r"(?:[A-Za-z0-9!#$&+.^_`|~-]|%[0-9A-F]{2})*", encoded), encoded
        plain[name] = re.sub(
            rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), encoded.encode()
        ).decode()
    return plain


def _children(body: bytes, boundary: bytes) -> list[bytes]:
    assert 0 < len(boundary) <= 70
    assert re.fullmatch(rb"[0-9A-Za-z'()+_,./:=? -]*[0-9A-Za-z'()+_,./:=?-]", boundary)
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    preamble, *children, epilogue = pieces
    assert not preamble.strip(), "text before the first part"
    assert epilogue.startswith(b"--\r\n"), "the last boundary is missing"
    assert not epilogue[4:].strip()
    assert all(child.startswith(b"\r\n") for child in children)
    return [child[2:] for child in children]


def _check_encoding(part: Part) -> None:
    encoding = part.fields.get("content-transfer-encoding", b"7bit")
    lines = part.body.split(b"\r\n")
    assert encoding in {b"7bit", b"base64", b"quoted-printable"}
    if encoding == b"base64":
        assert all(re.fullmatch(rb"[A-Za-z0-9+/]*={0,2}", line) and len(line) <= 76 for line in lines)
    if encoding == b"quoted-printable":
        assert all(_QP_LINE.fullmatch(line) and len(line) <= 76 for line in lines)
        assert not any(line.endswith((b" ", b"\t")) for line in lines)
    assert part.data is not None
    if part.media_type.startswith("text/") and "filename" not in part.parameters:
        assert part.parameters["charset"].lower() == "utf-8"
        part.data.decode()


def _read_by_others(data: bytes, part: Part) -> None:
    found = fast_mail_parser.parse_email(data, strict=True)
    assert found.warnings == []
    leaves = [leaf for leaf in part.walk() if not leaf.children]
    texts = [
        leaf for leaf in leaves if leaf.media_type == "text/plain" and not leaf.parameters.get("filename")
    ]
    assert [text.replace("\r\n", "\n") for text in found.text_plain] == [
        leaf.data.decode().replace("\r\n", "\n") for leaf in texts[: len(found.text_plain)]
    ]
