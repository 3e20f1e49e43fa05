"""The composer: who is among the recipients and why, and what happens to what was typed."""

from __future__ import annotations

import datetime as dt
import io
import zoneinfo
from decimal import Decimal
from email import message_from_bytes, policy
from html import unescape

import pytest
from pypdf import PdfReader
from sqlalchemy import select

from core import clock
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.documents.service import touch
from core.followers.service import follow, followers_of, unfollow
from core.mail.draft import Priority, Reason
from core.mail.outcomes import FailureKind
from core.partners.service import save_partner
from modules.mail_config.mail_templates.service import save_template
from modules.mail_config.models import MailTemplate, MailTemplateText, TemplateFile
from modules.outbox import service
from modules.outbox.compose import actions
from modules.outbox.compose.draft import draft_for
from modules.outbox.delivery.run import deliver
from modules.outbox.message import file_store
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.pages import changed, composer_of, opened, press_send


@pytest.fixture
def seller(make_user):
    return make_user()


@pytest.fixture
def order(company, customer, seller) -> orders.Order:
    lines = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]
    return orders.create_quotation(
        company, orders.QuotationValues(customer.id, clock.day_in("UTC"), lines), seller
    )


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


def test_the_signature_of_the_person_ends_the_text(quotation, seller):
    with transaction():
        seller.signature_html = "<div>Sophie, <strong>Sales</strong></div>"
    body = draft_for(quotation, None, seller).body_html
    assert body.endswith("<div>--&nbsp;</div><div>Sophie, <strong>Sales</strong></div>")
    assert "Sophie, <strong>" not in draft_for(quotation, None, None).body_html


# -- the page ------------------------------------------------------------------------------------------


@pytest.fixture
def browser(seller, sign_in, server):
    return sign_in(seller)


def url(document: Document) -> str:
    return f"/outbox/compose/{document.id}"


def mails() -> list[OutgoingMail]:
    return list(db.session.scalars(select(OutgoingMail)))


def test_sending_as_it_opens(browser, quotation):
    page = browser.get(url(quotation)).text
    assert "client@example.com" in page
    response = browser.post(url(quotation), data=composer_of(page))
    assert response.status_code == 302
    (mail,) = mails()
    assert [r.addr_spec for r in mail.recipients] == ["client@example.com"]
    assert [a.generated for a in mail.attachments] == [True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": [], "to_typed": ""}, "add a recipient"),
        ({"subject": " "}, "subject is empty"),
        ({"cc_typed": "nonsense; second@example.com"}, "“nonsense” is not a valid email address"),
        ({"cc_typed": "client@example.com"}, "Already among the recipients"),
        ({"bcc_typed": "; ".join(f"n{n}@example.com" for n in range(600))}, "too many"),
        ({"reply_to": "nobody"}, "“nobody” is not a valid email address"),
        ({"send_at": "yesterday"}, "not a date and time"),
        # The clocks of Paris are put forward: what does not exist would leave an hour later than it says.
        ({"send_at": "2027-03-28T02:30"}, "does not exist on that day: the clocks are put forward"),
        ({"send_at": "2001-01-01T08:00"}, "has passed"),
        ({"send_at": "2999-01-01T08:00"}, "within a year"),
        ({"file": "forged"}, "has to be chosen again"),
    ],
)
def test_what_is_wrong_is_told_and_everything_typed_is_kept(browser, quotation, changes, words):
    form = changed(opened(browser, quotation), body="<div>My own words</div>", subject="My subject")
    form = changed(form, **changes)
    response = browser.post(url(quotation), data=form)
    assert response.status_code == 422
    assert words in unescape(response.text)
    kept = composer_of(response.text)
    assert "My own words" in kept["body"]
    assert kept["subject"] == form["subject"]
    assert kept["reply_to"] == form["reply_to"]
    assert mails() == []


def test_what_could_be_read_of_typed_addresses_becomes_chips_and_the_rest_stays(browser, quotation):
    form = changed(opened(browser, quotation), cc_typed="Zoe <zoe@example.com>; nonsense\nclient@example.com")
    kept = composer_of(browser.post(url(quotation), data=form).text)
    assert kept.getlist("cc") == ["Zoe <zoe@example.com>"]
    assert kept["cc_typed"] == "nonsense; client@example.com"


