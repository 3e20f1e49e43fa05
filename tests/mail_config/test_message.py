"""The octets of a mail: the standard library's parser reads back what was put in, and finds no fault."""

from __future__ import annotations

import base64
import re
import smtplib
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from typing import Any

import pytest
from flask_mail import Attachment, Message
from hypothesis import given
from hypothesis import strategies as st

from core.mail.addresses import Address, one_line
from core.mail.draft import safe_file_name
from modules.mail_config.message import MailMessage, attachment, base64_lines
from modules.mail_config.transports.smtp import as_sent

SENDER = Address("sales@company.example", "Company")
TO = Address("client@example.com", "Client")
PDF = bytes(range(256)) * 140

NAMES = [
    "Client",
    "Smith, John",
    'The "best" \\ customer',
    "J. R. (Bob) <x@y.example>",
    "Zoë Müller",
    "Société Générale d'Électricité et de Mécanique Appliquée du Haut-Jura",
    "Юлия Ковальчук",
    "株式会社日本電気通信サービス東京本社営業部第一課",
    "محمد بن عبد الله",
    "דוד כהן ושות׳",
    "สมชาย ใจดี",
    "नरेन्द्र कुमार शर्मा",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈",
    "=?utf-8?q?not_encoded?=",
    "a =?b",
    "word" * 40,
    "mot-é" * 200,
    "plain words in a row " * 60,
    "٠١٢٣ mixed אבג 中文 é 😀",
    "no\u00a0break\u202fspace",
]

TEXTS = [
    "",
    "\n",
    "one line",
    "Hello,\n\nplease find it attached.\n",
    ".\n..\n.dot\n\n.\n",
    "é.\n.é\n.\n.\n",
    "From here\nFrom é there\n",
    "x" * 998,
    "x" * 999,
    "é" * 5000,
    "é " * 5000,
    "word " * 5000,
    ("." * 200 + " é") * 20,
    "trailing blank \ntab\t\n  \né \né\t\n \n",
    "= =3D =?utf-8?q?x?= --=_envoi_0\n--\n--=_envoi\n",
    "NUL \0 and BEL \a and \x0b \x0c \x1c \x85 \u2028 \ufeff",
    "Здравствуйте,\nваш счёт.\n",
    "您好。\n附件是报价单。\n",
    "שלום\u200f (עברית)\n",
    "👩‍👩‍👧‍👦\n" * 30,
    "<div>&nbsp;</div>\n",
]


def message(**changes: Any) -> MailMessage:
    values: dict[str, Any] = {
        "message_id": "<0123456789abcdef@company.example>",
        "timestamp": 1_800_000_000.0,
        "sender": SENDER,
        "to": [TO],
        "subject": "Your quotation",
        "text": "Hello\n",
        "html": "<p>Hello</p>\n",
    }
    return MailMessage(**{**values, **changes})


def parsed(made: MailMessage) -> EmailMessage:
    """Read a message as strictly as the standard library can, and check the form of its octets."""
    data = made.as_bytes()
    assert data == made.as_bytes()
    assert data.endswith(b"\r\n")
    lines = data.split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line or b"\0" in line for line in lines)
    assert max(map(len, lines)) <= 998
    head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert all(line.strip() and len(line.decode()) <= 76 for line in head if b"=?" in line)
    found = BytesParser(policy=policy.default.clone(raise_on_defect=False)).parsebytes(data)
    for part in found.walk():
        assert not part.defects
        # The parser takes what only SMTPUTF8 may carry for a defect.
        for value in part.values() if data.isascii() else ():
            assert not value.defects, (value, value.defects)
    assert isinstance(found, EmailMessage)
    return found


def content(part: EmailMessage | None) -> str:
    """Return the text of a part with plain line ends, as it was before it got MIME's."""
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


def plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def addresses(made: MailMessage, field: str) -> list[tuple[str, str]]:
    """Return the names and addresses of a field."""
    specs = [address.addr_spec for address in parsed(made)[field].addresses]
    # The newer parser puts a blank between the encoded words of one name (RFC 2047 §6.2 forbids it); the older
    # functions read names as mail programs do.
    head = made.as_bytes().partition(b"\r\n\r\n")[0].decode().replace("\r\n ", " ")
    (raw,) = [
        value for name, _, value in (line.partition(": ") for line in head.split("\r\n")) if name == field
    ]
    pairs = getaddresses([raw])
    assert [spec for _, spec in pairs] == specs or not made.as_bytes().isascii()
    return [(str(make_header(decode_header(name))), spec) for name, spec in pairs]


