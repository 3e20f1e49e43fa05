"""Nobody sees or changes what is another company's, or a colleague's own, by naming its id: in an address or a form."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from sqlalchemy import select

from core import clock
from core.auth.service import save_user
from core.companies.service import save_company
from core.db import db
from core.documents.models import Document
from core.followers.models import Follower
from core.mail.addresses import Address
from core.mail.draft import DraftRecipient, MailDraft, Reason
from core.partners.models import Partner
from core.partners.service import save_contact, save_partner
from core.products.models import Product, Tax
from core.products.service import save_product, save_tax
from core.testing.fixtures import PASSWORD
from modules.outbox.service import cancel, submit
from modules.pos.models import PaymentMethod, Ticket
from modules.pos.service.cashiers import set_pin
from modules.pos.service.registers import open_session, save_method, save_register
from modules.sales.models import Line
from modules.sales.service.lines import LineValues
from modules.sales.service.orders import QuotationValues, create_quotation
from tests.pos.test_views import posted

SECRET = "Tresor"  # in the name of whatever is not theirs


@pytest.fixture
def elsewhere(company):
    return save_company(
        None, {"name": "Elsewhere Ltd", "email": "e@elsewhere.example.com", "currency": "EUR"}
    )


@pytest.fixture
def stranger(elsewhere):
    """A salesperson of another company."""
    return save_user(
        None,
        login="stranger@elsewhere.example.com",
        name=f"{SECRET} Stranger",
        roles=["salesperson", "cashier"],
        company_ids=[elsewhere.id],
        password=PASSWORD,
    )


@pytest.fixture
def theirs(elsewhere):
    """A customer of the other company alone."""
    return save_partner(
        None,
        {"name": f"{SECRET} SA", "email": "tresor@theirs.example.com", "company_id": elsewhere.id},
    )


@pytest.fixture
def their_contact(theirs):
    return save_contact(theirs, f"{SECRET} Anna", "anna@theirs.example.com", function=f"{SECRET} chief")


@pytest.fixture
def ours(company):
    return save_partner(None, {"name": "Ours SA", "email": "ours@ours.example.com", "language": "en"})


@pytest.fixture
def seller(make_user):
    return make_user("salesperson", name="Sophie")


@pytest.fixture
def browser(seller, sign_in):
    return sign_in(seller)


@pytest.fixture
def quotation(company, ours, seller):

    lines = [LineValues("Lamp", Decimal(1), Decimal(10))]
    values = QuotationValues(partner_id=ours.id, date=clock.day_in("UTC"), lines=lines)
    return create_quotation(company, values, seller).document


def quotation_form(**changes):
    return {
        "partner_id": "",
        "date": "2026-11-30",
        "language": "",
        "line.product_id": "",
        "line.description": "Lamp",
        "line.quantity": "1",
        "line.unit": "",
        "line.unit_price": "10",
        "line.discount": "",
        "line.tax_id": "",
        **changes,
    }


# ------------------------------------------------------------------------------------------------- customers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/edit"),
        ("POST", "/edit"),
        ("POST", "/main"),
        ("GET", "/contacts/new"),
        ("POST", "/contacts/new"),
    ],
)
def test_a_customer_of_another_company_is_not_there(browser, theirs, their_contact, method, path):
    data = {"name": "Taken", "email": "thief@example.com", "language": "en", "country": "FR", "active": "y"}
    for number in (theirs.id, their_contact.id):
        answer = browser.open(f"/partners/{number}{path}", method=method, data=data)
        assert answer.status_code == 404, (number, path)
    assert browser.get(f"/outbox/partners/{theirs.id}/panel").status_code == 404
    db.session.expire_all()
    assert (theirs.name, theirs.email, their_contact.email) == (
        f"{SECRET} SA",
        "tresor@theirs.example.com",
        "anna@theirs.example.com",
    )
    assert db.session.scalars(select(Partner).where(Partner.name == "Taken")).all() == []


@pytest.mark.both_databases
def test_no_list_search_or_suggestion_names_one(browser, theirs, their_contact, quotation, company):
    pages = [
        f"/partners?q={SECRET}",
        f"/partners?f=contacts&q={SECRET}",
        f"/people?q={SECRET}",
        f"/people?only=customers&q={SECRET}",
        f"/people?only=partners&q={SECRET}&company_id={company.id}",
        "/people?only=partners&q=anna@theirs",
        f"/documents/{quotation.id}/followers/people?q={SECRET}",
        f"/documents/{quotation.id}/followers?q={SECRET}",
        f"/outbox/compose/{quotation.id}/addresses?q={SECRET}",
        f"/sales/quotations/new?partner_id={theirs.id}",
    ]
    for page in pages:
        answer = browser.get(page)
        assert answer.status_code == 200, page
        # What was typed comes back; the names have more.
        assert f"{SECRET} " not in answer.text, page
        assert "theirs.example.com" not in answer.text.replace("anna@theirs", ""), page
    found = browser.post("/outbox/compose/people", data={"q": SECRET})
    assert found.get_json() == []
    chips = browser.post(
        f"/outbox/compose/{quotation.id}/chips",
        data={"text": "tresor@theirs.example.com, anna@theirs.example.com", "field": "to"},
    ).text
    assert SECRET not in chips
    assert f"/partners/{theirs.id}" not in chips


def test_whoever_works_there_finds_it(sign_in, stranger, theirs, their_contact, ours):
    browser = sign_in(stranger)
    assert browser.get(f"/partners/{theirs.id}").status_code == 200
    assert f"{SECRET} Anna" in browser.get(f"/people?q={SECRET}").text
    assert "Ours SA" in browser.get("/partners").text, "what is for all companies is there for all"


def test_a_company_that_is_not_the_user_s_is_not_searched_for(browser, elsewhere, theirs):
    answer = browser.get(f"/people?only=customers&q={SECRET}&company_id={elsewhere.id}")
    assert answer.status_code == 404


@pytest.mark.both_databases
def test_no_document_is_made_out_to_one(browser, seller, quotation, theirs, company):
    for path in ("/sales/quotations/new", "/sales/invoices/new", f"/sales/orders/{quotation.id}/edit"):
        answer = browser.post(path, data=quotation_form(partner_id=str(theirs.id)))
        assert answer.status_code == 422, path
        assert SECRET not in answer.text, path
    assert db.session.scalars(select(Document).where(Document.partner_id == theirs.id)).all() == []


def test_nor_by_somebody_who_works_for_both(sign_in, make_user, company, elsewhere, theirs):
    """The customer of one company is no customer of the other, whoever writes the document."""
    both = make_user("salesperson", login="both@maison.example.com", company_ids=[company.id, elsewhere.id])
    browser = sign_in(both)
    data = quotation_form(partner_id=str(theirs.id), company_id=str(company.id))
    assert browser.post("/sales/quotations/new", data=data).status_code == 422
    data["company_id"] = str(elsewhere.id)
    answer = browser.post("/sales/quotations/new", data=data)
    assert answer.status_code == 302, answer.text


@pytest.mark.parametrize("whom", ["theirs", "their_contact", "stranger"])
def test_none_is_made_to_follow(browser, quotation, request, whom):
    someone = request.getfixturevalue(whom)
    who = f"{'u' if whom == 'stranger' else 'p'}{someone.id}"
    before = db.session.scalars(select(Follower.id)).all()
    answer = browser.post(f"/documents/{quotation.id}/followers", data={"who": who})
    assert answer.status_code == 422
    assert SECRET not in answer.text, "the refusal does not tell the name"
    db.session.expire_all()
    assert db.session.scalars(select(Follower.id)).all() == before


def test_somebody_s_own_customer_is_theirs_alone(browser, seller, make_user, sign_in, quotation):
    colleague = make_user("salesperson", login="oliver@maison.example.com")
    own = save_partner(None, {"name": f"{SECRET} Privé", "owner_id": colleague.id})
    contact = save_contact(own, f"{SECRET} Léa", "lea@own.example.com")
    for number in (own.id, contact.id):
        assert browser.get(f"/partners/{number}").status_code == 404
        assert (
            browser.post("/sales/quotations/new", data=quotation_form(partner_id=str(number))).status_code
            == 422
        )
    assert browser.get(f"/people?q={SECRET}").get_json() == []
    assert len(sign_in(colleague).get(f"/people?q={SECRET}").get_json()) == 2


def test_a_mail_s_recipient_corrects_no_address_of_another_company(
    browser, quotation, seller, theirs, elsewhere
):
    """A recipient may name a contact that has become another company's since."""

    recipient = DraftRecipient(
        Address(theirs.email, theirs.name), reason=Reason.CUSTOMER, partner_id=theirs.id
    )
    draft = MailDraft(
        document_id=quotation.id,
        document_revision=quotation.revision,
        company_id=quotation.company_id,
        language="en",
        subject="x",
        body_html="<p>x</p>",
        recipients=[recipient],
    )
    mail = submit(draft, seller)
    cancel([mail.id])
    browser.post(
        f"/outbox/mails/{mail.id}/recipients/{mail.recipients[0].id}",
        data={"address": "thief@example.com", "keep": "on"},
    )
    db.session.expire_all()
    assert mail.recipients[0].addr_spec == "thief@example.com"
    assert theirs.email == "tresor@theirs.example.com"


