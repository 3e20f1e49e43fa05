"""The pages of templates: what they show, what they keep when something is wrong, and who may use them."""

from __future__ import annotations

import io
import json
import re
from html import unescape

import pytest
from flask_login import login_user
from sqlalchemy import select

from core.db import db, transaction
from core.mail.draft import RecipientField
from core.partners.models import Partner, PartnerType
from core.partners.service import save_partner
from modules.mail_config.editor.views.fields import functions_in_use
from modules.mail_config.mail_templates import revisions
from modules.mail_config.mail_templates.validation import RecipientChoice
from modules.mail_config.models import MailTemplate, RecipientRule
from modules.outbox.badges import badges_for
from modules.outbox.models import OutgoingMail

KIND = "sales.quotation"
NEW = f"/mail_config/templates/new/{KIND}"
PREVIEW = f"/mail_config/templates/preview/{KIND}"


@pytest.fixture
def boss(make_user, sign_in):
    return sign_in(make_user("administrator"))


@pytest.fixture
def template(make_template) -> MailTemplate:
    return make_template(
        "Ours",
        texts={
            "en": ("About {{ document.number }}", "<p>Dear {{ customer.name }}</p>"),
            "fr": ("Au sujet de {{ document.number }}", "<p>Bonjour {{ customer.name }}</p>"),
        },
    )


def newest() -> MailTemplate | None:
    """The template that was added last, beside those that came with sales."""
    query = select(MailTemplate).where(MailTemplate.shipped_key.is_(None)).order_by(MailTemplate.id.desc())
    return db.session.scalars(query).first()


def original_of(kind: str) -> MailTemplate:
    return db.session.scalars(select(MailTemplate).where(MailTemplate.shipped_key.startswith(kind))).one()


def path(template: MailTemplate, *parts: str) -> str:
    return "/".join([f"/mail_config/templates/{template.id}", *parts])


def typed(template: MailTemplate | None = None, **changes: object) -> dict[str, object]:
    """What the page posts, with the text as source."""
    form: dict[str, object] = {
        "template_id": template.id if template else 0,
        "seen_revision": template.revision if template else 0,
        "seen_change": revisions.history(template)[0].id if template else 0,
        "name": "Ours",
        "company_id": "0",
        "partner_id": "",
        "position": str(template.position if template else 10),
        "active": "y",
        "attachment_name": "",
        "reply_to": "",
        "priority": "normal",
        "keep_days": "",
        "subject_en": "About {{ document.number }}",
        "mode_en": "source",
        "body_en": "<p>Dear {{ customer.name }}</p>",
    }
    if template is not None:
        form |= {
            "subject_fr": template.text("fr").subject,
            "body_fr": template.text("fr").body,
            "mode_fr": "source",
        }
    return form | changes


def shown_change(page: str) -> str:
    """What a page says was taken out, then what was put in, in the first of its differences."""
    shown = re.search(r'class="differences">.*?<dd>(.*?)</dd>', page, re.DOTALL)[1]
    assert "<i>" not in shown
    assert "<b>" not in shown
    words = [re.findall(rf"<{tag}>.*?</span>(.*?)</{tag}>", shown, re.DOTALL) for tag in ("del", "ins")]
    return unescape(" ".join("".join(pieces) for pieces in words))


def framed(preview: str) -> str:
    """The page in the frame of a preview."""
    return unescape(re.search(r'srcdoc="([^"]*)"', preview)[1])


# -- the list --------------------------------------------------------------------------------------------


def test_the_list_says_for_whom_in_which_languages_and_to_whom(app, boss, make_template, company, customer):
    make_template(
        "For <one>",
        company_id=company.id,
        partner_id=customer.id,
        recipients=[RecipientChoice(RecipientRule.BILLING, RecipientField.CC)],
    )
    page = boss.get("/mail_config/templates").text
    assert "For &lt;one&gt;" in page
    assert "Maison Test" in page
    assert "Dupont &amp; Fils" in page
    assert "French missing" in page
    assert "Cc: The billing contacts of the customer" in page
    assert "A template for the customer goes before one for the company" in page


def test_the_list_tells_changed_originals_apart(app, boss):
    assert "original, changed" not in boss.get("/mail_config/templates").text
    row = original_of(KIND)
    texts = {text.language: text for text in row.texts}
    form = typed(
        row,
        subject_en=texts["en"].subject,
        body_en=texts["en"].body + "<p>More.</p>",
        name=row.name,
        attachment_name=row.attachment_name,
        seen_change=0,
    )
    assert boss.post(path(row), data=form).status_code == 302
    assert "original, changed" in boss.get("/mail_config/templates").text


