"""Bounces that somebody has made up, and what must not come back by them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO

import pytest
from sqlalchemy import select, text

from core.db import db
from core.mail.outcomes import RecipientState
from modules.outbox import service
from modules.outbox.inbound.intake import take
from modules.outbox.models import InboundMessage, OutgoingMail, RecipientNotice, Verdict
from modules.outbox.privacy.person import erase
from modules.outbox.privacy.person_export import write_export
from modules.outbox.return_tokens import make_token
from modules.outbox.states import MailState
from tests.outbox.coming_back import report, says_nothing
from tests.outbox.conftest import draft, send  # noqa: F401 (a fixture)
from tests.outbox.mails import accepted, become

Send = Callable[..., OutgoingMail]


def test_nobody_makes_a_mail_red_without_what_its_server_knows(send: Send) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example"))
    token = make_token(mail.id, mail.recipients[0].id)
    forged = [
        report(None, ("ann@far.example", "failed")),
        report(None, ("ann@far.example", "failed"), message_id="<guessed@maison.example.com>"),
        report(mail, ("eve@far.example", "failed"), ("bob@far.example", "failed")).replace(
            b"To: ann@far.example", b"To: nobody@far.example"
        ),
        says_nothing(f"bounces+{token[:-1]}{'a' if token[-1] != 'a' else 'b'}@maison.example.com"),
        says_nothing(f"bounces+{mail.id}@maison.example.com"),
        # A person who quotes a bounce, whatever stands in it.
        b"From: Eve <eve@far.example>\nTo: sales@maison.example.com\nIn-Reply-To: "
        + mail.message_id.encode()
        + b"\nSubject: Re: Undelivered Mail\n\nHello,\n> Final-Recipient: rfc822; ann@far.example\n"
        b"> Action: failed\n> Status: 5.1.1\n",
    ]
    assert {take(octets).verdict for octets in forged} <= {Verdict.ANSWER, Verdict.UNPROVEN, Verdict.UNKNOWN}
    db.session.expire_all()
    assert (mail.state, mail.recipients[0].state) == (MailState.SENT, RecipientState.ACCEPTED)


@pytest.mark.parametrize(
    "state", [MailState.QUEUED, MailState.SCHEDULED, MailState.CANCELED, MailState.FAILED]
)
def test_what_was_never_handed_over_cannot_bounce(send: Send, state: MailState) -> None:  # noqa: F811
    mail = become(send("ann@far.example"), state=state)
    assert take(report(mail, ("ann@far.example", "failed"))).verdict is Verdict.EARLIER
    db.session.expire_all()
    assert (mail.state, mail.recipients[0].state) == (state, RecipientState.PENDING)


def test_a_private_address_does_not_come_back_in_a_bounce(company, app) -> None:
    made = draft(company, "walk.in@far.example", private=True)
    mail = accepted(service.submit(made, None))
    said = (
        "5.1.1",
        "550 5.1.1 <walk.in@far.example>: unknown; walk.in=40far.example, walk.in (at) far.example",
    )
    assert take(report(mail, ("walk.in@far.example", "failed"), said=said)).verdict is Verdict.COUNTED
    db.session.expire_all()
    assert mail.state is MailState.FAILED
    for table in (
        "outbox_inbound",
        "outbox_notice",
        "outbox_recipient",
        "outbox_mail",
        "outbox_event",
        "outbox_alert",
    ):
        rows = str(db.session.execute(text(f"SELECT * FROM {table}")).all())  # noqa: S608 (names of ours)
        assert "walk.in" not in rows, table


def test_a_bounce_of_a_mail_erased_since_counts_and_brings_nothing_back(send: Send) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example", "bob@far.example"))
    ask = report(mail, ("ann@far.example", "failed"), said=("5.1.1", "550 5.1.1 ann@far.example unknown"))
    erase("ann@far.example", None)
    assert take(ask).verdict is Verdict.COUNTED
    db.session.expire_all()
    assert mail.recipients[0].state is RecipientState.BOUNCED
    notice = db.session.scalars(select(RecipientNotice)).one()
    assert "ann@far" not in notice.diagnostic + mail.recipients[0].diagnostic + mail.failure_reason


def test_what_a_bounce_said_is_erased_with_the_person_and_told_to_them_alone(send: Send) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example", "bob@far.example"))
    take(report(mail, ("ann@far.example", "failed"), ("bob@far.example", "failed")))
    target, mail_id = BytesIO(), mail.id
    write_export("ann@far.example", target)
    told = zipfile.ZipFile(target).read("personal-data.json").decode()
    assert '"what": "failed"' in told
    assert "bob@far.example" not in told
    erase("ann@far.example", None)
    mail = db.session.get_one(OutgoingMail, mail_id)
    assert {notice.diagnostic for notice in db.session.scalars(select(RecipientNotice))} == {""}
    assert not any("ann@far" in event.detail for event in mail.events)


def test_a_report_about_a_hundred_thousand_addresses_is_bounded(send: Send) -> None:  # noqa: F811
    mail = accepted(send("ann@far.example"))
    crowd = [(f"x{number}@far.example", "failed") for number in range(20_000)]
    take(report(None, *crowd, envelope_id=mail.message_id.strip("<>")))
    db.session.expire_all()
    assert mail.state is MailState.SENT
    assert db.session.scalars(select(InboundMessage)).one().notices == []