# ------------------------------------------------------------------------------------- products, taxes, colleagues


@pytest.fixture
def their_tax(elsewhere):
    return save_tax(None, {"name": f"{SECRET} 20 %", "rate": Decimal(20), "company_id": elsewhere.id})


@pytest.fixture
def their_product(elsewhere):
    values = {"name": f"{SECRET} Lamp", "code": "T-1", "unit_price": Decimal(10), "company_id": elsewhere.id}
    return save_product(None, values)


def test_no_line_names_a_product_or_tax_of_another_company(
    browser, ours, quotation, their_product, their_tax, company
):
    for field, row in (("line.product_id", their_product), ("line.tax_id", their_tax)):
        data = quotation_form(partner_id=str(ours.id), **{field: str(row.id)})
        for path in ("/sales/quotations/new", "/sales/invoices/new", f"/sales/orders/{quotation.id}/edit"):
            answer = browser.post(path, data=data | {"revision": str(quotation.revision)})
            assert answer.status_code == 422, (field, path)
            assert SECRET not in answer.text, (field, path)
        preview = browser.post(f"/sales/companies/{company.id}/preview", data=data)
        assert SECRET not in preview.text, field
        assert "12.00" not in preview.text, "nor is their tax computed"
    assert db.session.scalars(select(Line).where(Line.product_id == their_product.id)).all() == []


