"""The parts of the composer: chips, suggestions, address book, contacts, templates, files, PDF, mail program."""

from __future__ import annotations

import base64
import io
from decimal import Decimal
from email import message_from_bytes, policy
from html import unescape

import pytest
from PIL import Image
from sqlalchemy import select

from core import clock
from core.db import db, transaction
from core.documents import pdf
from core.documents.models import Document
from core.documents.pdf import RenderError
from core.documents.service import touch
from core.followers.service import follow
from core.mail.draft import Priority
from core.partners.models import Partner, PartnerType
from core.partners.service import save_partner
from modules.mail_config.mail_templates.service import save_template
from modules.mail_config.models import (
    MailTemplate,
    MailTemplateText,
    RecipientRule,
    TemplateFile,
    TemplateRecipient,
)
from modules.outbox.delivery.run import deliver
from modules.outbox.message import build_message, file_store
from modules.outbox.models import EmlExport, OutgoingMail
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.pages import changed, composer_of, opened, press_send


def png(width: int, height: int, color: str = "navy") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), color).save(out, "PNG")
    return out.getvalue()


PICTURE = png(12, 8)


@pytest.fixture
def browser(seller, sign_in, server):
    return sign_in(seller)


def path(document: Document, part: str = "") -> str:
    return f"/outbox/compose/{document.id}{part}"


def the_mail() -> OutgoingMail:
    return db.session.scalars(select(OutgoingMail).execution_options(populate_existing=True)).one()


# -- people --------------------------------------------------------------------------------------------


def test_typed_text_becomes_chips_and_what_is_no_address_comes_back(browser, quotation):
    text = 'Zoe <zoe@example.com>; "Doe, John" <john@example.com>\nclient@example.com, nonsense'
    response = browser.post(path(quotation, "/chips"), data={"field": "cc", "text": text})
    page = unescape(response.text)
    assert page.count('name="cc"') == 3
    assert 'value="Zoe <zoe@example.com>"' in page
    assert "customer" in page
    assert "data-chip-error" in page
    assert "“nonsense” is not a valid email address" in page


def test_too_many_pasted_addresses_come_back_as_text(browser, quotation):
    text = "; ".join(f"n{number}@example.com" for number in range(503))
    page = browser.post(path(quotation, "/chips"), data={"field": "to", "text": text}).text
    assert page.count('name="to"') == 500
    assert "n500@example.com; n501@example.com; n502@example.com" in page


def test_an_address_that_the_page_posts_wrongly_is_not_lost(browser, quotation):
    form = changed(opened(browser, quotation), to=["nonsense <no>", "a@example.com"])
    kept = composer_of(browser.post(path(quotation), data=form).text)
    assert kept["to_typed"] == "nonsense <no>"


def test_without_the_right_to_read_partners_only_those_of_the_document_are_shown(
    browser, quotation, customer, make_user, sign_in
):
    save_partner(None, {"name": "Secret SA", "email": "secret@example.com"})
    clerk = make_user("salesperson", login="clerk@maison.example.com")
    with transaction() as session:
        for role in clerk.roles:
            for grant in list(role.grants):
                if grant.permission.startswith("core.partner"):
                    session.delete(grant)
    db.session.expire_all()
    page = sign_in(clerk)
    assert page.post("/outbox/compose/people", data={"q": "secret"}).get_json() == []
    assert "secret@example.com" not in page.get(path(quotation, "/addresses?q=secret")).text
    assert "client@example.com" in page.get(path(quotation, "/addresses")).text


def test_a_field_that_is_none_counts_as_to(browser, quotation):
    response = browser.post(path(quotation, "/chips"), data={"field": "<b>", "text": "a@example.com"})
    assert 'name="to"' in response.text