def test_which_one_applies_is_told_with_why(app, boss, make_template, document, customer):
    make_template("For all")
    make_template("For one", partner_id=customer.id)
    answer = boss.get(f"/mail_config/templates/which?document={document.id}").text
    assert answer.index("For one") < answer.index("For all")
    assert "for this customer" in answer
    assert boss.get("/mail_config/templates/which?document=999").status_code == 200


def test_a_copy_is_switched_off(app, boss, make_template):
    made = make_template(
        "Ours", recipients=[RecipientChoice(RecipientRule.FIXED, RecipientField.BCC, "a@example.com")]
    )
    answer = boss.post(path(made, "duplicate"), follow_redirects=True)
    assert "It is switched off until you make it active." in answer.text
    copy = newest()
    assert (copy.name, copy.active) == ("Ours (copy)", False)
    assert [(row.rule, row.field, row.value) for row in copy.recipients] == [
        ("fixed", "bcc", "a@example.com")
    ]
    assert copy.text("en").body == made.text("en").body


def test_a_deleted_template_is_gone(app, boss, template):
    assert boss.post(path(template, "delete")).status_code == 302
    assert newest() is None


# -- the page --------------------------------------------------------------------------------------------


def test_a_new_template_is_saved_with_everything(app, boss, company, customer):
    token = re.search(
        r'name="file" value="([^"]+)"',
        boss.post("/mail_config/templates/file", data={"files": (io.BytesIO(b"terms"), "terms.txt")}).text,
    )
    form = typed(
        company_id=str(company.id),
        partner_id=str(customer.id),
        attachment_name="{{ document.number }}",
        reply_to="answers@example.com",
        priority="high",
        delivery_receipt="y",
        keep_days="30",
        recipient_rule=["customer", "function"],
        recipient_field=["to", "cc"],
        recipient_value=["", "Accountant"],
        file=token[1],
    )
    assert boss.post(NEW, data=form).status_code == 302
    row = newest()
    assert (row.company_id, row.partner_id, row.reply_to, row.keep_days) == (
        company.id,
        customer.id,
        "answers@example.com",
        30,
    )
    assert (row.priority, row.delivery_receipt, row.read_receipt) == ("high", True, False)
    assert [(r.rule, r.field, r.value) for r in row.recipients] == [
        ("customer", "to", ""),
        ("function", "cc", "Accountant"),
    ]
    assert [(f.name, f.size) for f in row.files] == [("terms.txt", 5)]
    assert [text.language for text in row.texts] == ["en"]
    page = boss.get(path(row)).text
    assert "terms.txt" in page
    assert "Dupont &amp; Fils" in page


def test_the_editor_shows_formulas_as_chips(app, boss, template):
    page = boss.get(path(template)).text
    assert "formula formula-field" in unescape(unescape(page))
    assert 'name="mode_en" value="rich"' in page


def test_what_the_editor_sends_is_saved_as_source(app, boss, template):
    chip = re.search(r'name="rich_en" value="([^"]*)"', boss.get(path(template)).text)
    rich = unescape(chip[1]).replace("Dear ", "Hello ") + "<div>Second {{ document.total }}</div>"
    form = typed(template, mode_en="rich", touched_en="1", rich_en=rich, body_en="<p>old</p>")
    assert boss.post(path(template), data=form).status_code == 302
    assert template.text("en").body == "<p>Hello {{ customer.name }}</p><p>Second {{ document.total }}</p>"


def test_an_editor_that_was_not_touched_changes_nothing(app, boss, template):
    form = typed(template, mode_en="rich", touched_en="0", rich_en="<div>made by the browser</div>")
    assert boss.post(path(template), data=form).status_code == 302
    assert template.text("en").body == "<p>Dear {{ customer.name }}</p>"
    assert template.revision == 1