# ----------------------------------------------------------------------------------------------------- the till


@pytest.fixture
def till(sign_in, cashier):
    return sign_in(cashier)


@pytest.fixture
def their_till(elsewhere):
    row = save_register(None, {"company_id": elsewhere.id, "code": "E1", "name": f"{SECRET} till"})
    open_session(row, Decimal(0), None)
    return row


def test_a_till_knows_only_the_customers_that_are_its_company_s(
    till, register, session, theirs, ours, their_product
):
    data = till.get(f"/pos/till/{register.id}/data").text
    assert "Ours SA" in data
    assert SECRET not in data
    for what in ("customers", "products"):
        found = till.post(f"/pos/till/{register.id}/find", json={"what": what, "text": SECRET})
        assert found.get_json() == [], what


def test_a_sale_is_made_out_to_no_customer_product_or_method_of_another_company(
    till, register, session, theirs, their_product, elsewhere
):
    method = save_method(None, {"name": f"{SECRET} card", "kind": "card", "company_id": elsewhere.id})
    sale = posted(client_id=str(uuid.uuid4()), partner_id=theirs.id)
    sale["lines"][0]["product_id"] = their_product.id
    sale["payments"][0]["method_id"] = method.id
    answer = till.post(f"/pos/till/{register.id}/tickets", json=sale)
    assert answer.status_code == 200, "a sale that was made is written; what is not theirs is left out"
    assert SECRET not in answer.text
    ticket = db.session.scalars(select(Ticket)).one()
    assert ticket.document.partner_id is None
    assert [line.product_id for line in ticket.lines] == [None]
    assert [payment.method_id for payment in ticket.payments] == [None]
    assert db.session.get(PaymentMethod, method.id) is not None


def test_the_name_of_another_company_s_ticket_leads_nowhere(
    till, sign_in, stranger, register, session, their_till
):
    sale = posted(client_id=str(uuid.uuid4()))
    other = sign_in(stranger).post(f"/pos/till/{their_till.id}/tickets", json=sale)
    assert other.status_code == 200, other.text
    number = other.get_json()["number"]
    answer = till.post(f"/pos/till/{register.id}/tickets", json=sale)
    assert answer.status_code == 422
    assert number not in answer.text
    assert "total" not in answer.get_json()
    again = sign_in(stranger).post(f"/pos/till/{their_till.id}/tickets", json=sale)
    assert again.get_json()["number"] == number, "the same sale posted again is the same ticket"


def test_a_till_is_told_of_nobody_who_does_not_work_for_its_company(
    till, register, session, stranger, seller
):

    set_pin(stranger, "2468")
    data = till.get(f"/pos/till/{register.id}/data").text
    assert SECRET not in data
    taken = till.post(f"/pos/till/{register.id}/cashier", json={"user_id": stranger.id, "pin": "2468"})
    assert taken.status_code == 422
    assert SECRET not in taken.text


def test_taxes_of_the_form_are_the_company_s(browser, their_tax, quotation):
    assert db.session.get(Tax, their_tax.id) is not None
    assert db.session.scalars(select(Product)).all() == []
    assert SECRET not in browser.get("/sales/quotations/new").text
