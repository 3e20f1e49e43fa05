"""Submitting, correcting, canceling, marking: the verbs of people."""

from __future__ import annotations

import pytest

from core.db import db, transaction
from core.documents.service import create_document, touch
from core.embedded import free_port
from core.errors import ConcurrentChangeError, UserError
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.models import Partner
from core.signals import mail_server_ready
from modules.mail_config.message import base64_lines
from modules.mail_config.transports.smtp import SmtpConnection
from modules.outbox import service
from modules.outbox.delivery import run as delivery
from modules.outbox.delivery.sweep import sweep
from modules.outbox.limits import MAX_RECIPIENTS
from modules.outbox.message import build_message, file_store
from modules.outbox.models import OutgoingMail
from modules.outbox.service import queue
from modules.outbox.states import MailState
from tests.outbox.conftest import draft, make_ready, make_server, with_file

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]


def count() -> int:
    return db.session.query(OutgoingMail).count()


def refused(company, field, *addresses, **changes):
    with pytest.raises(UserError) as caught:
        service.submit(draft(company, *addresses, **changes), None)
    assert caught.value.field == field
    assert count() == 0
    return str(caught.value)


def test_a_mail_needs_a_recipient(company):
    assert "recipient" in refused(company, "recipients")


def test_an_address_stands_once(company):
    refused(company, "recipients", "a@example.com", "A@Example.com")


def test_too_many_recipients_are_told(company):
    words = refused(company, "recipients", *(f"n{n}@example.com" for n in range(MAX_RECIPIENTS + 1)))
    assert str(MAX_RECIPIENTS) in words


def test_hundreds_of_recipients_are_served_one_outcome_each(lab, server, company):
    addresses = [f"{'refused+' if n % 50 == 0 else ''}n{n}@example.com" for n in range(300)]
    mail = service.submit(draft(company, *addresses), None)
    delivery.deliver([mail.id])
    db.session.expire_all()
    mail = db.session.get_one(OutgoingMail, mail.id)
    assert (mail.state, mail.accepted_count) == (MailState.PARTIAL, 294)


@pytest.mark.parametrize("subject", ["", "   ", "\u00a0"])
def test_an_empty_subject_is_told(company, subject):
    refused(company, "subject", "a@example.com", subject=subject)


@pytest.mark.parametrize(("size", "fits"), [(730, True), (740, False)])
def test_files_that_are_too_large_together_as_they_travel_are_told(app, company, size, fits):
    app.config["OUTBOX_ATTACHMENTS_MB"] = "0.001"
    made = with_file(draft(company, "a@example.com"), data=b"x" * size)
    assert (len(base64_lines(b"x" * size)) <= 1000) is fits
    if fits:
        assert service.submit(made, None).id
        return
    with pytest.raises(UserError) as caught:
        service.submit(made, None)
    assert caught.value.field == "files"


def test_a_document_that_changed_meanwhile_is_told_and_nothing_is_written(company, customer, make_user):
    document = create_document(
        "sales.quotation",
        company_id=company.id,
        partner_id=customer.id,
        owner=make_user(),
        language="fr",
        currency="EUR",
    )
    made = draft(company, "a@example.com", document=document)
    with transaction():
        touch(document)
    with pytest.raises(ConcurrentChangeError):
        service.submit(made, None)
    assert count() == 0


def test_scripts_and_trackers_do_not_survive_in_the_text(company):
    html = (
        '<p onclick="x()">Hi<script>alert(1)</script><img src="http://evil.example/t.gif">'
        '<a href="javascript:x">y</a></p>'
    )
    mail = service.submit(draft(company, "a@example.com", body_html=html), None)
    for word in ("script", "onclick", "img", "javascript"):
        assert word not in mail.body_html
    assert "Hi" in mail.body_text


def test_a_newline_in_subject_or_name_adds_no_header(lab, server, company):
    made = draft(company, "a@example.com", subject="One\r\nBcc: evil@example.com")
    mail = service.submit(made, None)
    delivery.deliver([mail.id])
    (message,) = lab.accepted
    assert message.recipients == ("a@example.com",)
    assert b"\r\nBcc:" not in message.data


def test_a_file_name_cannot_leave_its_header_or_its_folder(lab, server, company):
    made = draft(company, "a@example.com")
    with_file(made, name='../../etc/pass"wd\r\nX-Evil: 1.txt')
    mail = service.submit(made, None)
    delivery.deliver([mail.id])
    (message,) = lab.accepted
    assert b"X-Evil: 1" not in message.data.replace(b"_X-Evil_ 1", b"")
    assert b"etc/" not in message.data


def test_an_international_address_with_a_plain_name_is_served(lab, server, company):
    mail = service.submit(
        draft(company, "Joerg Smith <jörg@example.com>", "Smith, Ann <ok@example.com>"), None
    )
    delivery.deliver([mail.id])
    db.session.expire_all()
    assert db.session.get_one(OutgoingMail, mail.id).state is MailState.SENT
    plain, beyond = lab.accepted
    assert (list(plain.recipients), list(beyond.recipients)) == (["ok@example.com"], ["jörg@example.com"])
    assert "Joerg Smith <jörg@example.com>".encode() in beyond.data
    assert plain.data.isascii()


def test_giving_up_for_the_rest_is_partial_and_says_so(lab, server, send):
    mail = send("a@example.com", "later+b@example.com")
    delivery.deliver([mail.id])
    assert service.cancel([mail.id]) == [mail.id]
    db.session.expire_all()
    mail = db.session.get_one(OutgoingMail, mail.id)
    assert (mail.state, mail.accepted_count) == (MailState.PARTIAL, 1)
    assert mail.failure_kind is FailureKind.GIVEN_UP
    assert mail.recipients[1].state is RecipientState.REFUSED