def test_a_text_that_the_editor_would_spoil_is_edited_as_source(app, boss, make_template):
    made = make_template(texts={"en": ("s", "<table><tr><td>{{ customer.name }}</td></tr></table>")})
    page = boss.get(path(made)).text
    assert "the editor would lose: &lt;table&gt;" in page
    assert "<textarea" in page
    assert "&lt;table&gt;&lt;tr&gt;&lt;td&gt;" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subject_en": "{{ document.nmber }}"}, "Is “document.number” meant?"),
        ({"body_en": "<p>{% if document.total %}x</p>"}, "This condition has no end"),
        ({"body_en": "<p>{{ customer.nmae }}</p>"}, "<mark>{{ customer.nmae }}</mark>"),
        ({"attachment_name": "{{ nothing }}"}, "There is no field “nothing”."),
        ({"reply_to": "nobody"}, "is not a valid email address"),
        ({"name": ""}, "This field is required."),
        ({"position": "first"}, "This is not a number."),
        ({"partner_id": "4711"}, "This customer does not exist any more."),
        (
            {"recipient_rule": "fixed", "recipient_field": "to", "recipient_value": "me at home"},
            "is not a valid email address",
        ),
        (
            {"recipient_rule": "function", "recipient_field": "to", "recipient_value": ""},
            "Say which function the contacts have.",
        ),
        ({"file": "not a mark"}, "A file has to be chosen again."),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(app, boss, changes, words):
    answer = boss.post(
        NEW, data=typed(subject_fr="Gardé {{ document.number }}", body_fr="<p>Gardé</p>", **changes)
    )
    assert answer.status_code == 422
    assert words in answer.text
    assert "Gardé" in answer.text
    for value in changes.values():
        if value not in ("not a mark", "4711"):
            assert str(value) in unescape(answer.text)
    assert newest() is None


def test_a_template_without_a_text_is_not_saved(app, boss):
    answer = boss.post(NEW, data=typed(subject_en=" ", body_en=""))
    assert answer.status_code == 422
    assert "A template needs a text in at least one language." in answer.text


def test_uploaded_files_survive_a_mistake(app, boss):
    form = typed(subject_en="{{ oops }}", files=(io.BytesIO(b"terms"), "terms.txt"))
    page = boss.post(NEW, data=form, content_type="multipart/form-data").text
    token = re.search(r'name="file" value="([^"]+)"', page)
    assert boss.post(NEW, data=typed(file=token[1])).status_code == 302
    assert [file.name for file in newest().files] == ["terms.txt"]


def test_an_empty_file_is_told(app, boss):
    answer = boss.post("/mail_config/templates/file", data={"files": (io.BytesIO(b""), "<empty>.txt")})
    assert "is empty." in answer.text
    assert "<empty>" not in answer.text


def test_two_people_who_save_are_told_of_each_other(app, boss, template, make_user, sign_in):
    mine = typed(template, subject_en="Mine")
    other = sign_in(make_user("administrator", login="other@example.com", name="Marie Other"))
    assert other.post(path(template), data=typed(template, subject_en="Theirs <b>")).status_code == 302
    answer = boss.post(path(template), data=mine)
    assert answer.status_code == 422
    assert "Marie Other has saved this while you were writing." in answer.text
    assert shown_change(answer.text) == "About {{ document.number }} Theirs <b>"
    assert 'value="Mine"' in answer.text
    assert template.text("en").subject == "Theirs <b>"
    seen = dict(re.findall(r'name="(seen_revision|seen_change)" value="(\d+)"', answer.text))
    assert boss.post(path(template), data=mine | seen).status_code == 302
    assert template.text("en").subject == "Mine"


def test_hostile_texts_are_shown_as_text(app, boss, make_template, document):
    evil = '<p>x</p><script>alert(1)</script><img src=x onerror="alert(2)">'
    made = make_template('"><script>n</script>', texts={"en": ("<script>s</script>", evil)})
    for url in (path(made), "/mail_config/templates", path(made, "history")):
        page = boss.get(url).text
        assert "<script>n" not in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    preview = boss.post(
        PREVIEW, data=typed(template=None, subject_en="<script>s</script>", body_en=evil)
    ).text
    assert "<script" not in preview
    assert "alert" not in framed(preview)
    assert "<p>x</p>" in framed(preview)


# -- preview ---------------------------------------------------------------------------------------------


def test_the_preview_shows_what_comes_of_it_before_it_is_saved(app, boss, document):
    form = typed(
        subject_en="New: {{ document.number }}",
        attachment_name="Offer {{ document.number }}",
        recipient_rule="fixed",
        recipient_field="cc",
        recipient_value="Boss <boss@example.com>",
        preview_document=document.id,
        preview_language="en",
    )
    page = boss.post(PREVIEW, data=form).text
    assert f"New: {document.number}" in page
    assert "Dear Dupont &amp; Fils" in framed(page)
    assert f"Offer_{document.number}.pdf" in page
    assert "boss@example.com" in page
    assert "named by the template" in page
    assert f"/documents/{document.id}/pdf" in page
    assert newest() is None