def test_a_mail_is_read_as_it_was_written() -> None:
    made = message(
        cc=[Address("boss@example.com")],
        reply_to=Address("ann@company.example", "Ann"),
        attachments=[attachment("Quotation S0001.pdf", "application/pdf", PDF)],
        headers={"Content-Language": "fr"},
    )
    found = parsed(made)
    assert [name for name, _ in found.items()] == [
        "Date",
        "From",
        "Reply-To",
        "To",
        "Cc",
        "Subject",
        "Message-ID",
        "Content-Language",
        "MIME-Version",
        "Content-Type",
    ]
    assert addresses(made, "From") == [("Company", "sales@company.example")]
    assert addresses(made, "Reply-To") == [("Ann", "ann@company.example")]
    assert addresses(made, "To") == [("Client", "client@example.com")]
    assert addresses(made, "Cc") == [("", "boss@example.com")]
    assert found["Subject"] == "Your quotation"
    assert found["Message-ID"] == "<0123456789abcdef@company.example>"
    assert found["Date"].datetime.timestamp() == 1_800_000_000
    assert content(found.get_body(("plain",))) == "Hello\n"
    assert content(found.get_body(("html",))) == "<p>Hello</p>\n"
    (file,) = found.iter_attachments()
    assert file.get_content_type() == "application/pdf"
    assert file.get_filename() == "Quotation S0001.pdf"
    assert file.get_content() == PDF
    assert file.get_content_disposition() == "attachment"


def test_the_same_values_give_the_same_octets() -> None:
    copies = [Address(f"c{number}@example.com") for number in range(20)]
    files = [attachment("a.pdf", "application/pdf", PDF)]
    first, second = (message(cc=copies, attachments=files).as_bytes() for _ in range(2))
    assert first == second
    assert first != message(cc=copies[::-1], attachments=files).as_bytes()


def test_it_has_every_attribute_of_a_message_of_flask_mail() -> None:
    theirs = Message("Your quotation", sender="sales@company.example")
    assert vars(theirs).keys() <= vars(message()).keys()
    assert isinstance(message(), Message)
    assert not message().has_bad_headers()
    assert str(message()) == message().as_bytes().decode()
    assert message().html == "<p>Hello</p>\n"


def test_what_is_attached_later_goes_with_it() -> None:
    made = message()
    made.attach("a.txt", "text/plain", "é")
    (file,) = parsed(made).iter_attachments()
    assert file.get_payload(decode=True) == "é".encode()


# -- names, subjects, addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_names_and_subjects_of_every_script_arrive(name: str) -> None:
    people = [Address("a@example.com", name), Address("b@example.com", name)]
    made = message(
        sender=Address("s@x.example", name), to=people, cc=people, reply_to=people[0], subject=f"{name} 1"
    )
    found = parsed(made)
    wanted = one_line(name)
    assert addresses(made, "From") == [(wanted, "s@x.example")]
    assert addresses(made, "Reply-To") == [(wanted, "a@example.com")]
    for field in ("To", "Cc"):
        assert addresses(made, field) == [(wanted, "a@example.com"), (wanted, "b@example.com")]
    assert found["Subject"] == one_line(f"{name} 1")


def test_encoded_words_hold_whole_characters() -> None:
    words = re.findall(rb"=\?utf-8\?b\?([^?]*)\?=", message(subject="日本語😀" * 40).as_bytes())
    assert len(words) > 10
    for word in words:
        base64.b64decode(word, validate=True).decode()


