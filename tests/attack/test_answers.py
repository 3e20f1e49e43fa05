"""Answers that somebody has made to do harm: bombs, names of files, markup, fields that end others, loops."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.documents.models import Document
from core.mail.draft import Purpose, RecipientField
from modules.outbox import service
from modules.outbox.conversation import answers_in_panel, conversation
from modules.outbox.inbound.contents import MAX_FILES, MAX_REFERENCES, MAX_TEXT
from modules.outbox.inbound.intake import take
from modules.outbox.message import build_message
from modules.outbox.models import Alert, Answer, InboundMessage, OutgoingMail, Verdict
from modules.outbox.queries import visible_recipients
from tests.outbox.coming_back import answer
from tests.outbox.conftest import customer, draft, quotation, seller, send  # noqa: F401 (fixtures)
from tests.outbox.mails import HARMFUL, HOSTILE, accepted, become

Send = Callable[..., OutgoingMail]


def kept() -> Answer:
    db.session.expire_all()
    return db.session.scalars(select(Answer)).one()


def headed(mail: OutgoingMail, rest: bytes) -> bytes:
    head = f"From: Ann <ann@far.example>\nMessage-ID: <a@far.example>\nIn-Reply-To: {mail.message_id}\n"
    return head.encode() + b"MIME-Version: 1.0\n" + rest


@pytest.mark.parametrize(
    "rest",
    [
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)),
        b"Content-Type: message/rfc822\n\n" * 3000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 50_000,
        b"Content-Type: text/html\n\n" + b"<div>" * 300_000,
        b"Content-Type: text/html\n\n" + b"<a href=x " * 100_000,
        b"Content-Type: text/plain\n\n" + b"> On x wrote:\n" * 200_000,
        b"Content-Type: text/plain; charset=utf-7\n\n" + b"+ADw-" * 100_000,
        b"\n" + b"\x00\xff" * 500_000,
    ],
)
def test_bombs_are_kept_within_bounds(send: Send, rest: bytes) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example"))
    began = time.perf_counter()
    assert take(headed(mail, rest)).verdict is Verdict.ANSWER
    assert time.perf_counter() - began < 10
    one = kept()
    assert len(one.body_text) <= MAX_TEXT
    assert len(one.files) <= MAX_FILES
    assert "\0" not in one.body_text


def test_too_many_files_are_counted_and_the_first_are_kept(send: Send) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example"))
    part = b"--b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=x.pdf\n\nx\n"
    take(headed(mail, b"Content-Type: multipart/mixed; boundary=b\n\n" + part * (MAX_FILES + 7) + b"--b--\n"))
    one = kept()
    assert (len(one.files), one.left_out) == (MAX_FILES, 7)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "C:\\x\\y.exe", "a\r\nSet-Cookie: x=1", HOSTILE, "x" * 5000, "<script>.html", ""],
)
def test_the_name_of_a_file_leads_nowhere(
    send: Send,  # noqa: F811
    name: str,
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
) -> None:
    user = make_user()
    mail = accepted(send("ann@far.example", by=user))
    quoted = name.replace("\\", "\\\\").replace("\r\n", "=?utf-8?q?=0D=0A?=").encode("utf-8", "replace")
    part = (
        b'Content-Type: text/html; name="'
        + quoted
        + b'"\nContent-Disposition: attachment\n\n<script>x()</script>\n'
    )
    take(headed(mail, b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + part + b"--b--\n"))
    (file,) = kept().files
    assert not {"/", "\\", "\r", "\n", *HARMFUL} & set(file.name)
    assert 0 < len(file.name) <= 200
    answered = sign_in(user).get(f"/outbox/answers/{file.answer_id}/files/{file.id}")
    assert answered.mimetype == "application/octet-stream"
    assert answered.headers["Content-Disposition"].startswith("attachment;")
    assert answered.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie: x=1" not in str(answered.headers)


def test_markup_runs_nowhere(
    send: Send,  # noqa: F811
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
) -> None:
    user = make_user()
    mail = accepted(send("ann@far.example", by=user))
    bad = '<img src="https://spy.example/x.gif"><script>x()</script><a href="javascript:x()">y</a><form action=x>'
    octets = answer(mail, "<script>alert(1)</script>", html=bad).replace(
        b"From: Ann <ann@far.example>", b'From: "<script>alert(2)</script>" <ann@far.example>'
    )
    take(octets.replace(b"Subject: Re: A subject", b"Subject: <script>alert(3)</script>"))
    browser = sign_in(user)
    inbound_id = kept().inbound_id
    pages = [
        browser.get(path).text
        for path in (
            f"/outbox/mails/{mail.id}?tab=answers",
            f"/outbox/answers/{inbound_id}/answer",
            f"/outbox/answers/{inbound_id}/html",
            "/outbox/alerts",
        )
    ]
    for page in pages:
        assert "<script>alert" not in page
        assert "spy.example" not in page
        assert "javascript:" not in page.lower().replace("javascript: ", "")


@pytest.mark.parametrize(
    ("message_id", "references"),
    [
        ("<a@far.example>\nBcc: eve@far.example", ""),
        ("<" + "a" * 5000 + "@far.example>", ""),
        ("no brackets", "<x@y.example>" * 5000),
        ("<é@far.example>", "<a b@y.example> <c@y.example>"),
        ("", "garbage"),
    ],
)
def test_no_field_of_an_answer_ends_one_of_ours(
    send: Send,  # noqa: F811
    company: Company,
    message_id: str,
    references: str,
) -> None:
    mail = accepted(send("ann@far.example"))
    head = f"From: ann@far.example\nMessage-ID: {message_id}\nReferences: {references} {mail.message_id}\n"
    head += f"In-Reply-To: {mail.message_id}\n\nYes\n"
    assert take(head.encode()).verdict is Verdict.ANSWER
    one = kept()
    assert len(one.reference_ids.split()) <= MAX_REFERENCES + 1
    made = service.submit(draft(company, "ann@far.example", answers_id=one.inbound_id), None)
    head_of_ours = build_message(become(made, sender_address="s@maison.example.com")).partition(b"\r\n\r\n")[
        0
    ]
    assert b"eve@far.example" not in head_of_ours
    assert head_of_ours.isascii()
    assert all(len(line) <= 998 for line in head_of_ours.split(b"\r\n"))


def test_two_programs_that_answer_each_other_come_to_rest(send: Send, company: Company) -> None:  # noqa: F811
    alert = accepted(service.submit(draft(company, "seller@far.example", purpose=Purpose.ALERT), None))
    mail = accepted(send("ann@far.example"))
    for number in range(20):
        for one in (alert, mail):
            octets = answer(one, "I am away.", number=number, more="Auto-Submitted: auto-replied\n")
            assert take(octets.replace(b"<answer.", f"<{one.id}.".encode())).verdict is Verdict.ANSWER
    assert len(db.session.scalars(select(OutgoingMail)).all()) == 2
    assert db.session.scalars(select(Alert)).all() == []


def test_an_answer_to_an_alert_alarms_nobody(company: Company, make_user: Callable[..., User]) -> None:
    user = make_user()
    alert = service.submit(draft(company, user.login, purpose=Purpose.ALERT), user)
    take(answer(accepted(become(alert, is_alert=True)), "Thanks", sender=user.login))
    assert db.session.scalars(select(Alert)).all() == []
    assert db.session.scalars(select(InboundMessage)).one().verdict is Verdict.ANSWER


def test_who_answers_for_somebody_else_is_told_apart(
    make_user: Callable[..., User],
    sign_in: Callable[[User], FlaskClient],
    send: Send,  # noqa: F811
) -> None:
    user = make_user()
    mail = accepted(send("ann@far.example", by=user))
    take(answer(mail, "Pay to another account", sender="Ann <ann@elsewhere.example>"))
    page = sign_in(user).get(f"/outbox/mails/{mail.id}?tab=answers").text
    assert "This email was not sent to that address." in page


def test_the_answer_of_a_blind_copy_is_shown_to_nobody_who_does_not_see_it(
    company: Company,
    make_user: Callable[..., User],
    quotation: Document,  # noqa: F811
) -> None:
    owner, sender = quotation.owner, make_user(login="other@maison.example.com")
    assert owner is not None
    made = draft(company, "ann@far.example", "eve@far.example", document=quotation)
    made.recipients[1] = replace(made.recipients[1], field=RecipientField.BCC)
    mail = accepted(service.submit(made, sender))
    take(answer(mail, "I should not be seen", sender="eve@far.example"))
    shown = {user.id: [turn.written for turn in conversation(mail, user)] for user in (owner, sender)}
    assert "I should not be seen" in shown[sender.id]
    assert "I should not be seen" not in shown[owner.id]
    assert answers_in_panel(visible_recipients([mail], owner)) == {mail.id: []}
