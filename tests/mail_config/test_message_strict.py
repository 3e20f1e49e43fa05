"""The messages we write, before readers that forgive nothing: see `strict`."""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from typing import Any

import pytest

from core.mail.addresses import Address
from core.mail.draft import Priority
from core.mail.fields import downgraded
from modules.mail_config.message import MailMessage, attachment
from tests.mail_config.strict import Part, read
from tests.mail_config.test_message import NAMES, PDF, TEXTS, TO, message

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
HOSTILE_VALUES = [
    "evil\r\nBcc: victim@example.com",
    "evil\nSubject: other",
    "evil\r\n\r\n<script>alert(1)</script>",
    "nul\0byte",
    "tab\tand\x0bform\x0cfeed",
    "\x1b[31mred\x1b[0m",
    "\u2028line\u2029paragraph\x85next",
    "=?utf-8?q?=0D=0ABcc:_victim@example.com?=",
    '"; filename="other.exe',
    "\\",
    '"',
    "a" * 998,
    "é" * 998,
    "ab " * 400,
    ", ; : < > @ [ ] ( )",
]
STRANGE_NAMES = [
    "\u202eevil\u202c txt.exe",
    "\u2066isolated\u2069",
    "zero\u200bwidth\u200d\ufeff",
    "👩🏽‍🚀 Amélie 🏳️‍🌈",
    "مرحبا\u200f (عربي) 123",
    "שלום <b>",
    "e\u0301 combining a\u0308",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈",
    "한국어 이름",
    "Ĳ ﬁ ǅ ẞ",
]


def strictly(made: MailMessage, *, utf8: bool = False) -> Part:
    return read(made.as_bytes(), utf8=utf8)


def decoded(part: Part, name: str) -> str:
    return str(make_header(decode_header(part.fields[name].decode())))


@pytest.mark.parametrize("name", [*NAMES, *STRANGE_NAMES], ids=ascii)
def test_names_and_subjects_of_every_script(name: str) -> None:
    made = message(
        sender=Address("s@x.example", name), to=[Address("a@example.com", name), TO], subject=f"{name} – 1"
    )
    part = strictly(made)
    assert decoded(part, "subject").endswith(" – 1")
    assert part.fields["to"].endswith(b"Client <client@example.com>")


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:20]))
def test_texts_of_every_kind(text: str) -> None:
    part = strictly(message(text=text, html=text, attachments=[attachment("a.txt", "text/plain", b"x")]))
    plain = part.children[0].children[0]
    assert plain.data.decode().replace("\r\n", "\n") == text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda text: ascii(text[:20]))
def test_no_value_breaks_out_of_its_field(value: str) -> None:
    made = message(
        subject=value,
        sender=Address("s@x.example", value),
        to=[Address("a@example.com", value)],
        cc=[Address("b@example.com", f"é{value}")],
        reply_to=Address("c@example.com", value),
        read_receipt_to=Address("d@example.com", value),
        attachments=[
            attachment(value, "application/pdf", b"x"),
            attachment(f"é{value}", value, b"y", "p@picture.invalid"),
        ],
        headers={"Content-Language": value},
    )
    part = strictly(made)
    assert "bcc" not in part.fields
    assert part.shape() == (
        "multipart/mixed",
        [
            (
                "multipart/alternative",
                ["text/plain", ("multipart/related", ["text/html", "application/octet-stream"])],
            ),
            "application/pdf",
        ],
    )


def test_two_hundred_recipients() -> None:
    many = [Address(f"number{number}@example.com", f"Person, {number} é") for number in range(200)]
    part = strictly(message(to=many, cc=many[:50]))
    assert part.fields["to"].count(b"@example.com>") == 200
    assert part.fields["cc"].count(b"@example.com>") == 50


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ("info@bücher.example", b"info@xn--bcher-kva.example"),
        ("info@例子.example", b"info@xn--fsqu00a.example"),
        ("a@пример.испытание", b"a@xn--e1afmkfd.xn--80akhbyknj4f"),
        ('"john smith"@example.com', b'"john smith"@example.com'),
        ("o'hara+x=y@example.com", b"o'hara+x=y@example.com"),
    ],
)
def test_addresses_that_every_server_takes(spec: str, written: bytes) -> None:
    assert written in strictly(message(to=[Address(spec, "Zoë")])).fields["to"]