def test_many_recipients_are_folded_and_keep_their_order() -> None:
    many = [Address(f"number{number}@example.com", f"Person {number}") for number in range(300)]
    made = message(to=many)
    assert [spec for _, spec in addresses(made, "To")] == [address.addr_spec for address in many]
    assert max(map(len, made.as_bytes().partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 78


def test_a_domain_of_another_script_is_written_for_every_server() -> None:
    made = message(to=[Address("info@bücher.example", "Bücher")])
    assert made.as_bytes().isascii()
    assert addresses(made, "To") == [("Bücher", "info@xn--bcher-kva.example")]


def test_a_local_part_of_another_script_stays_as_it_is() -> None:
    made = message(to=[Address("用户@例子.example", "用户"), TO])
    assert "<用户@例子.example>".encode() in made.as_bytes()
    assert addresses(made, "To") == [("用户", "用户@例子.example"), ("Client", "client@example.com")]


def test_a_quoted_local_part_stays_quoted() -> None:
    assert '"john smith"@example.com' in message(to=[Address('"john smith"@example.com')]).as_string()


def test_an_empty_subject_and_nobody_named_leave_no_empty_field() -> None:
    found = parsed(message(subject=" \n ", to=[]))
    assert found["Subject"] is None
    assert found["To"] == "undisclosed-recipients:;"
    assert parsed(message(to=[], cc=[TO]))["To"] is None


def test_bcc_never_appears() -> None:
    made = message()
    made.bcc = ["secret@example.com"]
    made.add_recipient("other@example.com")
    assert b"secret" not in made.as_bytes()
    assert b"other" not in made.as_bytes()
    assert parsed(made)["Bcc"] is None


# -- nothing breaks out of its field -------------------------------------------------------------------------

BREAKS = ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r\n\r\n", "\n ", "\n\t"]


@pytest.mark.parametrize("gap", BREAKS)
def test_no_text_can_begin_a_field(gap: str) -> None:
    evil = f"Hello{gap}Bcc: victim@example.com{gap}"
    made = message(
        subject=evil,
        sender=Address("s@x.example", evil),
        to=[Address("a@example.com", evil)],
        cc=[Address("b@example.com", f"é{evil}")],
        reply_to=Address("c@example.com", evil),
        attachments=[attachment(evil, "application/pdf", b"x"), attachment(f"é{evil}", evil, b"y")],
        headers={"Content-Language": evil},
    )
    found = parsed(made)
    assert found["Bcc"] is None
    assert [part["Bcc"] for part in found.walk()] == [None] * 6
    assert found["Subject"] == one_line(evil)
    assert addresses(made, "From") == [(one_line(evil), "s@x.example")]


@pytest.mark.parametrize("gap", [*BREAKS, " ", ",", ">"])
@pytest.mark.parametrize("local", ["a", "用户"])
def test_no_address_can_begin_a_field(gap: str, local: str) -> None:
    address = Address(f"{local}@example.com{gap}Bcc: victim@example.com")
    for changes in ({"to": [address]}, {"cc": [address]}, {"sender": address}, {"reply_to": address}):
        with pytest.raises(ValueError, match=r"."):
            message(**changes).as_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "<a@b>\r\nBcc: victim@example.com"},
        {"message_id": "<é@b>"},
        {"message_id": f"<{'a' * 1000}@b>"},
        {"headers": {"X:Bcc": "victim@example.com"}},
        {"headers": {"X\r\nBcc": "victim@example.com"}},
        {"headers": {"": "x"}},
        {"attachments": [Attachment("a\r\nBcc: x", "text/plain", b"")]},
        {"attachments": [Attachment("a", "text/plain", b"", "attachment\r\nBcc: x")]},
        {"attachments": [Attachment("a", "text/plain", b"", headers={"X\n": "x"})]},
    ],
)
def test_what_cannot_stand_in_a_field_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        message(**changes).as_bytes()


# -- the text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_arrives_as_it_is(text: str) -> None:
    files = [attachment("a.txt", "text/plain", text.encode())]
    found = parsed(message(text=text, html=text, attachments=files))
    assert content(found.get_body(("plain",))) == plain_ends(text)
    assert content(found.get_body(("html",))) == plain_ends(text)
    assert next(iter(found.iter_attachments())).get_payload(decode=True) == text.encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_becomes_that_of_a_mail(end: str) -> None:
    for text in (f"a{end}b{end}", f"é{end}b{end}", f"日本{end}b{end}"):
        assert content(parsed(message(text=text)).get_body(("plain",))) == plain_ends(text)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", "7bit"),
        ("", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("a NUL \0", "quoted-printable"),
        ("mostly plain, with an été\n", "quoted-printable"),
        ("Здравствуйте\n", "base64"),
    ],
)
def test_a_text_is_encoded_only_where_it_must_be(text: str, encoding: str) -> None:
    body = parsed(message(text=text)).get_body(("plain",))
    assert body is not None
    assert body["Content-Transfer-Encoding"] == encoding
    assert body["Content-Type"] == 'text/plain; charset="utf-8"'
    payload = body.get_payload()
    assert isinstance(payload, str)
    if encoding != "7bit":
        assert max(map(len, payload.splitlines())) <= 76


def test_a_text_cannot_end_its_part() -> None:
    data = message().as_bytes()
    for mark in re.findall(rb'boundary="([^"]*)"', data):
        text = f"one\n--{mark.decode()}--\n\n--{mark.decode()}\nContent-Type: text/html\n\nevil\n"
        found = parsed(message(text=text))
        assert content(found.get_body(("plain",))) == text
        assert content(found.get_body(("html",))) == "<p>Hello</p>\n"


# -- the files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [*range(120), 3647, 3648, 3649, 3705, 35_009, 200_000])
def test_files_of_every_length_arrive_in_lines_of_76(length: int) -> None:
    data = (PDF * 6)[:length]
    found = parsed(message(attachments=[attachment("a.bin", "application/octet-stream", data)]))
    assert next(iter(found.iter_attachments())).get_content() == data
    lines = base64_lines(data).split(b"\r\n")
    assert all(len(line) == 76 for line in lines[:-1])
    assert 0 < len(lines[-1]) <= 76 or not data


