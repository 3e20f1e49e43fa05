"""What `core.mail.reader` makes of mail, ordinary and hostile."""

from __future__ import annotations

import base64
import datetime as dt
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.mail.addresses import Address
from core.mail.draft import Priority
from core.mail.reader import ReadMessage, read_message, readable_source

PNG = b"\x89PNG\r\n\x1a\nnot really"


def rich_message() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Devis S00012 – été à Orléans"
    message["From"] = "Société Nord & Sud <ventes@nord.example>"
    message["To"] = '"Müller, Zoé" <zoe@client.example>, achats@client.example'
    message["Cc"] = "jean@client.example"
    message["Date"] = "Mon, 23 Nov 2026 08:00:00 +0100"
    message["Message-ID"] = "<one@nord.example>"
    message.set_content("Bonjour Zoé\n")
    message.add_alternative('<p>Bonjour <img src="cid:logo%401"></p>', subtype="html")
    html = message.get_payload()[1]  # type: ignore[index]
    html.add_related(PNG, "image", "png", cid="<logo@1>")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Devis été.pdf")
    return message


def plain(header: bytes, body: bytes = b"hello\r\n") -> ReadMessage:
    return read_message(header + b"\r\n\r\n" + body)


def test_an_ordinary_message_is_read_whole() -> None:
    message = read_message(rich_message().as_bytes())
    assert message.subject == "Devis S00012 – été à Orléans"
    assert message.header_from == (Address("ventes@nord.example", "Société Nord & Sud"),)
    assert message.to == (
        Address("zoe@client.example", "Müller, Zoé"),
        Address("achats@client.example"),
    )
    assert message.cc == (Address("jean@client.example"),)
    assert message.date == dt.datetime(2026, 11, 23, 7, tzinfo=dt.UTC)
    assert message.message_id == "<one@nord.example>"
    assert message.text == "Bonjour Zoé\n"
    assert [(a.name, a.media_type, a.data) for a in message.files] == [
        ("Devis été.pdf", "application/pdf", b"%PDF")
    ]
    assert ("Cc", "jean@client.example") in message.headers


def test_inline_images_become_data_uris() -> None:
    message = read_message(rich_message().as_bytes())
    assert f'src="data:image/png;base64,{base64.b64encode(PNG).decode()}"' in message.html
    assert [a.name for a in message.attachments if a.inline] == ["attachment-1.png"]


def test_a_cid_of_something_that_is_no_picture_stays() -> None:
    source = (
        b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        b'<img src="cid:x"><img src="cid:y">\r\n--b\r\nContent-Type: text/html\r\nContent-ID: <x>\r\n\r\n'
        b"<script>alert(1)</script>\r\n--b--\r\n"
    )
    message = read_message(source)
    assert 'src="cid:x"' in message.html
    assert not message.attachments[0].inline


def test_an_image_that_is_shown_often_does_not_grow_without_end() -> None:
    picture = base64.encodebytes(bytes(1_000_000))
    source = (
        b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        + b"<img src=cid:x>" * 1000
        + b"\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <x>\r\n\r\n"
        + picture
        + b"\r\n--b--\r\n"
    )
    assert len(read_message(source).html) < 16_000_000


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"=?utf-8?q?=C3=A9t=C3=A9?=", "été"),
        (b"=?iso-8859-1?q?=E9t=E9?= =?utf-8?b?w6k=?=", "étéé"),
        # One character cut in two by the sender.
        (b"=?utf-8?q?=C3?=\r\n =?utf-8?q?=A9?=", "é"),
        (b"a =?utf-8?q?b?= c", "a b c"),
        (b"\xc3\xa9t\xc3\xa9", "été"),
        (b"\xe9", "\N{REPLACEMENT CHARACTER}"),
        (b"=?nonsense?q?abc?=", "abc"),
        (b"=?idna?b?AAAA?=", "\N{REPLACEMENT CHARACTER}" * 3),
        (b"=?utf-8?b?w6k?=", "é"),
        (b"=?utf-8?b?A?=", "A"),
        (b"=?utf-8?q?a=0D=0ABcc:_x@y?=", "a Bcc: x@y"),
        (b"=?utf-8?q?=E2=80=AEfdp.exe?=", "\N{REPLACEMENT CHARACTER}fdp.exe"),
    ],
)
def test_subjects(raw: bytes, shown: str) -> None:
    assert plain(b"Subject: " + raw).subject == shown


