"""Mails about no document: to a customer from its page, or to anybody."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.mail.draft import Reason
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from tests.outbox.pages import changed, composer_of, press_send
from tests.outbox.promotions import willing

NEW = "/outbox/compose/new"


@pytest.fixture
def browser(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


def newest() -> OutgoingMail:
    db.session.expire_all()
    return db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id.desc()).limit(1)).one()


def count() -> int:
    return db.session.scalar(select(func.count()).select_from(OutgoingMail)) or 0


def test_from_the_page_of_a_customer_to_that_customer_with_the_signature(
    browser: FlaskClient, seller: User, customer: Partner
) -> None:
    seller.signature_html = "<div>Sophie</div>"
    db.session.commit()
    contact = save_contact(customer, "Ann", "ann@example.com")
    page = browser.get(f"/partners/{customer.id}").text
    address = f"{NEW}?partner={customer.id}"
    assert address in page
    shown = browser.get(address).text
    assert "ann@example.com" in shown
    form = composer_of(shown)
    assert form.getlist("to") == ["Client SA <client@example.com>"]
    assert (form["language"], "Sophie" in form["body"]) == ("fr", True)
    sent = press_send(browser, address, changed(form, subject="Rendez-vous", body="<div>Bonjour</div>"))
    assert sent.location == f"/partners/{customer.id}"
    mail = newest()
    (recipient,) = mail.recipients
    assert (mail.document_id, mail.language, mail.submitted_by_id) == (None, "fr", seller.id)
    assert (recipient.partner_id, recipient.reason) == (customer.id, Reason.CUSTOMER)
    assert "Rendez-vous" in browser.get(f"/partners/{customer.id}").text
    assert browser.get(f"{NEW}?partner={contact.id}").status_code == 200


def test_to_anybody_with_a_file_and_twice_is_once(browser: FlaskClient) -> None:
    assert f'href="{NEW}"' in browser.get("/outbox/mails").text
    form = changed(
        composer_of(browser.get(NEW).text), to_typed="a@example.com, B <b@example.com>", subject="Hello"
    )
    question = composer_of(browser.post(NEW, data=form).text)
    data = {**question.to_dict(flat=False), "files": (io.BytesIO(b"bytes"), "plan.txt")}
    data["confirmed"] = ["route:server_missing", "empty_text"]
    browser.post(NEW, data=data, content_type="multipart/form-data")
    mail = newest()
    assert [row.addr_spec for row in mail.recipients] == ["a@example.com", "b@example.com"]
    assert [file.name for file in mail.attachments] == ["plan.txt"]
    assert mail.state in {MailState.SCHEDULED, MailState.QUEUED}
    before = count()
    form = changed(form, body="<div>other</div>")
    first = press_send(browser, NEW, form).location
    assert first == f"/outbox/mails/{newest().id}"
    assert press_send(browser, NEW, form).location == first
    assert count() == before + 1


def test_what_is_wrong_is_told_beside_it_and_nothing_typed_is_lost(browser: FlaskClient) -> None:
    form = changed(composer_of(browser.get(NEW).text), to_typed="nobody", subject="", body="<div>x</div>")
    answer = browser.post(NEW, data=form)
    assert (answer.status_code, count()) == (422, 0)
    assert 'value="nobody"' in answer.text
    assert "The subject is empty." in answer.text
    assert "The subject is empty." in browser.post(f"{NEW}/check", data=form).text


def test_chips_are_made_of_what_is_typed(browser: FlaskClient, customer: Partner) -> None:
    answer = browser.post(f"{NEW}/chips", data={"field": "cc", "text": "client@example.com; wrong"}).text
    assert 'name="cc"' in answer
    assert "Client SA" in answer or "client@example.com" in answer
    assert "wrong" in answer


def test_a_promotional_one_goes_only_to_one_who_has_agreed(browser: FlaskClient, customer: Partner) -> None:
    ready = willing()
    wanted = {"subject": "Offer", "promotional": "1", "body": "<div>x</div>"}
    refused = browser.post(
        f"{NEW}?partner={customer.id}",
        data=changed(composer_of(browser.get(f"{NEW}?partner={customer.id}").text), **wanted),
    )
    assert (refused.status_code, count()) == (422, 0)
    assert "has not agreed to promotional emails" in refused.text
    address = f"{NEW}?partner={ready.id}"
    form = changed(composer_of(browser.get(address).text), **wanted)
    both = browser.post(address, data=changed(form, cc_typed="x@example.com"))
    assert (both.status_code, count()) == (422, 0)
    press_send(browser, address, form)
    mail = newest()
    assert mail.promotional
    assert 'name="promotional"' in browser.get(f"/outbox/compose/again/{mail.id}").text
    assert composer_of(browser.get(f"/outbox/compose/again/{mail.id}").text)["promotional"] == "1"


def test_a_document_is_never_promotional(browser: FlaskClient, quotation) -> None:
    address = f"/outbox/compose/{quotation.id}"
    page = browser.get(address).text
    assert 'name="promotional"' not in page
    press_send(browser, address, changed(composer_of(page), promotional="1"))
    assert not newest().promotional


def test_nobody_writes_for_a_company_or_to_a_customer_out_of_reach(
    browser: FlaskClient, company: Company, make_user: Callable[..., User], sign_in
) -> None:
    other = save_company(
        None, {"name": "Other", "email": "o@example.com", "currency": "EUR", "language": "en"}
    )
    theirs = save_partner(None, {"name": "Theirs", "email": "t@example.com", "company_id": other.id})
    form = changed(composer_of(browser.get(NEW).text), to_typed="a@example.com", subject="Hello")
    for path in (NEW, f"{NEW}/check", f"{NEW}/chips"):
        assert browser.post(path, data=changed(form, company=str(other.id))).status_code == 404
        assert browser.post(f"{path}?partner={theirs.id}", data=form).status_code == 404
    assert browser.get(f"{NEW}?partner={theirs.id}").status_code == 404
    assert browser.get(f"{NEW}?partner=x").status_code == 404
    assert count() == 0
    both = make_user(login="both@maison.example.com", company_ids=[company.id, other.id])
    client = sign_in(both)
    form = composer_of(client.get(NEW).text)
    assert form["company"] == str(company.id)
    press_send(client, NEW, changed(form, to_typed="a@example.com", subject="Hi", company=str(other.id)))
    assert newest().company_id == other.id
    # Of a customer that is one company's, no other writes.
    assert "<select" not in client.get(f"{NEW}?partner={theirs.id}").text.partition("compose-company")[1]