@pytest.mark.parametrize(
    "spec", ["用户@例子.example", "josé@example.com", "пётр@пример.example", "أحمد@example.com"]
)
def test_addresses_that_need_smtputf8_stand_as_they_are(spec: str) -> None:
    part = strictly(message(to=[Address(spec, "名前"), TO]), utf8=True)
    assert spec.encode() in part.fields["to"]


def test_urgency_is_said_in_three_fields_and_normal_is_not_said() -> None:
    high = strictly(message(priority=Priority.HIGH)).fields
    assert (high["x-priority"], high["priority"], high["importance"]) == (b"1", b"urgent", b"high")
    low = strictly(message(priority=Priority.LOW)).fields
    assert (low["x-priority"], low["priority"], low["importance"]) == (b"5", b"non-urgent", b"low")
    assert not {"x-priority", "priority", "importance"} & strictly(message()).fields.keys()


def test_a_read_receipt_names_who_is_to_be_told() -> None:
    part = strictly(message(read_receipt_to=Address("ann@company.example", "Änn")))
    assert part.fields["disposition-notification-to"].endswith(b"<ann@company.example>")
    assert "disposition-notification-to" not in strictly(message()).fields


def test_pictures_stand_with_the_html_that_shows_them() -> None:
    files = [
        attachment("plan.pdf", "application/pdf", PDF),
        attachment("Fôto.png", "image/png", PNG, "one@picture.invalid"),
        attachment("two.gif", "image/gif", b"GIF89a", "two@picture.invalid"),
    ]
    html = '<p>é <img src="cid:one@picture.invalid"><img src="cid:two@picture.invalid"></p>'
    part = strictly(message(html=html, attachments=files))
    assert part.shape() == (
        "multipart/mixed",
        [
            (
                "multipart/alternative",
                ["text/plain", ("multipart/related", ["text/html", "image/png", "image/gif"])],
            ),
            "application/pdf",
        ],
    )
    related = part.children[0].children[1]
    assert related.parameters["type"] == "text/html"  # RFC 2387 §3.1
    text, picture, _ = related.children
    assert text.data.decode() == html
    assert picture.fields["content-id"] == b"<one@picture.invalid>"
    assert picture.fields["content-disposition"].startswith(b"inline")
    assert (picture.parameters["filename"], picture.data) == ("Fôto.png", PNG)
    assert part.children[1].fields["content-disposition"].startswith(b"attachment")


def test_a_mail_without_pictures_has_the_octets_it_always_had() -> None:
    data = message(attachments=[attachment("a.pdf", "application/pdf", PDF)]).as_bytes()
    assert b"related" not in data
    assert data.startswith(
        b"Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nFrom: Company <sales@company.example>\r\n"
    )


@pytest.mark.parametrize("content_id", ["a", "a@b>\r\nBcc: x", "é@b", "a b@c", "<a@b>", "a@" + "b" * 90])
def test_what_is_no_content_id_is_refused(content_id: str) -> None:
    with pytest.raises(ValueError, match="Content-ID"):
        attachment("a.png", "image/png", PNG, content_id)


def test_a_message_that_is_still_to_be_sent_names_those_in_bcc_and_has_no_id() -> None:
    part = strictly(message(message_id="", bcc=[Address("b@example.com", "Boß")], headers={"X-Unsent": "1"}))
    assert "message-id" not in part.fields
    assert part.fields["bcc"].endswith(b"<b@example.com>")
    assert part.fields["x-unsent"] == b"1"
    alone: dict[str, Any] = {"message_id": "", "to": [], "bcc": [Address("b@example.com")]}
    assert "to" not in strictly(message(**alone)).fields


