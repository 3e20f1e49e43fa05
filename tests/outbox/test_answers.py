"""Answers come home: kept, shown, told of, and answered in the same thread."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import json
import zipfile
from collections.abc import Callable
from io import BytesIO

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.models import Document
from core.followers.service import follow
from core.mail.bounces.model import Nature
from core.mail.draft import Purpose, Reason
from core.testing.services import SmtpLab
from modules.mail_config.models import MailServer
from modules.outbox import service
from modules.outbox.alerts import service as alerts
from modules.outbox.badges import badges_for
from modules.outbox.conversation import answers_in_panel, conversation
from modules.outbox.delivery.run import deliver
from modules.outbox.inbound.intake import take
from modules.outbox.message import build_message, file_store
from modules.outbox.models import Alert, Answer, InboundMessage, Mailbox, OutgoingMail, Verdict
from modules.outbox.privacy import retention
from modules.outbox.privacy.person import erase, known
from modules.outbox.privacy.person_export import write_export
from modules.outbox.return_tokens import TokenUse, make_token
from modules.outbox.runs.drafting import sent_as_they_are
from modules.outbox.states import MailState
from tests.outbox.coming_back import answer, report
from tests.outbox.conftest import draft
from tests.outbox.mails import accepted, become
from tests.outbox.pages import changed, composer_of, press_send

Send = Callable[..., OutgoingMail]
QUOTED = "Yes, please.\n\nOn Monday, Maison <sales@maison.example.com> wrote:\n> The offer.\n"


def kept() -> list[Answer]:
    db.session.expire_all()
    return list(db.session.scalars(select(Answer).order_by(Answer.inbound_id)))


@pytest.mark.both_databases
def test_an_answer_is_kept_with_its_text_and_files_and_told_to_the_sender(send: Send, seller: User) -> None:
    mail = accepted(send("ann@far.example", by=seller))
    octets = answer(mail, QUOTED, html="<p>Yes, <b>please</b>.</p>", file=("order.pdf", b"%PDF-1.7"))
    assert take(octets).verdict is Verdict.ANSWER
    (one,) = kept()
    assert (one.sender, one.sender_name, one.subject) == ("ann@far.example", "Ann", "Re: A subject")
    assert one.body_text.startswith("Yes, please.")
    assert one.body_html == "<p>Yes, <b>please</b>.</p>\n"
    (file,) = one.files
    assert (file.name, file.size, file_store().get(file.sha256)) == ("order.pdf", 8, b"%PDF-1.7")
    (alert,) = db.session.scalars(select(Alert))
    assert (alert.user_id, alert.mail_id, alert.inbound_id, alert.words) == (
        seller.id,
        mail.id,
        one.inbound_id,
        "Ann",
    )
    assert alerts.count_unseen(seller) == 1
    # Dealing with the failure of a mail says nothing about its answer.
    take(report(mail, ("ann@far.example", "failed")))
    assert alerts.count_unseen(seller) == 2
    assert service.resend([mail.id]) == [mail.id]
    assert alerts.count_unseen(seller) == 1


def test_an_answer_counts_once_whichever_mailbox_it_lies_in(send: Send, seller: User) -> None:
    mail = accepted(send("ann@far.example", by=seller))
    octets = answer(mail)
    verdicts = [take(each).verdict for each in (octets, octets, b"Received: by x.example\n" + octets)]
    assert verdicts == [Verdict.ANSWER, Verdict.REPEATED, Verdict.REPEATED]
    assert alerts.count_unseen(seller) == 1
    assert len(kept()) == 1


def test_a_copy_of_our_own_answer_is_no_answer(send: Send) -> None:
    first = accepted(send("ann@far.example"))
    ours = accepted(send("ann@far.example"))
    octets = answer(first).replace(b"<answer.1@far.example>", ours.message_id.encode())
    assert take(octets).verdict is Verdict.UNKNOWN
    assert kept() == []


@pytest.mark.parametrize(
    ("preference", "told"), [({}, {"seller"}), ({"answers": True}, {"seller", "owner", "follower"})]
)
def test_owner_and_followers_are_told_where_they_want_it(
    company: Company,
    quotation: Document,
    make_user: Callable[..., User],
    preference: dict[str, bool],
    told: set[str],
) -> None:
    people = {"owner": quotation.owner} | {
        name: make_user(login=f"{name}@maison.example.com") for name in ("seller", "follower", "other")
    }
    assert people["owner"] is not None
    follow(quotation.id, user_id=people["follower"].id)
    for user in people.values():
        assert user is not None
        alerts.set_preference(user, by_mail=False, every_failure=False, **preference)
    mail = accepted(service.submit(draft(company, "ann@far.example", document=quotation), people["seller"]))
    take(answer(mail))
    ids = set(db.session.scalars(select(Alert.user_id)))
    assert ids == {people[name].id for name in told}  # type: ignore[union-attr]


def test_what_the_application_has_sent_is_told_to_the_owner(company: Company, quotation: Document) -> None:
    mail = accepted(service.submit(draft(company, "ann@far.example", document=quotation), None))
    take(answer(mail))
    assert list(db.session.scalars(select(Alert.user_id))) == [quotation.owner_id]


def test_an_absence_is_shown_with_its_day_and_alarms_nobody(send: Send, seller: User) -> None:
    mail = accepted(send("ann@far.example", by=seller))
    text = "I am out of the office until 7 December 2026."
    taken = take(answer(mail, text, more="Auto-Submitted: auto-replied\n"))
    assert (taken.nature, taken.verdict) == (Nature.AUTO_REPLY, Verdict.ANSWER)
    assert alerts.count_unseen(seller) == 0
    (turn,) = [turn for turn in conversation(mail, seller) if turn.inbound]
    assert turn.by_itself
    assert turn.written == text
    assert answers_in_panel({mail.id: mail.recipients}) == {mail.id: []}
    # Nothing answers it, whatever comes back of it.
    assert len(db.session.scalars(select(OutgoingMail)).all()) == 1


def test_what_we_write_by_ourselves_says_so_and_what_people_write_does_not(
    company: Company, send: Send, seller: User
) -> None:
    alert = service.submit(draft(company, "seller@maison.example.com", purpose=Purpose.ALERT), None)
    for mail, automatic in ((alert, True), (send("ann@far.example", by=seller), False)):
        become(mail, sender_address="sales@maison.example.com")
        assert (b"\r\nAuto-Submitted: auto-generated\r\n" in build_message(mail)) is automatic


@pytest.mark.smtp
def test_the_token_in_reply_to_finds_the_mail_and_proves_no_bounce(
    app: object, send: Send, server: MailServer, lab: SmtpLab, seller: User
) -> None:
    with transaction() as session:
        session.add(
            Mailbox(name="a", host="h", username="u", address=seller.login, tag_answers=True, active=True)
        )
    mail = send("ann@far.example", by=seller)
    deliver([mail.id])
    db.session.expire_all()
    assert mail.reply_to_address == seller.login
    local, _at, domain = seller.login.partition("@")
    token = make_token(mail.id, use=TokenUse.REPLY_TO)
    (sent,) = lab.accepted
    message = email.message_from_bytes(sent.data, policy=email.policy.default)
    assert message["Reply-To"].addresses[0].addr_spec == f"{local}+{token}@{domain}"
    assert build_message(mail) == build_message(mail)
    assert take(answer(None, to=f"{local}+{token}@{domain}")).mail_id == mail.id
    forged = report(None, ("ann@far.example", "failed"), to=f"{local}+{token}@{domain}")
    assert take(forged).verdict is not Verdict.COUNTED
    assert take(answer(None, to=f"{local}+{token[:-1]}a@{domain}", number=2)).verdict is Verdict.UNKNOWN


def test_of_two_threads_that_an_answer_names_the_one_it_replies_to_is_meant(send: Send) -> None:
    older, newer = (accepted(send("ann@far.example")) for _ in range(2))
    octets = answer(newer).replace(
        f"References: {newer.message_id}".encode(), f"References: {older.message_id}".encode()
    )
    assert take(octets).mail_id == newer.id


@pytest.fixture
def answered(send: Send, seller: User) -> tuple[OutgoingMail, InboundMessage]:
    """A mail of the seller, and the answer to it."""
    mail = accepted(send("ann@far.example", by=seller))
    take(answer(mail, QUOTED, file=("order.pdf", b"%PDF-1.7"), html="<p>Yes<script>x()</script></p>"))
    return mail, db.session.scalars(select(InboundMessage)).one()


def test_the_page_shows_what_was_said_with_its_quotation_folded(
    answered: tuple[OutgoingMail, InboundMessage], sign_in: Callable[[User], FlaskClient], seller: User
) -> None:
    mail, inbound = answered
    browser = sign_in(seller)
    page = browser.get(f"/outbox/mails/{mail.id}?tab=answers").text
    assert "Yes, please." in page.partition("<summary>Quoted text</summary>")[0]
    assert "&gt; The offer." in page.partition("<summary>Quoted text</summary>")[2]
    framed = browser.get(f"/outbox/answers/{inbound.id}/html")
    assert "<script" not in framed.text
    assert "sandbox" in framed.headers["Content-Security-Policy"]
    assert inbound.answer is not None
    (file,) = inbound.answer.files
    download = browser.get(f"/outbox/answers/{inbound.id}/files/{file.id}")
    assert (download.data, download.mimetype) == (b"%PDF-1.7", "application/octet-stream")
    assert download.headers["Content-Disposition"] == "attachment; filename=order.pdf"


def test_who_may_not_open_the_mail_reads_none_of_its_answers(
    answered: tuple[OutgoingMail, InboundMessage],
    sign_in: Callable[[User], FlaskClient],
    make_user: Callable[..., User],
) -> None:
    _mail, inbound = answered
    assert inbound.answer is not None
    browser = sign_in(make_user(login="other@maison.example.com"))
    pages = ("html", f"files/{inbound.answer.files[0].id}", "answer")
    assert [browser.get(f"/outbox/answers/{inbound.id}/{page}").status_code for page in pages] == [404] * 3


@pytest.mark.smtp
@pytest.mark.parametrize(
    ("subject", "ours"),
    [
        ("Re: A subject", "Re: A subject"),
        ("RE: AW: Re[2]: A subject", "Re: A subject"),
        ("TR : A subject", "Re: A subject"),
        ("Regarding you", "Re: Regarding you"),
        ("", "Re: A subject"),
    ],
)
def test_reply_opens_the_composer_and_sends_in_the_same_thread(
    send: Send,
    seller: User,
    server: MailServer,
    lab: SmtpLab,
    sign_in: Callable[[User], FlaskClient],
    subject: str,
    ours: str,
) -> None:
    mail = accepted(send("ann@far.example", by=seller))
    octets = answer(mail, QUOTED, more="Reply-To: Ann <desk@far.example>\n")
    take(octets.replace(b"Subject: Re: A subject", f"Subject: {subject}".encode()))
    inbound = db.session.scalars(select(InboundMessage)).one()
    browser = sign_in(seller)
    page = browser.get(f"/outbox/answers/{inbound.id}/answer").text
    form = composer_of(page)
    assert form["subject"] == ours
    assert form.getlist("to") == ["Ann <desk@far.example>"]
    assert "<blockquote>Yes, please.</blockquote>" in form["body"]
    assert "The offer." not in form["body"]
    form = changed(form, body="<p>Thank you</p>" + form["body"])
    assert press_send(browser, f"/outbox/answers/{inbound.id}/answer", form).status_code == 302
    reply = db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id.desc())).first()
    assert reply is not None
    deliver([reply.id])
    message = email.message_from_bytes(lab.accepted[-1].data)
    assert message["In-Reply-To"] == "<answer.1@far.example>"
    assert message["References"].split() == [mail.message_id, "<answer.1@far.example>"]
    assert message["Subject"] == ours
    assert reply.recipients[0].reason is Reason.ANSWERED
    turns = [turn.mail.id if turn.mail else "ann" for turn in conversation(reply, seller)]
    assert turns == [mail.id, "ann", reply.id]
    assert [turn.at for turn in conversation(mail, seller)] == [
        turn.at for turn in conversation(reply, seller)
    ]


def test_a_reply_about_a_document_hides_no_failure_and_leaves_the_document_to_be_sent(
    company: Company, quotation: Document, seller: User
) -> None:
    mail = accepted(
        service.submit(
            draft(company, "ann@far.example", "bob@far.example", document=quotation),
            seller,
        )
    )
    take(answer(mail))
    take(report(mail, ("ann@far.example", "failed")))
    inbound = db.session.scalars(select(InboundMessage).where(InboundMessage.nature == Nature.ORDINARY)).one()
    reply = draft(company, "ann@far.example", document=quotation, answers_id=inbound.id)
    sent = accepted(service.submit(reply, seller))
    assert sent.document_revision == 0
    badge = badges_for([quotation.id])[quotation.id]
    assert badge.tone == "danger"
    become(mail, state=MailState.FAILED)
    assert sent_as_they_are({quotation.id: quotation}) == {}


def test_an_answer_goes_with_the_text_of_its_mail(
    app: object, answered: tuple[OutgoingMail, InboundMessage]
) -> None:
    mail, inbound = answered
    assert inbound.answer is not None
    sha256 = inbound.answer.files[0].sha256
    old = clock.now() - dt.timedelta(days=400)
    become(mail, keep_days=1, settled_at=old, submitted_at=old)
    retention.apply(folders=[])
    (one,) = kept()
    assert (one.sender, one.body_text, one.body_html, one.subject) == ("", "", "", "")
    assert one.files[0].name == ""
    assert db.session.scalars(select(Alert)).one().words == ""
    # Stored a moment ago: it goes with the look for what is forgotten.
    assert file_store().get(sha256)
    # Whatever comes later is not kept either: it may quote what was erased.
    assert take(answer(mail, number=2)).verdict is Verdict.ANSWER
    assert len(kept()) == 1


def test_the_answer_to_a_private_mail_is_not_kept(company: Company) -> None:
    mail = accepted(service.submit(draft(company, "walk.in@far.example", private=True), None))
    assert take(answer(mail, sender="walk.in@far.example")).verdict is Verdict.ANSWER
    assert kept() == []


def test_a_person_gets_and_may_erase_what_they_have_answered(send: Send) -> None:
    to_somebody_else = accepted(send("office@far.example"))
    take(answer(to_somebody_else, "I answer for them.", file=("order.pdf", b"%PDF-1.7")))
    assert known("ann@far.example").answered == 1
    target = BytesIO()
    write_export("ann@far.example", target)
    with zipfile.ZipFile(target) as archive:
        (told,) = json.loads(archive.read("personal-data.json"))["answers"]
        assert told["text"].strip() == "I answer for them."
        assert archive.read(told["files"][0]) == b"%PDF-1.7"
    assert erase("ann@far.example", None).answers == 1
    assert not known("ann@far.example").anything
    assert kept()[0].body_text == ""
