"""The panels with mails on the pages of documents and customers."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask.testing import FlaskClient

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.companies.service import save_company
from core.documents.models import Document
from core.mail.addresses import parse_address
from core.mail.draft import DraftRecipient
from core.mail.outcomes import FailureKind
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.outbox import queries, service
from modules.outbox.badges import badges_for
from modules.outbox.models import OutgoingMail
from modules.outbox.states import MailState
from modules.sales.service import orders
from modules.sales.service.lines import LineValues
from tests.outbox.conftest import draft
from tests.outbox.mails import HARMFUL, HOSTILE, accepted, become, recipient_becomes, refused, uncertain
from tests.statements import statements


@pytest.fixture
def seller(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def browser(seller: User, sign_in: Callable[[User], FlaskClient]) -> FlaskClient:
    return sign_in(seller)


@pytest.fixture
def quotation(company: Company, customer: Partner, seller: User) -> Document:
    lines = [LineValues("Lamp", Decimal(2), Decimal("50.00"))]
    return orders.create_quotation(
        company, orders.QuotationValues(customer.id, clock.day_in("UTC"), lines), seller
    ).document


@pytest.fixture
def about(company: Company, quotation: Document, seller: User) -> Callable[..., OutgoingMail]:
    """Submit a mail about the quotation."""

    def submit(*addresses: str, by: User | None = None) -> OutgoingMail:
        return service.submit(draft(company, *addresses, document=quotation), by or seller)

    return submit


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def document_panel(browser: FlaskClient, document: Document) -> str:
    return browser.get(f"/outbox/documents/{document.id}/panel").text


def test_a_panel_tells_states_who_failed_why_and_when(browser, quotation, about):
    mail = refused(about("one@example.com", "two@example.com"), state=MailState.PARTIAL, accepted_count=1)
    shown = words(document_panel(browser, quotation))
    assert "1 of 2 accepted" in shown
    assert "one@example.com – Address unknown" in shown
    assert "just now · Salesperson" in shown
    assert f'href="/outbox/mails/{mail.id}"' in document_panel(browser, quotation)


def test_the_menu_offers_what_the_state_allows(browser, quotation, about):
    mail = about("one@example.com")

    def menu() -> list[str]:
        panel = document_panel(browser, quotation)
        return [
            words(entry)
            for entry in re.findall(r'class="dropdown-item"[^>]*>(.*?)</(?:button|a)>', panel, re.DOTALL)
        ]

    assert menu() == ["Cancel"]
    refused(mail)
    assert menu() == ["Send again", "Send again to…"]
    become(mail, state=MailState.DEFERRED)
    assert menu() == ["Send now", "Send again to…", "Cancel"]
    uncertain(mail)
    assert menu() == ["Send again", "Say whether it arrived…"]
    accepted(mail)
    assert menu() == []


def test_resending_leads_to_the_address_opened(browser, quotation, about):
    mail = refused(about("one@example.com"))
    recipient = mail.recipients[0].id
    url = f"/outbox/mails/{mail.id}?tab=recipients&amp;open={recipient}#address-{recipient}"
    assert f'href="{url}"' in document_panel(browser, quotation)


def test_a_mail_with_many_failures_has_one_entry(browser, quotation, about):
    mail = about(*(f"a{number}@example.com" for number in range(30)))
    for position in range(30):
        recipient_becomes(mail, position, failure_kind=FailureKind.RECIPIENT_UNKNOWN, state="refused")
    become(mail, state=MailState.FAILED, failure_kind=FailureKind.RECIPIENT_UNKNOWN)
    panel = document_panel(browser, quotation)
    assert words(panel).count("Send again to…") == 1
    assert "and 26 more" in words(panel)


def test_a_button_leads_back_to_the_document(browser, quotation, about):
    mail = refused(about("one@example.com"))
    assert 'name="back" value="document"' in document_panel(browser, quotation)
    response = browser.post(f"/outbox/mails/{mail.id}/resend", data={"back": "document"})
    assert response.location == f"/documents/{quotation.id}"
    assert "in the queue again" in browser.get(response.location, follow_redirects=True).text


def test_a_waiting_mail_says_what_it_waits_for(browser, quotation, about):
    become(about("one@example.com"), state=MailState.DEFERRED, failure_kind=FailureKind.SERVER_MISSING)
    panel = document_panel(browser, quotation)
    assert "It waits for a mail server that may send from sales@maison.example.com" in words(panel)
    assert 'hx-trigger="live, every 60s"' in panel


def test_the_panel_asks_by_the_clock_only_while_something_waits(browser, quotation, about):
    mail = about("one@example.com")
    assert 'hx-trigger="live, every 10s"' in document_panel(browser, quotation)
    accepted(mail)
    assert 'hx-trigger="live"' in document_panel(browser, quotation)


def test_more_than_twenty_lead_to_the_list(browser, quotation, about):
    for _ in range(queries.PANEL_SIZE):
        about("one@example.com")
    assert "All emails about it" not in document_panel(browser, quotation)
    about("one@example.com")
    panel = document_panel(browser, quotation)
    assert panel.count("/outbox/mails/") - panel.count("/cancel") == queries.PANEL_SIZE
    assert f'href="/outbox/mails?q={quotation.number}"' in panel


def test_the_mails_of_others_have_no_menu(browser, quotation, about, make_user, sign_in):
    mail = about("one@example.com", by=make_user("support"))
    shown = document_panel(browser, quotation)
    assert "one@example.com" in words(shown)
    assert "dropdown-item" not in shown
    support = sign_in(make_user("support", login="s@maison.example.com"))
    assert f'action="/outbox/mails/{mail.id}/cancel"' in document_panel(support, quotation)


def test_the_panel_of_a_document_that_is_not_yours_is_not_there(sign_in, make_user, quotation, about):
    about("one@example.com")
    other = save_company(None, {"name": "Other", "email": "o@other.example.com", "language": "en"})
    stranger = sign_in(make_user(login="stranger@example.com", company_ids=[other.id]))
    assert stranger.get(f"/outbox/documents/{quotation.id}/panel").status_code == 404
    assert stranger.get(f"/outbox/documents/{2**62}/panel").status_code == 404


# -- the customer ----------------------------------------------------------------------------------------


@pytest.fixture
def to_customer(company: Company, customer: Partner, seller: User) -> OutgoingMail:
    made = draft(company)
    made.recipients = [DraftRecipient(parse_address("client@example.com"), partner_id=customer.id)]
    return service.submit(made, seller)


def partner_panel(browser: FlaskClient, partner: Partner) -> str:
    return browser.get(f"/outbox/partners/{partner.id}/panel").text


def test_the_panel_of_a_customer_has_the_mails_to_its_contacts_too(
    browser, company, customer, seller, to_customer
):
    contact = save_partner(None, {"name": "Jo", "email": "jo@example.com", "parent_id": customer.id})
    made = draft(company, subject="To Jo")
    made.recipients = [DraftRecipient(parse_address("jo@example.com"), partner_id=contact.id)]
    service.submit(made, seller)
    shown = words(partner_panel(browser, customer))
    assert "To Jo" in shown
    assert "A subject" in shown
    assert "A subject" not in words(partner_panel(browser, contact))
    page = browser.get(f"/partners/{customer.id}").text
    assert 'id="mail-panel"' in page
    assert f'hx-get="/outbox/partners/{customer.id}/panel"' in page


def test_the_panel_of_a_customer_has_the_same_actions(browser, customer, to_customer):
    refused(to_customer)
    panel = partner_panel(browser, customer)
    assert f'action="/outbox/mails/{to_customer.id}/resend"' in panel
    assert f'name="back" value="partner-{customer.id}"' in panel


def test_the_panel_of_nobody_is_not_there(browser):
    assert browser.get("/outbox/partners/999999/panel").status_code == 404


def test_hostile_contents_are_shown_harmlessly(browser, quotation, about):
    mail = refused(about("one@example.com"), subject=HOSTILE)
    recipient_becomes(mail, display_name=HOSTILE)
    panel = document_panel(browser, quotation)
    assert not HARMFUL & set(panel)
    assert "<script>alert" not in panel


def asked_for(page: Callable[[], str]) -> int:
    """Return how many statements a page costs."""
    with statements() as asked:
        assert page()
    return len(asked)


def test_the_panel_asks_the_database_as_often_for_many_as_for_one(browser, quotation, about):
    refused(about("one@example.com"))
    for_one = asked_for(lambda: document_panel(browser, quotation))
    for _ in range(19):
        refused(about("one@example.com"))
    assert asked_for(lambda: document_panel(browser, quotation)) == for_one


def test_a_list_with_badges_asks_the_database_as_often_for_many_documents_as_for_one(
    browser, company, customer, seller
):
    def more(count: int) -> None:
        for _ in range(count):
            values = orders.QuotationValues(
                customer.id, clock.day_in("UTC"), [LineValues("Lamp", Decimal(2), Decimal(50))]
            )
            document = orders.create_quotation(company, values, seller).document
            refused(service.submit(draft(company, "one@example.com", document=document), seller))

    def page() -> str:
        return browser.get("/sales/quotations").text

    more(1)
    page()
    for_one = asked_for(page)
    more(11)
    assert asked_for(page) == for_one
    assert page().count("badge-reason") == 12


def test_a_failure_for_the_customer_is_not_hidden_by_a_mail_to_somebody_else(
    quotation, customer, company, seller
):
    def sent_to(address: str, partner: Partner | None = None) -> OutgoingMail:
        made = draft(company, document=quotation)
        made.recipients = [DraftRecipient(parse_address(address), partner_id=partner.id if partner else None)]
        return service.submit(made, seller)

    refused(sent_to("client@example.com", customer))
    accepted(sent_to("myself@example.com"))
    assert badges_for([quotation.id])[quotation.id].tone == "danger"
    accepted(sent_to("client.new@example.com", customer))
    assert badges_for([quotation.id])[quotation.id].tone == "success"