def test_lines_of_998_octets_in_body_and_subject() -> None:
    part = strictly(message(subject="x" * 998, text="y" * 998 + "\n" + "z" * 999, html="é" * 998))
    assert decoded(part, "subject") == "x" * 998
    assert part.children[0].children[0].data == b"y" * 998 + b"\r\n" + b"z" * 999


def test_the_head_is_folded_at_78() -> None:
    made = message(
        subject="un été " * 40, to=[Address(f"n{number}@example.com", "Client") for number in range(40)]
    )
    head = made.as_bytes().partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78
    assert not re.search(rb"\r\n[ \t]*\r\n", head)


# -- the reader itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "put"),
    [
        (b"Subject: Your quotation\r\n", b"Subject: Your quotation\n"),
        (b"Subject: Your quotation\r\n", b"Subject: a\r\nSubject: b\r\n"),
        (b"Subject: Your quotation\r\n", b"Subject: \xc3\xa9t\xc3\xa9\r\n"),
        (b"Subject: Your quotation\r\n", b"Subject: " + b"word " * 30 + b"x\r\n"),
        (b"Subject: Your quotation\r\n", b"Subject: =?utf-8?q?a blank?=\r\n"),
        (b"To: Client <client@example.com>", b"To: Client, Inc. <client@example.com>"),
        (b"To: Client <client@example.com>", b"To: client@@example.com"),
        (b"Date: Fri, 15 Jan 2027 08:00:00 +0000", b"Date: 2027-01-15 08:00"),
        (b"MIME-Version: 1.0", b"MIME-Version: 2.0"),
        (b"<0123456789abcdef@company.example>", b"0123456789abcdef"),
        (b"_0--\r\n", b"_0\r\n"),
        (b'charset="utf-8"', b"charset=utf 8"),
        (b"7bit\r\n\r\nHello", b"quoted-printable\r\n\r\nHello=E9 \r\n=zz"),
        (b"7bit\r\n\r\nHello", b"base64\r\n\r\n" + b"A" * 80),
        (b"7bit\r\n\r\nHello", b"7bit\r\n\r\nH\xc3\xa9llo"),
    ],
)
def test_the_reader_forgives_nothing(found: bytes, put: bytes) -> None:
    data = message().as_bytes()
    assert read(data)
    assert found in data
    with pytest.raises((AssertionError, Exception)):
        read(data.replace(found, put))


# -- for servers without SMTPUTF8 ----------------------------------------------------------------------------


def test_a_head_beyond_ascii_is_written_down_for_old_servers() -> None:
    made = message(
        to=[
            Address("用户@例子.example", "用户"),
            TO,
            Address("josé@example.com"),
            Address('"é x"@example.com'),
        ],
        cc=[Address(f"n{number}é@example.com", "Smith") for number in range(20)],
        reply_to=Address("zoé@company.example", "Zoé"),
        read_receipt_to=Address("zoé@company.example"),
        attachments=[attachment("é.pdf", "application/pdf", PDF)],
    )
    old = downgraded(made.as_bytes())
    part = read(old)
    assert old.partition(b"\r\n\r\n")[2] == made.as_bytes().partition(b"\r\n\r\n")[2]
    assert decoded(part, "to") == (
        '用户<用户@例子.example> :;, Client <client@example.com>, josé@example.com :;, "é x"@example.com :;'
    )
    assert decoded(part, "reply-to") == "Zoé<zoé@company.example> :;"
    assert part.fields["cc"].count(b":;") == 20
    assert "disposition-notification-to" not in part.fields  # it may hold no group
    assert part.fields["subject"] == b"Your quotation"


def test_a_head_in_ascii_is_left_alone() -> None:
    data = message(subject="été", to=[Address("a@bücher.example", "Ä")]).as_bytes()
    assert downgraded(data) is data
