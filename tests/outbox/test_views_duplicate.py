"""A new mail made of one that was sent."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select

from core import clock
from core.db import db, transaction
from core.followers.service import follow
from core.mail.addresses import parse_address
from core.mail.draft import DraftAttachment, Reason, RecipientField
from core.partners.service import save_partner
from modules.outbox import service
from modules.outbox.message import file_store
from modules.outbox.models import MailAttachment, OutgoingMail
from modules.sales.service import orders
from tests.outbox.conftest import draft, with_file
from tests.outbox.mails import HARMFUL, HOSTILE, become, recipient_becomes, refused
from tests.outbox.pages import changed, composer_of, press_send


@pytest.fixture
def browser(seller, sign_in):
    return sign_in(seller)


def newest() -> OutgoingMail:
    db.session.expire_all()
    return db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id.desc()).limit(1)).one()


def again(mail: OutgoingMail) -> str:
    return f"/outbox/compose/again/{mail.id}"


def test_without_a_document_everything_is_filled_in_and_sent_as_a_new_mail(browser, company, seller):
    made = with_file(draft(company, "one@example.com", "Two <two@example.com>"), "plan.txt", b"12345678")
    mail = refused(service.submit(made, seller))
    recipient_becomes(mail, 1, field=RecipientField.CC)
    page = browser.get(again(mail)).text
    assert "Nothing is sent before you press Send." in page
    assert newest().id == mail.id
    form = composer_of(page)
    assert form["subject"] == "A subject"
    assert form["body"] == "<div>Hello <strong>you</strong></div>"
    assert form.getlist("cc") == ["Two <two@example.com>"]
    response = press_send(browser, again(mail), form)
    copy = newest()
    assert response.location == f"/outbox/mails/{copy.id}"
    assert copy.id != mail.id
    assert copy.message_id != mail.message_id
    assert [(r.addr_spec, r.display_name, r.field) for r in copy.recipients] == [
        ("one@example.com", "", RecipientField.TO),
        ("two@example.com", "Two", RecipientField.CC),
    ]
    assert [(a.name, a.sha256) for a in copy.attachments] == [("plan.txt", mail.attachments[0].sha256)]
    assert copy.language == mail.language


def test_pressing_send_twice_writes_one_mail(browser, company, seller):
    mail = service.submit(draft(company, "one@example.com"), seller)
    form = composer_of(browser.get(again(mail)).text)
    first = press_send(browser, again(mail), form).location
    assert press_send(browser, again(mail), form).location == first


def test_what_is_wrong_is_told_and_nothing_typed_is_lost(browser, company, seller):
    mail = service.submit(draft(company, "one@example.com"), seller)
    form = changed(composer_of(browser.get(again(mail)).text), subject="", to_typed="not an address")
    response = browser.post(again(mail), data=form)
    assert response.status_code == 422
    assert "The subject is empty." in response.text
    assert 'value="not an address"' in response.text
    assert newest().id == mail.id


def test_nobody_is_asked_why_somebody_is_there_whom_that_mail_went_to(browser, company, seller, quotation):
    mail = service.submit(draft(company, "typed@example.com", document=quotation), seller)
    form = composer_of(browser.get(again(mail)).text)
    response = browser.post(f"/outbox/compose/{quotation.id}/check", data=form)
    assert "when you began" not in response.text


def test_about_a_document_it_is_the_composer_of_that_document(browser, company, seller, quotation, customer):
    friend = save_partner(None, {"name": "Friend", "email": "friend@example.com"})
    made = with_file(draft(company, "client@example.com", "typed@example.com", document=quotation))
    made.pdf_name = "Quotation.pdf"
    mail = service.submit(made, seller)
    follow(quotation.id, partner_id=friend.id, by=seller)  # since then
    page = browser.get(again(mail)).text
    assert f'action="/outbox/compose/{quotation.id}"' in page
    form = composer_of(page)
    assert form["subject"] == "A subject"
    assert "friend@example.com" in page, "a new follower is offered"
    assert not [text for text in form.getlist("to") if "friend@" in text], "and gets nothing unasked"
    response = press_send(browser, quotation, form)
    assert response.status_code == 302, response.text
    assert {recipient.addr_spec for recipient in newest().recipients} == {
        "client@example.com",
        "typed@example.com",
    }
    assert [(a.name, a.generated) for a in newest().attachments][1:] == [("note.txt", False)]


def test_the_reason_of_a_follower_is_that_of_today(browser, company, seller, quotation):
    mail = service.submit(draft(company, "client@example.com", document=quotation), seller)
    form = composer_of(browser.get(again(mail)).text)
    assert press_send(browser, quotation, form).status_code == 302
    (recipient,) = newest().recipients
    assert recipient.reason is Reason.CUSTOMER
    assert recipient.partner_id is not None
    assert [a.generated for a in newest().attachments] == [True]


def test_when_the_document_is_gone_its_pdf_goes_along_as_a_file(browser, company, seller):
    mail = service.submit(draft(company, "one@example.com"), seller)
    sha256 = file_store().put(b"%PDF-1.7 frozen")
    with transaction() as session:
        session.add(
            MailAttachment(
                mail_id=mail.id,
                name="Q.pdf",
                media_type="application/pdf",
                size=15,
                sha256=sha256,
                generated=True,
            )
        )
    form = composer_of(browser.get(again(mail)).text)
    press_send(browser, again(mail), form)
    assert [(a.name, a.sha256, a.generated) for a in newest().attachments] == [("Q.pdf", sha256, False)]


def test_erased_contents_are_refused_kindly(browser, company, seller):
    mail = become(service.submit(draft(company, "one@example.com"), seller), contents_erased_at=clock.now())
    response = browser.get(again(mail), follow_redirects=True)
    assert response.request.path == f"/outbox/mails/{mail.id}"
    assert "no new email can be made of it" in response.text


def test_a_file_that_is_gone_is_told(browser, company, seller):
    mail = service.submit(with_file(draft(company, "one@example.com"), "plan.txt"), seller)
    page = browser.get(again(mail)).text
    file_store().remove(mail.attachments[0].sha256)
    assert "“plan.txt” is gone from the store." in browser.get(again(mail)).text
    # Also when it goes between opening and sending.
    response = browser.post(again(mail), data=composer_of(page))
    assert response.status_code == 422
    assert "“plan.txt” is gone from the store." in response.text


def test_the_document_of_somebody_else_is_not_there(sign_in, make_user, company, seller, quotation):
    cashier = make_user("cashier")
    mail = service.submit(draft(company, "one@example.com", document=quotation), cashier)
    assert sign_in(cashier).get(again(mail)).status_code == 404


def test_a_document_that_can_no_longer_be_sent_says_why(browser, company, seller, quotation):
    mail = service.submit(draft(company, "one@example.com", document=quotation), seller)
    order = db.session.scalars(select(orders.Order).where(orders.Order.document_id == quotation.id)).one()
    orders.cancel(order)
    response = browser.get(again(mail), follow_redirects=True)
    assert response.request.path == f"/outbox/mails/{mail.id}"
    assert "canceled" in response.text.partition('id="flashes"')[2].partition('id="mail-view"')[0]


def test_hostile_contents_reach_the_composer_harmlessly(browser, company, seller):
    mail = service.submit(draft(company, "one@example.com"), seller)
    become(mail, subject=HOSTILE, body_html="<script>alert(1)</script><b>x</b>")
    page = browser.get(again(mail)).text
    assert "<script>alert" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert not HARMFUL & set(page.partition('id="compose-subject"')[0].partition("<main")[2])


def test_deleting_the_original_does_not_matter_to_the_copy(browser, company, seller):
    mail = service.submit(with_file(draft(company, "one@example.com")), seller)
    press_send(browser, again(mail), composer_of(browser.get(again(mail)).text))
    copy = newest().id
    with transaction() as session:
        session.execute(delete(OutgoingMail).where(OutgoingMail.id == mail.id))
    assert browser.get(f"/outbox/mails/{copy}").status_code == 200


def test_pictures_of_the_text_are_shown_and_travel_again(browser, company, seller):
    sha256 = file_store().put(b"\x89PNG\r\n\x1a\n0")
    made = draft(
        company, "one@example.com", body_html='<div><img src="cid:dot@picture.invalid" alt="dot"></div>'
    )
    made.attachments = [DraftAttachment("dot.png", "image/png", sha256, 9, "dot@picture.invalid")]
    mail = service.submit(made, seller)
    form = composer_of(browser.get(again(mail)).text)
    assert "/outbox/compose/file/" in form["body"]
    press_send(browser, again(mail), form)
    (picture,) = newest().attachments
    assert (picture.sha256, bool(picture.content_id)) == (sha256, True)
    assert f"cid:{picture.content_id}" in newest().body_html


def test_reply_to_and_retention_go_along(browser, company, seller):
    made = draft(company, "one@example.com", reply_to=parse_address("Desk <desk@example.com>"), keep_days=0)
    mail = refused(service.submit(made, seller))
    form = composer_of(browser.get(again(mail)).text)
    assert form["reply_to"] == "Desk <desk@example.com>"
    press_send(browser, again(mail), form)
    assert newest().keep_days == 0