def test_the_preview_speaks_the_language_that_is_asked_for(app, boss, template, document):
    form = typed(template, preview_document=document.id)
    assert "Bonjour" in boss.post(PREVIEW, data=form | {"preview_language": ""}).text
    assert "Dear" in boss.post(PREVIEW, data=form | {"preview_language": "en"}).text


def test_the_preview_tells_what_is_wrong(app, boss, document):
    page = boss.post(PREVIEW, data=typed(body_en="{{ customer.nmae }}")).text
    assert "Is “customer.name” meant?" in page
    assert "srcdoc" not in page


def test_the_preview_needs_a_document(app, boss):
    assert "the preview needs one" in boss.post(PREVIEW, data=typed()).text


def test_documents_are_found_by_number_and_customer(app, boss, document):
    for text in (document.number, "dupont", ""):
        found = boss.get(f"/mail_config/templates/documents?kind={KIND}&q={text}").json
        assert str(document.id) in [entry["value"] for entry in found], text
    assert boss.get("/mail_config/templates/documents?kind=sales.invoice&q=dupont").json == []


# -- a test mail -----------------------------------------------------------------------------------------


def test_a_test_goes_to_oneself_alone_and_marks_no_document(app, boss, template, document):
    form = typed(template, preview_document=document.id, preview_language="en")
    answer = boss.post(f"/outbox/template-test/{KIND}", data=form, headers={"HX-Request": "true"})
    assert "A test is on its way to administrator@maison.example.com." in answer.text
    mail = db.session.scalars(select(OutgoingMail)).one()
    assert mail.subject == f"[Test] About {document.number}"
    assert [recipient.addr_spec for recipient in mail.recipients] == ["administrator@maison.example.com"]
    assert mail.document_id is None
    assert badges_for([document.id]) == {}
    (pdf,) = mail.attachments
    assert (pdf.media_type, pdf.generated) == ("application/pdf", True)
    assert pdf.sha256
    assert boss.get(f"/outbox/mails/{mail.id}").status_code == 200


def test_a_test_of_what_cannot_be_used_is_not_sent(app, boss, document):
    form = typed(body_en="{{ customer.nmae }}")
    answer = boss.post(f"/outbox/template-test/{KIND}", data=form, headers={"HX-Request": "true"})
    assert "No test was sent" in answer.text
    assert db.session.scalars(select(OutgoingMail)).first() is None


# -- source, other systems -------------------------------------------------------------------------------


def test_the_text_is_shown_as_source_and_back(app, boss):
    form = typed(body_en="<p>{{ customer.name }}</p>")
    rich = boss.post(f"/mail_config/templates/text/{KIND}/en", data=form | {"show": "rich"}).text
    assert "trix-editor" in rich
    value = unescape(re.search(r'name="rich_en" value="([^"]*)"', rich)[1])
    back = {"mode_en": "rich", "touched_en": "1", "rich_en": value + "<div>more</div>", "show": "source"}
    source = boss.post(f"/mail_config/templates/text/{KIND}/en", data=form | back).text
    assert "<p>{{ customer.name }}</p>\n<p>more</p>" in unescape(source)
    spoiled = boss.post(
        f"/mail_config/templates/text/{KIND}/en", data=form | {"body_en": "<hr>", "show": "rich"}
    ).text
    assert "the editor would lose: &lt;hr&gt;" in spoiled
    assert boss.post(f"/mail_config/templates/text/{KIND}/xx", data=form).status_code == 404


def test_fields_of_other_systems_are_converted_after_a_look(app, boss):
    url = f"/mail_config/templates/legacy/{KIND}/en"
    form = typed(subject_en="Devis NUMDEV", body_en="<p>&lt;NOMSOC&gt; #1 [CODE]</p>")
    assert "NUMDEV, &lt;NOMSOC&gt;, #1, [CODE]" in boss.post(url, data=form | {"do": "look"}).text
    looked = boss.post(url, data=form | {"do": "show"}).text
    assert "Only you know what it stood for" in looked
    assert "Devis {{ document.number }}" in looked
    chosen = {
        "legacy_found": ["NUMDEV", "&lt;NOMSOC&gt;", "#1", "[CODE]"],
        "legacy_field": ["", "company.name", "customer.name", ""],
    }
    result = boss.post(url, data=form | chosen | {"do": "result"}).text
    assert "{{ company.name }} {{ customer.name }} [CODE]" in result
    done = unescape(boss.post(url, data=form | chosen | {"do": "convert"}).text)
    assert 'value="Devis NUMDEV"' in done
    assert "<p>{{ company.name }} {{ customer.name }} [CODE]</p>" in done


