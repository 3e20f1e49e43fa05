"""The composer: who is among the recipients and why, and what happens to what was typed."""

from __future__ import annotations

import io
import re
from decimal import Decimal

import pytest
from sqlalchemy import select

from core import clock
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import touch
from core.followers.service import follow, followers_of, unfollow
from core.mail.draft import Reason
from core.mail.outcomes import FailureKind
from core.partners.service import save_partner
from modules.mail_config.models import MailTemplate, MailTemplateText
from modules.outbox import delivery
from modules.outbox.composer import draft_for
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.conftest import make_ready, make_server


@pytest.fixture
def seller(make_user):
    return make_user()


@pytest.fixture
def order(company, customer, seller) -> orders.Order:
    lines = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]
    return orders.create_quotation(company, orders.QuotationValues(customer.id, clock.today(), lines), seller)


@pytest.fixture
def quotation(order) -> Document:
    return order.document


def test_the_customer_is_there_with_the_reason_and_the_owner_is_not(quotation, seller):
    draft = draft_for(quotation, None, seller)
    assert [(r.address.addr_spec, r.reason) for r in draft.recipients] == [
        ("client@example.com", Reason.CUSTOMER)
    ]
    assert draft.language == "fr"
    assert quotation.number in draft.subject
    assert draft.pdf_name.endswith(".pdf")


def test_a_follower_says_who_added_it_and_a_removed_one_gets_nothing(quotation, seller):
    friend = save_partner(None, {"name": "Friend", "email": "friend@example.com"})
    follower = follow(quotation.id, partner_id=friend.id, by=seller)
    draft = draft_for(quotation, None, seller)
    assert [(r.reason, r.reason_detail) for r in draft.recipients[1:]] == [(Reason.FOLLOWER, seller.name)]
    unfollow(follower)
    assert len(draft_for(quotation, None, seller).recipients) == 1
    follow(quotation.id, partner_id=friend.id)
    assert len(followers_of(quotation.id)) == 3, "a person may add a removed one again"


def test_a_customer_without_address_is_named_and_gets_nothing(quotation, customer, seller):
    with transaction():
        customer.email = ""
    draft = draft_for(quotation, None, seller)
    assert draft.recipients == []
    assert draft.without_address == ["Client SA"]


# -- the page ------------------------------------------------------------------------------------------


@pytest.fixture
def browser(seller, sign_in):
    return sign_in(seller)


def url(document: Document) -> str:
    return f"/outbox/compose/{document.id}"


def form_of(page: str) -> dict[str, object]:
    """Return what the page would post as it stands."""
    values: dict[str, object] = {}
    for tag in re.findall(r"<input [^>]*>", page):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if not name or 'type="file"' in tag or ('type="checkbox"' in tag and "checked" not in tag):
            continue
        text = value.group(1) if value else ""
        for entity, character in (
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&#34;", '"'),
            ("&#39;", "'"),
            ("&amp;", "&"),
        ):
            text = text.replace(entity, character)
        values[name.group(1)] = text
    return values


def mails() -> list[OutgoingMail]:
    return list(db.session.scalars(select(OutgoingMail)))


def test_sending_as_it_opens(browser, quotation):
    page = browser.get(url(quotation)).text
    assert "client@example.com" in page
    response = browser.post(url(quotation), data=form_of(page))
    assert response.status_code == 302
    (mail,) = mails()
    assert [r.addr_spec for r in mail.recipients] == ["client@example.com"]
    assert [a.generated for a in mail.attachments] == [True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r": "", "more": ""}, "add a recipient"),
        ({"subject": " "}, "subject is empty"),
        ({"more": "nonsense; second@example.com"}, "“nonsense” is not a valid email address"),
        ({"more": "client@example.com"}, "Already among the recipients"),
        ({"more": "; ".join(f"n{n}@example.com" for n in range(600))}, "too many"),
    ],
)
def test_what_is_wrong_is_told_and_everything_typed_is_kept(browser, quotation, changes, words):
    form = form_of(browser.get(url(quotation)).text)
    form |= {"body": "<div>My own words</div>", "subject": "My subject"} | changes
    response = browser.post(url(quotation), data=form)
    assert response.status_code == 422
    page = response.text
    assert words in page.replace("&#34;", '"')
    assert "My own words" in page
    kept = form_of(page)
    assert kept["subject"] == form["subject"]
    assert kept["more"] == form["more"]
    assert mails() == []


