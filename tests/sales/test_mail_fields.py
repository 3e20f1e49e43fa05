"""What mails about sales documents may say, and that posted invoices go on saying it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from flask_babel import force_locale

from core.companies.models import Company
from core.companies.service import save_company
from core.documents.behavior import FieldValue
from core.documents.models import Document
from core.documents.service import behavior_of
from core.partners.models import Partner, PartnerType
from core.partners.service import save_partner
from modules.sales.behavior import invoice, order, quotation
from modules.sales.models import Invoice, Order

MakeOrder = Callable[..., Order]
MakeInvoice = Callable[..., Invoice]


def values(document: Document, language: str = "fr") -> Mapping[str, FieldValue]:
    with force_locale(language):
        return behavior_of(document).fields(document)


def test_every_field_of_the_catalogue_has_a_value(
    make_quotation: MakeOrder, make_invoice: MakeInvoice
) -> None:
    assert set(values(make_quotation().document)) == {spec.name for spec in quotation.catalogue}
    posted, draft = make_invoice(), make_invoice(posted=False)
    for one in (posted, draft):
        assert set(values(one.document)) == {spec.name for spec in invoice.catalogue}
        assert all(spec.fits(values(one.document)[spec.name]) for spec in invoice.catalogue)
    assert {spec.group for spec in order.catalogue} == {"document", "customer", "contact", "company", "owner"}


def test_names_of_countries_and_languages_are_those_of_the_mail(make_quotation: MakeOrder) -> None:
    document = make_quotation().document
    assert values(document, "fr")["customer.language"] == "français"
    assert values(document, "en")["customer.language"] == "French"
    assert values(document, "en")["company.country"] == "France"


def test_the_contact_is_the_main_one_or_the_one_the_document_is_made_out_to(
    make_quotation: MakeOrder, customer: Partner
) -> None:
    def contact(name: str, **more: object) -> Partner:
        return save_partner(
            None, {"name": name, "type": PartnerType.CONTACT, "parent_id": customer.id, **more}
        )

    document = make_quotation().document
    other = contact("Anne")
    assert values(document)["contact.name"] == ""
    contact("Zoé", is_main=True, function="Acheteuse", email="zoe@dupont.example.com")
    assert (values(document)["contact.name"], values(document)["contact.function"]) == ("Zoé", "Acheteuse")
    assert values(make_quotation(partner_id=other.id).document)["contact.name"] == "Anne"


def test_a_posted_invoice_tells_company_and_customer_as_they_were(
    make_invoice: MakeInvoice, company: Company, customer: Partner
) -> None:
    save_company(company, {"bank_line": "IBAN FR76 1", "phone": "+33 1 00"})
    posted, draft = make_invoice(), make_invoice(posted=False)
    before = dict(values(posted.document))
    save_company(company, {"name": "Renamed", "bank_line": "IBAN FR76 2", "city": "Nice", "phone": ""})
    save_partner(
        customer,
        {
            "name": "Durand", "street": "1 quai\n2e étage", "zip_code": "SW1A 1AA", "city": "London", "country": "GB",
            "vat": "GB434031494",
        },
    )  # fmt: skip
    assert values(posted.document) == before
    now = values(draft.document)
    assert (now["company.name"], now["company.bank_line"], now["customer.name"]) == (
        "Renamed",
        "IBAN FR76 2",
        "Durand",
    )
    assert now["customer.country"] == "Royaume-Uni"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (
            {"street": "4 rue du Bac", "zip_code": "75007", "city": "Paris"},
            ("4 rue du Bac", "75007", "Paris", "France"),
        ),
        (
            {"street": "1 Main St\nFlat 2", "zip_code": "SW1A 1AA", "city": "London", "country": "GB"},
            ("1 Main St\nFlat 2", "SW1A 1AA", "London", "Royaume-Uni"),
        ),
        ({"street": "", "zip_code": "", "city": "Aix en Provence"}, ("", "", "Aix en Provence", "France")),
        ({"street": "", "zip_code": "", "city": "Berlin", "country": "DE"}, ("", "", "Berlin", "Allemagne")),
    ],
)
def test_a_kept_address_is_read_back(
    make_invoice: MakeInvoice, customer: Partner, address: dict[str, str], told: tuple[str, ...]
) -> None:
    save_partner(customer, {"country": "FR", **address})
    posted = make_invoice()
    save_partner(customer, {"street": "moved", "zip_code": "00000", "city": "Elsewhere", "country": "BE"})
    found = values(posted.document)
    assert tuple(found[f"customer.{name}"] for name in ("street", "zip_code", "city", "country")) == told