def test_suggestions_know_customers_contacts_and_colleagues_with_an_address(browser, customer, make_user):
    make_user(login="clea@maison.example.com", name="Clea")
    save_partner(None, {"name": "Clea without", "email": ""})
    save_partner(None, {"name": "Clement", "email": "clement@example.com", "parent_id": customer.id})
    answer = browser.post("/outbox/compose/people", data={"q": "cle"}).get_json()
    assert {row["email"] for row in answer} == {"clea@maison.example.com", "clement@example.com"}
    assert browser.post("/outbox/compose/people").get_json() == []
    assert browser.get("/outbox/compose/people?q=cle").status_code == 405


def test_the_address_book_shows_what_there_is_and_what_is_missing(browser, quotation, customer):
    save_partner(
        None,
        {"name": "Bill", "email": "bill@example.com", "parent_id": customer.id, "type": PartnerType.BILLING},
    )
    save_partner(None, {"name": "Dora", "email": "", "parent_id": customer.id, "type": PartnerType.DELIVERY})
    page = browser.get(path(quotation, "/addresses")).text
    for words in ("Client SA", "bill@example.com", "Dora"):
        assert words in page
    other = save_partner(None, {"name": "Zebra SA", "email": "zebra@example.com"})
    page = browser.get(path(quotation, "/addresses?q=zebra")).text
    assert other.email in page
    assert "bill@example.com" not in page


def test_a_typed_address_becomes_a_contact_of_the_customer(browser, quotation, customer):
    response = browser.post(
        path(quotation, "/contact"),
        data={"text": "zoe@example.com", "name": "Zoe", "type": "billing", "field": "cc"},
    )
    assert "billing contact" in response.text
    assert 'name="cc"' in response.text
    (made,) = db.session.scalars(select(Partner).where(Partner.parent_id == customer.id))
    assert (made.name, made.email, made.type) == ("Zoe", "zoe@example.com", PartnerType.BILLING)
    again = browser.post(
        path(quotation, "/contact"),
        data={"text": "zoe@example.com", "name": "Zoe"},
        headers={"HX-Request": "true"},
    )
    assert again.status_code == 409
    assert len(list(db.session.scalars(select(Partner).where(Partner.parent_id == customer.id)))) == 1


# -- templates -----------------------------------------------------------------------------------------


@pytest.fixture
def other_template(quotation) -> MailTemplate:
    sha256 = file_store().put(b"terms")
    with transaction() as session:
        template = MailTemplate(
            kind="sales.quotation", name="Reminder", position=99, priority=Priority.HIGH,
            reply_to="desk@maison.example.com",
        )  # fmt: skip
        template.texts = [
            MailTemplateText(language="fr", subject="Rappel {{ document.number }}", body="<div>Rappel</div>")
        ]
        template.files = [TemplateFile(name="terms.txt", media_type="text/plain", size=5, sha256=sha256)]
        template.recipients = [
            TemplateRecipient(rule=RecipientRule.FIXED, value="boss@maison.example.com"),
        ]
        session.add(template)
    return template


def other(browser, quotation, form, template, **more):
    response = browser.post(
        path(quotation, "/template"), data=changed(form, template=str(template.id), **more)
    )
    assert response.status_code == 200
    return composer_of(response.text)


def test_another_template_replaces_what_came_from_the_former(browser, quotation, other_template):
    new = other(browser, quotation, opened(browser, quotation), other_template)
    assert new["subject"] == f"Rappel {quotation.number}"
    assert "Rappel" in new["body"]
    assert new.getlist("to") == ["boss@maison.example.com"]
    assert (new["reply_to"], new["priority"]) == ("desk@maison.example.com", "high")
    assert len(new.getlist("file")) == 1


