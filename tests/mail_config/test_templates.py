"""Templates are checked when saved, keep their history, and are never overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask, current_app
from flask_babel import force_locale

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.errors import ConcurrentChangeError, UserError
from core.files import FileStore
from core.mail.draft import DraftAttachment, Priority, RecipientField
from core.partners.models import Partner
from modules.mail_config.mail_templates import shipped, unusable
from modules.mail_config.mail_templates.revisions import difference, history, missing_files, restore
from modules.mail_config.mail_templates.service import (
    RecipientChoice,
    check_in_detail,
    check_template,
    delete_template,
    pdf_name_for,
    render_for,
    restore_shipped,
    samples,
    save_template,
    shipped_original,
)
from modules.mail_config.models import (
    MailTemplate,
    MailTemplateText,
    RecipientRule,
    TemplateFile,
    TemplateRecipient,
    TemplateRevision,
)

TEXTS = {"en": ("Hello", "<p>Hello</p>"), "fr": ("Bonjour", "<p>Bonjour</p>")}


def store() -> FileStore:
    found: FileStore = current_app.extensions["envoi_files"]
    return found


def a_file(name: str = "terms.pdf", data: bytes = b"terms") -> DraftAttachment:
    return DraftAttachment(name, "application/pdf", store().put(data), len(data))


# -------------------------------------------------------------------------------------------------------- check


def test_a_stored_template_whose_field_is_gone_is_told_by_its_name(
    document: Document, make_template: Callable[..., MailTemplate]
) -> None:
    template = make_template("Offer", attachment_name="{{ document.number }}")
    assert unusable.unusable(current_app) == []
    with transaction():
        template.texts[
            0
        ].body = "{{ customer.nobody }}"  # as if the field had been in the catalogue when it was saved
        template.attachment_name = "{{ document.nothing }}"
    said = "“Offer” (sales.quotation): there is no field customer.nobody, document.nothing."
    with force_locale("en"):
        for use in (render_for, pdf_name_for):
            with pytest.raises(UserError) as refused:
                use(template, document)
            assert str(refused.value) == f"The template cannot be used: {said}"
        assert unusable.unusable(current_app) == [said]


def test_a_stored_template_that_cannot_be_read_is_told_by_its_name(
    make_template: Callable[..., MailTemplate],
) -> None:
    template = make_template("Offer")
    with transaction():
        template.texts[0].subject = "{% if %}"
    with force_locale("en"):
        (said,) = unusable.unusable(current_app)
    assert said.startswith("“Offer” (sales.quotation), subject_en: ")
    with transaction():
        template.active = False
    assert unusable.unusable(current_app) == []


def test_every_text_is_checked_and_told_beside_its_field(app: Flask) -> None:
    texts = {"en": ("", "<p>{{ customer.nmae }}</p>"), "fr": ("{% if %}", "{{ document.date | money }}")}
    with force_locale("en"):
        found = check_template("sales.quotation", texts, "{{ document.nmber }}")
    assert set(found) == {"subject_en", "body_en", "subject_fr", "body_fr", "attachment_name"}
    assert found["subject_en"] == ["A subject is needed."]
    assert "Is “customer.name” meant?" in found["body_en"][0]


def test_a_problem_points_at_its_place(app: Flask) -> None:
    texts = {"fr": ("x", "<p>Bonjour</p>\n<p>{{ customer.nmae | upper }}</p>")}
    with force_locale("en"):
        (problem,) = check_in_detail("sales.quotation", texts, "")
    assert (problem.field, problem.line, problem.column) == ("body_fr", 2, 7)
    assert problem.excerpt == "{{ customer.nmae | upper }}"


def test_a_field_of_another_kind_is_unknown(app: Flask) -> None:
    assert not check_template("sales.quotation", {"en": ("{{ document.validity }}", "")}, "")
    assert check_template("sales.invoice", {"en": ("{{ document.validity }}", "")}, "")


def test_samples_are_shown_as_a_mail_in_the_language_would(app: Flask, document: Document) -> None:
    made_up = samples("sales.quotation", None, "fr")
    assert (made_up["document.total"], made_up["document.date"]) == ("1\u202f234,50\xa0€", "31 mars 2026")
    assert made_up["document.title"] == "Devis"
    real = samples("sales.quotation", document, "en")
    assert (real["document.total"], real["customer.name"]) == ("€1,234.50", "Dupont & Fils")
    assert set(made_up) == set(real)


# --------------------------------------------------------------------------------------------------------- save


@pytest.mark.both_databases
def test_everything_that_a_template_says_is_kept(
    app: Flask, company: Company, customer: Partner, salesperson: User
) -> None:
    template = save_template(
        None,
        kind="sales.quotation",
        values={
            "name": " Quotation ",
            "company_id": company.id,
            "partner_id": customer.id,
            "attachment_name": "{{ document.number }}",
            "reply_to": "Answers@Maison.Example.com",
            "position": 3,
            "keep_days": 0,
            "priority": "high",
            "delivery_receipt": True,
            "read_receipt": True,
            "active": True,
        },
        texts={
            "fr": ("{{ document.number }} &gt;", "<p>{% if document.total&nbsp;&gt; 1 %}x{% endif %}</p>")
        },
        recipients=[
            RecipientChoice(RecipientRule.CUSTOMER),
            RecipientChoice(RecipientRule.FUNCTION, RecipientField.CC, " Buyer "),
            RecipientChoice(RecipientRule.FIXED, RecipientField.BCC, "Archive <archive@MAISON.example.com>"),
            RecipientChoice(RecipientRule.CUSTOMER, value="ignored"),
        ],
        files=[a_file("../terms.pdf")],
        by=salesperson,
    )
    db.session.expire_all()
    assert (template.name, template.priority, template.keep_days) == ("Quotation", Priority.HIGH, 0)
    assert template.reply_to == "Answers@maison.example.com"
    assert template.texts[0].body == "<p>{% if document.total > 1 %}x{% endif %}</p>"
    assert template.texts[0].subject == "{{ document.number }} &gt;"
    assert [(row.rule, row.field, row.value) for row in template.recipients] == [
        (RecipientRule.CUSTOMER, RecipientField.TO, ""),
        (RecipientRule.FUNCTION, RecipientField.CC, "Buyer"),
        (RecipientRule.FIXED, RecipientField.BCC, "Archive <archive@maison.example.com>"),
    ]
    assert [(file.name, file.size) for file in template.files] == [("terms.pdf", 5)]
    (revision,) = history(template)
    assert revision.by_user_id == salesperson.id


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"values": {"name": "  "}}, "name"),
        ({"values": {"name": "x" * 121}}, "name"),
        ({"values": {"name": "x", "reply_to": "nobody"}}, "reply_to"),
        ({"values": {"name": "x", "company_id": 999}}, "company_id"),
        ({"values": {"name": "x", "partner_id": 999}}, "partner_id"),
        ({"values": {"name": "x", "keep_days": -1}}, "keep_days"),
        ({"values": {"name": "x", "position": 10_000}}, "position"),
        ({"texts": {}}, "subject_en"),
        ({"texts": {"fr": ("x", "{{ nothing }}")}}, "body_fr"),
        ({"recipients": [RecipientChoice(RecipientRule.FIXED, value="")]}, "recipients"),
        ({"recipients": [RecipientChoice(RecipientRule.FIXED, value="a@b@c")]}, "recipients"),
        ({"recipients": [RecipientChoice(RecipientRule.FUNCTION)]}, "recipients"),
        (
            {"recipients": [RecipientChoice(RecipientRule.FUNCTION, value=str(n)) for n in range(31)]},
            "recipients",
        ),
        ({"files": [DraftAttachment("x", "text/plain", "0" * 64, 1)]}, "files"),
        ({"files": [DraftAttachment("x", "text/plain", "0" * 64, 20_000_001)]}, "files"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(
    app: Flask, changes: dict[str, object], field: str
) -> None:
    wanted: dict[str, object] = {"kind": "sales.order", "values": {"name": "x"}, "texts": TEXTS, **changes}
    with pytest.raises(UserError) as refusal:
        save_template(None, **wanted)  # type: ignore[arg-type]
    assert refusal.value.field == field
    assert db.session.query(MailTemplate).filter_by(kind="sales.order", name="x").count() == 0


def test_a_new_template_is_the_last_of_its_kind(make_template: Callable[..., MailTemplate]) -> None:
    first, second, other = make_template(), make_template(), make_template(kind="sales.order")
    assert first.position < second.position
    assert other.position < 9999
    save_template(first, kind="", values={"position": 9999}, texts=TEXTS)
    assert make_template().position == 9999


def test_what_is_not_named_stays(make_template: Callable[..., MailTemplate]) -> None:
    template = make_template(
        reply_to="a@b.example", recipients=[RecipientChoice(RecipientRule.MAIN)], files=[a_file()]
    )
    save_template(template, kind="", values={"position": 4}, texts=TEXTS)
    assert (template.reply_to, template.position, len(template.texts)) == ("a@b.example", 4, 2)
    assert (len(template.recipients), len(template.files)) == (1, 1)
    save_template(template, kind="", values={}, texts=TEXTS, recipients=[], files=[])
    assert (template.recipients, template.files) == ([], [])


@pytest.mark.both_databases
def test_two_people_cannot_overwrite_each_other(make_template: Callable[..., MailTemplate]) -> None:
    template = make_template()
    seen = template.revision
    save_template(template, kind="", values={"name": "by one"}, texts=TEXTS, seen_revision=seen)
    with pytest.raises(ConcurrentChangeError):
        save_template(template, kind="", values={"name": "by another"}, texts=TEXTS, seen_revision=seen)
    db.session.expire_all()
    assert template.name == "by one"


def test_saving_what_is_there_already_is_no_change(make_template: Callable[..., MailTemplate]) -> None:
    template = make_template(texts=TEXTS)
    save_template(template, kind="", values={"name": template.name}, texts=TEXTS)
    assert template.revision == 1
    assert len(history(template)) == 1


@pytest.mark.both_databases
def test_a_deleted_template_leaves_nothing(make_template: Callable[..., MailTemplate]) -> None:
    template = make_template(files=[a_file()], recipients=[RecipientChoice(RecipientRule.MAIN)])
    delete_template(template)
    for model in (MailTemplateText, TemplateRecipient, TemplateFile, TemplateRevision):
        column = model.template_id
        assert db.session.query(model).filter(column == template.id).count() == 0


# ------------------------------------------------------------------------------------------------------ history


@pytest.mark.both_databases
def test_the_history_says_what_has_changed_and_leads_back(
    make_template: Callable[..., MailTemplate], salesperson: User, company: Company
) -> None:
    template = make_template(
        "Old", texts=TEXTS, files=[a_file()], recipients=[RecipientChoice(RecipientRule.BILLING)]
    )
    save_template(
        template,
        kind="",
        values={"name": "New", "company_id": company.id, "delivery_receipt": True, "keep_days": 5},
        texts={"en": ("Hello!", TEXTS["en"][1])},
        recipients=[],
        files=[],
        by=salesperson,
    )
    newer, older = history(template)
    assert newer.by_user is not None
    assert newer.by_user.name == "Sophie Bernard"
    with force_locale("en"):
        changes = {change.field: (change.before, change.after) for change in difference(older, newer)}
        titles = {change.field: change.title for change in difference(older, newer)}
    assert changes.pop("files")[0].startswith("terms.pdf")
    assert changes == {
        "name": ("Old", "New"),
        "company": ("", "Maison Test"),
        "keep_days": ("", "5"),
        "delivery_receipt": ("no", "yes"),
        "recipients": ("To: The billing contacts of the customer", ""),
        "subject_en": ("Hello", "Hello!"),
        "subject_fr": ("Bonjour", ""),
        "body_fr": ("<p>Bonjour</p>", ""),
    }
    assert titles["subject_fr"] == "Subject (French)"
    assert "subject_en" in {change.field for change in difference(None, older)}

    restore(template, older, salesperson)
    assert (template.name, template.company_id, template.keep_days) == ("Old", None, None)
    assert {text.language for text in template.texts} == {"en", "fr"}
    assert [row.rule for row in template.recipients] == [RecipientRule.BILLING]
    assert [file.name for file in template.files] == ["terms.pdf"]
    assert len(history(template)) == 3
    assert difference(history(template)[0], older) == []


def test_a_version_comes_back_without_files_that_are_gone(make_template: Callable[..., MailTemplate]) -> None:
    template = make_template(texts=TEXTS, files=[a_file(), a_file("kept.txt", b"kept")])
    save_template(template, kind="", values={}, texts=TEXTS, files=[])
    store().remove(a_file_hash(b"terms"))
    older = history(template)[1]
    assert missing_files(older) == ["terms.pdf"]
    restore(template, older, None)
    assert [file.name for file in template.files] == ["kept.txt"]


def a_file_hash(data: bytes) -> str:
    return store().put(data)


def test_a_version_for_a_company_that_is_gone_does_not_become_everybodys(
    make_template: Callable[..., MailTemplate],
) -> None:
    gone = save_company(None, {"name": "Gone", "email": "x@gone.example"})
    template = make_template(texts=TEXTS, company_id=gone.id)
    save_template(template, kind="", values={"company_id": None}, texts=TEXTS)
    with transaction() as session:
        session.delete(gone)
    with pytest.raises(UserError, match="company"):
        restore(template, history(template)[1], None)


def test_a_version_of_another_template_is_refused(make_template: Callable[..., MailTemplate]) -> None:
    one, other = make_template("one"), make_template("other")
    with pytest.raises(UserError):
        restore(one, history(other)[0], None)


# ------------------------------------------------------------------------------------------------------ shipped


@pytest.mark.both_databases
def test_the_original_of_a_shipped_template_comes_back_whole(
    app: Flask, company: Company, salesperson: User, document: Document
) -> None:
    shipped.install(app)
    template = db.session.query(MailTemplate).filter_by(kind="sales.quotation").one()
    original = shipped_original(template)
    assert original is not None
    save_template(
        template,
        kind="",
        values={
            "name": "Ours", "company_id": company.id, "attachment_name": "", "reply_to": "a@b.example",
            "keep_days": 3, "priority": Priority.LOW, "read_receipt": True, "position": 77,
        },
        texts={"en": ("Ours", "ours")},
        recipients=[RecipientChoice(RecipientRule.MAIN)],
        files=[a_file()],
        by=salesperson,
    )  # fmt: skip
    restore_shipped(template, salesperson)
    db.session.expire_all()
    assert {text.language: (text.subject, text.body) for text in template.texts} == dict(original.texts)
    assert (template.name, template.attachment_name) == (original.name, original.attachment_name)
    assert (template.company_id, template.reply_to, template.keep_days) == (None, "", None)
    assert (template.priority, template.read_receipt) == (Priority.NORMAL, False)
    assert (template.recipients, template.files, template.position) == ([], [], 77)
    assert "devis" in render_for(template, document).subject
    # What was there before anybody changed it is in the history too.
    first = history(template)[-1]
    assert first.by_user_id is None
    assert difference(first, history(template)[0])[0].field == "position"


def test_a_changed_or_deleted_template_is_not_touched_by_the_next_start(app: Flask, company: Company) -> None:
    shipped.install(app)
    changed = db.session.query(MailTemplate).filter_by(kind="sales.quotation").one()
    save_template(changed, kind="", values={}, texts=TEXTS)
    delete_template(db.session.query(MailTemplate).filter_by(kind="sales.order").one())
    shipped.install(app)
    assert changed.texts[0].subject == "Hello"
    assert db.session.query(MailTemplate).filter_by(kind="sales.order").count() == 0


def test_a_template_of_ones_own_has_no_original(make_template: Callable[..., MailTemplate]) -> None:
    template = make_template()
    assert shipped_original(template) is None
    with pytest.raises(UserError, match="no original"):
        restore_shipped(template, None)
