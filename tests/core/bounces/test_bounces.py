"""Every form of a bounce: who did not get it, whether that may pass, why, and which mail it is about."""

from __future__ import annotations

import json
from base64 import encodebytes

import pytest

from core.mail.bounces import Nature, read
from core.mail.outcomes import FailureKind as K
from tests.core.bounces import exim
from tests.core.bounces import samples as s

FORMS: dict[str, tuple[bytes, Nature, list[tuple[str, bool, K]]]] = {
    "postfix": (
        s.POSTFIX,
        Nature.BOUNCE,
        [("ann@far.example", True, K.RECIPIENT_UNKNOWN), ("bob@far.example", True, K.MAILBOX_FULL)],
    ),
    "sendmail": (s.SENDMAIL, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "exim": (
        exim.EXIM,
        Nature.BOUNCE,
        [("ann@far.example", True, K.RECIPIENT_UNKNOWN), ("bob@far.example", False, K.MAILBOX_FULL)],
    ),
    "exim-delayed": (exim.EXIM_DELAYED, Nature.DELAY, [("ann@far.example", False, K.TIMEOUT)]),
    "exim-given-up": (exim.EXIM_GIVEN_UP, Nature.BOUNCE, [("ann@far.example", False, K.RATE_LIMITED)]),
    "exim-banned": (exim.EXIM_BANNED, Nature.BOUNCE, [("ann@far.example", True, K.SPAM_SUSPECTED)]),
    "broken-anew": (s.BROKEN_ANEW, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "qmail": (
        s.QMAIL,
        Nature.BOUNCE,
        [("ann@far.example", True, K.RECIPIENT_UNKNOWN), ("carl@gone.example", True, K.RECIPIENT_UNKNOWN)],
    ),
    "gmail": (s.GMAIL, Nature.BOUNCE, [("ann@far.example", True, K.MAILBOX_FULL)]),
    "microsoft-365": (s.MICROSOFT_365, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "exchange-2003": (s.EXCHANGE_2003, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "domino": (s.DOMINO, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "groupwise": (s.GROUPWISE, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "yahoo": (s.YAHOO, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "mail.ru": (s.MAIL_RU, Nature.BOUNCE, [("ann@far.example", True, K.SPAM_SUSPECTED)]),
    "zoho": (s.ZOHO, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "sendgrid": (s.SENDGRID, Nature.BOUNCE, [("ann@far.example", True, K.SPAM_SUSPECTED)]),
    "ses": (s.SES, Nature.BOUNCE, [("ann@far.example", True, K.RECIPIENT_UNKNOWN)]),
    "carrier": (s.CARRIER, Nature.BOUNCE, [("ann@far.example", True, K.MAILBOX_FULL)]),
    "delay": (s.DELAY, Nature.DELAY, [("ann@far.example", False, K.TIMEOUT)]),
    "given-up": (s.GIVEN_UP, Nature.BOUNCE, [("ann@far.example", False, K.CONNECT_FAILED)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_bounce_names_its_recipients_and_reasons(form: str) -> None:
    octets, nature, wanted = FORMS[form]
    reading = read(octets)
    assert reading.nature is nature
    assert [(n.recipient, n.permanent, n.kind) for n in reading.notices] == wanted


@pytest.mark.parametrize(
    "form", [form for form in FORMS if form not in {"exim-delayed", "exchange-2003", "domino", "groupwise"}]
)
def test_what_is_returned_tells_which_mail_it_is_about(form: str) -> None:
    about = read(FORMS[form][0]).about
    assert about.message_ids[:1] == ("<mail.7@atelier.example>",)
    assert about.subject == "Invoice INV/2026/00007"


def test_a_report_keeps_codes_servers_and_the_address_before_the_forward() -> None:
    reading = read(s.POSTFIX)
    first = reading.notices[0]
    assert (first.status, first.reply_code, first.remote_mta) == ("5.1.1", 550, "store.far.example")
    assert first.original_recipient == "ann.old@near.example"
    assert first.diagnostic == "550 5.1.1 <ann@far.example>: Recipient address rejected: User unknown"
    assert reading.reporting_mta == "mx.far.example"
    assert reading.about.envelope_id == "envoi-7"
    assert reading.addressed_to == (s.US,)


def test_a_delay_says_until_when_it_is_tried() -> None:
    assert read(s.DELAY).notices[0].retry_until == "Sat, 5 Dec 2026 08:00:00 +0100"


@pytest.mark.parametrize(
    ("code", "temporary"), [("450 4.2.2", True), ("552 5.2.2", False)], ids=["for-now", "for-good"]
)
def test_the_code_says_whether_it_may_pass(code: str, temporary: bool) -> None:
    notice = read(s.GMAIL.replace(b"552 5.2.2", code.encode())).notices[0]
    assert notice.permanent is not temporary
    assert notice.failure is not None
    assert notice.failure.temporary is temporary


# ---- broken, wrapped, encoded


@pytest.mark.parametrize("ends", ["\r\n", "\r", "mixed"])
def test_any_line_ends_will_do(ends: str) -> None:
    lines = s.POSTFIX.decode().split("\n")
    text = (
        "".join(line + ("\r\n", "\n")[i % 2] for i, line in enumerate(lines))
        if ends == "mixed"
        else ends.join(lines)
    )
    assert [n.recipient for n in read(text.encode()).notices] == ["ann@far.example", "bob@far.example"]


@pytest.mark.parametrize(
    "broken",
    [
        s.POSTFIX.replace(b'; boundary="=_part"', b""),  # no boundary named
        s.POSTFIX.replace(b'boundary="=_part"', b'boundary="=_other"'),  # another than the one used
        s.POSTFIX.replace(b"--=_part\n", b" --=_part\n"),  # none that can be found
        s.POSTFIX.replace(b"multipart/report", b"text/plain"),
        s.POSTFIX.replace(
            b"\n\nFinal-Recipient: rfc822; bob", b"\nFinal-Recipient: rfc822; bob"
        ),  # groups run on
        s.POSTFIX.replace(b"charset=us-ascii", b"charset=klingon"),
        s.POSTFIX.replace(b"Subject: Undel", b"Subject: \xe9\xff Undel"),  # raw octets in the head
        s.POSTFIX[: s.POSTFIX.index(b"--=_part\nContent-Type: message/rfc822")],  # cut off
    ],
    ids=[
        "no-boundary",
        "wrong-boundary",
        "lost-boundary",
        "wrong-type",
        "groups-run-on",
        "charset",
        "8-bit",
        "cut-off",
    ],
)
def test_a_broken_report_is_read_all_the_same(broken: bytes) -> None:
    reading = read(broken)
    assert reading.nature is Nature.BOUNCE
    assert [(n.recipient, n.kind) for n in reading.notices] == [
        ("ann@far.example", K.RECIPIENT_UNKNOWN),
        ("bob@far.example", K.MAILBOX_FULL),
    ]


def test_encoded_parts_are_decoded() -> None:
    html = (
        "<html><head><style>p { color: red }</style></head><body><p>Your message did not reach the following "
        "recipient(s):</p><p>ann@far.example<br>550 5.1.1 User unknown</p></body></html>"
    )
    octets = (
        f"{s.HEAD}Subject: Undeliverable: Invoice\nContent-Type: text/html; charset=utf-16\n"
        "Content-Transfer-Encoding: base64\n\n"
    ).encode() + encodebytes(html.encode("utf-16"))
    assert [(n.recipient, n.kind) for n in read(octets).notices] == [("ann@far.example", K.RECIPIENT_UNKNOWN)]


def test_a_report_that_a_program_has_forwarded_is_read() -> None:
    octets = (
        b"From: forwarder@near.example\nTo: sales@atelier.example\nSubject: Undelivered Mail Returned to Sender\n"
        b"Content-Type: message/rfc822\n\n"
    ) + s.POSTFIX
    reading = read(octets)
    assert reading.nature is Nature.BOUNCE
    assert len(reading.notices) == 2


def test_a_bounce_that_names_nobody_is_one_all_the_same() -> None:
    reading = read(s.NAMES_NOBODY)
    assert reading.nature is Nature.BOUNCE
    assert [(n.recipient, n.kind) for n in reading.notices] == [("", K.MAILBOX_FULL)]
    assert reading.addressed_to == (s.US,)
    # Only a program that wants no answer writes so.
    assert read(s.NAMES_NOBODY.replace(b"Return-Path: <>\n", b"")).nature is Nature.ORDINARY


@pytest.mark.parametrize(
    "below",
    [
        "Original message details:\n\n\t* Received on: Monday\n\t* To: other@far.example",
        "--- Below this line is a copy of the message.\n\nWrite to\n<other@far.example>:",
    ],
)
def test_who_stands_in_what_is_returned_has_not_bounced(below: str) -> None:
    words = (
        f"Delivery has failed to this recipient:\n\n<ann@far.example>: 550 5.1.1 No such user\n\n{below}\n"
    )
    octets = f"{s.HEAD}Subject: Undeliverable: Invoice\n\n{words}".encode()
    assert [(n.recipient, n.kind) for n in read(octets).notices] == [("ann@far.example", K.RECIPIENT_UNKNOWN)]


def test_a_group_about_nobody_says_nothing_beside_those_about_somebody() -> None:
    octets = exim.EXIM_BANNED.replace(
        b"\nAction: failed\nFinal", b"\nAction: failed\nStatus: 5.0.0\n\nAction: failed\nFinal"
    )
    assert [n.recipient for n in read(octets).notices] == ["ann@far.example"]


def test_people_write_to_themselves() -> None:
    octets = s.GMAIL.replace(b"ann@far.example", s.US.encode())
    assert [n.recipient for n in read(octets).notices] == [s.US]


def test_a_reply_may_begin_with_message_and_be_broken_anywhere() -> None:
    words = "Message was\n    not accepted -- invalid mailbox. Local mailbox ann is\n    unavailable: user not found"
    octets = s.QMAIL.replace(
        b"192.0.2.20 does not like recipient.\nRemote host said: 550 5.1.1 unknown recipient",
        (f"host mx.far.example said:\n    550 {words} (in reply to end of\n    DATA command)".encode()),
    )
    first = read(octets).notices[0]
    assert (first.kind, first.reply_code) == (K.RECIPIENT_UNKNOWN, 550)


def test_ses_may_come_in_an_envelope_of_sns() -> None:
    head, _, content = s.SES.decode().partition("\n\n")
    wrapped = json.dumps({"Type": "Notification", "Message": content.replace("\n", "")})
    assert [n.recipient for n in read(f"{head}\n\n{wrapped}\n".encode()).notices] == ["ann@far.example"]