def test_what_the_person_added_stays_and_what_they_wrote_when_they_say_so(browser, quotation, other_template):
    mark = browser.post("/outbox/compose/file", data={"file": (io.BytesIO(b"hi"), "a.txt")}).get_json()[
        "token"
    ]
    form = changed(
        opened(browser, quotation),
        subject="Mine",
        changed=["subject"],
        cc=["zoe@example.com"],
        file=[mark],
        send_at="2999-01-01T08:00",
    )
    mine = other(browser, quotation, form, other_template, keep_mine="1")
    assert mine["subject"] == "Mine"
    assert "Rappel" in mine["body"], "the text was not changed by the person"
    assert mine.getlist("cc") == ["zoe@example.com"]
    assert mark in mine.getlist("file")
    assert len(mine.getlist("file")) == 2
    theirs = other(browser, quotation, form, other_template, keep_mine="0")
    assert theirs["subject"] == f"Rappel {quotation.number}"
    back = other(
        browser, quotation, theirs, db.session.scalars(
            select(MailTemplate).where(MailTemplate.kind == "sales.quotation", MailTemplate.id != other_template.id)
        ).first(),
    )  # fmt: skip
    assert back.getlist("file") == [mark], "the file of the former template has gone"
    assert back.getlist("to") == ["Client SA <client@example.com>"]


def test_who_was_moved_to_bcc_or_added_by_hand_stays_so_with_another_template(
    browser, quotation, other_template, customer, seller
):
    with transaction():
        other_template.recipients = []
    pal = save_partner(None, {"name": "Pal", "email": "pal@example.com"})
    follow(quotation.id, partner_id=pal.id, by=seller)
    bill = {"name": "Bill", "email": "bill@example.com", "parent_id": customer.id}
    save_partner(None, {**bill, "type": PartnerType.BILLING})
    form = changed(
        opened(browser, quotation),
        to=["Client SA <client@example.com>"],
        cc=["Bill <bill@example.com>"],
        bcc=["Pal <pal@example.com>"],
    )
    new = other(browser, quotation, form, other_template)
    assert new.getlist("bcc") == ["Pal <pal@example.com>"]
    assert new.getlist("cc") == ["Bill <bill@example.com>"]


def test_who_was_left_out_stays_left_out(browser, quotation, other_template, customer):
    with transaction():
        other_template.recipients = []
    form = changed(opened(browser, quotation), to=["x@example.com"], left_out=["client@example.com"])
    new = other(browser, quotation, form, other_template)
    assert new.getlist("to") == ["x@example.com"]
    assert [text for text in new.getlist("left_out") if "client@example.com" in text]


def test_a_template_of_another_kind_is_refused(browser, quotation):
    foreign = db.session.scalars(select(MailTemplate).where(MailTemplate.kind == "sales.invoice")).first()
    form = changed(opened(browser, quotation), template=str(foreign.id))
    assert browser.post(path(quotation, "/template"), data=form).status_code == 422


# -- files ---------------------------------------------------------------------------------------------


def test_a_file_is_stored_at_once_and_sent_with_its_harmless_name(browser, quotation):
    answer = browser.post(
        "/outbox/compose/file", data={"file": (io.BytesIO(b"hello"), "../../nota<bene>.txt")}
    ).get_json()
    assert (answer["name"], answer["size"]) == ("nota_bene_.txt", 5)
    shown = browser.get(answer["url"])
    assert shown.data == b"hello"
    assert shown.headers["Content-Disposition"].startswith("attachment")
    assert press_send(browser, quotation, changed(opened(browser, quotation), file=[answer["token"]]))
    assert [(a.name, a.size) for a in the_mail().attachments[1:]] == [("nota_bene_.txt", 5)]


@pytest.mark.parametrize(
    ("data", "name", "more", "words"),
    [
        (b"", "empty.txt", {}, "is empty"),
        (b"x" * 25_000_001, "film.mp4", {}, "does not fit"),
        (b"<svg onload=alert(1)>", "x.svg", {"picture": "1"}, "not a picture"),
    ],
)
def test_a_file_that_cannot_go_is_told(browser, data, name, more, words):
    response = browser.post("/outbox/compose/file", data={"file": (io.BytesIO(data), name), **more})
    response.request.environ["wsgi.input"].close()  # the client leaves its own temporary file open
    assert response.status_code == 422
    assert words in response.get_json()["error"]


