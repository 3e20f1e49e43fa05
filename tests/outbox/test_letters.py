"""Mails about no document: to a customer from its page, or to anybody."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.datastructures import MultiDict

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db
from core.mail.draft import Reason
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from modules.mail_config.mail_templates.service import save_template, templates_for
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CUSTOMER
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
    # Beforehand only where somebody has been, or once it was sent.
    early = composer_of(browser.get(NEW).text)
    told = browser.post(f"{NEW}/check", data=early).text
    assert not any(words in told for words in ("The subject is empty.", "Nobody would get", "has no text"))
    assert (
        "The subject is empty." in browser.post(f"{NEW}/check", data=changed(early, visited="subject")).text
    )
    again = composer_of(answer.text)
    assert "The subject is empty." in browser.post(f"{NEW}/check", data=again).text


def test_what_is_written_is_kept_for_each_customer_until_it_is_sent(
    browser: FlaskClient, customer: Partner, make_user: Callable[..., User], sign_in
) -> None:
    to_one = f"{NEW}?partner={customer.id}"

    def keep(address: str, form: MultiDict[str, str], subject: str) -> str:
        path, _, query = address.partition("?")
        return browser.post(
            f"{path}/keep?{query}", data=changed(form, subject=subject, changed="subject")
        ).text

    assert "data-kept-at" in keep(NEW, composer_of(browser.get(NEW).text), "To anybody")
    assert "data-kept-at" in keep(to_one, composer_of(browser.get(to_one).text), "To one")
    assert composer_of(browser.get(NEW).text)["subject"] == "To anybody"
    again = composer_of(browser.get(to_one).text)
    assert again["subject"] == "To one"
    # Another letter does not replace it unseen; begun anew, it does.
    other = changed(composer_of(browser.get(f"{to_one}&fresh=1").text), resumed="", token="x.y")
    assert "data-not-kept" in keep(to_one, other, "Another")
    colleague = sign_in(make_user("salesperson", login="marc@maison.example.com"))
    assert composer_of(colleague.get(NEW).text)["subject"] == ""
    press_send(browser, to_one, changed(again, body="<div>x</div>"))
    assert composer_of(browser.get(to_one).text)["subject"] == ""
    assert composer_of(browser.get(NEW).text)["subject"] == "To anybody"
    browser.post(f"{NEW}/discard")
    assert composer_of(browser.get(NEW).text)["subject"] == ""


def test_the_address_book_of_a_mail_to_anybody(browser: FlaskClient, customer: Partner) -> None:
    save_contact(customer, "Ann", "ann@example.com")
    assert "Search for a customer or a contact." in browser.get(f"{NEW}/addresses").text
    found = browser.get(f"{NEW}/addresses?q=ann").text
    assert "ann@example.com" in found
    assert "client@example.com" in browser.get(f"{NEW}/addresses?partner={customer.id}").text
    assert "No customer or contact found." in browser.get(f"{NEW}/addresses?q=zzz").text


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


# ------------------------------------------------------------------------------------------------------- templates


def news(name: str = "News", subject: str = "News for {{ customer.name }}") -> MailTemplate:
    texts = {
        "fr": (subject, "<div>De {{ sender.name }}</div>"),
        "en": (subject, "<div>From {{ sender.name }}</div>"),
    }
    return save_template(None, kind=CUSTOMER, values={"name": name, "priority": "high"}, texts=texts)


def test_a_template_fills_it_in_and_keeps_whom_the_person_has_added(
    browser: FlaskClient, seller: User, customer: Partner
) -> None:
    template = news()
    address = f"{NEW}?partner={customer.id}"
    page = browser.get(address).text
    assert "News" in page
    form = changed(composer_of(page), cc_typed="more@example.com", template=str(template.id))
    assert form["subject"] == ""
    filled = composer_of(browser.post(f"{NEW}/template?partner={customer.id}", data=form).text)
    assert (filled["subject"], filled["priority"], filled["template"]) == (
        "News for Client SA",
        "high",
        str(template.id),
    )
    assert f"De {seller.name}" in filled["body"]
    assert filled.getlist("to") == ["Client SA <client@example.com>"]
    assert filled.getlist("cc") == ["more@example.com"]
    press_send(browser, address, filled)
    assert newest().subject == "News for Client SA"


def test_what_the_person_has_written_stays_where_they_say_so(browser: FlaskClient, customer: Partner) -> None:
    template = news()
    form = changed(
        composer_of(browser.get(f"{NEW}?partner={customer.id}").text),
        subject="Mine",
        template=str(template.id),
    )
    form.add("changed", "subject")
    path = f"{NEW}/template?partner={customer.id}"
    kept = composer_of(browser.post(path, data=changed(form, keep_mine="1")).text)
    assert (kept["subject"], "De " in kept["body"]) == ("Mine", True)
    assert composer_of(browser.post(path, data=form).text)["subject"] == "News for Client SA"


def test_a_template_that_is_gone_or_of_documents_changes_nothing(
    browser: FlaskClient, customer: Partner, quotation
) -> None:
    of_documents = templates_for(quotation)[0]
    form = changed(composer_of(browser.get(NEW).text), subject="Mine", template=str(of_documents.id))
    answer = browser.post(f"{NEW}/template", data=form)
    assert (answer.status_code, composer_of(answer.text)["subject"]) == (422, "Mine")


def test_a_test_of_it_goes_to_whoever_writes_it(company: Company, make_user, sign_in) -> None:
    boss = make_user("administrator")
    browser = sign_in(boss)
    willing()
    typed = {"name": "News", "subject_fr": "Bonjour {{ customer.name }}", "body_fr": "<div>x</div>"}
    browser.post(f"/outbox/template-test/{CUSTOMER}", data=typed)
    mail = newest()
    assert [row.addr_spec for row in mail.recipients] == [boss.login]
    assert (mail.subject, mail.attachments) == ("[Test] Bonjour Dupont", [])


def test_in_a_mail_program_it_is_a_link_without_a_file_and_a_file_with_one(
    browser: FlaskClient, customer: Partner
) -> None:
    address = f"{NEW}?partner={customer.id}"
    page = browser.get(address).text
    program = f"/outbox/compose/new/mail-program?partner={customer.id}"
    assert f'formaction="{program}"' in page
    form = changed(
        composer_of(page), subject="Rendez-vous & café", body="<div>Bonjour,<br><b>à lundi</b></div>"
    )
    link = browser.post(program, data=form).json["link"]
    assert link.startswith(
        "mailto:client@example.com?subject=Rendez-vous%20%26%20caf%C3%A9&body=Bonjour%2C%0D%0A"
    )
    assert "lundi" in link
    long = changed(form, body=f"<div>{'long ' * 500}</div>")
    assert browser.post(program, data=long).mimetype == "message/rfc822"
    token = browser.post("/outbox/compose/file", data={"file": (io.BytesIO(b"plan"), "plan.txt")}).json[
        "token"
    ]
    with_file = MultiDict([*changed(form).items(multi=True), ("file", token)])
    made = browser.post(program, data=with_file)
    assert made.mimetype == "message/rfc822"
    assert b"plan.txt" in made.data
    refused = browser.post(program, data=changed(form, to="nobody@"))
    assert refused.status_code == 422
    assert count() == 0