@pytest.mark.parametrize(
    ("content_type", "body", "shown"),
    [
        (b"text/plain; charset=iso-8859-15", b"\xa4", "€"),
        (b"text/plain; charset=utf-8", b"a\xffb", "a\N{REPLACEMENT CHARACTER}b"),
        (b"text/plain; charset=klingon", b"\xc3\xa9", "é"),
        (b"text/plain; charset=us-ascii", b"\xe9", "é"),
        (b"text/plain; charset=punycode", b"abc", "abc"),
        (b"text/plain; charset=base64", b"abc", "abc"),
        (b"text/plain; charset=\x00", b"abc", "abc"),
        (b"multipart/mixed", b"no parts", "no parts"),
        (b"multipart/mixed; boundary=", b"no parts", "no parts"),
        (b"nonsense", b"abc", "abc"),
    ],
)
def test_bodies_of_strange_types(content_type: bytes, body: bytes, shown: str) -> None:
    assert plain(b"Content-Type: " + content_type, body).text == shown


def test_control_characters_never_reach_a_page() -> None:
    message = plain(b"Subject: a\x1b[31m\x00b\r\nFrom: x\x07 <x@\x00y>", b"\x1b]0;title\x07 \xe2\x80\xae")
    shown = "".join([message.subject, message.text, str(message.header_from[0])])
    assert not any(character in shown for character in "\x00\x07\x1b\u202e")


@pytest.mark.parametrize(
    "value", [b"", b"yesterday", b"Mon, 99 Foo 99999 99:99:99", b"31 Dec 9999 23:59 -2359"]
)
def test_what_is_no_date_is_none(value: bytes) -> None:
    assert plain(b"Date: " + value).date is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b'"../../etc/passwd"', "passwd"),
        (b'"C:\\\\Windows\\\\evil.exe"', "evil.exe"),
        (b"utf-8''%0D%0AX%3A%20y.pdf", "X_ y.pdf"),
        (b'"=?utf-8?q?=E2=80=AEfdp.exe?="', "\N{REPLACEMENT CHARACTER}fdp.exe"),
        (b'"' + b"a" * 500 + b'.pdf"', "a" * 116 + ".pdf"),
    ],
)
def test_file_names_are_safe(name: bytes, kept: str) -> None:
    star = b"*" if name.startswith(b"utf-8''") else b""
    message = plain(b"Content-Disposition: attachment; filename" + star + b"=" + name)
    assert [attachment.name for attachment in message.attachments] == [kept]


def test_a_media_type_cannot_break_a_header() -> None:
    message = plain(b'Content-Type: "a/b\x01c"; x\r\nContent-Disposition: attachment')
    assert message.attachments[0].media_type == "application/octet-stream"


def test_an_attached_message_is_a_file() -> None:
    outer = EmailMessage()
    outer.set_content("see below")
    outer.add_attachment(rich_message())
    message = read_message(outer.as_bytes())
    assert [(a.name, a.media_type) for a in message.files] == [("attachment-1.eml", "message/rfc822")]
    assert b"Subject: " in message.files[0].data
    assert message.html == ""


def test_an_address_field_that_makes_no_sense_is_shown_as_it_is() -> None:
    assert plain(b"To: undisclosed-recipients:;").to == (Address("undisclosed-recipients:;"),)
    assert plain(b"To: " + b"(" * 5000).to[0].addr_spec.startswith("((((")


def nested(depth: int) -> bytes:
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)
    )
    return b"Subject: deep\r\n" + parts + b"\r\nthe end\r\n"


@pytest.mark.parametrize("depth", [10, 5000])
def test_parts_nested_beyond_reason_end_nothing(depth: int) -> None:
    message = read_message(nested(depth))
    assert message.subject == "deep"
    assert "the end" in message.text or message.attachments or "boundary" in message.text