def test_a_page_is_never_shown_as_a_page(browser):
    answer = browser.post(
        "/outbox/compose/file", data={"file": (io.BytesIO(b"<script>1</script>"), "a.html")}
    ).get_json()
    shown = browser.get(answer["url"])
    assert shown.mimetype == "application/octet-stream"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert browser.get(answer["url"] + "x").status_code == 404


def test_a_picture_of_the_text_travels_with_the_mail(browser, quotation):
    answer = browser.post(
        "/outbox/compose/file", data={"file": (io.BytesIO(PICTURE), "dot.png"), "picture": "1"}
    ).get_json()
    form = changed(opened(browser, quotation), body=f'<div>Look: <img src="{answer["url"]}" alt="dot"></div>')
    assert press_send(browser, quotation, form).status_code == 302
    mail = the_mail()
    (picture,) = [a for a in mail.attachments if a.content_id]
    assert f'src="cid:{picture.content_id}"' in mail.body_html
    assert file_store().get(picture.sha256) == PICTURE


def test_a_picture_pasted_as_data_becomes_a_file_of_the_mail(browser, quotation):
    data = base64.b64encode(PICTURE).decode()
    form = changed(opened(browser, quotation), body=f'<div><img src="data:image/png;base64,{data}"></div>')
    assert press_send(browser, quotation, form).status_code == 302
    (picture,) = [a for a in the_mail().attachments if a.content_id]
    assert file_store().get(picture.sha256) == PICTURE
    assert 'width="12" height="8"' in the_mail().body_html
    script = base64.b64encode(b"<svg onload=alert(1)>").decode()
    form = changed(form, body=f'<div><img src="data:image/png;base64,{script}"></div>', token="other")
    response = browser.post(path(quotation), data=form)
    assert response.status_code == 422
    assert "pasted picture cannot be sent" in response.text


def test_a_picture_from_elsewhere_is_left_out(browser, quotation):
    form = changed(opened(browser, quotation), body='<div>Hi <img src="https://spy.example.com/p.gif"></div>')
    assert press_send(browser, quotation, form).status_code == 302
    assert "spy.example.com" not in the_mail().body_html


# -- the PDF -------------------------------------------------------------------------------------------


@pytest.mark.smtp
def test_the_pdf_that_was_shown_is_the_one_that_is_sent(browser, quotation, lab):
    form = opened(browser, quotation)
    page = browser.post(path(quotation, "/pdf"), data=form).text
    mark = page.split('name="pdf" value="')[1].split('"')[0]
    shown = browser.get(f"/outbox/compose/file/{mark}")
    assert shown.mimetype == "application/pdf"
    assert press_send(browser, quotation, changed(form, pdf=mark)).status_code == 302
    assert file_store().get(the_mail().attachments[0].sha256) == shown.data
    deliver([the_mail().id])
    message = message_from_bytes(lab.accepted[0].data, policy=policy.default)
    (sent,) = [part for part in message.walk() if part.get_content_type() == "application/pdf"]
    assert sent.get_content() == shown.data


def test_a_pdf_of_a_former_state_or_of_another_document_is_not_taken(
    browser, quotation, company, customer, seller
):
    lines = [LineValues("Chair", Decimal(1), Decimal("10.00"))]
    values = orders.QuotationValues(customer.id, clock.day_in("UTC"), lines)
    second = orders.create_quotation(company, values, seller).document
    page = browser.post(path(second, "/pdf"), data=opened(browser, second)).text
    foreign = page.split('name="pdf" value="')[1].split('"')[0]
    page = browser.post(path(quotation, "/pdf"), data=opened(browser, quotation)).text
    own = page.split('name="pdf" value="')[1].split('"')[0]
    with transaction():
        touch(quotation)
    for mark in (foreign, own):
        form = changed(opened(browser, quotation, fresh=1), pdf=mark)
        assert press_send(browser, quotation, form).status_code == 302
    rows = list(db.session.scalars(select(OutgoingMail)))
    assert [mail.attachments[0].sha256 for mail in rows] == ["", ""], "made anew when the mail leaves"


