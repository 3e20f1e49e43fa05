"""Templates of emails about no document: their fields, their page, and which are offered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask_babel import force_locale

from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.errors import UserError
from core.partners.labels import LabelKind, save_label
from core.partners.service import save_contact, save_partner
from modules.mail_config.mail_templates import selection, service
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.customer_mail import CATALOGUE, CUSTOMER, CustomerMail
from modules.mail_config.template_language.fields import plain_values_of, template_kinds

TEXTS = {
    "en": ("Hello {{ customer.name }}", "<div>{{ company.name }}, {{ sender.name }}</div>"),
    "fr": ("Bonjour {{ contact.name | default(customer.name) }}", "<div>{{ customer.country }}</div>"),
}


def made(**values: object) -> MailTemplate:
    return service.save_template(None, kind=CUSTOMER, values={"name": "News", **values}, texts=TEXTS)


def test_every_field_has_a_value_for_a_contact_a_customer_and_nobody(company: Company, make_user) -> None:
    seller = make_user(name="Sophie")
    family = save_label(None, LabelKind.FAMILY, {"name": "Trade"})
    customer = save_partner(
        None, {"name": "Dupont", "country": "FR", "family_id": family.id, "number": "C-1"}
    )
    contact = save_contact(customer, "Claire", "claire@example.com")
    for partner, name, person in ((customer, "Dupont", ""), (contact, "Dupont", "Claire"), (None, "", "")):
        with force_locale("fr"):
            values = plain_values_of(CustomerMail(company, seller, partner))
        assert set(values) == {spec.name for spec in CATALOGUE}
        assert (values["customer.name"], values["contact.name"]) == (name, person)
        assert all(spec.fits(values[spec.name]) for spec in CATALOGUE)
    values = plain_values_of(CustomerMail(company, seller, contact))
    assert (values["customer.family"], values["sender.name"], values["company.name"]) == (
        "Trade", "Sophie", "Maison Test",
    )  # fmt: skip


def test_it_speaks_the_language_of_the_customer(company: Company) -> None:
    template = made()
    english = save_partner(None, {"name": "Smith", "language": "en", "country": "GB"})
    french = save_partner(None, {"name": "Dupont", "language": "fr", "country": "FR"})
    rendered = service.render_for(template, CustomerMail(company, None, english))
    assert (rendered.subject, "Maison Test" in rendered.body_html) == ("Hello Smith", True)
    rendered = service.render_for(template, CustomerMail(company, None, french))
    assert (rendered.subject, "France" in rendered.body_html) == ("Bonjour Dupont", True)
    # To nobody in particular: the company's language.
    assert service.language_of(template, CustomerMail(company)) == "fr"


def test_a_field_of_documents_is_refused(company: Company) -> None:
    with pytest.raises(UserError):
        service.save_template(
            None, kind=CUSTOMER, values={"name": "X"}, texts={"en": ("{{ document.number }}", "<div>x</div>")}
        )


def test_those_for_the_customer_come_first_and_those_of_another_company_never(company: Company) -> None:
    customer = save_partner(None, {"name": "Dupont"})
    other = save_company(
        None, {"name": "Other", "email": "o@example.com", "currency": "EUR", "language": "en"}
    )
    everybody, theirs = made(), made(partner_id=customer.id)
    made(company_id=other.id)
    made(active=False)
    assert [one.id for one in service.templates_for(CustomerMail(company, None, customer))] == [
        theirs.id,
        everybody.id,
    ]
    assert [one.id for one in service.templates_for(CustomerMail(company))] == [everybody.id]
    (offer,) = selection.offered(CustomerMail(company))
    assert all(isinstance(why, str) for why in offer.why)


def test_its_page_lists_previews_and_saves_it(
    company: Company, make_user: Callable[..., User], sign_in
) -> None:
    boss = make_user("administrator")
    browser = sign_in(boss)
    customer = save_partner(None, {"name": "Dupont & Fils", "language": "en"})
    assert CUSTOMER in template_kinds()
    assert "Email to a customer" in browser.get("/mail_config/templates").text
    address = f"/mail_config/templates/new/{CUSTOMER}"
    page = browser.get(address).text
    assert 'data-field="customer.family"' in page
    assert "recipient-rules" not in page
    assert 'name="attachment_name"' not in page
    typed = {
        "name": "News", "subject_en": "Hello {{ customer.name }}", "body_en": "<div>x</div>", "active": "1",
        "company_id": "0", "position": "10", "preview_document": str(customer.id), "priority": "normal",
    }  # fmt: skip
    preview = browser.post(f"/mail_config/templates/preview/{CUSTOMER}", data=typed).text
    assert "Hello Dupont &amp; Fils" in preview
    found = browser.get(f"/mail_config/templates/documents?kind={CUSTOMER}&q=dup").json
    assert [row["text"] for row in found] == ["Dupont & Fils"]
    saved = browser.post(address, data=typed)
    assert saved.status_code == 302, saved.text
    assert browser.get(saved.location).status_code == 200