def test_a_text_without_fields_of_other_systems_gets_no_notice(app, boss):
    url = f"/mail_config/templates/legacy/{KIND}/en"
    assert boss.post(url, data=typed(do="look")).text.strip() == ""
    assert "This text has none." in boss.post(url, data=typed(do="show")).text


def test_a_formula_becomes_a_chip(app, boss):
    answer = boss.get(f"/mail_config/templates/chip/{KIND}", query_string={"formula": "{{ customer.name }}"})
    assert answer.json["formula"] == "{{ customer.name }}"
    for wrong in ("customer.name", "{{ a }} {{ b }}", "", "{{ " + "x" * 3000 + " }}"):
        answer = boss.get(f"/mail_config/templates/chip/{KIND}", query_string={"formula": wrong})
        assert answer.status_code == 422
        assert "error" in answer.json


# -- history, original, files ----------------------------------------------------------------------------


def test_the_history_says_who_changed_what_and_leads_back(app, boss, template):
    boss.post(path(template), data=typed(template, subject_en="Another <i>subject</i>"))
    page = boss.get(path(template, "history")).text
    assert "Administrator" in page
    assert shown_change(page) == "About {{ document.number }} Another <i>subject</i>"
    assert "as it is now" in page
    first = revisions.history(template)[-1]
    asked = boss.get(path(template, "restore", str(first.id)))
    assert "What would change" in asked.text
    assert template.text("en").subject != "About {{ document.number }}"
    boss.post(path(template, "restore", str(first.id)))
    assert template.text("en").subject == "About {{ document.number }}"
    assert len(revisions.history(template)) == 3
    assert boss.get(path(template, "restore", "999")).status_code == 404


def test_the_original_is_restored_after_a_look(app, boss, template):
    row = original_of(KIND)
    original = row.text("en").subject
    boss.post(
        path(row),
        data=typed(row, seen_change=0, subject_en="Changed", body_en="<p>Changed</p>", name="Changed"),
    )
    assert "Changed" in boss.get(path(row, "original")).text
    assert row.text("en").subject == "Changed"
    boss.post(path(row, "original"))
    assert row.text("en").subject == original
    assert boss.get(path(template, "original")).status_code == 404


def test_templates_travel_as_a_file(app, boss, template):
    data = boss.get(f"/mail_config/templates/export?t={template.id}").data
    assert [row["name"] for row in json.loads(data)["templates"]] == ["Ours"]
    boss.post(path(template, "delete"))
    page = boss.post("/mail_config/templates/import", data={"file": (io.BytesIO(data), "t.json")}).text
    assert "new" in page
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    assert boss.post("/mail_config/templates/import/apply", data={"token": token}).status_code == 422
    answer = boss.post(
        "/mail_config/templates/import/apply", data={"token": token, "chosen": "0"}, follow_redirects=True
    )
    assert "One template was imported." in answer.text
    assert newest().text("fr").body == "<p>Bonjour {{ customer.name }}</p>"


@pytest.mark.parametrize("data", [b"", b"{}", b"not json", b'{"format": "x"}', b"\x00\xff"])
def test_a_file_that_is_none_is_told(app, boss, data):
    answer = boss.post("/mail_config/templates/import", data={"file": (io.BytesIO(data), "t.json")})
    assert answer.status_code == 422
    assert "This is not a file of email templates." in answer.text


def test_an_import_needs_a_file_that_was_looked_at(app, boss):
    assert boss.post("/mail_config/templates/import").status_code == 422
    answer = boss.post("/mail_config/templates/import/apply", data={"token": "x"}, follow_redirects=True)
    assert "The file has to be chosen again." in answer.text


# -- who may ---------------------------------------------------------------------------------------------


def test_nobody_else_may_use_these_pages(app, template, document, make_user, sign_in):
    seller = sign_in(make_user("salesperson", login="seller@example.com"))
    history = revisions.history(template)[0].id
    for url in (
        *(
            "/mail_config/templates",
            NEW,
            path(template),
            path(template, "history"),
            path(template, "original"),
        ),
        *("/mail_config/templates/export", "/mail_config/templates/import", "/mail_config/templates/which"),
        path(template, "restore", str(history)),
    ):
        assert seller.get(url).status_code == 403, url
    for url in (
        *(NEW, path(template), path(template, "delete"), path(template, "duplicate")),
        *(
            path(template, "original"),
            path(template, "restore", str(history)),
            f"/outbox/template-test/{KIND}",
        ),
        *("/mail_config/templates/import", "/mail_config/templates/import/apply"),
    ):
        assert seller.post(url, data=typed(template)).status_code == 403, url
    assert db.session.get(MailTemplate, template.id) is not None
    assert db.session.scalars(select(OutgoingMail)).first() is None