def test_a_pdf_that_cannot_be_made_is_told_and_nothing_is_lost(browser, quotation, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RenderError("no")

    monkeypatch.setattr(pdf, "render_document", fail)
    response = browser.post(path(quotation, "/pdf"), data=opened(browser, quotation))
    assert response.status_code == 200
    assert "could not be made" in response.text


# -- the person's own mail program ---------------------------------------------------------------------


def test_the_mail_is_handed_over_whole_and_the_document_remembers(browser, quotation):
    mark = browser.post("/outbox/compose/file", data={"file": (io.BytesIO(b"hi"), "a.txt")}).get_json()[
        "token"
    ]
    form = changed(opened(browser, quotation), subject="Ünsent", bcc=["quiet@example.com"], file=[mark])
    response = browser.post(path(quotation, "/eml"), data=form)
    assert response.mimetype == "message/rfc822"
    assert response.headers["Content-Disposition"].startswith("attachment")
    message = message_from_bytes(response.data, policy=policy.default)
    assert (message["X-Unsent"], message["Subject"]) == ("1", "Ünsent")
    assert message["Bcc"] == "quiet@example.com"
    names = [part.get_filename() for part in message.iter_attachments()]
    assert "a.txt" in names
    assert any(name.endswith(".pdf") for name in names)
    note = db.session.scalars(select(EmlExport)).one()
    assert (note.subject, note.recipient_count) == ("Ünsent", 2)
    page = browser.get(f"/documents/{quotation.id}", follow_redirects=True).text
    assert "took it to an email program" in page
    assert list(db.session.scalars(select(OutgoingMail))) == []


@pytest.mark.smtp
@pytest.mark.parametrize("typed", ["", "desk@maison.example.com"])
def test_answers_to_the_draft_go_where_the_composer_says_and_a_sent_mail_has_them(
    browser, quotation, seller, typed
):
    form = changed(opened(browser, quotation), reply_to=typed, read_receipt="1", changed=["reply_to"])
    answer = browser.post(path(quotation, "/eml"), data=form)
    unsent = message_from_bytes(answer.data, policy=policy.default)
    assert unsent["Reply-To"].addresses[0].addr_spec == (typed or seller.login)
    press_send(browser, quotation, form)
    mail = db.session.scalars(select(OutgoingMail)).one()
    deliver([mail.id])
    db.session.expire_all()
    sent = message_from_bytes(build_message(mail), policy=policy.default)
    for name in ("From", "Reply-To", "Disposition-Notification-To", "To", "Content-Language", "Subject"):
        assert unsent[name] == sent[name], name


def test_a_photo_leaves_as_large_as_it_is_shown(browser, quotation):
    photo = {"file": (io.BytesIO(png(4000, 3000)), "DSC 1.png"), "picture": "1"}
    answer = browser.post("/outbox/compose/file", data=photo).get_json()
    assert answer["shown"] == [600, 450]
    # As the editor writes it, which knows the size of the file that was chosen.
    html = f'<div><img src="{answer["url"]}" width="4000" height="3000"></div>'
    pasted = base64.b64encode(png(2000, 500, "red")).decode()
    html += f'<div><img src="data:image/png;base64,{pasted}"></div>'
    assert press_send(browser, quotation, changed(opened(browser, quotation), body=html)).status_code == 302
    mail = the_mail()
    assert 'width="600" height="450"' in mail.body_html
    assert 'width="600" height="150"' in mail.body_html
    sizes = {
        Image.open(io.BytesIO(file_store().get(file.sha256))).size
        for file in mail.attachments
        if file.content_id
    }
    assert sizes == {(1200, 900), (1200, 300)}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: b"\x89PNG\r\n\x1a\n" + b"0" * 30, "not a picture"),
        (lambda: png(7000, 7000), "too many pixels"),
    ],
)
def test_what_cannot_be_shown_is_not_taken_as_a_picture(browser, data, words):
    file = {"file": (io.BytesIO(data()), "dot.png"), "picture": "1"}
    answer = browser.post("/outbox/compose/file", data=file)
    assert answer.status_code == 422
    assert words in answer.get_json()["error"]