def test_resending_many_leaves_the_uncertain_alone(lab, server, send):
    mail = send("drop+a@example.com")
    delivery.deliver([mail.id])
    assert service.resend([mail.id], uncertain=False) == []


def test_a_server_that_is_down_is_asked_once_in_a_run(company, send, monkeypatch):
    make_ready(make_server(type("Nobody", (), {"host": "127.0.0.1", "port": free_port()})))
    ids = [send(f"n{n}@example.com").id for n in range(4)]
    asked = []
    connect = SmtpConnection.configure_host
    monkeypatch.setattr(SmtpConnection, "configure_host", lambda self: (asked.append(1), connect(self))[1])
    delivery.deliver(ids)
    db.session.expire_all()
    found = {db.session.get_one(OutgoingMail, number).failure_kind for number in ids}
    assert found == {FailureKind.CONNECT_FAILED}
    assert len(asked) == 1


def test_what_waits_can_be_canceled_and_what_is_sent_cannot(lab, server, send):
    first, second = send("a@example.com"), send("b@example.com")
    assert service.cancel([first.id]) == [first.id]
    assert delivery.deliver([first.id, second.id]) == 1
    assert service.cancel([first.id, second.id]) == []
    db.session.expire_all()
    assert db.session.get_one(OutgoingMail, first.id).state is MailState.CANCELED
    assert [message.recipients for message in lab.accepted] == [("b@example.com",)]


def test_a_corrected_address_must_be_valid_and_new(lab, server, send):
    mail = send("a@example.com", "refused+b@example.com")
    delivery.deliver([mail.id])
    db.session.expire_all()
    bad = mail.recipients[1]
    for address in ("nonsense", "", "A@example.com", "x\r\ny@example.com"):
        with pytest.raises(UserError):
            service.correct_recipient(bad, address)
    with pytest.raises(UserError):
        service.correct_recipient(mail.recipients[0], "c@example.com")
    db.session.expire_all()
    assert [recipient.addr_spec for recipient in mail.recipients] == [
        "a@example.com",
        "refused+b@example.com",
    ]


def test_a_correction_can_be_kept_on_the_contact(lab, server, company, customer):
    with transaction():
        customer.email = "refused+client@example.com"
    made = draft(company, "refused+client@example.com")
    made.recipients = [type(made.recipients[0])(made.recipients[0].address, partner_id=customer.id)]
    mail = service.submit(made, None)
    delivery.deliver([mail.id])
    db.session.expire_all()
    service.correct_recipient(mail.recipients[0], "client@example.com", also_partner=True)
    db.session.expire_all()
    assert db.session.get_one(Partner, customer.id).email == "client@example.com"


def test_an_uncertain_mail_is_settled_by_the_word_of_a_person(lab, server, send):
    first, second = send("drop+a@example.com"), send("drop+b@example.com")
    delivery.deliver([first.id, second.id])
    db.session.expire_all()
    assert first.state is second.state is MailState.UNCERTAIN
    service.mark_uncertain(first.id, accepted=True)
    service.mark_uncertain(second.id, accepted=False)
    db.session.expire_all()
    assert first.state is MailState.SENT
    assert second.state is MailState.FAILED
    assert first.recipients[0].state is RecipientState.ACCEPTED
    with pytest.raises(UserError):
        service.mark_uncertain(first.id, accepted=True)


def test_an_uncertain_mail_never_goes_again_by_itself(lab, server, send):
    mail = send("drop+a@example.com")
    delivery.deliver([mail.id])
    lab.scripted = False
    for _ in range(3):
        sweep()
        assert delivery.deliver([mail.id]) == 0
    assert lab.accepted == []
    assert service.resend([mail.id]) == [mail.id]
    delivery.deliver([mail.id])
    assert len(lab.accepted) == 1


def test_mails_that_wait_for_a_server_leave_when_one_is_ready(lab, company, send):
    untested = make_server(lab)
    mail = send("a@example.com")
    delivery.deliver([mail.id])
    make_ready(untested)
    mail_server_ready.send(None, server_id=untested.id)
    db.session.expire_all()
    assert db.session.get_one(OutgoingMail, mail.id).state is MailState.QUEUED
    delivery.deliver([mail.id])
    db.session.expire_all()
    assert db.session.get_one(OutgoingMail, mail.id).state is MailState.SENT


def test_a_file_gone_from_the_store_fails_the_mail_with_its_reason(lab, server, company):
    made = with_file(draft(company, "a@example.com"))
    mail = service.submit(made, None)
    file_store().remove(made.attachments[0].sha256)
    delivery.deliver([mail.id])
    db.session.expire_all()
    mail = db.session.get_one(OutgoingMail, mail.id)
    assert mail.state is MailState.FAILED
    assert mail.failure_kind is not None
    assert mail.failure_kind.value == "attachment_missing"
    assert lab.accepted == []


def test_what_a_person_sends_goes_before_what_waits(company, seller, monkeypatch):
    asked = []
    monkeypatch.setattr(queue, "enqueue", lambda _name, ids, *, front: asked.append((ids, front)) or True)
    by_person = service.submit(draft(company, "a@example.com"), seller).id
    by_itself = service.submit(draft(company, "b@example.com"), None).id
    assert asked == [([by_person], True), ([by_itself], False)]


def test_what_nobody_has_pressed_send_for_says_so(company, make_user):
    by_itself = service.submit(draft(company, "a@example.com"), None)
    by_somebody = service.submit(draft(company, "a@example.com"), make_user())
    for mail in (by_itself, by_somebody):
        mail.sender_address = "sales@maison.example.com"
    assert b"Auto-Submitted: auto-generated\r\n" in build_message(by_itself)
    assert b"Auto-Submitted" not in build_message(by_somebody)
