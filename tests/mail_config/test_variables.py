"""Variables of one's own: templates use them as fields, and no template is ever left with a hole."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from decimal import Decimal
from html import unescape

import pytest
from flask import current_app
from flask_babel import force_locale
from sqlalchemy import select

from core.companies.models import Company
from core.companies.service import save_company
from core.db import db, transaction
from core.documents.models import Document
from core.errors import UserError
from modules.mail_config.from_mail import legacy_fields
from modules.mail_config.mail_templates import unusable
from modules.mail_config.mail_templates.import_export import Action, apply_plan, export_templates, read_export
from modules.mail_config.mail_templates.service import (
    check_template,
    delete_template,
    pdf_name_for,
    render_for,
    samples,
    save_template,
)
from modules.mail_config.mail_templates.variables import delete_variable, save_variable
from modules.mail_config.models import MailTemplate, TemplateVariable
from modules.mail_config.template_language import own_variables
from modules.sales.models import Order
from modules.sales.service.lines import LineValues

KIND = "sales.quotation"
PAGES = "/mail_config/templates/variables"


@pytest.fixture
def make_variable(company: Company) -> Callable[..., TemplateVariable]:
    _ = company

    def make(code: str, formula: str, **values: object) -> TemplateVariable:
        row: TemplateVariable | None = values.pop("row", None)  # type: ignore[assignment]
        chosen = {"kind": KIND, "label": code.title(), **values}
        return save_variable(row, code=code, formula=formula, **chosen)  # type: ignore[arg-type]

    return make


def test_a_variable_is_used_in_text_subject_and_file_name_and_stays_a_number_or_a_date(
    document: Document,
    make_template: Callable[..., MailTemplate],
    make_variable: Callable[..., TemplateVariable],
) -> None:
    make_variable("Pays du client", "{{ customer.city | upper }}")  # as people type it
    make_variable("deposit", "document.total * 0.3")
    make_variable("reminder", "document.date + 14")
    make_variable("Horaires", "“Ouvert de 9 h à 18 h <tous les jours>”")
    body = (
        "<p>{{ own.deposit / 2 }} {{ own.reminder | date('short') }} {{ own.reminder + 1 }} {{ own.horaires }}</p>"
        "{% if own.deposit > 100 %}<p>Much</p>{% endif %}"
    )
    template = make_template(
        texts={"en": ("{{ own.pays_du_client }}: {{ own.deposit }}", body)},
        attachment_name="{{ document.number }} {{ own.pays_du_client | lower }}",
    )
    made = render_for(template, document)
    assert made.subject == "PARIS: €370.35"
    assert "€185.18" in made.body_html
    assert "26/03/2026" in made.body_html
    assert "27 March 2026" in made.body_html
    assert "Ouvert de 9 h à 18 h &lt;tous les jours&gt;" in made.body_html
    assert "Much" in made.body_html
    assert pdf_name_for(template, document).endswith("_paris.pdf")
    assert samples(KIND, document, "fr")["own.reminder"] == "26 mars 2026"
    # A code of an older system that is called as the variable means it.
    assert legacy_fields.convert(KIND, "[HORAIRES] [PAYS DU CLIENT]", own=own_variables.stored(KIND)) == (
        "{{ own.horaires }} {{ own.pays_du_client }}"
    )


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("", "A field or a formula is needed."),
        ("customer.nobody", "There is no field “customer.nobody”."),
        ("customer.name }} {{ customer.city", "A variable is one formula"),
        ("{% if customer.vat %}x{% endif %}", "“%” is not expected here."),
        ("document.total > 5", "A comparison belongs into"),
        ("own.other", "A variable cannot use another variable"),
        ("customer", "is a group of fields"),
        ("document.total / 0", "divides by zero"),
        ("''.__class__", ""),
        ("range(10**9)", "may not be used"),
        ("customer.name | nosuch", "There is no filter"),
        ("'a' * 9", ""),
        ("x" * 5000, "too long"),
        ("(" * 300 + "1" + ")" * 300, ""),
    ],
)
def test_a_formula_that_cannot_be_used_is_refused(
    make_variable: Callable[..., TemplateVariable], formula: str, said: str
) -> None:
    with force_locale("en"), pytest.raises(UserError) as refused:
        make_variable("mine", formula)
    assert refused.value.field == "formula"
    assert said in str(refused.value)
    assert db.session.scalar(select(TemplateVariable)) is None


def test_that_of_a_company_goes_before_that_for_all_and_one_company_alone_is_told(
    company: Company,
    make_order: Callable[..., Order],
    make_template: Callable[..., MailTemplate],
    make_variable: Callable[..., TemplateVariable],
) -> None:
    other = save_company(None, {"name": "Autre", "email": "a@autre.example.com", "language": "en"})
    make_variable("hours", "'nine to five'")
    own = make_variable("hours", "'ten to six'", company_id=other.id)
    template = make_template(texts={"en": ("{{ own.hours }}", "<p>Hello</p>")})
    lines = [LineValues("Lampe", Decimal(2), Decimal(5))]
    documents = [make_order().document, make_order(issuer=other, lines=lines).document]
    assert [render_for(template, one).subject for one in documents] == ["nine to five", "ten to six"]
    with force_locale("en"), pytest.raises(UserError, match="a variable of this code already: “Hours”"):
        make_variable("hours", "'x'")

    # The one for all may go where no template needs it, not where one does; a company's own always may.
    delete_variable(own)
    single = make_variable("single", "'only there'", company_id=other.id)
    texts = {"en": ("{{ own.single }}", "<p>Hello</p>")}
    with force_locale("en"):
        found = check_template(KIND, texts, "")
        assert "The variable “own.single” is for single companies only" in found["subject_en"][0]
        assert check_template(KIND, texts, "", company_id=company.id)  # it is not theirs
    theirs = make_template("Theirs", texts=texts, company_id=other.id)
    assert render_for(theirs, documents[1]).subject == "only there"
    with force_locale("en"):
        for change in (
            lambda: make_variable("single", "'x'", row=single, company_id=company.id),
            lambda: make_variable("renamed", "'x'", row=single, company_id=other.id),
            lambda: delete_variable(single),
        ):
            with pytest.raises(UserError, match="Templates use this variable: “Theirs”"):
                change()
    make_variable("single", "'for all'", row=single)
    assert render_for(theirs, documents[1]).subject == "for all"
    delete_template(theirs)
    delete_variable(single)


def test_a_formula_with_which_a_template_could_not_be_used_is_refused(
    make_template: Callable[..., MailTemplate], make_variable: Callable[..., TemplateVariable]
) -> None:
    row = make_variable("deposit", "document.total * 0.3")
    make_template("Half", texts={"en": ("{{ own.deposit / 2 }}", "<p>Hello</p>")})
    with force_locale("en"), pytest.raises(UserError, match="The template “Half” could not be used any more"):
        make_variable("deposit", "customer.name", row=row)
    db.session.refresh(row)
    assert row.formula == "document.total * 0.3"
    make_variable("deposit", "document.total * 0.4", row=row)


def test_a_variable_whose_field_is_gone_is_told_at_saving_and_at_sending(
    document: Document,
    make_template: Callable[..., MailTemplate],
    make_variable: Callable[..., TemplateVariable],
) -> None:
    row = make_variable("place", "customer.city | default('nowhere')")
    texts = {"en": ("Hello", "<p>{{ own.place | default('here') }}</p>")}
    template = make_template("Ours", texts=texts)
    untouched = make_template("Other")
    with transaction():
        row.formula = "customer.town | default('nowhere')"  # as if a module had had this field once
    said = "The variable “own.place” uses the field “customer.town”, which there is not any more."
    with force_locale("en"):
        for use in (
            lambda: render_for(template, document),
            lambda: save_template(template, kind=KIND, values={"name": "Ours"}, texts=texts),
        ):
            with pytest.raises(UserError) as refused:
                use()
            assert said in str(refused.value)
        assert any(said in line for line in unusable.unusable(current_app))
        assert said in samples(KIND, document, "en")["own.place"]
    assert render_for(untouched, document).subject


def test_an_export_carries_the_variables_that_its_templates_use(
    make_template: Callable[..., MailTemplate], make_variable: Callable[..., TemplateVariable]
) -> None:
    used, _unused = make_variable("hours", "'nine to five'"), make_variable("unused", "'x'")
    template = make_template("Ours", texts={"en": ("{{ own.hours }}", "<p>Hello</p>")})
    written = export_templates([template])
    (row,) = json.loads(written)["templates"]
    assert [one["code"] for one in row["variables"]] == ["hours"]
    delete_template(template)
    delete_variable(used)
    plan = read_export(written)
    assert [entry.action for entry in plan.entries] == [Action.NEW]
    assert not plan.entries[0].problems
    assert [variable.code for variable in plan.entries[0].variables] == ["hours"]
    apply_plan(plan, ["0"], None)
    kept = db.session.scalars(select(TemplateVariable).where(TemplateVariable.code == "hours")).one()
    # Once it says something else here, it stays, and the plan tells so.
    make_variable("hours", "'ten to six'", row=kept)
    with force_locale("en"):
        (entry,) = read_export(written).entries
    assert entry.action is Action.REPLACE
    assert not entry.variables
    assert entry.problems == ["The variable “own.hours” says something else here, and stays as it is."]
    for bad in ({"code": "hours"}, 5, {"code": "x y z", "label": "", "formula": "own.hours"}):
        broken = json.dumps({**json.loads(written), "templates": [{**row, "variables": [bad]}]}).encode()
        (entry,) = read_export(broken).entries
        assert entry.action is Action.SKIP
        assert entry.problems


def test_a_variable_is_made_tried_and_deleted_on_its_pages(
    make_user, sign_in, document: Document, make_template: Callable[..., MailTemplate]
) -> None:
    boss = sign_in(make_user("administrator"))
    page = boss.get(f"{PAGES}/new/{KIND}").text
    assert 'data-field="customer.city"' in page
    assert "own." not in re.sub(r"own\.code", "", page)
    value = boss.post(f"{PAGES}/value/{KIND}", data={"formula": "customer.city"})
    assert "Paris" in value.text
    assert document.number in unescape(value.text)
    wrong = boss.post(f"{PAGES}/value/{KIND}", data={"formula": "customer.citty"})
    assert "Is “customer.city” meant?" in unescape(wrong.text)

    form = {"label": "Ville <b>", "code": "ville", "company_id": "0", "formula": "customer.citty"}
    refused = boss.post(f"{PAGES}/new/{KIND}", data=form)
    assert refused.status_code == 200
    assert "customer.citty" in refused.text
    assert "Ville &lt;b&gt;" in refused.text
    assert boss.post(f"{PAGES}/new/{KIND}", data={**form, "formula": "customer.city"}).status_code == 302
    row = db.session.scalars(select(TemplateVariable)).one()
    template = make_template("Ours", texts={"en": ("{{ own.ville }}", "<p>Hello</p>")})
    picker = unescape(boss.get(f"/mail_config/templates/{template.id}").text)
    assert 'data-field="own.ville"' in picker
    assert "Own variables" in picker

    listed = unescape(boss.get(PAGES).text)
    assert "own.ville" in listed
    assert "customer.city" in listed
    assert "Ours" in boss.get(f"{PAGES}/{row.id}").text
    told = boss.post(f"{PAGES}/{row.id}/delete", follow_redirects=True)
    assert "Templates use this variable: “Ours”" in unescape(told.text)
    delete_template(template)
    number = row.id
    boss.post(f"{PAGES}/{number}/delete")
    assert db.session.scalar(select(TemplateVariable)) is None
    assert boss.get(f"{PAGES}/{number}").status_code == 404
    seller = sign_in(make_user("salesperson", login="s2@maison.example.com"))
    assert seller.get(PAGES).status_code == 403


def test_dates_of_a_variable_follow_the_language_of_the_mail(
    make_order: Callable[..., Order],
    make_template: Callable[..., MailTemplate],
    make_variable: Callable[..., TemplateVariable],
) -> None:
    make_variable("day", "'le ' ~ document.date")
    document = make_order(date=dt.date(2026, 3, 12)).document
    template = make_template(texts={"fr": ("{{ own.day }}", "<p>Bonjour</p>")})
    assert render_for(template, document).subject == "le 12 mars 2026"