def test_the_editor_itself_is_for_all_who_may_keep_a_text_of_their_own(
    app, template, document, make_user, sign_in
):
    """Its helpers keep nothing: they show what is typed, and of stored rows what the person may read anyway."""
    pages = {"salesperson": 200, "cashier": 403}
    for role, status in pages.items():
        person = sign_in(make_user(role, login=f"{role}@example.com"))
        chip = f"/mail_config/templates/chip/{KIND}?formula={{{{ document.number }}}}"
        for url in ("/mail_config/templates/documents", chip):
            assert person.get(url).status_code == status, url
        for url in (
            PREVIEW,
            "/mail_config/templates/file",
            f"/mail_config/templates/text/{KIND}/en",
            f"/mail_config/templates/legacy/{KIND}/en",
        ):
            assert person.post(url, data=typed(template)).status_code == status, url


def test_what_somebody_has_saved_stays_theirs_until_a_manager_takes_it(boss, template, make_user):
    """A page that says nothing of it, and one that does; nobody else can be named."""
    seller, other = make_user("salesperson"), make_user("support")
    with transaction():
        template.owner_id = seller.id
    assert f"Only {seller.name}" in boss.get("/mail_config/templates").text
    assert "Saved by" in boss.get(path(template)).text
    for changes, status, owner in (
        ({}, 302, seller.id),
        ({"owner_id": str(seller.id)}, 302, seller.id),
        ({"owner_id": str(other.id)}, 422, seller.id),
        ({"owner_id": "0"}, 302, None),
    ):
        assert boss.post(path(template), data=typed(template, **changes)).status_code == status, changes
        db.session.expire_all()
        assert template.owner_id == owner, changes
    assert "Saved by" not in boss.get(path(template)).text


def test_forms_carry_a_token(app, boss, template):
    app.config["WTF_CSRF_ENABLED"] = True
    for url in (path(template), path(template, "delete"), PREVIEW, f"/outbox/template-test/{KIND}"):
        assert boss.post(url, data=typed(template)).status_code == 400, url


def test_a_missing_language_and_codes_that_are_left_are_told_at_saving(boss, template):
    complete = boss.post(path(template), data=typed(template), follow_redirects=True).text
    assert "The template was saved." in complete
    assert "It has no text in" not in complete
    left = typed(
        template,
        body_en="<p>Dear [XYZ], [NOM&nbsp;CLIENT] {{ customer.name }}</p>",
        subject_fr="",
        body_fr="",
    )
    told = unescape(boss.post(path(template), data=left, follow_redirects=True).text)
    assert "It has no text in French: whoever reads that gets the email in another language." in told
    assert "“[XYZ]”, “[NOM\u00a0CLIENT]”: these fields of an older system" in told


def test_a_pasted_formula_is_read_when_it_is_saved_or_refused_with_its_place(boss, template):
    pasted = typed(template, subject_en='formule="About "+[NUMDEVIS]', body_en="<p>Dear</p>")
    boss.post(path(template), data=pasted)
    db.session.refresh(template.text("en"))
    assert template.text("en").subject == "About {{ document.number }}"
    wrong = typed(template, body_en='<div>formule: "a" + LOOKUP([NUMDEVIS])</div>')
    refused = boss.post(path(template), data=wrong)
    assert refused.status_code == 422
    assert "cannot be read at character 7: There is no function “LOOKUP” here." in unescape(refused.text)
    assert "LOOKUP([NUMDEVIS])" in unescape(refused.text)


def test_functions_are_offered_once_and_in_order(company, customer, make_user, boss):
    for function in ("Buyer", "Accounts", "", "Buyer", "Zoo"):
        save_partner(
            None,
            {
                "name": "Somebody", "type": PartnerType.CONTACT, "parent_id": customer.id, "function": function,
                "language": "en",
            },
        )  # fmt: skip
    gone = select(Partner).where(Partner.function == "Zoo")
    with transaction() as session:
        session.scalars(gone).one().active = False
    with boss.application.test_request_context():
        login_user(make_user("administrator", "other@maison.example.com"))
        assert functions_in_use() == ["Accounts", "Buyer"]