@pytest.mark.parametrize(
    "name",
    [
        "a.pdf",
        "with blanks  and 'quotes' (1) %41 ; x=y, é.pdf",
        "plain; x=y, (1) 100%.pdf",
        "a" * 116 + ".pdf",
        "é" * 116 + ".pdf",
        "😀" * 59 + ".pdf",
        "報価書_株式会社日本電気_2026年.pdf",
        "عرض سعر.pdf",
        "=_utf-8_q_x_=.pdf",
        "a~b!c#d$e&f^g`h{i}.pdf",
    ],
)
def test_names_of_files_arrive(name: str) -> None:
    made = message(
        attachments=[attachment(name, "application/pdf", PDF), attachment("é.txt", "text/plain", b"")]
    )
    names = [part.get_filename() for part in parsed(made).iter_attachments()]
    assert names == [name, "é.txt"]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Facture n° 12 é.pdf", "Facture n_ 12 e.pdf"),
        ("報価書.pdf", "___.pdf"),
        ('a "b" \\ c.pdf', "a _b_ - c.pdf"),
        ("é" * 200 + ".pdf", "e" * 116 + ".pdf"),
    ],
)
def test_a_program_that_reads_no_rfc_2231_finds_a_name(name: str, plain: str) -> None:
    (part,) = parsed(message(attachments=[attachment(name, "application/pdf", PDF)])).iter_attachments()
    assert part.get_param("name") == plain
    assert part.get_filename() == safe_file_name(name)
    older = message_from_bytes(message(attachments=[attachment(name, "application/pdf", PDF)]).as_bytes())
    assert [part.get_filename() for part in older.walk() if part.get_filename()] == [safe_file_name(name)]


def test_many_files_arrive_in_their_order() -> None:
    files = [
        attachment(f"{number}.bin", "application/x-part", b"%d" % number * number) for number in range(50)
    ]
    found = parsed(message(attachments=files))
    assert [(part.get_filename(), part.get_content()) for part in found.iter_attachments()] == [
        (file.filename, file.data) for file in files
    ]


@pytest.mark.parametrize(
    "media_type",
    [
        "message/rfc822",
        "Multipart/mixed",
        "text/html; charset=x",
        "text",
        "",
        "té/xt",
        "text/\u212aml",
        "a/b\r\nX: y",
    ],
)
def test_a_media_type_that_would_be_taken_apart_is_not_used(media_type: str) -> None:
    for file in (attachment("a", media_type, b"x"), Attachment("a", media_type, b"x")):
        (part,) = parsed(message(attachments=[file])).iter_attachments()
        assert part.get_content_type() == "application/octet-stream"


# -- anything ------------------------------------------------------------------------------------------------


@given(text=st.text(max_size=300), html=st.text(alphabet=" .=\r\n\té😀x-", max_size=400))
def test_any_text_arrives(text: str, html: str) -> None:
    found = parsed(message(text=text, html=html))
    assert content(found.get_body(("plain",))) == plain_ends(text)
    assert content(found.get_body(("html",))) == plain_ends(html)


@given(subject=st.text(max_size=200), name=st.text(max_size=120))
def test_any_subject_and_name_arrive(subject: str, name: str) -> None:
    made = message(subject=subject, to=[Address("a@example.com", name)])
    assert (parsed(made)["Subject"] or "") == one_line(subject)
    assert addresses(made, "To") == [(one_line(name), "a@example.com")]


@given(name=st.text(max_size=150), data=st.binary(max_size=500))
def test_any_file_arrives(name: str, data: bytes) -> None:
    file = attachment(name, "application/pdf", data)
    (part,) = parsed(message(attachments=[file])).iter_attachments()
    assert part.get_content() == data
    assert file.filename is not None
    assert (part.get_filename() or "") == file.filename.strip()  # get_filename() strips


@given(st.text(alphabet=".\r\nxé", max_size=60))
def test_dots_are_stuffed_and_unstuffed(text: str) -> None:
    data = message(text=text, html=text).as_bytes()
    assert as_sent(data) == smtplib._quote_periods(data) + b".\r\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (b".a\r\n.b\r\nno dot\r\n", b"..a\r\n..b\r\nno dot\r\n.\r\n"),
        (b"a.\r\n.", b"a.\r\n..\r\n.\r\n"),
        (b"no dot", b"no dot\r\n.\r\n"),
        (b"", b"\r\n.\r\n"),
    ],
)
def test_a_message_goes_out_with_dots_doubled_and_its_end(message: bytes, sent: bytes) -> None:
    assert as_sent(message) == sent
