"""Which template applies to a document, in which language, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask_babel import force_locale
from sqlalchemy import delete

from core.companies.models import Company
from core.companies.service import save_company
from core.db import transaction
from core.documents.models import Document
from core.partners.models import Partner, PartnerType
from core.partners.service import save_partner
from modules.mail_config.mail_templates.selection import offered, rule_text
from modules.mail_config.mail_templates.service import language_of, pdf_name_for, render_for, templates_for
from modules.mail_config.models import MailTemplate
from modules.sales.models import Order

EN = {"en": ("English", "<p>{{ document.title }} of {{ document.date }}: {{ document.total }}</p>")}
FR = {"fr": ("Français", "<p>{{ document.title }} du {{ document.date }} : {{ document.total }}</p>")}


@pytest.fixture(autouse=True)
def _only_ours(app: Flask) -> None:
    with transaction() as session:
        session.execute(delete(MailTemplate))


@pytest.fixture
def other(app: Flask) -> Company:
    return save_company(None, {"name": "Other Ltd", "email": "sales@other.example.com", "language": "en"})


@pytest.fixture
def contact(customer: Partner) -> Partner:
    return save_partner(
        None,
        {"name": "Claire Dupont", "type": PartnerType.CONTACT, "parent_id": customer.id, "language": "fr"},
    )


def names(document: Document) -> list[str]:
    return [offer.template.name for offer in offered(document)]


@pytest.mark.both_databases
def test_customer_goes_before_company_before_everybody(
    make_order: Callable[..., Order],
    make_template: Callable[..., MailTemplate],
    company: Company,
    other: Company,
    customer: Partner,
    contact: Partner,
) -> None:
    stranger = save_partner(None, {"name": "Stranger", "language": "fr"})
    make_template("everybody, first", texts=EN | FR, position=1)
    make_template("company", texts=EN | FR, company_id=company.id, position=9)
    make_template("other company", texts=EN | FR, company_id=other.id, position=1)
    make_template("customer", texts=EN | FR, partner_id=customer.id, position=99)
    make_template(
        "customer by company", texts=EN | FR, partner_id=customer.id, company_id=company.id, position=99
    )
    make_template("customer by other", texts=EN | FR, partner_id=customer.id, company_id=other.id)
    make_template("contact", texts=EN | FR, partner_id=contact.id, position=999)
    make_template("stranger", texts=EN | FR, partner_id=stranger.id)
    make_template("inactive", texts=EN | FR, partner_id=customer.id, active=False, position=0)
    make_template("order", kind="sales.order", texts=EN | FR)

    of_customer = ["customer by company", "customer", "company", "everybody, first"]
    assert names(make_order().document) == of_customer
    assert names(make_order(partner=contact).document) == ["contact", *of_customer]
    assert names(make_order(partner=stranger).document) == ["stranger", "company", "everybody, first"]


def test_among_equals_the_language_of_the_document_goes_first_then_the_position(
    document: Document, make_template: Callable[..., MailTemplate]
) -> None:
    make_template("English, 1", texts=EN, position=1)
    make_template("French, 9", texts=FR, position=9)
    make_template("both, 5", texts=EN | FR, position=5)
    make_template("both, 5, later", texts=EN | FR, position=5)
    assert names(document) == ["both, 5", "both, 5, later", "French, 9", "English, 1"]
    assert templates_for(document)[0].name == "both, 5"


@pytest.mark.parametrize(
    ("document_language", "company_language", "has", "speaks"),
    [
        ("fr", "en", EN | FR, "fr"),
        ("en", "fr", EN | FR, "en"),
        ("en", "fr", FR, "fr"),
        ("fr", "fr", EN, "en"),
        ("de", "fr", EN | FR, "fr"),
        ("de", "es", EN | FR, "en"),
        ("de", "es", FR, "fr"),
    ],
)
def test_the_language_falls_back_to_the_companys_then_english_then_any(
    document: Document,
    make_template: Callable[..., MailTemplate],
    document_language: str,
    company_language: str,
    has: dict[str, tuple[str, str]],
    speaks: str,
) -> None:
    with transaction():
        document.language, document.company.language = document_language, company_language
    template = make_template(texts=has)
    assert language_of(template, document) == speaks
    assert render_for(template, document).subject == {"en": "English", "fr": "Français"}[speaks]


@pytest.mark.parametrize(
    ("has", "pattern", "body", "name"),
    [
        (EN, "", "<p>Quotation of 12 March 2026: €1,234.50</p>", "Quotation_{}.pdf"),
        (FR, "", "<p>Devis du 12 mars 2026 : 1\u202f234,50\xa0€</p>", "Devis_{}.pdf"),
        (EN, "{{ document.title }} {{ document.date }}", "", "Quotation_12_March_2026.pdf"),
        (FR, "{{ document.title }} {{ document.date }}", "", "Devis_12_mars_2026.pdf"),
    ],
)
def test_a_mail_has_one_language(
    document: Document,
    make_template: Callable[..., MailTemplate],
    has: dict[str, tuple[str, str]],
    pattern: str,
    body: str,
    name: str,
) -> None:
    template = make_template(texts=has, attachment_name=pattern)
    for page in ("en", "fr"):
        with force_locale(page):
            assert render_for(template, document).body_html == body or not body
            assert pdf_name_for(template, document) == name.format(document.number)


def test_a_language_can_be_asked_for(document: Document, make_template: Callable[..., MailTemplate]) -> None:
    template = make_template(texts=EN | FR)
    assert render_for(template, document, language="en").subject == "English"
    assert render_for(template, document, language="de").subject == "Français"
    assert pdf_name_for(template, document, language="en") == f"Quotation_{document.number}.pdf"


def test_the_choice_is_explained(
    document: Document,
    make_template: Callable[..., MailTemplate],
    company: Company,
    customer: Partner,
    contact: Partner,
) -> None:
    make_template("customer", texts=FR, partner_id=customer.id, company_id=company.id)
    make_template("company", texts=EN, company_id=company.id)
    make_template("everybody", texts=EN | FR)
    with force_locale("en"):
        assert [offer.why for offer in offered(document)] == [
            ["for this customer", "for the company Maison Test", "in French, the language of the document"],
            ["for the company Maison Test", "in English, since it has no text in French"],
            ["for everybody", "in French, the language of the document"],
        ]
        with transaction():
            document.partner_id = contact.id
        assert offered(document)[0].why[0] == "for the customer Dupont & Fils"
        assert all(sentence.endswith(".") for sentence in rule_text())


def test_a_company_that_speaks_another_language_is_named_as_the_reason(
    document: Document, make_template: Callable[..., MailTemplate]
) -> None:
    make_template(texts=FR)
    with transaction():
        document.language = "en"
    with force_locale("en"):
        assert offered(document)[0].why == [
            "for everybody",
            "in French, the language of the company, since it has no text in English",
        ]
