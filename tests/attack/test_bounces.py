"""Messages that pretend to be bounces, and bounces that are made to choke whoever reads them."""

from __future__ import annotations

import time
import tracemalloc
from email.message import EmailMessage

import pytest

from core.mail.bounces import Nature, read
from core.mail.bounces.parts import MAX_OCTETS
from tests.core.bounces import exim
from tests.core.bounces import samples as s

BOUNCE = exim.EXIM.decode().partition("\n\n")[2]
FROM_A_PERSON = "From: Ann <ann@far.example>\nTo: sales@atelier.example\nMessage-ID: <a@far.example>\n"


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


def with_files(subject: str, *octets: bytes) -> bytes:
    """Return a mail of a person, with messages attached."""
    parts = "".join(f"--m\nContent-Type: message/rfc822\n\n{one.decode()}\n" for one in octets)
    return (
        f"{FROM_A_PERSON}Subject: {subject}\nContent-Type: multipart/mixed; boundary=m\n\n--m\n"
        "Content-Type: text/plain\n\nHello,\n\nwhat you have sent to ann@far.example was not delivered, see the file. "
        "I have tried twice, and so has my colleague Bob, who has got nothing at all since last week.\n\nAnn\n"
        f"{parts}--m--\n"
    ).encode()


ORDINARY = {
    "quotes-a-bounce": f"{FROM_A_PERSON}Subject: Re: Mail delivery failed\n\nHello, I got this:\n\n{quoted(BOUNCE)}",
    "pastes-a-bounce": f"{FROM_A_PERSON}Subject: Problem with your mail\n\nHello,\nyour server says:\n\n{BOUNCE}",
    "forwards-a-bounce": f"{FROM_A_PERSON}Subject: Fwd: Mail delivery failed\n\n---- Forwarded message ----\n{BOUNCE}",
    "answers-a-bounce": f"{FROM_A_PERSON}Subject: Undeliverable: Invoice\nIn-Reply-To: <r@mx.far.example>\n\n{BOUNCE}",
    "attaches-a-bounce": with_files("Mail delivery failed", s.POSTFIX),
    "attaches-a-free-one": with_files("Fwd: Undelivered Mail Returned to Sender", s.QMAIL),
    "forwards-the-parts": s.POSTFIX.decode()
    .replace(s.HEAD, FROM_A_PERSON)
    .replace("Subject: ", "Subject: Fwd: ")
    .replace("multipart/report; report-type=delivery-status", "multipart/mixed"),
    "parcel": (
        "From: Parcels <noreply@parcels.example>\nTo: sales@atelier.example\nSubject: Delivery failed: parcel 7\n\n"
        "We could not deliver your parcel to Ann. Questions? help@parcels.example\n"
    ),
    "newsletter": (
        "Return-Path: <bounce+7@news.example>\nFrom: News <news@news.example>\nTo: sales@atelier.example\n"
        "Subject: 7 reasons why your email is rejected\nList-Unsubscribe: <https://news.example/u>\n"
        "Precedence: bulk\n\n550 5.1.1 user unknown: what ann@far.example can learn from bounces.\n"
    ),
    "person-named-postmaster": (
        "From: Paul Postmaster <paul@far.example>\nTo: sales@atelier.example\nSubject: Invoice\n\n"
        "I am not able to pay before December, please ask bob@far.example.\n"
    ),
    "postmaster-writes": (
        "From: postmaster@far.example\nTo: sales@atelier.example\nSubject: Your invoice\n\n"
        "Hello, we have no order of ann@far.example. Please check. Not urgent.\n"
    ),
    "ticket": (
        "From: Support <support@far.example>\nTo: sales@atelier.example\nSubject: [#550] Mail problem\n"
        "Auto-Submitted: auto-generated\n\nYour request 550 was opened. We could not reach ann@far.example.\n"
    ),
    "empty": "",
    "nothing-but-lines": "\n\n\n",
}


@pytest.mark.parametrize("name", ORDINARY)
def test_what_a_person_writes_is_no_bounce(name: str) -> None:
    octets = ORDINARY[name]
    reading = read(octets if isinstance(octets, bytes) else octets.encode())
    assert (reading.nature, reading.notices) == (Nature.ORDINARY, ())


def test_a_forged_bounce_proves_nothing_by_itself() -> None:
    """What tells that it is about a mail of ours is returned as it stands; nothing is assumed."""
    reading = read(s.POSTFIX.replace(b"mail.7@atelier.example", b"invented@elsewhere.example"))
    assert reading.about.message_ids == ("<invented@elsewhere.example>",)