def test_every_field_arrives_in_the_mail(browser, quotation):
    form = changed(
        opened(browser, quotation),
        cc=["Zoe <zoe@example.com>"],
        bcc_typed="quiet@example.com",
        priority="high",
        delivery_receipt="1",
        read_receipt="1",
        reply_to="Desk <desk@maison.example.com>",
    )
    assert press_send(browser, quotation, form).status_code == 302
    (mail,) = mails()
    assert [(r.addr_spec, r.field.value) for r in mail.recipients] == [
        ("client@example.com", "to"),
        ("zoe@example.com", "cc"),
        ("quiet@example.com", "bcc"),
    ]
    assert (mail.priority, mail.delivery_receipt, mail.read_receipt) == (Priority.HIGH, True, True)
    assert (mail.reply_to_name, mail.reply_to_address) == ("Desk", "desk@maison.example.com")


def test_who_is_left_out_this_time_gets_nothing_and_goes_on_following(browser, quotation, seller):
    friend = save_partner(None, {"name": "Friend", "email": "friend@example.com"})
    follow(quotation.id, partner_id=friend.id, by=seller)
    form = opened(browser, quotation)
    friends = [text for text in form.getlist("to") if "friend@" in text]
    form = changed(form, to=[text for text in form.getlist("to") if "friend@" not in text], left_out=friends)
    assert press_send(browser, quotation, form).status_code == 302
    (mail,) = mails()
    assert [r.addr_spec for r in mail.recipients] == ["client@example.com"]
    assert len([f for f in followers_of(quotation.id) if f.partner_id]) == 2


def test_send_later_is_in_the_zone_of_the_user(browser, quotation, seller):
    with transaction():
        seller.timezone = "America/Montreal"
    day = (clock.now() + dt.timedelta(days=3)).date()
    form = changed(opened(browser, quotation), send_at=f"{day}T08:00")
    assert press_send(browser, quotation, form).status_code == 302
    (mail,) = mails()
    local = dt.datetime(day.year, day.month, day.day, 8, tzinfo=zoneinfo.ZoneInfo("America/Montreal"))
    assert (mail.state, mail.not_before) == (MailState.SCHEDULED, local)
    assert mail.next_attempt_at == local


def test_a_document_changed_meanwhile_is_asked_about_and_a_yes_sends(browser, quotation):
    form = opened(browser, quotation)
    with transaction():
        touch(quotation)
    response = browser.post(url(quotation), data=form)
    assert response.status_code == 422
    assert "has changed since" in response.text
    assert mails() == []
    assert press_send(browser, quotation, form).status_code == 302
    (mail,) = mails()
    assert mail.document_revision == quotation.revision


def test_a_template_deleted_meanwhile_does_not_matter(browser, quotation):
    form = opened(browser, quotation)
    with transaction() as session:
        for template in session.scalars(select(MailTemplate)):
            session.delete(template)
    assert press_send(browser, quotation, form).status_code == 302


def test_a_broken_template_is_told_and_leaves_the_text_to_the_person(browser, quotation):
    with transaction() as session:
        for text in session.scalars(select(MailTemplateText)):
            text.body = "{{ no.such_field }}"
    response = browser.get(url(quotation))
    assert response.status_code == 200
    assert (
        "The template cannot be used: “Quotation: send” (sales.quotation): there is no field no.such_field."
        in response.text
    )


def test_the_template_keeps_its_options_its_file_name_and_its_language(browser, quotation):
    sha256 = file_store().put(b"terms")
    with transaction() as session:
        for template in session.scalars(select(MailTemplate).where(MailTemplate.kind == "sales.quotation")):
            template.reply_to = "desk@maison.example.com"
            template.attachment_name = "Offer-{{ document.number }}-special.pdf"
            template.texts = [text for text in template.texts if text.language == "en"]
            template.priority, template.read_receipt, template.keep_days = Priority.LOW, True, 7
            template.files = [TemplateFile(name="terms.txt", media_type="text/plain", size=5, sha256=sha256)]
    assert press_send(browser, quotation, opened(browser, quotation)).status_code == 302
    (mail,) = mails()
    assert mail.reply_to_address == "desk@maison.example.com"
    assert [a.name for a in mail.attachments] == [f"Offer-{quotation.number}-special.pdf", "terms.txt"]
    assert (mail.language, mail.priority, mail.read_receipt, mail.keep_days) == ("en", Priority.LOW, True, 7)