def test_a_large_message_is_read() -> None:
    source = (
        b"To: "
        + b"a@example.com, " * 3000
        + b"\r\nSubject: "
        + b"=?utf-8?q?=C3=A9?= " * 3000
        + b"\r\nContent-Type: text/html\r\n\r\n"
        + b"cid:" * 500_000
    )
    # What grows with the square of the length does not end within pytest's time limit.
    message = read_message(source)
    assert message.subject.count("é") == 3000


def test_the_source_is_shown_in_part_when_it_is_long() -> None:
    assert readable_source(b"a\r\nb\x1b") == ("a\nb\N{REPLACEMENT CHARACTER}", True)
    assert readable_source(b"x" * 300, 100) == ("x" * 100, False)
    assert readable_source(b"x" * 1000, 100) == ("x" * 100, False)


HEADER_NAMES = st.sampled_from(
    b"Subject From To Cc Date Message-ID MIME-Version Content-Type Content-Disposition Content-ID "
    b"Content-Transfer-Encoding".split()
)
KNOWN_FRAGMENTS = (
    *(b"multipart/mixed; boundary=b", b"text/html; charset=", b"message/rfc822", b"base64", b"x-uuencode"),
    *(b"\r\n--b\r\n", b"\r\n--b--\r\n", b"=?utf-8?q?", b"?=", b"attachment; filename*0*=", b"utf-8''%00"),
    *(b"<", b">", b"@", b"(", b'"', b"\\", b"begin 666 x\r\n", b"message/delivery-status", b"begin 6"),
)
FRAGMENTS = st.one_of(st.binary(max_size=30), st.sampled_from(KNOWN_FRAGMENTS))
VALUES = st.lists(FRAGMENTS, max_size=6).map(b"".join)
FIELDS = st.tuples(HEADER_NAMES, VALUES).map(lambda pair: pair[0] + b": " + pair[1] + b"\r\n")
MESSAGES = st.tuples(st.lists(FIELDS, max_size=8).map(b"".join), VALUES).map(
    lambda pair: pair[0] + b"\r\n" + pair[1]
)


@given(st.one_of(MESSAGES, st.binary(max_size=400)))
def test_no_bytes_at_all_raise_or_leave_control_characters(data: bytes) -> None:
    message = read_message(data)
    shown = [message.subject, message.message_id, message.text, message.html]
    shown += [str(address) for address in (*message.header_from, *message.to, *message.cc)]
    shown += [text for field in message.headers for text in field]
    shown += [attachment.name for attachment in message.attachments]
    text = "".join(shown)
    assert not any(ord(c) < 32 and c not in "\t\n" for c in text)
    text.encode("utf-8")  # no lone surrogates
    assert all("/" not in attachment.name for attachment in message.attachments)
    assert all("\n" not in attachment.media_type for attachment in message.attachments)


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ("X-Priority: 1 (Highest)", Priority.HIGH),
        ("X-Priority: 2", Priority.HIGH),
        ("Importance: High", Priority.HIGH),
        ("Priority: urgent", Priority.HIGH),
        ("X-Priority: 5", Priority.LOW),
        ("Importance: low", Priority.LOW),
        ("Priority: non-urgent", Priority.LOW),
        ("X-Priority: 3", Priority.NORMAL),
        ("X-Priority: \x00 garbage", Priority.NORMAL),
        ("Subject: urgent", Priority.NORMAL),
    ],
)
def test_how_urgent_a_message_is_called(fields: str, priority: Priority) -> None:
    assert read_message(f"{fields}\r\n\r\nHello".encode()).priority is priority


def test_who_asks_for_a_read_receipt() -> None:
    data = b"Disposition-Notification-To: =?utf-8?q?Zo=C3=AB?= <zoe@example.com>\r\n\r\nHello"
    assert read_message(data).read_receipt_to == (Address("zoe@example.com", "Zoë"),)
    assert read_message(b"Subject: x\r\n\r\nHello").read_receipt_to == ()