def test_a_file_that_was_uploaded_is_kept_when_something_else_is_wrong(browser, quotation):
    form = form_of(browser.get(url(quotation)).text)
    upload = {"files": (io.BytesIO(b"hello"), "../../nota<bene>.txt")}
    response = browser.post(url(quotation), data={**form, "subject": "", **upload})
    assert response.status_code == 422
    again = form_of(response.text)
    assert again["kept"]
    assert browser.post(url(quotation), data={**again, "subject": "Now"}).status_code == 302
    (mail,) = mails()
    assert [a.name for a in mail.attachments[1:]] == ["nota_bene_.txt"]
    assert mail.attachments[1].size == 5


def test_a_file_of_30_mb_is_told_and_the_rest_is_kept(browser, quotation):
    form = form_of(browser.get(url(quotation)).text) | {"subject": "Mine"}
    response = browser.post(
        url(quotation), data={**form, "files": (io.BytesIO(b"x" * 30_000_000), "film.mp4")}
    )
    response.request.environ["wsgi.input"].close()  # the client leaves its own temporary file open
    assert response.status_code == 422
    assert "film.mp4" in response.text
    assert form_of(response.text)["subject"] == "Mine"
    assert mails() == []


def test_a_forged_mark_of_a_file_is_refused(browser, quotation):
    form = form_of(browser.get(url(quotation)).text) | {"kept": "forged"}
    assert browser.post(url(quotation), data=form).status_code == 422
    assert mails() == []


def test_a_document_changed_meanwhile_is_told_and_a_second_press_sends(browser, quotation):
    form = form_of(browser.get(url(quotation)).text)
    with transaction():
        touch(quotation)
    response = browser.post(url(quotation), data=form)
    assert response.status_code == 422
    assert "has changed since" in response.text
    assert browser.post(url(quotation), data=form_of(response.text)).status_code == 302


def test_a_template_deleted_meanwhile_does_not_matter(browser, quotation):
    form = form_of(browser.get(url(quotation)).text)
    with transaction() as session:
        for template in session.scalars(select(MailTemplate)):
            session.delete(template)
    assert browser.post(url(quotation), data=form).status_code == 302


def test_a_broken_template_is_told_and_leaves_the_text_to_the_person(browser, quotation):
    with transaction() as session:
        for text in session.scalars(select(MailTemplateText)):
            text.body = "{{ no.such_field }}"
    response = browser.get(url(quotation))
    assert response.status_code == 200
    assert "The template cannot be used" in response.text


def test_the_template_keeps_its_reply_to_its_file_name_and_its_language(browser, quotation):
    with transaction() as session:
        for template in session.scalars(select(MailTemplate).where(MailTemplate.kind == "sales.quotation")):
            template.reply_to = "desk@maison.example.com"
            template.attachment_name = "Offer-{{ document.number }}-special.pdf"
            template.texts = [text for text in template.texts if text.language == "en"]
    browser.post(url(quotation), data=form_of(browser.get(url(quotation)).text))
    (mail,) = mails()
    assert mail.reply_to_address == "desk@maison.example.com"
    assert mail.attachments[0].name == f"Offer-{quotation.number}-special.pdf"
    assert mail.language == "en"


def test_pressing_send_twice_sends_once(browser, quotation):
    form = form_of(browser.get(url(quotation)).text)
    assert [browser.post(url(quotation), data=form).status_code for _ in range(3)] == [302] * 3
    assert len(mails()) == 1


def test_a_follower_removed_meanwhile_gets_nothing_unseen(browser, quotation):
    form = form_of(browser.get(url(quotation)).text)
    for follower in followers_of(quotation.id):
        unfollow(follower)
    response = browser.post(url(quotation), data=form)
    assert response.status_code == 422
    assert "no longer follows" in response.text
    assert mails() == []
    assert browser.post(url(quotation), data=form_of(response.text)).status_code == 302, "kept on purpose"


