"""What comes back: from the octets of a message to what the mail, the badge and the bell say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from core import clock
from core.auth.models import User
from core.db import db, transaction
from core.mail.bounces.model import Nature
from core.mail.outcomes import FailureKind, RecipientState
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer
from modules.mail_config.servers.return_path import return_path
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.inbound.effects import apply_waiting
from modules.outbox.inbound.intake import take
from modules.outbox.models import Alert, InboundMessage, OutgoingMail, RecipientNotice, Verdict
from modules.outbox.privacy import retention
from modules.outbox.return_tokens import Token, make_token, token_in
from modules.outbox.states import MailState
from tests.outbox.coming_back import GIVEN_UP, read_receipt, report, says_nothing
from tests.outbox.mails import accepted, become, recipient_becomes, uncertain

Send = Callable[..., OutgoingMail]


def states(mail: OutgoingMail) -> list[RecipientState]:
    db.session.expire_all()
    return [recipient.state for recipient in mail.recipients]


def row(mail: OutgoingMail) -> InboundMessage:
    return db.session.scalars(select(InboundMessage).where(InboundMessage.mail_id == mail.id)).one()


@pytest.mark.both_databases
def test_a_bounce_turns_an_accepted_mail_red_and_tells_its_sender(send: Send, seller: User) -> None:
    mail = accepted(send("ann@far.example", "bob@far.example", by=seller))
    taken = take(report(mail, ("ann@far.example", "failed")))
    assert (taken.nature, taken.verdict, taken.mail_id) == (Nature.BOUNCE, Verdict.COUNTED, mail.id)
    assert states(mail) == [RecipientState.BOUNCED, RecipientState.ACCEPTED]
    assert (mail.state, mail.accepted_count) == (MailState.PARTIAL, 1)
    assert mail.failure_kind is FailureKind.RECIPIENT_UNKNOWN
    assert "User unknown" in mail.failure_reason
    assert mail.recipients[0].enhanced_code == "5.1.1"
    (alert,) = db.session.scalars(select(Alert).where(Alert.mail_id == mail.id))
    assert (alert.user_id, alert.failure_kind) == (seller.id, FailureKind.RECIPIENT_UNKNOWN)
    assert [event.verb for event in mail.events][-1] == "report"


def test_a_mail_that_bounced_is_sent_again_to_those_alone_who_did_not_get_it(send: Send) -> None:
    mail = accepted(send("ann@far.example", "bob@far.example"))
    take(report(mail, ("ann@far.example", "failed")))
    assert service.resend([mail.id]) == [mail.id]
    assert states(mail) == [RecipientState.PENDING, RecipientState.ACCEPTED]


@pytest.mark.both_databases
def test_the_same_bounce_five_times_counts_once(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    octets = report(mail, ("ann@far.example", "failed"))
    other_way = b"Received: by another.example; Mon, 30 Nov 2026 08:00:00 +0100\n" + octets
    verdicts = [take(each).verdict for each in (octets, octets, octets, other_way, other_way)]
    assert verdicts == [Verdict.COUNTED] + [Verdict.REPEATED] * 4
    assert len(db.session.scalars(select(RecipientNotice)).all()) == 1
    assert [event.verb for event in mail.events].count("report") == 1


@pytest.mark.parametrize(
    ("about", "how", "verdict"),
    [
        # What proves it, and whom it is about.
        ([("ann@far.example", "failed")], {}, Verdict.COUNTED),
        ([("ANN@FAR.example", "failed")], {}, Verdict.COUNTED),
        ([("", "failed")], {}, Verdict.COUNTED),
        ([("ann.away@elsewhere.example", "failed")], {}, Verdict.COUNTED),
        (
            [("store-7@inside", "failed")],
            {"more": "Original-Recipient: rfc822;ann@far.example\n"},
            Verdict.COUNTED,
        ),
        ([("ann@far.example", "failed")], {"returns": False, "by_envelope_id": True}, Verdict.COUNTED),
        # What does not.
        ([("ann@far.example", "failed")], {"returns": False}, Verdict.UNPROVEN),
        ([("ann@far.example", "failed")], {"message_id": "<made.up@maison.example.com>"}, Verdict.UNPROVEN),
        (
            [("eve@nowhere.example", "failed")],
            {"message_id": "<made.up@maison.example.com>"},
            Verdict.UNKNOWN,
        ),
    ],
)
def test_a_bounce_counts_by_what_only_a_server_could_know(
    send: Send, about: list[tuple[str, str]], how: dict[str, object], verdict: Verdict
) -> None:
    mail = accepted(send("ann@far.example"))
    returns, by_envelope_id = how.pop("returns", True), how.pop("by_envelope_id", False)
    if by_envelope_id:
        how["envelope_id"] = mail.message_id.strip("<>")
    octets = report(mail if returns else None, *about, **how)  # type: ignore[arg-type]
    assert take(octets).verdict is verdict
    bounced = verdict is Verdict.COUNTED
    assert states(mail) == [RecipientState.BOUNCED if bounced else RecipientState.ACCEPTED]
    assert (mail.state is MailState.FAILED) is bounced


def test_of_several_recipients_a_bounce_that_names_none_of_them_is_about_none(send: Send) -> None:
    mail = accepted(send("ann@far.example", "bob@far.example"))
    assert take(report(mail, ("ann.away@elsewhere.example", "failed"))).verdict is Verdict.UNPROVEN
    assert mail.state is MailState.SENT


def test_a_token_finds_the_recipient_where_the_bounce_says_nothing(send: Send) -> None:
    mail = accepted(send("ann@far.example", "bob@far.example"))
    bob = mail.recipients[1]
    token = make_token(mail.id, bob.id)
    assert take(says_nothing(f"Bounces+{token.upper()}@maison.example.com")).verdict is Verdict.COUNTED
    assert states(mail) == [RecipientState.ACCEPTED, RecipientState.BOUNCED]


def test_a_token_is_ours_or_none(app: object) -> None:
    _ = app
    token = make_token(123456, 7890)
    assert token_in(f"bounces+{token}@maison.example.com") == Token(123456, 7890)
    assert len(f"bounces+{make_token(2**31, 2**31)}") <= 64
    forged = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert token_in(f"bounces+{forged}@maison.example.com") is None
    other = make_token(123457, 7890).rpartition("-")[0] + token[token.rindex("-") :]
    assert token_in(f"bounces+{other}@maison.example.com") is None
    assert token_in("bounces+x@maison.example.com") is None


@pytest.mark.parametrize(
    ("address", "tokens", "expected"),
    [
        ("", False, "sales@maison.example.com"),
        ("bounces@maison.example.com", False, "bounces@maison.example.com"),
        ("bounces@maison.example.com", True, "bounces+tok-en@maison.example.com"),
        ("", True, "sales+tok-en@maison.example.com"),
        (f"{'b' * 60}@maison.example.com", True, f"{'b' * 60}@maison.example.com"),
    ],
)
def test_the_sender_of_the_envelope(address: str, tokens: bool, expected: str) -> None:
    server = MailServer(bounce_address=address, bounce_tokens=tokens)
    assert return_path(server, "sales@maison.example.com", "tok-en") == expected


@pytest.mark.smtp
def test_mails_leave_with_a_token_where_the_server_says_so(
    send: Send, server: MailServer, lab: SmtpLab
) -> None:
    server.bounce_address, server.bounce_tokens = "bounces@maison.example.com", True
    server.tested_fingerprint = server.fingerprint
    db.session.commit()
    one, several = send("ann@far.example"), send("ann@far.example", "bob@far.example")
    deliver([one.id, several.id])
    db.session.expire_all()
    tokens = [token_in(each.envelope_from) for each in lab.accepted]
    assert tokens == [Token(one.id, one.recipients[0].id), Token(several.id)]
    assert all(each.envelope_from.startswith("bounces+") for each in lab.accepted)


def test_a_server_tested_before_bounces_had_an_address_stays_tested(server: MailServer) -> None:
    assert server.ready
    server.bounce_tokens = True
    assert not server.ready


def test_a_delay_alarms_nobody(send: Send, seller: User) -> None:
    mail = accepted(send("ann@far.example", by=seller))
    more = "Will-Retry-Until: Tue, 01 Dec 2026 09:00:00 +0100\n"
    taken = take(
        report(mail, ("ann@far.example", "delayed"), said=("4.4.1", "450 4.4.1 no answer"), more=more)
    )
    assert taken.verdict is Verdict.COUNTED
    assert (states(mail), mail.state) == ([RecipientState.ACCEPTED], MailState.SENT)
    (notice,) = row(mail).notices
    assert notice.retry_until == dt.datetime(2026, 12, 1, 8, tzinfo=dt.UTC)
    assert db.session.scalars(select(Alert)).all() == []


def test_a_server_that_gave_up_has_bounced_it_though_the_address_may_be_good(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    take(report(mail, ("ann@far.example", "failed"), said=GIVEN_UP))
    assert (states(mail), mail.state) == ([RecipientState.BOUNCED], MailState.FAILED)
    assert row(mail).notices[0].permanent is False


def test_receipts_are_kept_with_the_recipient_and_change_no_state(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    assert take(report(mail, ("ann@far.example", "delivered"))).verdict is Verdict.COUNTED
    assert take(report(mail, ("ann@far.example", "delivered"), number=2)).verdict is Verdict.REPEATED
    assert take(read_receipt(mail, "ann@far.example")).verdict is Verdict.COUNTED
    assert (states(mail), mail.state) == ([RecipientState.ACCEPTED], MailState.SENT)
    assert [event.verb for event in mail.events][-2:] == ["delivered", "displayed"]


def test_a_report_resolves_what_was_uncertain(send: Send) -> None:
    arrived, came_back = uncertain(send("ann@far.example")), uncertain(send("bob@far.example"))
    take(report(arrived, ("ann@far.example", "delivered")))
    take(report(came_back, ("bob@far.example", "failed"), number=2))
    db.session.expire_all()
    assert (arrived.state, arrived.accepted_count) == (MailState.SENT, 1)
    assert (came_back.state, came_back.failure_kind) == (MailState.FAILED, FailureKind.RECIPIENT_UNKNOWN)
    assert arrived.failure_kind is None


@pytest.mark.both_databases
def test_a_bounce_that_is_faster_than_the_worker_waits_for_it(send: Send) -> None:
    mail = become(send("ann@far.example"), state=MailState.SENDING, in_flight=True)
    assert take(report(mail, ("ann@far.example", "failed"))).verdict is Verdict.WAITS
    assert states(mail) == [RecipientState.PENDING]
    assert apply_waiting() == 0
    accepted(mail)
    assert apply_waiting() == 1
    assert (states(mail), mail.state) == ([RecipientState.BOUNCED], MailState.FAILED)
    assert row(mail).verdict is Verdict.COUNTED


def test_a_recipient_bounces_while_others_are_still_tried(send: Send) -> None:
    mail = accepted(send("ann@far.example", "bob@far.example"))
    recipient_becomes(mail, 1, state=RecipientState.DEFERRED)
    become(mail, state=MailState.DEFERRED, accepted_count=1, settled_at=None)
    take(report(mail, ("ann@far.example", "failed")))
    assert states(mail) == [RecipientState.BOUNCED, RecipientState.DEFERRED]
    assert (mail.state, mail.accepted_count) == (MailState.DEFERRED, 0)


def test_what_lay_there_before_it_was_sent_again_is_of_the_attempt_before(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    take(report(mail, ("ann@far.example", "failed")))
    service.resend([mail.id])
    recipient_becomes(mail, state=RecipientState.ACCEPTED, settled_at=clock.now())
    become(mail, state=MailState.SENT, accepted_count=1)
    late = report(mail, ("ann@far.example", "failed"), number=2)
    assert take(late, received_at=clock.now() - dt.timedelta(hours=1)).verdict is Verdict.EARLIER
    assert mail.state is MailState.SENT
    again = report(mail, ("ann@far.example", "failed"), number=3)
    assert take(again).verdict is Verdict.COUNTED
    assert states(mail) == [RecipientState.BOUNCED]


def test_what_is_about_no_mail_of_ours_leaves_no_trace_unless_it_is_a_report(send: Send) -> None:
    send("ann@far.example")
    newsletter = b"From: shop@far.example\nSubject: Sale\n\nBuy now."
    assert take(newsletter).verdict is Verdict.UNKNOWN
    assert db.session.scalars(select(InboundMessage)).all() == []
    take(report(None, ("zoe@nowhere.example", "failed")))
    assert len(db.session.scalars(select(InboundMessage)).all()) == 1


def answer(mail: OutgoingMail, sender: str, *, head: str = "", text: str = "Thank you.") -> bytes:
    return (
        f"From: Ann <{sender}>\nTo: sales@maison.example.com\nSubject: Re: A subject\n"
        f"Message-ID: <answer.1@far.example>\nIn-Reply-To: {mail.message_id}\n"
        f"Date: Mon, 30 Nov 2026 08:00:00 +0000\n{head}\n{text}\n"
    ).encode()


@pytest.mark.parametrize(
    ("head", "text", "nature", "back_on"),
    [
        ("", "Thank you.", Nature.ORDINARY, None),
        (
            "Auto-Submitted: auto-replied\n",
            "I am out of the office and back on 7 December 2026.",
            Nature.AUTO_REPLY,
            dt.date(2026, 12, 7),
        ),
    ],
)
def test_an_answer_is_told_apart_from_an_automatic_one_and_changes_no_state(
    send: Send, head: str, text: str, nature: Nature, back_on: dt.date | None
) -> None:
    mail = accepted(send("ann@far.example", "bob@far.example"))
    octets = answer(mail, "Ann@far.example", head=head, text=text)
    assert [take(octets).verdict for _ in range(2)] == [Verdict.ANSWER, Verdict.REPEATED]
    assert (states(mail), mail.state) == ([RecipientState.ACCEPTED] * 2, MailState.SENT)
    came = row(mail)
    assert (came.nature, came.answered_by_id, came.back_on) == (nature, mail.recipients[0].id, back_on)


def test_an_answer_by_somebody_else_is_nobodys(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    assert take(answer(mail, "colleague@far.example")).verdict is Verdict.ANSWER
    assert row(mail).answered_by_id is None


def test_what_did_not_count_is_forgotten_after_a_while(send: Send) -> None:
    mail = accepted(send("ann@far.example"))
    long_ago = clock.now() - dt.timedelta(days=91)
    take(report(None, ("ann@far.example", "failed")), received_at=clock.now())
    take(report(mail, ("ann@far.example", "failed"), number=2), received_at=clock.now())
    with transaction() as session:
        session.execute(update(InboundMessage).values(received_at=long_ago))
    retention.apply()
    assert [one.verdict for one in db.session.scalars(select(InboundMessage))] == [Verdict.COUNTED]