def measured(octets: bytes) -> tuple[float, int]:
    tracemalloc.start()
    begin = time.process_time()
    read(octets)
    seconds = time.process_time() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak


def many_recipients(count: int) -> bytes:
    groups = "".join(
        f"Final-Recipient: rfc822; u{n}@d{n}.example\nAction: failed\nStatus: 5.1.1\n"
        f"Diagnostic-Code: smtp; 550 5.1.1 <u{n}@d{n}.example> user unknown\n\n"
        for n in range(count)
    )
    return s.report("It could not be delivered.", f"Reporting-MTA: dns; mx.far.example\n\n{groups}")


def nested(count: int, media_type: str) -> bytes:
    if media_type == "message/rfc822":
        return (s.HEAD + "Content-Type: message/rfc822\n\n" * count).encode()
    parts = (f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(count))
    return (s.HEAD + "".join(parts) + "\nthe end\n").encode()


HUGE = {
    "100-mb-of-words": lambda: (
        s.HEAD.encode() + b"\n" + b"could not be delivered to ann@far.example " * 2_400_000
    ),
    "100-mb-returned": lambda: s.POSTFIX[:-10] + b"QUJD" * 25_000_000,
    "one-endless-line": lambda: s.HEAD.encode() + b"Subject: failure notice\n\n" + b"x" * 40_000_000,
    "nested-parts": lambda: nested(20_000, "multipart/mixed"),
    "nested-messages": lambda: nested(20_000, "message/rfc822"),
    "many-parts": lambda: (
        s.HEAD.encode()
        + b'Content-Type: multipart/mixed; boundary="b"\n\n'
        + b"--b\n\nnot delivered to a@b.example\n" * 300_000
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_message_costs_little(name: str) -> None:
    octets = HUGE[name]()
    seconds, peak = measured(octets)
    assert seconds < 15  # traced, on a busy machine; untraced a tenth of it
    assert peak < 8 * MAX_OCTETS


def test_a_hundred_thousand_recipients_are_read_in_linear_time() -> None:
    few, many = many_recipients(2_000), many_recipients(20_000)
    read(few)
    begin = time.process_time()
    assert len(read(few).notices) == 2_000
    middle = time.process_time()
    assert len(read(many).notices) == 20_000
    end = time.process_time()
    assert end - middle < 30 * (middle - begin)


PIECES = {
    "brackets": b"<",
    "at": b"@",
    "addresses": b"a@",
    "quotes": b'"a"@',
    "dashes": b"-",
    "markers": b"---- original message\n",
    "fields": b"To: a@b.example\n",
    "codes": b"550 5.1.1 ",
    "encoded-words": b"=?utf-8?q?a?=",
    "blank-lines": b"\n\n",
    "comments": b"<!--",
    "styles": b"<style>",
    "to": b"failed to deliver to ",
    "replies": b"in reply to ",
    "quotes-of-quotes": b"> ",
    "zoho": b"ERROR_CODE :",
}


@pytest.mark.parametrize("place", ["text", "html", "subject", "field"])
@pytest.mark.parametrize("name", PIECES)
def test_no_words_make_the_reader_slow(name: str, place: str) -> None:
    piece = PIECES[name] * (300_000 // len(PIECES[name]))
    folded = piece.replace(b"\n", b"\n ")
    octets = {
        "text": s.QMAIL.replace(b"192.0.2.20 does", piece),
        "html": s.HEAD.encode()
        + b"Subject: failure notice\nContent-Type: text/html\n\nnot delivered<p>"
        + piece,
        "subject": s.QMAIL.replace(b"Subject: ", b"Subject: " + folded),
        "field": s.POSTFIX.replace(b"User unknown\n\nFinal", folded + b"\n\nFinal"),
    }[place]
    begin = time.process_time()
    read(octets)
    assert time.process_time() - begin < 5


def test_words_cannot_obey_a_terminal() -> None:
    octets = s.POSTFIX.replace(b"User unknown", b"User \x1b[2J unknown")
    assert all("\x1b" not in notice.diagnostic for notice in read(octets).notices)


def test_whatever_comes_is_read() -> None:
    """Cut anywhere, a report is still a message: nothing raises."""
    for end in range(0, len(s.POSTFIX), 7):
        read(s.POSTFIX[:end])
        read(s.POSTFIX[end:])
    message = EmailMessage()
    message["Subject"] = "Hello"
    message.set_content("Hello")
    assert read(message.as_bytes()).nature is Nature.ORDINARY