def test_pressing_send_twice_sends_once(browser, quotation):
    form = opened(browser, quotation)
    assert [browser.post(url(quotation), data=form).status_code for _ in range(3)] == [302] * 3
    assert len(mails()) == 1


def test_a_follower_removed_meanwhile_gets_nothing_unseen(browser, quotation):
    form = opened(browser, quotation)
    for follower in followers_of(quotation.id):
        unfollow(follower)
    response = browser.post(url(quotation), data=form)
    assert response.status_code == 422
    assert "was removed from the followers" in response.text
    assert mails() == []
    assert press_send(browser, quotation, form).status_code == 302, "kept on purpose"


def test_a_subject_of_ten_thousand_characters_is_told_and_kept(browser, quotation):
    form = changed(opened(browser, quotation), subject="x" * 10_000)
    response = browser.post(url(quotation), data=form)
    assert response.status_code == 422
    assert composer_of(response.text)["subject"] == "x" * 10_000


@pytest.mark.smtp
def test_a_pdf_is_never_of_another_state_of_the_document_than_the_sender_saw(browser, quotation, lab):
    assert press_send(browser, quotation, opened(browser, quotation)).status_code == 302
    (mail,) = mails()
    with transaction():
        touch(quotation)
    deliver([mail.id])
    db.session.expire_all()
    assert (mail.state, mail.failure_kind) == (MailState.FAILED, FailureKind.DOCUMENT_CHANGED)
    assert lab.accepted == []


def test_who_may_not_read_mails_sees_none_on_the_document(browser, quotation, make_user, sign_in):
    press_send(browser, quotation, opened(browser, quotation))
    assert "client@example.com" in browser.get(f"/outbox/documents/{quotation.id}/panel").text
    cashier = sign_in(make_user("cashier", login="cashier@maison.example.com"))
    assert "client@example.com" not in cashier.get(f"/outbox/documents/{quotation.id}/panel").text


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


def test_the_mails_of_others_are_not_found(browser, quotation, make_user, sign_in):
    press_send(browser, quotation, opened(browser, quotation))
    (mail,) = mails()
    assert browser.get(f"/outbox/mails/{mail.id}").status_code == 200
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    stranger = sign_in(make_user(login="stranger@example.com", company_ids=[other.id]))
    for path in ("", "/html", "/eml"):
        assert stranger.get(f"/outbox/mails/{mail.id}{path}").status_code == 404
    colleague = sign_in(make_user(login="colleague@maison.example.com"))
    for verb in ("resend", "cancel", "mark", "undo"):
        assert colleague.post(f"/outbox/mails/{mail.id}/{verb}").status_code == 404
    support = sign_in(make_user("support", login="support@maison.example.com"))
    assert support.get(f"/outbox/mails/{mail.id}").status_code == 200


def test_nothing_is_changed_by_get(browser, quotation):
    for path in ("resend", "cancel", "mark", "undo", "recipients/1"):
        assert browser.get(f"/outbox/mails/1/{path}").status_code == 405
    assert browser.get("/outbox/mails/bulk").status_code in {404, 405}


@pytest.mark.smtp
def test_a_wrong_correction_is_told_and_what_was_typed_is_kept(browser, quotation):
    form = changed(opened(browser, quotation), to_typed="refused+x@example.com")
    press_send(browser, quotation, form)
    (mail,) = mails()
    deliver([mail.id])
    db.session.expire_all()
    wrong = mail.recipients[1]
    path = f"/outbox/mails/{mail.id}/recipients/{wrong.id}"
    page = browser.post(path, data={"address": "not an address"}, follow_redirects=True).text
    assert "not a valid email address" in page
    assert 'value="not an address"' in page
    assert wrong.addr_spec == "refused+x@example.com"