# -- save as template ----------------------------------------------------------------------------------


def test_a_text_is_shown_general_and_saved_as_a_template_of_the_company(
    browser, quotation, customer, company
):
    form = changed(
        opened(browser, quotation),
        subject=f"About {quotation.number}",
        body="<div>Dear Client SA, thank you.</div>",
        changed=["subject", "body"],
    )
    page = browser.post(path(quotation, "/save-template"), data=form).text
    assert "document.number" in page
    assert db.session.scalars(select(MailTemplate).where(MailTemplate.name == "Thanks")).all() == []
    response = browser.post(path(quotation, "/save-template"), data=changed(form, save="1", name="Thanks"))
    assert response.status_code == 200, response.text
    (template,) = db.session.scalars(select(MailTemplate).where(MailTemplate.name == "Thanks"))
    assert (template.company_id, template.kind) == (None, "sales.quotation")
    assert opened(browser, quotation)["template"] != str(template.id), "it is offered, not the usual one"
    (text,) = template.texts
    assert text.subject == "About {{ document.number }}"
    assert "Client SA" not in text.body
    assert "{{ customer.name }}" in text.body
    assert template.files == []


def test_what_was_written_for_one_customer_stays_that_customers(browser, quotation, customer):
    with transaction() as session:
        for template in session.scalars(select(MailTemplate).where(MailTemplate.kind == "sales.quotation")):
            template.partner_id = customer.id
    form = changed(opened(browser, quotation), save="1", name="Ours")
    assert browser.post(path(quotation, "/save-template"), data=form).status_code == 200
    (template,) = db.session.scalars(select(MailTemplate).where(MailTemplate.name == "Ours"))
    assert template.partner_id == customer.id


def test_a_template_is_taken_back_by_who_saved_it_as_long_as_nobody_changed_it(
    browser, quotation, seller, make_user
):
    form = opened(browser, quotation)

    def saved(name: str) -> MailTemplate:
        browser.post(path(quotation, "/save-template"), data=changed(form, save="1", name=name))
        return db.session.scalars(select(MailTemplate).where(MailTemplate.name == name)).one()

    def withdraw(template_id: object) -> str:
        return browser.post(
            path(quotation, "/save-template"), data=changed(form, withdraw=str(template_id))
        ).text

    assert "“Mine” is no template any more." in withdraw(saved("Mine").id)
    assert db.session.scalars(select(MailTemplate).where(MailTemplate.name == "Mine")).all() == []
    template = saved("Changed")
    texts = {row.language: (row.subject, row.body) for row in template.texts}
    for by in (make_user("administrator"), seller):
        save_template(template, kind="", values={"position": 3 + by.id}, texts=texts, by=by)
        assert "Somebody has changed this template since." in withdraw(template.id)
    usual = opened(browser, quotation)["template"]
    for other in (usual, "987654", "x"):
        assert "Somebody has changed this template since." in withdraw(other)
    assert {template.id, int(usual)} <= set(db.session.scalars(select(MailTemplate.id)))


def test_a_template_needs_a_name(browser, quotation):
    form = changed(opened(browser, quotation), save="1", name=" ")
    response = browser.post(path(quotation, "/save-template"), data=form)
    assert response.status_code == 422
    assert "Give the template a name" in response.text