def test_a_subject_of_ten_thousand_characters_is_told_and_kept(browser, quotation):
    form = form_of(browser.get(url(quotation)).text) | {"subject": "x" * 10_000}
    response = browser.post(url(quotation), data=form)
    assert response.status_code == 422
    assert form_of(response.text)["subject"] == "x" * 10_000


@pytest.mark.smtp
def test_a_pdf_is_never_of_another_state_of_the_document_than_the_sender_saw(
    lab, company, browser, quotation
):
    make_ready(make_server(lab))
    browser.post(url(quotation), data=form_of(browser.get(url(quotation)).text))
    (mail,) = mails()
    with transaction():
        touch(quotation)
    delivery.deliver([mail.id])
    db.session.expire_all()
    assert (mail.state, mail.failure_kind) == (MailState.FAILED, FailureKind.DOCUMENT_CHANGED)
    assert lab.accepted == []


def test_who_may_not_read_mails_sees_none_on_the_document(browser, quotation, make_user, sign_in):
    browser.post(url(quotation), data=form_of(browser.get(url(quotation)).text))
    assert "client@example.com" in browser.get(f"/outbox/documents/{quotation.id}/panel").text
    colleague = sign_in(make_user(login="colleague@maison.example.com"))
    assert "client@example.com" not in colleague.get(f"/outbox/documents/{quotation.id}/panel").text


def test_an_unsendable_document_says_why(browser, order, quotation):
    orders.cancel(order)
    response = browser.get(url(quotation), headers={"Referer": "http://localhost/sales/quotations"})
    assert response.status_code in {302, 409}
    assert browser.post(url(quotation), data={}).status_code in {302, 409}
    assert mails() == []


def test_others_documents_are_not_found(make_user, sign_in, quotation, app):
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    stranger = make_user(login="stranger@example.com", company_ids=[other.id])
    browser = sign_in(stranger)
    assert browser.get(url(quotation)).status_code == 404
    assert browser.post(url(quotation), data={}).status_code == 404


def test_the_mails_of_others_are_not_found(browser, quotation, make_user, sign_in, lab):
    make_ready(make_server(lab))
    browser.post(url(quotation), data=form_of(browser.get(url(quotation)).text))
    (mail,) = mails()
    assert browser.get(f"/outbox/mails/{mail.id}").status_code == 200
    colleague = sign_in(make_user(login="colleague@maison.example.com"))
    for path in ("", "/html", "/eml"):
        assert colleague.get(f"/outbox/mails/{mail.id}{path}").status_code == 404
    for verb in ("resend", "cancel", "mark"):
        assert colleague.post(f"/outbox/mails/{mail.id}/{verb}").status_code == 404
    support = sign_in(make_user("support", login="support@maison.example.com"))
    assert support.get(f"/outbox/mails/{mail.id}").status_code == 200


def test_nothing_is_changed_by_get(browser, quotation):
    for path in ("resend", "cancel", "mark", "recipients/1"):
        assert browser.get(f"/outbox/mails/1/{path}").status_code == 405
    assert browser.get("/outbox/mails/bulk").status_code in {404, 405}


@pytest.mark.smtp
def test_a_wrong_correction_is_told_and_what_was_typed_is_kept(lab, company, browser, quotation, customer):
    make_ready(make_server(lab))
    form = form_of(browser.get(url(quotation)).text) | {"more": "refused+x@example.com"}
    browser.post(url(quotation), data=form)
    (mail,) = mails()
    delivery.deliver([mail.id])
    db.session.expire_all()
    wrong = mail.recipients[1]
    path = f"/outbox/mails/{mail.id}/recipients/{wrong.id}"
    page = browser.post(path, data={"address": "not an address"}, follow_redirects=True).text
    assert "not a valid email address" in page
    assert 'value="not an address"' in page
    assert wrong.addr_spec == "refused+x@example.com"