@pytest.mark.smtp
@pytest.mark.parametrize("how", ["changed", "canceled"])
def test_a_mail_for_later_whose_pdf_was_shown_does_not_leave_once_the_document_is_another(
    browser, order, quotation, lab, monkeypatch, how
):
    form = opened(browser, quotation)
    browser.post(f"{url(quotation)}/pdf", data=form)
    shown = actions.make_pdf(quotation, "Offer.pdf", "fr")
    later = clock.now() + dt.timedelta(days=3)
    local = later.astimezone(zoneinfo.ZoneInfo("Europe/Paris")).strftime("%Y-%m-%dT%H:%M")
    sent = press_send(browser, quotation, changed(form, pdf=shown.token, send_at=local))
    assert sent.status_code == 302
    (mail,) = mails()
    assert mail.attachments[0].sha256 == shown.sha256, "what was looked at is what it carries"
    if how == "changed":
        with transaction():
            touch(quotation)
    else:
        orders.cancel(order)
    monkeypatch.setattr(clock, "now", lambda: later + dt.timedelta(minutes=1))
    service.release_due([mail.id])
    deliver([mail.id])
    db.session.expire_all()
    assert (mail.state, mail.failure_kind) == (MailState.FAILED, FailureKind.DOCUMENT_CHANGED)
    assert lab.accepted == []


def test_a_kept_text_keeps_its_language_under_another_template(browser, quotation):
    english = save_template(
        None,
        kind="sales.quotation",
        values={"name": "English"},
        texts={"en": ("Offer", "<div>Dear customer</div>")},
    )
    form = changed(
        opened(browser, quotation), body="<div>Bonjour</div>", changed=["body"], template=str(english.id)
    )
    page = browser.post(f"{url(quotation)}/template", data={**form.to_dict(flat=False), "keep_mine": "1"})
    again = composer_of(page.text)
    assert (again["body"], again["language"]) == ("<div>Bonjour</div>", "fr")
    page = browser.post(f"{url(quotation)}/template", data={**form.to_dict(flat=False), "keep_mine": "0"})
    assert composer_of(page.text)["language"] == "en"


# -- one language in one mail ----------------------------------------------------------------------------


def words_of(data: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


@pytest.fixture
def english_quotation(quotation):
    """A quotation set to English, for which there is a text in French only."""
    with transaction() as session:
        quotation.language = "en"
        for template in session.scalars(select(MailTemplate).where(MailTemplate.kind == "sales.quotation")):
            template.texts = [text for text in template.texts if text.language == "fr"]
    return quotation


def test_the_pdf_speaks_the_language_of_the_text_and_the_person_is_asked(browser, english_quotation):
    form = opened(browser, english_quotation)
    assert form["language"] == "fr"
    answer = browser.post(f"{url(english_quotation)}/check", data=form)
    assert "The document is set to English; text and PDF of this email are in French." in answer.text
    assert browser.post(url(english_quotation), data=form).status_code == 422
    shown = browser.post(f"{url(english_quotation)}/pdf", data=form).text
    address = unescape(shown.split('href="', 1)[1].split('"', 1)[0])
    assert "Devis" in words_of(browser.get(address).data)


@pytest.mark.smtp
@pytest.mark.parametrize("seen", [False, True], ids=["made when it leaves", "shown before"])
def test_the_mail_carries_the_pdf_in_the_language_of_its_text(browser, english_quotation, lab, seen):
    form = opened(browser, english_quotation)
    if seen:
        # Made while the text was in another language: it is not what leaves.
        file = actions.make_pdf(english_quotation, form["subject"] + ".pdf", "en")
        form["pdf"] = file.token
    assert press_send(browser, english_quotation, form).status_code == 302
    deliver([mails()[0].id])
    message = message_from_bytes(lab.accepted[0].data, policy=policy.default)
    (pdf,) = [part for part in message.iter_attachments() if part.get_content_type() == "application/pdf"]
    assert "Devis" in words_of(pdf.get_content())
    assert pdf.get_filename().startswith("Devis")


def test_another_template_in_another_language_makes_the_pdf_anew(browser, quotation):
    english = save_template(
        None,
        kind="sales.quotation",
        values={"name": "English"},
        texts={"en": ("Offer", "<div>Dear customer</div>")},
    )
    file = actions.make_pdf(quotation, "Offer.pdf", "fr")
    form = changed(opened(browser, quotation), pdf=file.token, template=str(english.id))
    page = browser.post(f"{url(quotation)}/template", data={**form.to_dict(flat=False), "keep_mine": "0"})
    assert composer_of(page.text).get("pdf") is None
    page = browser.post(
        f"{url(quotation)}/template", data={**form.to_dict(flat=False), "keep_mine": "1", "changed": "body"}
    )
    assert composer_of(page.text)["pdf"] == file.token, "the text stays French, and so does the PDF"
